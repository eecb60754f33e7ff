//! Rollovers that come round by themselves, because the operator asked for them: `rollover_every` of `[authority.tls]` and
//! `[authority.document]`. Told of ahead; when the time has come, the next generation is made where the key above it can be used here,
//! and otherwise its request is written for whoever holds that key.

use std::path::PathBuf;
use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::engine::Engine;
use ca_engine::flow::on_host::SCHEDULED;
use ca_engine::flow::rollover::{Announced, LEASE, LEASE_NAME, roll_over};
use ca_engine::flow::rollover_elsewhere::request_certificate;
use ca_engine::port::anchor::Anchor;
use ca_engine::port::store::NOT_ANNOUNCED;

use crate::config::AuthoritiesConfig;
use crate::external_keys::HeldKeys;
use crate::file::{self, Access, Existing};
use crate::hierarchy::SUBORDINATES;
use crate::open::Runtime;
use crate::rollover::{Means, RolloverError};

/// How long ahead it is told, where the interval is not shorter than four times that.
const AHEAD: Lifetime = Lifetime::from_days(30);

/// How long after its announcement a generation begins to issue: gateways are files that people write.
const NOTICE: Lifetime = Lifetime::from_days(1);

/// The rollovers that the configuration asks for.
pub struct RolloverSchedule {
    engine: Arc<Engine>,
    authorities: AuthoritiesConfig,
    external_keys: Arc<HeldKeys>,
    anchor: Arc<dyn Anchor>,
    /// Where requests are put.
    folder: PathBuf,
}

/// The next rollover of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRollover {
    /// The line: `tls` or `document`.
    pub line: AuthorityId,
    /// The newest generation now.
    pub newest: AuthorityId,
    /// When the next one is due.
    pub due: Timestamp,
    /// From when on that is told.
    pub told_from: Timestamp,
    /// Whether the key above can be used here, so that it is made without anybody's doing.
    pub is_by_itself: bool,
    /// Where its request is written otherwise.
    pub request: PathBuf,
}

/// What became of a rollover that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The generation is announced.
    Announced(Announced),
    /// Its request was written.
    Requested {
        /// The generation that it is for.
        generation: AuthorityId,
        /// The file.
        file: PathBuf,
    },
    /// Its request is there, and nobody has brought the certificate.
    Waiting {
        /// The file.
        file: PathBuf,
    },
    /// Another process rolls over now.
    Elsewhere,
}

impl Runtime {
    /// The rollovers that the configuration asks for; `None` when it asks for none.
    pub fn rollover_schedule(&self) -> Option<RolloverSchedule> {
        let authorities = &self.config.authorities;
        let is_asked = authorities.tls.rollover_every.or(authorities.document.rollover_every).is_some();
        is_asked.then(|| RolloverSchedule {
            engine: Arc::clone(&self.engine),
            authorities: authorities.clone(),
            external_keys: Arc::clone(&self.external_keys),
            anchor: Arc::clone(&self.anchor),
            folder: self.data_folder.path().join("rollover"),
        })
    }
}

impl RolloverSchedule {
    /// The next rollover of every line that has one, at hand or far off.
    pub fn next(&self) -> Vec<NextRollover> {
        let lines = SUBORDINATES.iter().filter_map(|(line, _)| line.parse::<AuthorityId>().ok());
        lines.filter_map(|line| self.next_of(line)).collect()
    }

    fn next_of(&self, line: AuthorityId) -> Option<NextRollover> {
        let every = self.authorities.of_line(&line).rollover_every?;
        let hierarchy = self.engine.hierarchy();
        let (_, newest) = hierarchy.generations(&line).pop()?;
        let newest = Arc::clone(newest);
        let parent = newest.record().parent.as_ref().and_then(|parent| hierarchy.authority(parent));
        let (made, issues_from) = (newest.certificate().validity().not_before, newest.record().issues_from);
        // One that was made and not announced was cut off, and is gone on with at once; that takes no key above it.
        let is_unfinished = issues_from == NOT_ANNOUNCED;
        let due = if is_unfinished { made } else { made.max(issues_from).plus(every) };
        Some(NextRollover {
            due,
            told_from: due.minus(AHEAD.min(Lifetime::from_seconds(every.seconds() / 4))),
            is_by_itself: is_unfinished || parent.is_some_and(|parent| parent.can_sign()),
            request: self.folder.join(format!("after-{}.csr", newest.id())),
            newest: newest.id().clone(),
            line,
        })
    }

    /// Does what is to be done about a rollover that is due; harmless to repeat. `holder` is who holds the lease.
    pub async fn carry_out(&self, next: &NextRollover, holder: &str) -> Result<Outcome, RolloverError> {
        if !next.is_by_itself && next.request.symlink_metadata().is_ok() {
            return Ok(Outcome::Waiting { file: next.request.clone() });
        }
        let store = self.engine.store();
        let Some(lease) = store.acquire_lease(LEASE_NAME, holder, LEASE).await? else { return Ok(Outcome::Elsewhere) };
        let done = async {
            // What another process did meanwhile counts.
            self.engine.reload_hierarchy().await?;
            if self.next_of(next.line.clone()).is_none_or(|now| now.newest != next.newest) {
                return Ok(Outcome::Elsewhere);
            }
            let means = Means {
                engine: &self.engine,
                authorities: &self.authorities,
                external_keys: &self.external_keys,
                anchor: &*self.anchor,
            };
            let plan = means.plan(&next.line, None, None, NOTICE).await?;
            let principal = Principal::Job(SCHEDULED);
            if next.is_by_itself {
                return Ok(Outcome::Announced(roll_over(&self.engine, &principal, plan, &lease).await?));
            }
            let (generation, request) = request_certificate(&self.engine, &principal, plan, &lease).await?;
            self.write(&next.request, &request)?;
            Ok(Outcome::Requested { generation, file: next.request.clone() })
        }
        .await;
        store.release_lease(&lease).await?;
        done
    }

    fn write(&self, file: &std::path::Path, request: &str) -> Result<(), RolloverError> {
        let failed = |source| RolloverError::Io { path: file.to_path_buf(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        file::write(file, request.as_bytes(), Access::Public, Existing::Replace).map_err(failed)
    }
}
