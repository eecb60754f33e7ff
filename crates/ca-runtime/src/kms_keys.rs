//! Keys that AWS KMS makes for authorities to come: what is going to be made is shown first, the intention is put on record under an
//! id that the key carries as a tag, and only then KMS is asked. So a set-up that is cut off anywhere finds its key again and makes no
//! second one; from the record the authority gets the ARN of the key, never an alias.

use std::fmt;
use std::time::Duration;

use ca_backends::aws::{AUTHORITY_TAG, CREATION_TAG, KmsKeyOrder, key_spec_of};
use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::time::Timestamp;
use ca_engine::error::FlowError;
use ca_engine::flow::follow_anchor::anchored_authorities;
use ca_engine::flow::rollover::generation_to_come;
use ca_engine::port::store::KeyHome;
use serde::{Deserialize, Serialize};

use crate::authority_keys::of_type;
use crate::config::KeyPlan;
use crate::hierarchy::{InitError, KeyElsewhere, Progress, ROOT, SUBORDINATES};
use crate::open::Runtime;
use crate::rollover::RolloverError;

/// A key that is going to be made, as it is shown to whoever decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedKmsKey {
    /// Whose.
    pub authority: AuthorityId,
    /// What kind.
    pub key_type: KeyType,
    /// In which region.
    pub region: String,
    /// What the key says of itself.
    pub description: String,
    /// Its policy, JSON; `None`: the one that KMS writes by itself.
    pub policy: Option<String>,
    /// Since when an earlier run may have asked for it.
    pub asked_at: Option<Timestamp>,
}

/// What the record says of a key that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The id of the making, which is a tag of the key.
    creation: String,
    /// When KMS was asked last, seconds since 1970.
    asked_at: i64,
    /// The key, once it is there.
    arn: Option<String>,
}

impl Runtime {
    /// The keys that `init` is going to ask KMS for; none when all are there, or KMS is to make none. `below_root`: for a hierarchy
    /// whose root others hold.
    pub async fn planned_kms_keys(&self, below_root: bool) -> Result<Vec<PlannedKmsKey>, InitError> {
        let ids = std::iter::once(ROOT).filter(|_| !below_root).chain(SUBORDINATES.iter().map(|(id, _)| *id));
        let mut planned = Vec::new();
        for id in ids {
            let id: AuthorityId = id.parse()?;
            if self.engine.hierarchy().authority(&id).is_none() {
                planned.extend(self.planned_kms_key(&id).await?);
            }
        }
        Ok(planned)
    }

    /// The key that a rollover of a line is going to ask KMS for. `signed_here`: the key above must be at hand for it, and is looked
    /// for before anything is made.
    pub async fn planned_kms_key_of_generation(
        &self,
        line: &AuthorityId,
        signed_here: bool,
    ) -> Result<Option<PlannedKmsKey>, RolloverError> {
        let Some(KeyPlan::MadeInKms(_)) = self.plan_of_line(line) else { return Ok(None) };
        let Some(next) = self.generation_to_come(line).await? else { return Ok(None) };
        if signed_here {
            self.parents_key_is_at_hand(line).await?;
        }
        Ok(self.planned_kms_key(&next).await?)
    }

    /// Has KMS make these keys, each put on record before it is asked for and when it is there.
    pub async fn make_kms_keys(
        &self,
        planned: &[PlannedKmsKey],
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), InitError> {
        if planned.is_empty() {
            return Ok(());
        }
        self.alone(async {
            self.may_make_kms_keys(planned).await?;
            for key in planned {
                progress(Progress::MakingKey { authority: key.authority.clone(), key_type: key.key_type });
                self.make_kms_key(key, progress).await?;
            }
            Ok(())
        })
        .await
    }

    /// The key that was made for an authority.
    pub(crate) async fn key_made_in_kms(&self, id: &AuthorityId, key_type: KeyType) -> Result<KeyElsewhere, InitError> {
        let made = self.kms_note(id).await?.and_then(|(note, _)| note.arn);
        let home = KeyHome::Kms(made.ok_or_else(|| InitError::KeyNotMade { authority: id.clone() })?);
        let signer = self.engine.external_keys().find(&home).await?;
        of_type(id, home, signer, Some(key_type))
    }

    /// The id of the generation that a rollover would make now.
    pub(crate) async fn generation_to_come(&self, line: &AuthorityId) -> Result<Option<AuthorityId>, FlowError> {
        let taken = anchored_authorities(&self.engine, &*self.anchor).await;
        generation_to_come(&self.engine, line, &taken).await
    }

    async fn planned_kms_key(&self, id: &AuthorityId) -> Result<Option<PlannedKmsKey>, InitError> {
        let config = self.authority_config(id);
        let KeyPlan::MadeInKms(key_type) = config.key else { return Ok(None) };
        let note = self.kms_note(id).await?.map(|(note, _)| note);
        if note.as_ref().is_some_and(|note| note.arn.is_some()) {
            return Ok(None);
        }
        Ok(Some(PlannedKmsKey {
            authority: id.clone(),
            key_type,
            region: self.kms_region()?,
            description: format!("Certificate authority {id}: {}", config.subject),
            policy: self.config.kms_policy.as_ref().map(|policy| policy.to_json(key_type)),
            asked_at: note.map(|note| Timestamp::from_unix_seconds(note.asked_at)),
        }))
    }

    async fn make_kms_key(
        &self,
        planned: &PlannedKmsKey,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), InitError> {
        let id = &planned.authority;
        let now = self.engine.now().unix_seconds();
        let (before, asked_before) = match self.kms_note(id).await? {
            // Another process made it meanwhile.
            Some((note, _)) if note.arn.is_some() => return Ok(()),
            Some((note, octets)) => {
                // A clock that was set back makes it no longer ago.
                let ago = Duration::from_secs(u64::try_from(now.saturating_sub(note.asked_at)).unwrap_or(0));
                (Some((note.creation, octets)), Some(ago))
            }
            None => (None, None),
        };
        let (creation, octets) = match before {
            Some((creation, octets)) => (creation, Some(octets)),
            None => (hex::encode(self.engine.random::<16>().map_err(FlowError::from)?), None),
        };
        let asked = Note { creation, asked_at: now, arn: None };
        let asked_octets = self.note_kms_key(id, octets.as_deref(), &asked).await?;
        let order = KmsKeyOrder {
            region: planned.region.clone(),
            creation: asked.creation.clone(),
            authority: id.to_string(),
            key_type: planned.key_type,
            description: planned.description.clone(),
            policy: planned.policy.clone(),
        };
        let arn = self.ask_kms_for(&order, asked_before).await?;
        self.note_kms_key(id, Some(&asked_octets), &Note { arn: Some(arn.clone()), ..asked }).await?;
        progress(Progress::MadeInKms { authority: id.clone(), arn: arn.clone() });
        // Whether the policy lets this role sign is found out while nothing depends on the key.
        self.opens_in_kms(&arn).await
    }

    async fn kms_note(&self, id: &AuthorityId) -> Result<Option<(Note, Vec<u8>)>, InitError> {
        let Some(octets) = self.engine.store().setting(&setting_name(id)).await? else { return Ok(None) };
        let note = serde_json::from_slice(&octets).map_err(|_| InitError::DamagedNote { authority: id.clone() })?;
        Ok(Some((note, octets)))
    }

    /// Puts a note in the place of another, and gives its octets.
    async fn note_kms_key(&self, id: &AuthorityId, before: Option<&[u8]>, note: &Note) -> Result<Vec<u8>, InitError> {
        let damaged = |_| InitError::DamagedNote { authority: id.clone() };
        let octets = serde_json::to_vec(note).map_err(damaged)?;
        match self.engine.store().set_setting(&setting_name(id), before, &octets).await? {
            true => Ok(octets),
            false => Err(InitError::InProgress),
        }
    }
}

#[cfg(feature = "backend-kms")]
impl Runtime {
    fn kms_region(&self) -> Result<String, InitError> {
        Ok(self.external_keys.kms_maker()?.1)
    }

    /// What can be found out before the first key is made: the keys that are there, and the way to KMS.
    async fn may_make_kms_keys(&self, planned: &[PlannedKmsKey]) -> Result<(), InitError> {
        let (kms, _) = self.external_keys.kms_maker()?;
        for id in [ROOT].into_iter().chain(SUBORDINATES.iter().map(|(id, _)| *id)) {
            let id: AuthorityId = id.parse()?;
            if let KeyPlan::External(home) = &self.authority_config(&id).key
                && self.engine.hierarchy().authority(&id).is_none()
            {
                self.engine.external_keys().find(home).await?.check().await?;
            }
        }
        // All of them are made in one region.
        match planned.first() {
            Some(key) => Ok(kms.may_look_for_keys(&key.region).await?),
            None => Ok(()),
        }
    }

    async fn ask_kms_for(&self, order: &KmsKeyOrder, asked_before: Option<Duration>) -> Result<String, InitError> {
        Ok(self.external_keys.kms_maker()?.0.make(order, asked_before).await?.to_string())
    }

    async fn opens_in_kms(&self, arn: &str) -> Result<(), InitError> {
        use ca_backends::aws::KmsKeyArn;
        use ca_engine::port::signer::SignerError;

        let arn = KmsKeyArn::parse(arn).map_err(|problem| SignerError::Refused { detail: problem.to_string() })?;
        Ok(self.external_keys.kms_maker()?.0.open_made(&arn).await.map(drop)?)
    }
}

/// Configurations that ask for it are refused when they are opened.
#[cfg(not(feature = "backend-kms"))]
impl Runtime {
    fn kms_region(&self) -> Result<String, InitError> {
        Err(not_built_in())
    }

    async fn may_make_kms_keys(&self, _: &[PlannedKmsKey]) -> Result<(), InitError> {
        Err(not_built_in())
    }

    async fn ask_kms_for(&self, _: &KmsKeyOrder, _: Option<Duration>) -> Result<String, InitError> {
        Err(not_built_in())
    }

    async fn opens_in_kms(&self, _: &str) -> Result<(), InitError> {
        Err(not_built_in())
    }
}

#[cfg(not(feature = "backend-kms"))]
fn not_built_in() -> InitError {
    let detail = crate::external_keys::NotBuiltIn.to_string();
    InitError::ExternalKey(ca_engine::port::signer::SignerError::Unavailable { detail })
}

/// The setting that has the note of an authority's key.
fn setting_name(id: &AuthorityId) -> String {
    format!("kms-key.{id}")
}

impl fmt::Display for PlannedKmsKey {
    /// Several lines, without one at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = key_spec_of(self.key_type).unwrap_or("no key of KMS");
        writeln!(f, "`{}`: {spec}, SIGN_VERIFY, in {}", self.authority, self.region)?;
        writeln!(f, "    description: {}", self.description)?;
        writeln!(
            f,
            "    tags: {AUTHORITY_TAG} = {}, {CREATION_TAG} = an id that goes on record before",
            self.authority
        )?;
        if let Some(asked_at) = self.asked_at {
            writeln!(f, "    asked for before, at {asked_at}: if it is there, it is taken, and none is made")?;
        }
        match &self.policy {
            Some(policy) => write!(f, "    policy: {}", policy.replace('\n', "\n    ")),
            None => write!(
                f,
                "    policy: the one that KMS writes by itself, by which IAM of the account decides who signs; name roles in \
                 `aws.kms.signers` to confine that"
            ),
        }
    }
}
