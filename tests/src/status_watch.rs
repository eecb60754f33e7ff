//! Those who ask about status all the time, while others issue and revoke and the service is under attack: OCSP at every replica
//! about what was acknowledged as revoked, by our reader of OCSP answers and by openssl's, and the newest list.
//!
//! Some ask about certificates before they are revoked, so that every replica has a signed `good` to give up.
//!
//! No answer may be wrong. There may be none at all (nobody there, `tryLater`), and a replica may say `good` for as long as the
//! design lets it: five seconds after the acknowledgement, or after the database can be reached again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::cluster::Disturbances;
use crate::ledger::{Acknowledged, Promises};
use crate::outage::Lists;
use crate::stack::Stack;
use crate::status::{Subject, is_try_later, openssl_ocsp};

/// The pause between two questions of one asker.
const PAUSE: Duration = Duration::from_millis(20);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// OCSP answers that said `revoked`.
    pub revoked: u64,
    /// Those of them that openssl judged.
    pub by_openssl: u64,
    /// OCSP answers that said `good` of a certificate before it was revoked.
    pub good: u64,
    /// OCSP answers that still said `good`, within the time that is allowed.
    pub still_good: u64,
    /// The longest time after an acknowledgement that a replica said `good`.
    pub latest_good: Duration,
    /// OCSP questions without an answer: nobody there, or `tryLater`.
    pub unanswered: u64,
    /// Lists that were fetched.
    pub lists: u64,
    /// The highest number of a list.
    pub newest_list: u64,
}

impl Seen {
    fn take_in(&mut self, other: &Self) {
        self.revoked += other.revoked;
        self.good += other.good;
        self.by_openssl += other.by_openssl;
        self.still_good += other.still_good;
        self.latest_good = self.latest_good.max(other.latest_good);
        self.unanswered += other.unanswered;
        self.lists += other.lists;
        self.newest_list = self.newest_list.max(other.newest_list);
    }
}

/// Askers at work.
pub struct StatusWatch {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    tasks: JoinSet<anyhow::Result<Seen>>,
    _trust: Arc<Trust>,
}

/// What one asker needs.
#[derive(Clone)]
struct Asker {
    public: Client,
    issuer: Certificate,
    promises: Promises,
    disturbances: Disturbances,
    told_within: Duration,
    stop: Arc<AtomicBool>,
    turn: Arc<AtomicU64>,
}

/// The files that openssl reads.
struct Trust(TempDir);

impl Trust {
    fn write(stack: &Stack, issuer: &Certificate) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        std::fs::write(folder.path().join("issuer.pem"), issuer.to_pem())?;
        std::fs::write(folder.path().join("trust.pem"), format!("{}{}", issuer.to_pem(), stack.root_pem()?))?;
        Ok(Self(folder))
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }
}

impl StatusWatch {
    /// Starts four askers and one who fetches lists for each of the replicas, which stop saying `good` within this time.
    pub async fn start(
        replicas: &[&Stack],
        promises: &Promises,
        disturbances: &Disturbances,
        told_within: Duration,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(AtomicBool::new(false));
        let first = replicas.first().context("no replica")?;
        let issuer = Certificate::from_der(&first.public()?.get("/ca/tls.crt").await?.expect(200)?.body)?;
        let trust = Arc::new(Trust::write(first, &issuer)?);
        let mut tasks = JoinSet::new();
        for (number, replica) in (1..).zip(replicas) {
            let asker = Asker {
                public: replica.public()?,
                issuer: issuer.clone(),
                promises: promises.clone(),
                disturbances: disturbances.clone(),
                told_within,
                stop: Arc::clone(&stop),
                turn: Arc::new(AtomicU64::new(number)),
            };
            for _ in 0..2 {
                let asker = asker.clone();
                tasks.spawn(guarded(Arc::clone(&failed), async move { asker.ask().await }));
            }
            let before = asker.clone();
            tasks.spawn(guarded(Arc::clone(&failed), async move { before.ask_before().await }));
            let (by_openssl, url, folder) = (asker.clone(), replica.public_url(), Arc::clone(&trust));
            let ask = async move { by_openssl.ask_by_openssl(&url, folder.folder()).await };
            tasks.spawn(guarded(Arc::clone(&failed), ask));
            tasks.spawn(guarded(Arc::clone(&failed), async move { asker.fetch_lists().await }));
        }
        Ok(Self { stop, failed, tasks, _trust: trust })
    }

    /// Whether something was seen that must not be; [`Self::finish`] says what.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends every asker and says what they saw; fails if any answer was wrong.
    pub async fn finish(mut self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        while let Some(ended) = self.tasks.join_next().await {
            seen.take_in(&ended.context("an asker panicked")??);
        }
        Ok(seen)
    }
}

async fn guarded(failed: Arc<AtomicBool>, asking: impl Future<Output = anyhow::Result<Seen>>) -> anyhow::Result<Seen> {
    asking.await.inspect_err(|_| failed.store(true, Ordering::Relaxed))
}

impl Asker {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Numbers that fall evenly between 0 and 1: multiples of the golden ratio.
    fn chance(&self) -> f64 {
        (self.turn.fetch_add(1, Ordering::Relaxed) as f64 * 0.618_033_988_749_895).fract()
    }

    /// Asks about certificates that were received and not revoked yet.
    async fn ask_before(&self) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        while !self.stopped() {
            sleep(PAUSE).await;
            let Some(promise) = self.promises.to_be_revoked(self.chance()) else { continue };
            match Subject::numbered(promise.serial.parse()?, self.issuer.clone()).ask_ocsp_once(&self.public).await {
                Ok(CertStatus::Good) => seen.good += 1,
                // Meanwhile.
                Ok(CertStatus::Revoked { .. }) => {}
                Ok(other) => bail!("{} was received, and OCSP says {other:?}", promise.serial),
                Err(error) if is_silence(&error) => seen.unanswered += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    async fn ask(&self) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        while !self.stopped() {
            sleep(PAUSE).await;
            let Some(revocation) = self.promises.revocation(self.chance()) else { continue };
            let subject = Subject::numbered(revocation.promise.serial.parse()?, self.issuer.clone());
            let asked = Instant::now();
            match subject.ask_ocsp_once(&self.public).await {
                Ok(CertStatus::Revoked { reason: Some(told), .. }) if told.as_str() == revocation.reason => {
                    seen.revoked += 1;
                }
                Ok(CertStatus::Good) => self.excuse(&revocation, asked, &mut seen)?,
                Ok(other) => bail!("{} was revoked, and OCSP says {other:?}", revocation.promise.serial),
                Err(error) if is_silence(&error) => seen.unanswered += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    async fn ask_by_openssl(&self, url: &str, folder: &Path) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        while !self.stopped() {
            sleep(10 * PAUSE).await;
            let Some(revocation) = self.promises.revocation(self.chance()) else { continue };
            let asked = Instant::now();
            match block_in_place(|| openssl_ocsp(url, &revocation.promise.serial, folder))?.as_deref() {
                Some("revoked") => (seen.revoked, seen.by_openssl) = (seen.revoked + 1, seen.by_openssl + 1),
                Some("good") => self.excuse(&revocation, asked, &mut seen)?,
                Some(other) => bail!("{} was revoked, and OCSP says {other}", revocation.promise.serial),
                None => seen.unanswered += 1,
            }
        }
        Ok(seen)
    }

    /// `good` is wrong unless the replica could not have heard by the time it was asked.
    fn excuse(&self, revocation: &Acknowledged, asked: Instant, seen: &mut Seen) -> anyhow::Result<()> {
        let after = asked.saturating_duration_since(revocation.at);
        let is_late = self.disturbances.excuse(revocation.at, self.told_within).is_some_and(|until| asked > until);
        ensure!(!is_late, "{} was revoked {after:?} ago, and OCSP says `good`", revocation.promise.serial);
        seen.still_good += 1;
        seen.latest_good = seen.latest_good.max(after);
        Ok(())
    }

    async fn fetch_lists(&self) -> anyhow::Result<Seen> {
        let (mut lists, mut seen) = (Lists::default(), Seen::default());
        while !self.stopped() {
            sleep(10 * PAUSE).await;
            // Nobody is there while the replica is dead.
            let Ok(answer) = self.public.get("/crl/tls.crl").await else { continue };
            let list = ParsedCrl::from_der(answer.expect(200)?.body)?;
            list.verify(self.issuer.subject(), self.issuer.public_key())?;
            seen.newest_list = lists.see(&list)?;
            seen.lists += 1;
        }
        Ok(seen)
    }
}

/// Whether nobody answered, or said that it cannot answer now: anything else that is no answer is a wrong one.
fn is_silence(error: &anyhow::Error) -> bool {
    let nobody = error.chain().any(|cause| cause.downcast_ref::<reqwest::Error>().is_some());
    nobody || is_try_later(error)
}
