//! Rounds of `kill -9` under load, each followed by a restart on the same data folder, and what must be true afterwards:
//! the invariants of the design that a crash could break.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::audit::AuditEvent;
use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_core::serial::Serial;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, eventually};
use crate::ledger::{Application, Ledger};
use crate::load::Callers;
use crate::record;
use crate::stack::{Site, Stack};
use crate::status::Subject;

/// How soon CRL and OCSP agree on a machine that has much other work (where they have not: invariant 6 of the design, in `make soak`).
pub const AGREEMENT: Duration = Duration::from_secs(60);

/// How many OCSP requests are under way at once.
const ASKERS: usize = 8;

/// What the rounds came to.
#[derive(Debug, Default)]
pub struct Figures {
    /// Certificates that callers received.
    pub issued: usize,
    /// Revocations that were acknowledged.
    pub revoked: usize,
    /// Applications whose answer a crash swallowed.
    pub unheard: usize,
    /// Those of them whose certificate was on record all the same.
    pub unheard_but_issued: usize,
    /// Issuances that a crash cut in two: reserved, and abandoned at the restart.
    pub abandoned: usize,
    /// The longest time from the start of the program until it served.
    pub slowest_restart: Duration,
}

/// Kills the service under `issuers` issuers and some revokers once for each of `delays`, which say how long each load lasts;
/// fails as soon as anything is found that must not be.
pub async fn kill_rounds(issuers: usize, delays: &[Duration]) -> anyhow::Result<Figures> {
    let mut stack = Site::initialised(&[])?.serve()?;
    let callers = Callers::new(&stack, issuers, 8).await?;
    let mut lists = Lists::default();
    let mut total = Ledger::default();
    let mut figures = Figures::default();
    for (round, delay) in delays.iter().enumerate() {
        let load = callers.start();
        lists.watch(&stack.public()?, *delay).await?;
        let site = stack.kill();
        let ledger = load.finish().await?;
        let started = Instant::now();
        stack = site.serve()?;
        figures.slowest_restart = figures.slowest_restart.max(started.elapsed());
        let judge = Judge::new(&stack).await?;
        judge
            .after_a_crash(&callers, &ledger, &mut lists, &mut figures)
            .await
            .with_context(|| format!("round {}", round + 1))?;
        total.take_in(ledger);
    }
    // What earlier rounds were promised holds after the later ones too.
    let judge = Judge::new(&stack).await?;
    judge.promises_are_kept(&total)?;
    judge.revocations_are_told(&total).await?;
    judge.audit_chain_is_whole(&total).await?;
    figures.issued = total.issued.len();
    figures.revoked = total.revoked.len();
    figures.unheard = total.unheard.len();
    stack.stop().context("a graceful stop after the rounds")?;
    Ok(figures)
}

/// The newest complete list of the issuing authority that was seen: neither its number nor its time may fall.
#[derive(Debug, Default)]
pub struct Lists {
    newest: Option<(u64, ca_core::time::Timestamp)>,
}

impl Lists {
    /// Fetches the list again and again, for as long as `duration`.
    pub async fn watch(&mut self, public: &Client, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.fetch(public).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fetches the list once.
    pub async fn fetch(&mut self, public: &Client) -> anyhow::Result<ParsedCrl> {
        let list = ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?;
        self.see(&list)?;
        Ok(list)
    }

    /// Takes notice of a list, and gives its number.
    pub fn see(&mut self, list: &ParsedCrl) -> anyhow::Result<u64> {
        let found = (list.number().context("a CRL without a number")?, list.this_update());
        if let Some(newest) = self.newest {
            ensure!(found.0 >= newest.0, "the CRL number fell from {} to {}", newest.0, found.0);
            ensure!(found.1 >= newest.1, "thisUpdate fell from {} to {}", newest.1, found.1);
        }
        self.newest = Some(found);
        Ok(found.0)
    }
}

/// Judges a running service by what callers were promised and by what lies on its disk.
pub struct Judge<'a> {
    stack: &'a Stack,
    public: Client,
    issuer: Certificate,
}

impl<'a> Judge<'a> {
    /// For the service that serves now.
    pub async fn new(stack: &'a Stack) -> anyhow::Result<Self> {
        let public = stack.public()?;
        let issuer = Certificate::from_der(&public.get("/ca/tls.crt").await?.expect(200)?.body)?;
        Ok(Self { stack, public, issuer })
    }

    /// Everything that must be true after a crash and a restart.
    pub async fn after_a_crash(
        &self,
        callers: &Callers,
        ledger: &Ledger,
        lists: &mut Lists,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        // 1. Nothing is half done. Asked first, before anything else could close it.
        self.nothing_is_open()?;
        // 2. What was promised is there.
        self.promises_are_kept(ledger)?;
        self.revocations_are_told(ledger).await?;
        // 3. What was not heard of can be asked for again.
        figures.unheard_but_issued += self.applications_can_be_repeated(callers, ledger).await?;
        self.revocations_can_be_repeated(ledger).await?;
        // 4. What was begun and never finished is revoked.
        figures.abandoned = self.abandoned_serials_are_revoked().await?;
        // 5. Lists.
        self.list_is_complete(ledger, lists).await?;
        self.list_numbers_rise()?;
        self.serials_are_unique()?;
        // 6. The audit chain.
        self.audit_chain_is_whole(ledger).await
    }

    /// No reservation is open, and no serial stands as reserved.
    pub fn nothing_is_open(&self) -> anyhow::Result<()> {
        let open = record::number(self.stack, "SELECT count(*) FROM reservations WHERE abandoned_at IS NULL")?;
        ensure!(open == 0, "{open} reservations are open");
        let reserved = record::number(self.stack, "SELECT count(*) FROM serials WHERE state = 0")?;
        ensure!(reserved == 0, "{reserved} serials stand as reserved");
        Ok(())
    }

    /// Every certificate that a caller received is on record, octet for octet.
    pub fn promises_are_kept(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let rows: Vec<(String, String)> = record::rows(self.stack, "SELECT id, der FROM certificates")?;
        let on_record: BTreeMap<String, String> = rows.into_iter().collect();
        for (_, promise) in &ledger.issued {
            let found = on_record.get(&promise.id.replace('-', ""));
            let found =
                found.with_context(|| format!("certificate {} was received and is not on record", promise.id))?;
            ensure!(*found == hex::encode(&promise.der), "certificate {} is another one on record", promise.id);
        }
        Ok(())
    }

    /// Every acknowledged revocation is what OCSP says, with its reason.
    pub async fn revocations_are_told(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let serials = ledger.revoked.iter().map(|(promise, reason)| (promise.serial.clone(), (*reason).to_owned()));
        for (serial, reason, status) in self.ask_all(serials.collect()).await? {
            let CertStatus::Revoked { reason: Some(told), .. } = status else {
                anyhow::bail!("{serial} was revoked ({reason}), and OCSP says {status:?}");
            };
            ensure!(told.as_str() == reason, "{serial} was revoked for {reason}, and OCSP says {told:?}");
        }
        Ok(())
    }

    /// Asking again under the same key gives the certificate that is there, or one new one; and the same again after that.
    /// Returns how many were there.
    async fn applications_can_be_repeated(&self, callers: &Callers, ledger: &Ledger) -> anyhow::Result<usize> {
        let before = self.certificates_by_name()?;
        let mut there = 0;
        for application in &ledger.unheard {
            let again = callers.ask_again(application).await?;
            let once_more = callers.ask_again(application).await?;
            ensure!(again == once_more, "{}: asked twice, {} and {}", application.key, again.id, once_more.id);
            if !callers.has_unique_names(application.caller) {
                continue;
            }
            if let Some(ids) = before.get(&application.name) {
                ensure!(ids.contains(&again.id.replace('-', "")), "{}: a second certificate", application.key);
                there += 1;
            }
        }
        // The last that were received, too.
        let received: Vec<&(Application, Arc<_>)> = ledger.issued.iter().rev().take(20).collect();
        for (application, promise) in received {
            let again = callers.ask_again(application).await?;
            ensure!(again == **promise, "{}: received {}, then {}", application.key, promise.id, again.id);
        }
        let after = self.certificates_by_name()?;
        for application in ledger.unheard.iter().filter(|application| callers.has_unique_names(application.caller)) {
            let count = after.get(&application.name).map_or(0, BTreeSet::len);
            ensure!(count == 1, "{}: {count} certificates for one application", application.key);
        }
        Ok(there)
    }

    /// Every application for a name of its own that was answered came to one certificate, however often it was asked for.
    pub fn one_certificate_for_each_application(&self, callers: &Callers, ledger: &Ledger) -> anyhow::Result<()> {
        let by_name = self.certificates_by_name()?;
        let unique = |(application, _): &&(Application, _)| callers.has_unique_names(application.caller);
        for (application, promise) in ledger.issued.iter().filter(unique) {
            let count = by_name.get(&application.name).map_or(0, BTreeSet::len);
            ensure!(count == 1, "{}: {count} certificates beside {}", application.key, promise.id);
        }
        Ok(())
    }

    fn certificates_by_name(&self) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
        let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, der) in record::rows::<(String, String)>(self.stack, "SELECT id, der FROM certificates")? {
            for name in Certificate::from_der(&hex::decode(&der)?)?.names() {
                if let Some(name) = name.to_string().strip_prefix("dns:") {
                    by_name.entry(name.to_owned()).or_default().insert(id.clone());
                }
            }
        }
        Ok(by_name)
    }

    /// A revocation whose answer was swallowed can be asked for again.
    async fn revocations_can_be_repeated(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let administrator = self.stack.administrator()?;
        for (promise, reason) in &ledger.unheard_revocations {
            administrator.revoke(&promise.id, reason).await?;
        }
        Ok(())
    }

    /// Abandoned serials are revoked in OCSP, although no certificate of theirs left the service. Returns how many there are.
    async fn abandoned_serials_are_revoked(&self) -> anyhow::Result<usize> {
        let abandoned = self.abandoned()?;
        let count = abandoned.len();
        let asked = abandoned.into_iter().map(|serial| (serial, "abandoned".to_owned())).collect();
        for (serial, _, status) in self.ask_all(asked).await? {
            ensure!(matches!(status, CertStatus::Revoked { .. }), "{serial} was abandoned, and OCSP says {status:?}");
        }
        Ok(count)
    }

    fn abandoned(&self) -> anyhow::Result<Vec<String>> {
        let sql = "SELECT serial FROM serials WHERE state = 4 AND authority = 'tls'";
        let rows: Vec<(String,)> = record::rows(self.stack, sql)?;
        Ok(rows.into_iter().map(|(serial,)| serial).collect())
    }

    /// Within seconds the list holds every acknowledged revocation and every abandoned serial.
    pub async fn list_is_complete(&self, ledger: &Ledger, lists: &mut Lists) -> anyhow::Result<()> {
        let revoked = ledger.revoked.iter().map(|(promise, _)| promise.serial.clone());
        let wanted: Vec<Serial> =
            revoked.chain(self.abandoned()?).map(|serial| serial.parse()).collect::<Result<_, _>>()?;
        let end = Instant::now() + AGREEMENT;
        loop {
            let list = lists.fetch(&self.public).await?;
            list.verify(self.issuer.subject(), self.issuer.public_key())?;
            let Some(missing) = wanted.iter().find(|serial| list.find(serial).is_none()) else { return Ok(()) };
            ensure!(Instant::now() < end, "CRL {:?} lacks {missing} after {AGREEMENT:?}", list.number());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// On record, every authority's lists have rising numbers and times that never fall.
    pub fn list_numbers_rise(&self) -> anyhow::Result<()> {
        let sql = "SELECT authority, number, this_update FROM crls ORDER BY authority, number";
        let rows: Vec<(String, u64, i64)> = record::rows(self.stack, sql)?;
        for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            ensure!(pair[1].1 > pair[0].1 && pair[1].2 >= pair[0].2, "lists fell back: {pair:?}");
        }
        Ok(())
    }

    /// Read from the certificates themselves: no two of an issuer share a serial, and none has an abandoned one.
    pub fn serials_are_unique(&self) -> anyhow::Result<()> {
        let sql = "SELECT authority, der FROM certificates";
        let mut seen = BTreeSet::new();
        for (authority, der) in record::rows::<(String, String)>(self.stack, sql)? {
            let certificate = Certificate::from_der(&hex::decode(&der)?)?;
            let serial = hex::encode(certificate.serial().as_bytes());
            ensure!(seen.insert((authority, serial.clone())), "serial {serial} was issued twice");
        }
        for serial in self.abandoned()? {
            ensure!(!seen.contains(&("tls".to_owned(), serial.clone())), "serial {serial} is abandoned and issued");
        }
        Ok(())
    }

    /// Every committed event gets its place within seconds, the hashes follow from one another, and each certificate,
    /// revocation and abandonment has exactly one event.
    pub async fn audit_chain_is_whole(&self, ledger: &Ledger) -> anyhow::Result<()> {
        eventually(AGREEMENT, "every audit event has its place", || async {
            let sql = "SELECT count(*) FROM audit_events WHERE sequence IS NULL";
            Ok((record::number(self.stack, sql)? == 0).then_some(()))
        })
        .await?;
        let events = record::audit_events(&self.stack.administrator()?).await?;
        record::rehash(&events)?;
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for event in &events {
            *counts.entry((&event.action, &event.subject)).or_default() += 1;
        }
        let once = |action: &str, id: &str| {
            let subject = format!("certificate:{id}");
            let count = counts.get(&(action, subject.as_str())).copied().unwrap_or(0);
            ensure!(count == 1, "{count} events {action} for {subject}");
            Ok(())
        };
        for (_, promise) in &ledger.issued {
            once("certificate-issued", &promise.id)?;
        }
        for (promise, _) in &ledger.revoked {
            once("certificate-revoked", &promise.id)?;
        }
        let of = |action: &str| events.iter().filter(|event| event.action == action).count();
        let abandoned = record::number(self.stack, "SELECT count(*) FROM reservations WHERE abandoned_at IS NOT NULL")?;
        ensure!(of("issuance-abandoned") == usize::try_from(abandoned)?, "abandonments without an event, or twice");
        self.no_event_without_its_certificate(&events)
    }

    fn no_event_without_its_certificate(&self, events: &[AuditEvent]) -> anyhow::Result<()> {
        let rows: Vec<(String,)> = record::rows(self.stack, "SELECT id FROM certificates")?;
        let ids: BTreeSet<String> = rows.into_iter().map(|(id,)| id).collect();
        for event in events.iter().filter(|event| event.action == "certificate-issued") {
            let id = event.subject.trim_start_matches("certificate:").replace('-', "");
            ensure!(ids.contains(&id), "event {} tells of certificate {id}, which is not on record", event.sequence);
        }
        Ok(())
    }

    /// Asks OCSP about many serials, several at a time.
    async fn ask_all(&self, asked: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String, CertStatus)>> {
        let mut tasks = JoinSet::new();
        let share = asked.len().div_ceil(ASKERS).max(1);
        for part in asked.chunks(share) {
            let (part, public, issuer) = (part.to_vec(), self.public.clone(), self.issuer.clone());
            tasks.spawn(async move {
                let mut told = Vec::with_capacity(part.len());
                for (serial, reason) in part {
                    let subject = Subject::numbered(serial.parse()?, issuer.clone());
                    let status = subject.ask_ocsp(&public).await.with_context(|| format!("OCSP of {serial}"))?;
                    told.push((serial, reason, status));
                }
                anyhow::Ok(told)
            });
        }
        let mut all = Vec::with_capacity(asked.len());
        while let Some(part) = tasks.join_next().await {
            all.extend(part.context("an asker panicked")??);
        }
        Ok(all)
    }
}
