//! What an operator decides, as the flows read it.

use std::collections::BTreeMap;

use ca_core::id::AuthorityId;
use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::managed::RenewBefore;
use ca_core::managed::schedule::Schedule;
use ca_core::name::GeneralName;
use ca_core::time::Lifetime;

use crate::generation::line_of;

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Start of CDP, AIA and OCSP URLs, without a slash at the end; `None`: certificates carry none.
    pub base_url: Option<String>,
    /// The API's own names, which no leaf of others may carry.
    pub api_names: Vec<GeneralName>,
    /// How long an OCSP answer may be relied on.
    pub ocsp_validity: Lifetime,
    /// What becomes of the nonces of OCSP requests.
    pub nonce: NoncePolicy,
    /// How many octets of signed OCSP answers are kept in memory; 0 keeps none.
    pub answer_cache_octets: usize,
    /// How long a signed OCSP answer is left where replicas share them; never past the first half of its life.
    pub shared_lifetime: Lifetime,
    /// How long a CRL may be relied on.
    pub crl_validity: Lifetime,
    /// Which lines of authorities have shards and deltas beside their complete list: every generation of one has them.
    pub partial_lists: BTreeMap<AuthorityId, PartialLists>,
    /// By what the lines of authorities sign that were told; the others, and keys that have no such algorithm, sign as keys of their
    /// type do. Every certificate and list names its own, so another choice changes what is signed from then on and nothing else.
    pub signatures: BTreeMap<AuthorityId, SignatureAlgorithm>,
    /// How long a delta may be relied on; never longer than `crl_validity`.
    pub delta_validity: Lifetime,
    /// How long the CRL of an authority whose key is offline may be relied on.
    pub offline_crl_validity: Lifetime,
    /// How events are delivered.
    pub outbox: OutboxSettings,
    /// How long before an end it is told of.
    pub notices: NoticeSettings,
    /// How long certificates stay on record after their end, unless their profile keeps them longer; `None`: for ever.
    pub keep_expired: Option<Lifetime>,
    /// How many certificates of a bulk revocation are revoked by one commit; at least 1. Everybody who revokes waits for it.
    pub bulk_batch: usize,
    /// When managed certificates are rotated, and how many at once.
    pub managed: ManagedSettings,
}

/// When managed certificates are rotated, and how many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedSettings {
    /// When those are rotated that are due and can wait until then.
    pub schedule: Schedule,
    /// How many of one issuer are rotated side by side, at least 1; the next begin when these have ended.
    pub wave: u32,
    /// How many of one issuer are begun in a second, at least 1.
    pub rate: u32,
    /// Whether the deployments are made that definitions name as hooks.
    pub deployments: bool,
}

/// Each day at three, without deployments; 25 at once, and 20 a second, which is what AWS Private CA issues for a whole account (25).
impl Default for ManagedSettings {
    fn default() -> Self {
        Self { schedule: Schedule::default(), wave: 25, rate: 20, deployments: false }
    }
}

/// Which lists an authority has beside its complete one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartialLists {
    /// Into how many shards new certificates are put; 0 for none.
    pub shards: u32,
    /// Whether there is a delta.
    pub delta: bool,
}

impl Settings {
    /// What an authority signs with, whose key is of this type. A generation whose key has not the algorithm that its line was told
    /// came before that choice, or after a rollover to another type of key.
    pub fn signature_of(&self, authority: &AuthorityId, key_type: KeyType) -> SignatureAlgorithm {
        let chosen = self.signatures.get(&line_of(authority)).copied();
        chosen.filter(|algorithm| algorithm.fits(key_type)).unwrap_or_else(|| key_type.signature_algorithm())
    }

    /// The lists that an authority has beside its complete one.
    pub fn partial_lists_of(&self, authority: &AuthorityId) -> PartialLists {
        self.partial_lists.get(&line_of(authority)).copied().unwrap_or_default()
    }
}

/// What becomes of the nonces of OCSP requests (RFC 9654).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoncePolicy {
    /// Who sends one gets an answer of their own, bound to it.
    #[default]
    Allow,
    /// It is passed over: the answer has none, and is the one that all get.
    Ignore,
    /// Who sends none is refused with `unauthorized`; nobody is given an answer that was signed before the question.
    Require,
}

/// How long before an end it is told of; where nothing is said, it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeSettings {
    /// Of certificates that nobody renewed.
    pub certificates: Vec<RenewBefore>,
    /// Of authorities whose next generation does not issue yet.
    pub authorities: Vec<RenewBefore>,
}

/// Certificates when a sixth and when a twentieth of their life is left; authorities a year, 90, 30 and 7 days before.
impl Default for NoticeSettings {
    fn default() -> Self {
        let days = |days| RenewBefore::Time(Lifetime::from_days(days));
        Self {
            certificates: vec![RenewBefore::Share { parts: 1, of: 6 }, RenewBefore::Share { parts: 1, of: 20 }],
            authorities: [365, 90, 30, 7].map(days).to_vec(),
        }
    }
}

/// How often, and for how long, events are tried to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxSettings {
    /// After so many failed attempts an event becomes a dead letter; at least 1.
    pub max_attempts: u32,
    /// The longest pause after the first failed attempt; it triples with each further one.
    pub first_retry: Lifetime,
    /// The longest pause of all.
    pub longest_retry: Lifetime,
    /// How long what a sink has not taken is kept, dead letters too.
    pub keep_undelivered: Lifetime,
    /// How long events are kept while there is no sink.
    pub keep_unassigned: Lifetime,
}

/// Some three days of attempts.
impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            max_attempts: 15,
            first_retry: Lifetime::from_seconds(5),
            longest_retry: Lifetime::from_seconds(12 * 3_600),
            keep_undelivered: Lifetime::from_days(90),
            keep_unassigned: Lifetime::from_days(1),
        }
    }
}
