//! A round over everything that the agent keeps: looked at, the most urgent first; renewed where it is due; whoever has to hear of a change or of
//! danger is told. What fails for one certificate holds up no other, and what is in place stays until the next is there as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::key::KeyType;
use ca_core::managed::Urgency;
use ca_core::time::Timestamp;
use ca_engine::port::certificate_target::{CertificateTarget, TargetPlace};
use ca_engine::port::entropy::Entropy;
use ca_runtime::certificate_target;
use ca_runtime::entropy::SystemEntropy;

use super::hook;
use super::issuer::{Issuer, Way};
use super::progress::{LastFailure, Progress};
use super::rotation::{Rotation, of_target};
use super::schedule::{away_pause, draw, due_at, pause, urgency};
use super::settings::{AgentSettings, KeptCertificate};
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::tls;

/// How a round went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// How many certificates were put in place.
    pub(super) renewed: usize,
    /// How many failed, of which the service did not answer for.
    pub(super) failed: usize,
    /// How many the service did not answer for.
    pub(super) unanswered: usize,
}

impl Round {
    /// The exit status of who asked for one round.
    pub(super) fn exit(self) -> Exit {
        match (self.failed, self.unanswered) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }
}

/// Whether pauses after failures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pauses {
    Keep,
    /// Somebody asked for this round.
    PassOver,
}

/// Keeps certificates.
pub(super) struct Keeper<'a> {
    settings: &'a AgentSettings,
    printer: &'a Printer,
    /// The services that do not answer: how often in a row, and until when they are let alone.
    away: BTreeMap<String, (u32, Timestamp)>,
}

/// One certificate as a round finds it.
struct Found<'a> {
    kept: &'a KeptCertificate,
    target: Arc<dyn CertificateTarget>,
    progress: Progress,
    /// What is in place, and the rotation that brought it.
    current: Option<(Certificate, String)>,
}

impl Found<'_> {
    fn certificate(&self) -> Option<&Certificate> {
        self.current.as_ref().map(|(certificate, _)| certificate)
    }

    fn due_at(&self) -> Option<Timestamp> {
        let certificate = self.certificate()?;
        Some(due_at(certificate, self.progress.window.as_ref(), self.kept.renew_before))
    }
}

impl<'a> Keeper<'a> {
    pub(super) fn new(settings: &'a AgentSettings, printer: &'a Printer) -> Self {
        Self { settings, printer, away: BTreeMap::new() }
    }

    /// Lets nobody alone any longer: the clock was set, or somebody wants it tried.
    pub(super) fn forget_pauses(&mut self) {
        self.away.clear();
        for kept in &self.settings.certificates {
            let path = Progress::path(&self.settings.state_dir, &kept.name);
            if let Ok(mut progress) = Progress::read(&path) {
                progress.forget_pauses();
                // It was readable a moment ago; a round tells when it cannot be written.
                let _unwritten = progress.write(&path);
            }
        }
    }

    /// One round.
    pub(super) async fn round(&mut self, now: Timestamp, pauses: Pauses) -> Round {
        let mut round = Round::default();
        let mut all = Vec::new();
        for kept in &self.settings.certificates {
            match self.find(kept).await {
                Ok(mut found) => {
                    if pauses == Pauses::PassOver {
                        found.progress.forget_pauses();
                    }
                    all.push(found);
                }
                Err(failure) => {
                    round.failed += 1;
                    self.printer.warning(format!("agent: {}: {failure}", kept.name));
                }
            }
        }
        // Who has nothing, or ends next, is next.
        all.sort_by_key(|found| found.certificate().map(|certificate| certificate.validity().not_after));
        for mut found in all {
            let outcome = self.keep(&mut found, now, pauses).await;
            match outcome {
                Ok(true) => round.renewed += 1,
                Ok(false) => {}
                Err(failure) if failure.exit() == Exit::Unreachable => round.unanswered += 1,
                Err(_) => round.failed += 1,
            }
            self.alert(&mut found, now).await;
            let path = Progress::path(&self.settings.state_dir, &found.kept.name);
            if let Err(failure) = found.progress.write(&path) {
                round.failed += 1;
                self.printer.warning(format!("agent: {}: {failure}", found.kept.name));
            }
        }
        round
    }

    async fn find(&self, kept: &'a KeptCertificate) -> Result<Found<'a>, Failure> {
        let target = certificate_target::directory(kept.directory.clone());
        let mut progress = Progress::read(&Progress::path(&self.settings.state_dir, &kept.name))?;
        let current = current(&*target).await?;
        let fingerprint = current.as_ref().map(|(certificate, _)| hex::encode(certificate.fingerprint_sha256()));
        progress.turn_to(fingerprint);
        Ok(Found { kept, target, progress, current })
    }

    /// Everything that is to be done about one certificate; whether another one is in place.
    async fn keep(&mut self, found: &mut Found<'_>, now: Timestamp, pauses: Pauses) -> Result<bool, Failure> {
        // 1. Whoever has not heard of what is in place hears of it, whatever else is wrong.
        let heard = self.reload(found).await;
        // 2. The next one, if it is time.
        let renewed = self.renew(found, now, pauses).await;
        match renewed {
            Ok(false) => heard.map(|()| false),
            Ok(true) => {
                let reloaded = self.reload(found).await;
                reloaded.map(|()| true)
            }
            Err(failure) => {
                self.printer.warning(format!("agent: {}: {}", found.kept.name, plain(&failure.to_string())));
                Err(failure)
            }
        }
    }

    async fn renew(&mut self, found: &mut Found<'_>, now: Timestamp, pauses: Pauses) -> Result<bool, Failure> {
        let is_paused = !Progress::is_over(found.progress.next_at, now);
        let url = found.kept.url.clone();
        let is_away = pauses == Pauses::Keep
            && self.away.get(&url).is_some_and(|(_, until)| !Progress::is_over(until.unix_millis(), now));
        if is_paused || is_away {
            return Ok(false);
        }
        let asked = self.ask_and_rotate(found, now).await;
        match &asked {
            Ok(_) => {
                self.away.remove(&url);
            }
            Err(failure) if failure.exit() == Exit::Unreachable => {
                let failures = self.away.get(&url).map_or(1, |(failures, _)| failures.saturating_add(1));
                let pause = away_pause(failures, chance()?);
                self.away.insert(url, (failures, now.plus(pause)));
                let detail = failure.to_string();
                found.progress.last_failure = Some(LastFailure { at: now.unix_millis(), detail });
            }
            Err(failure) => {
                self.away.remove(&url);
                let progress = &mut found.progress;
                progress.failures = progress.failures.saturating_add(1);
                progress.last_failure = Some(LastFailure { at: now.unix_millis(), detail: failure.to_string() });
                let certificate = found.current.as_ref().map(|(certificate, _)| certificate);
                let pause = pause(certificate, &found.kept.name, &found.progress, now);
                // The service may know better when: too early by its clock, or overloaded.
                let told = failure.problem().and_then(|problem| problem.retry_after).map_or(0, u64::from);
                let pause = pause.max(ca_core::time::Lifetime::from_seconds(told));
                found.progress.next_at = now.plus(pause).unix_millis();
            }
        }
        asked
    }

    async fn ask_and_rotate(&mut self, found: &mut Found<'_>, now: Timestamp) -> Result<bool, Failure> {
        let kept = found.kept;
        let roots = tls::read_roots(&kept.root)?;
        let issuer = Issuer::new(kept, self.settings.timeout);
        // Where nothing is in place and a pair waits elsewhere, nobody has to be asked.
        if let (None, Some(pair)) = (&found.current, &kept.take_over) {
            let rotation = Rotation::new(Arc::clone(&found.target), &roots, KeyType::P256, None);
            rotation.take_over(pair, now, random()?).await?;
            return self.in_place(found).await;
        }
        let unheard = self.ask_window(found, &issuer, now).await;
        if found.due_at().is_some_and(|due_at| now < due_at) {
            // It was not needed yet: that the service does not answer is told, and harms nobody.
            return unheard.map(|()| false);
        }
        let way = way(found, now)?;
        let current = match &way {
            Way::Token(_) => None,
            Way::Holder(certificate) | Way::Proof(certificate) => Some(certificate),
        };
        let key_type = kept.key_type.or_else(|| Some(found.certificate()?.public_key().key_type()));
        let key_type = key_type.unwrap_or(KeyType::P256);
        let rotation = Rotation::new(Arc::clone(&found.target), &roots, key_type, current);
        rotation.carry_out(&issuer, &way, now, random()?).await?;
        self.in_place(found).await
    }

    /// Asks when the certificate is to be renewed, if that has to be asked now.
    async fn ask_window(&self, found: &mut Found<'_>, issuer: &Issuer<'_>, now: Timestamp) -> Result<(), Failure> {
        let Some((certificate, _)) = &found.current else { return Ok(()) };
        // By its end nothing can be asked with it.
        if certificate.validity().not_after < now || !Progress::is_over(found.progress.ask_again_at, now) {
            return Ok(());
        }
        let window = issuer.window(certificate).await?;
        let drawn = draw(found.progress.window.as_ref(), window.start, window.end, chance()?);
        found.progress.window = Some(drawn);
        found.progress.ask_again_at = now.plus(window.ask_again_after).unix_millis();
        Ok(())
    }

    /// Turns to what is in place now.
    async fn in_place(&self, found: &mut Found<'_>) -> Result<bool, Failure> {
        found.current = current(&*found.target).await?;
        let Some((certificate, _)) = &found.current else {
            return Err(Failure::failed("the certificate that was put in place is not there any more"));
        };
        found.progress.turn_to(Some(hex::encode(certificate.fingerprint_sha256())));
        self.printer.note(format!(
            "agent: {}: certificate {} is in place, valid until {}",
            found.kept.name,
            certificate.serial(),
            certificate.validity().not_after
        ));
        Ok(true)
    }

    /// Runs the command that hears of a change, unless it did for what is in place.
    async fn reload(&self, found: &mut Found<'_>) -> Result<(), Failure> {
        let Some((_, rotation)) = &found.current else { return Ok(()) };
        if found.progress.reloaded.as_deref() == Some(rotation) {
            return Ok(());
        }
        let directory = found.kept.directory.to_string_lossy();
        let variables = [("CA_CERTIFICATE", found.kept.name.as_str()), ("CA_DIRECTORY", directory.as_ref())];
        match hook::run(&found.kept.reload, &variables).await {
            Ok(()) => {
                found.progress.reloaded = Some(rotation.clone());
                Ok(())
            }
            Err(why) => {
                let now = super::super::now();
                let detail = format!("the certificate in place is not in use: {why}");
                self.printer.warning(format!("agent: {}: {}", found.kept.name, plain(&detail)));
                found.progress.last_failure = Some(LastFailure { at: now.unix_millis(), detail: detail.clone() });
                Err(Failure::Failed(detail))
            }
        }
    }

    /// Alerts somebody when a certificate is in danger: once for each degree of it.
    async fn alert(&self, found: &mut Found<'_>, now: Timestamp) {
        let (Some(due_at), Some((certificate, _))) = (found.due_at(), &found.current) else { return };
        let urgency = urgency(certificate, due_at, now);
        if now < due_at || urgency < Urgency::Warning || found.progress.alerted.as_deref() == Some(urgency.as_str()) {
            return;
        }
        let not_after = certificate.validity().not_after;
        let why =
            found.progress.last_failure.as_ref().map_or("it was not tried yet", |failure| failure.detail.as_str());
        let verb = if urgency == Urgency::Expired { "ended" } else { "ends" };
        let text = plain(&format!(
            "certificate {} {verb} at {not_after} and could not be renewed ({}): {why}",
            found.kept.name,
            urgency.as_str()
        ));
        self.printer.warning(format!("agent: {text}"));
        let mut command = self.settings.on_alert.clone();
        if !command.is_empty() {
            command.push(text);
        }
        match hook::run(&command, &[("CA_CERTIFICATE", &found.kept.name), ("CA_URGENCY", urgency.as_str())]).await {
            Ok(()) => found.progress.alerted = Some(urgency.as_str().to_owned()),
            // It is run again in the next round.
            Err(why) => self.printer.warning(format!("agent: nobody was alerted: {}", plain(&why))),
        }
    }
}

/// What is in place in a folder, and the rotation that brought it.
pub(super) async fn current(target: &dyn CertificateTarget) -> Result<Option<(Certificate, String)>, Failure> {
    let Some(held) = target.look(TargetPlace::Current).await.map_err(of_target)? else { return Ok(None) };
    let certificate = Certificate::from_der(&held.certificate).map_err(Failure::failed)?;
    Ok(Some((certificate, held.rotation.to_string())))
}

/// How the next certificate is asked for, by what is in place and what is configured.
fn way(found: &Found<'_>, now: Timestamp) -> Result<Way, Failure> {
    let enrolment = found.kept.enrol.as_ref().filter(|enrolment| enrolment.token_file.exists());
    match (found.certificate(), enrolment) {
        (Some(certificate), _) if now <= certificate.validity().not_after => Ok(Way::Holder(certificate.clone())),
        (Some(certificate), _) if found.kept.after_expiry => Ok(Way::Proof(certificate.clone())),
        (_, Some(enrolment)) => Ok(Way::Token(enrolment.clone())),
        (Some(certificate), None) => Err(Failure::Failed(format!(
            "the certificate ended at {}: set after_expiry, where its profile allows that, or put an enrolment token into \
             `enrol.token_file`",
            certificate.validity().not_after
        ))),
        (None, None) => Err(Failure::Failed(
            "there is no certificate to begin with: put an enrolment token into `enrol.token_file`, or name a pair in `take_over`"
                .to_owned(),
        )),
    }
}

fn random() -> Result<[u8; 10], Failure> {
    let mut octets = [0; 10];
    SystemEntropy::new().fill(&mut octets).map_err(Failure::failed)?;
    Ok(octets)
}

fn chance() -> Result<u64, Failure> {
    let mut octets = [0; 8];
    SystemEntropy::new().fill(&mut octets).map_err(Failure::failed)?;
    Ok(u64::from_be_bytes(octets))
}
