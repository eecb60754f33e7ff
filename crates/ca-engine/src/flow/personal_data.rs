//! Keeping personal data under the newest version of its key: what lies in clear is encrypted, what lies under an older version is
//! encrypted anew, and a version that nothing lies under any more is dropped.
//!
//! Work is done in steps of a few hundred rows, each a change of its own under the lease: a run that is cut off anywhere is gone on
//! with by the next.

use std::collections::VecDeque;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{CertificateId, ProfileName};
use ca_core::principal::Principal;

use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::store::{Journal, Lease, PersonalDataHolder};

/// The lease under which it is done: one process at a time.
pub const LEASE_NAME: &str = "personal-data";

/// How many rows are looked at in one step: a tenth of a second's work.
const STEP: u32 = 200;

/// The value of the service that says of which profiles nothing lies in clear any more, by name, one a line.
const SEALED_PROFILES: &str = "personal-data.sealed-profiles";

/// What is still to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Task {
    /// Look through the rows of a profile for what lies in clear.
    Clear { profile: ProfileName, holder: PersonalDataHolder, after: Option<[u8; 16]> },
    /// Remember that nothing of the profile lies in clear.
    Remember { profile: ProfileName },
    /// Encrypt anew what lies under older versions.
    Older { holder: PersonalDataHolder },
    /// Drop the versions that nothing lies under.
    Drop,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that were encrypted, or encrypted anew, so far.
    pub done: u64,
    /// Rows that lay under older versions when the run began.
    pub older: u64,
    /// Versions of the key that were dropped.
    pub dropped: u64,
}

/// A run from its beginning to its end, step by step.
#[derive(Clone, Debug)]
pub struct SealingRun {
    tasks: VecDeque<Task>,
    progress: Progress,
}

impl SealingRun {
    /// A run that does what is due: nothing, most times.
    pub async fn due(engine: &Engine) -> Result<Self, FlowError> {
        let sealed = sealed_profiles(engine).await?;
        Self::over(engine, |profile| !sealed.contains(profile)).await
    }

    /// A run that replaces the key: makes a new version, unless an earlier replacement was cut off (then it goes on with that),
    /// and encrypts everything anew. It also looks through all rows for what lies in clear.
    pub async fn replacing_key(engine: &Engine, principal: &Principal, lease: &Lease) -> Result<Self, FlowError> {
        if engine.store().personal_data_keys().await?.len() < 2 {
            let event = event(engine, principal, AuditAction::PersonalDataKeyMade, "personal-data-key".to_owned());
            engine.store().add_personal_data_key(lease, Journal::of(event)).await?;
        }
        Self::over(engine, |_| true).await
    }

    async fn over(engine: &Engine, is_due: impl Fn(&ProfileName) -> bool) -> Result<Self, FlowError> {
        let mut tasks = VecDeque::new();
        let personal = engine.profiles().values().filter(|profile| profile.has_personal_data());
        for profile in personal.map(|profile| profile.name().clone()).filter(is_due) {
            let walk = |holder| Task::Clear { profile: profile.clone(), holder, after: None };
            tasks.extend(PersonalDataHolder::ALL.map(walk));
            tasks.push_back(Task::Remember { profile });
        }
        let mut progress = Progress::default();
        let keys = engine.store().personal_data_keys().await?;
        if let Some((_, older)) = keys.split_last().filter(|(_, older)| !older.is_empty()) {
            for key in older {
                progress.older += engine.store().personal_data_rows(key.version).await?;
            }
            tasks.extend(PersonalDataHolder::ALL.map(|holder| Task::Older { holder }));
            tasks.push_back(Task::Drop);
        }
        Ok(Self { tasks, progress })
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Does the next step; the caller keeps the lease in between.
    pub async fn step(&mut self, engine: &Engine, principal: &Principal, lease: &Lease) -> Result<Progress, FlowError> {
        let Some(task) = self.tasks.pop_front() else { return Ok(self.progress) };
        match &task {
            Task::Clear { profile, holder, after } => {
                let walk = engine.store().seal_clear_personal_data(lease, *holder, profile, *after, STEP).await?;
                self.progress.done += walk.sealed;
                if walk.next.is_some() {
                    self.tasks.push_front(Task::Clear { profile: profile.clone(), holder: *holder, after: walk.next });
                }
            }
            Task::Remember { profile } => remember(engine, profile).await?,
            Task::Older { holder } => {
                let resealed = engine.store().reseal_personal_data(lease, *holder, STEP).await?;
                self.progress.done += resealed;
                if resealed > 0 {
                    self.tasks.push_front(task);
                }
            }
            Task::Drop => {
                let event =
                    event(engine, principal, AuditAction::PersonalDataKeyDropped, "personal-data-key".to_owned());
                self.progress.dropped += engine.store().drop_personal_data_keys(lease, Journal::of(event)).await?;
            }
        }
        Ok(self.progress)
    }
}

async fn sealed_profiles(engine: &Engine) -> Result<Vec<ProfileName>, FlowError> {
    let value = engine.store().setting(SEALED_PROFILES).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&value);
    // A line that is no name is that of no profile.
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

async fn remember(engine: &Engine, profile: &ProfileName) -> Result<(), FlowError> {
    let before = engine.store().setting(SEALED_PROFILES).await?;
    let mut profiles = sealed_profiles(engine).await?;
    if profiles.contains(profile) {
        return Ok(());
    }
    profiles.push(profile.clone());
    let lines: String = profiles.iter().map(|profile| format!("{profile}\n")).collect();
    // When somebody else has changed it meanwhile, the profile is looked through once more some time.
    engine.store().set_setting(SEALED_PROFILES, before.as_deref(), lines.as_bytes()).await?;
    Ok(())
}

fn event(engine: &Engine, principal: &Principal, action: AuditAction, subject: String) -> AuditEvent {
    AuditEvent::new(engine.now(), action, principal.reference(), subject)
}

/// What the audit event of a certificate commits to: JSON, `{"salt": …, "text": …}`. SHA-256 over `cartorio audit commitment`, an octet
/// 0, the salt's octets and the text is the event's `personal_data_commitment`. For the operator of the host: no policy is asked.
pub async fn audit_text(engine: &Engine, certificate: CertificateId) -> Result<String, FlowError> {
    let text = engine.store().audit_text(certificate).await?.ok_or_else(nothing_there)?;
    String::from_utf8(text).map_err(|_| FlowError::internal(format!("personal_data {certificate}: not text")))
}

/// Erases it for ever: the commitment and the chain stay, and nobody can tell any more what was committed to. For the operator of the
/// host as well.
pub async fn erase_audit_text(engine: &Engine, certificate: CertificateId) -> Result<(), FlowError> {
    let subject = format!("certificate:{certificate}");
    let event = event(engine, &Principal::LocalOperator, AuditAction::PersonalDataErased, subject);
    if engine.store().erase_audit_text(certificate, Journal::of(event)).await? {
        return Ok(());
    }
    Err(nothing_there())
}

fn nothing_there() -> FlowError {
    let message = "no audit event commits to personal data of this certificate, or it was erased already";
    FlowError::new(FlowErrorKind::NotFound, message)
}
