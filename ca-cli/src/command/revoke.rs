//! `revoke` and `unhold`.

use ca_api::authority::{Authority, IssuerList};
use ca_api::certificate::Certificate as Record;
use ca_api::revoke::RevokedCertificate;
use serde::Serialize;

use super::enforcement::{self, Enforcement};
use super::reference::{Reference, name_of};
use crate::args::RevokeArgs;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;
use crate::settings::{Settings, Target};

/// Revokes a certificate, and says until when relying parties may not know.
pub(super) async fn revoke(
    service: &dyn Service,
    reference: &Reference,
    args: &RevokeArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let record = reference.record(service).await?;
    let began = super::now();
    let revoked = service.revoke(&name_of(&record)?, args.reason, args.invalidity_date).await?;
    if args.wait.is_none() || !printer.prints_json() {
        printer.result(&revoked, |revoked| describe(&revoked.certificate))?;
    }
    reach(&revoked).into_iter().for_each(|note| printer.note(note));
    // Who may revoke its own certificate may not always read the authority: then the bound is not told.
    if let Ok(id) = revoked.certificate.authority.parse()
        && let Ok(authority) = service.authority(&id).await
    {
        printer.note(visibility(&authority, settings));
    }
    let Some(limit) = args.wait else { return Ok(Exit::Done) };
    let waited = enforcement::wait(service, &revoked.certificate, began, limit).await;
    let (enforcement, failure) = match waited {
        Ok(enforcement) => (Some(enforcement), None),
        Err(failure) => (None, Some(failure)),
    };
    // What was revoked is told whatever became of the waiting.
    if printer.prints_json() || enforcement.is_some() {
        printer.result(&Enforced { revoked, enforcement: enforcement.as_ref() }, |enforced| {
            enforced.enforcement.map(Enforcement::describe).unwrap_or_default()
        })?;
    }
    match failure {
        Some(failure) => Err(failure),
        None if enforcement.is_some_and(|enforcement| enforcement.is_complete()) => Ok(Exit::Done),
        None => Ok(Exit::Failed),
    }
}

/// What was revoked, and where that is enforced.
#[derive(Serialize)]
struct Enforced<'a> {
    #[serde(flatten)]
    revoked: RevokedCertificate,
    enforcement: Option<&'a Enforcement>,
}

/// Ends a hold.
pub(super) async fn unhold(service: &dyn Service, reference: &Reference, printer: &Printer) -> Result<Exit, Failure> {
    let record = reference.record(service).await?;
    let released = service.unhold(&name_of(&record)?).await?;
    printer.result(&released, |record| format!("certificate {} is in force again", record.id))?;
    Ok(Exit::Done)
}

fn describe(record: &Record) -> String {
    match &record.revocation {
        Some(revocation) => {
            let reason = super::list::reason_name(revocation.reason);
            let what = if reason == "certificateHold" { "is on hold" } else { "is revoked" };
            format!("certificate {} {what} since {} ({reason})", record.id, revocation.revoked_at)
        }
        None => format!("certificate {} is not revoked", record.id),
    }
}

/// What a compromised key reaches besides: those certificates stand until somebody revokes them.
fn reach(revoked: &RevokedCertificate) -> Vec<String> {
    let notes = [
        (&revoked.same_key, "has the same key and still stands; revoke it too"),
        (
            &revoked.successors,
            "was renewed from it and has lost its roles; revoke it too unless you know who holds its key",
        ),
    ];
    let told = notes.iter().flat_map(|(ids, what)| ids.iter().map(move |id| format!("certificate {id} {what}")));
    told.collect()
}

/// How long it takes until the last relying party can know.
fn visibility(authority: &Authority, settings: &Settings) -> String {
    let list = match (&settings.target, &authority.crl) {
        (Target::Local(folder), Some(crl)) => format!(
            "; revocation list {} is in {}",
            crl.number,
            folder.join("crl").join(format!("{}.crl", authority.id)).display()
        ),
        _ => String::new(),
    };
    // An issuer elsewhere makes the list in its own time; what we answer does not wait for it.
    if let Some(issuer) = &authority.issuer {
        let list = match issuer.list {
            IssuerList::NotPublished => "its issuer publishes no list".to_owned(),
            _ => format!("its issuer's list within {}", authority.revocation_visible_within),
        };
        return format!("OCSP of this service tells it within {}; {list}", issuer.ocsp_visible_within);
    }
    let kept =
        authority.crl.as_ref().map(|crl| format!("; lists fetched before may be kept until {}", crl.next_update));
    format!("OCSP tells it within {}{list}{}", authority.revocation_visible_within, kept.unwrap_or_default())
}
