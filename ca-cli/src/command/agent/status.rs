//! `agent status`: what is in place, until when, and what is wrong. Asks nobody and changes nothing.

use ca_core::certificate::Certificate;
use ca_core::managed::Urgency;
use ca_core::time::Timestamp;
use ca_runtime::certificate_target;
use serde::Serialize;

use super::keeper::current;
use super::progress::Progress;
use super::schedule::{due_at, urgency};
use super::settings::{AgentSettings, KeptCertificate};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// One certificate.
#[derive(Debug, Serialize)]
struct Status {
    name: String,
    /// `ok`, `due`, `notice`, `warning`, `critical`, `expired`, `missing`, `unused` or `unreadable`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
}

impl Status {
    /// Whether somebody has to look after it.
    fn is_well(&self) -> bool {
        matches!(self.state, "ok" | "due" | "notice")
    }
}

/// Shows everything; fails when a certificate is in danger, missing or not in use.
pub(super) async fn show(settings: &AgentSettings, now: Timestamp, printer: &Printer) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for kept in &settings.certificates {
        all.push(status(settings, kept, now).await);
    }
    printer.result(&all, |all| {
        let rows = all.iter().map(|status| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            [
                status.name.clone(),
                status.state.to_owned(),
                text(&status.not_after),
                text(&status.due_at),
                text(&status.last_failure),
            ]
        });
        printer.table(["NAME", "STATE", "UNTIL", "RENEWED AT", "LAST FAILURE"], rows)
    })?;
    Ok(if all.iter().all(Status::is_well) { Exit::Done } else { Exit::Failed })
}

async fn status(settings: &AgentSettings, kept: &KeptCertificate, now: Timestamp) -> Status {
    let target = certificate_target::directory(kept.directory.clone());
    let found = async {
        let mut progress = Progress::read(&Progress::path(&settings.state_dir, &kept.name))?;
        let current = current(&*target).await?;
        let fingerprint = |(certificate, _): &(Certificate, String)| hex::encode(certificate.fingerprint_sha256());
        progress.turn_to(current.as_ref().map(fingerprint));
        Ok((progress, current))
    };
    let (progress, current) = match found.await {
        Ok(found) => found,
        Err(failure) => {
            let failure: Failure = failure;
            let (name, last_failure) = (kept.name.clone(), Some(failure.to_string()));
            return Status { name, state: "unreadable", not_after: None, due_at: None, last_failure };
        }
    };
    let last_failure = progress
        .last_failure
        .as_ref()
        .map(|failure| format!("{}: {}", Timestamp::from_unix_millis(failure.at).to_rfc3339(), failure.detail));
    let Some((certificate, rotation)) = current else {
        return Status { name: kept.name.clone(), state: "missing", not_after: None, due_at: None, last_failure };
    };
    let due_at = due_at(&certificate, progress.window.as_ref(), kept.renew_before);
    let state = match urgency(&certificate, due_at, now) {
        Urgency::Expired => Urgency::Expired.as_str(),
        _ if progress.reloaded.as_deref() != Some(&rotation) => "unused",
        _ if now < due_at => "ok",
        Urgency::Notice if progress.failures == 0 => "due",
        urgency => urgency.as_str(),
    };
    Status {
        name: kept.name.clone(),
        state,
        not_after: Some(certificate.validity().not_after.to_rfc3339()),
        due_at: Some(due_at.to_rfc3339()),
        last_failure,
    }
}
