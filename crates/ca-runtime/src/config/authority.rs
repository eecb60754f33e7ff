//! `[authority.root]`, `[authority.tls]`, `[authority.document]`: the hierarchy that `init` makes. It is read when an
//! authority is made; changing it later changes no authority, but for `signature`, `rollover_every`, `shards` and `delta`, which
//! are read at every start.

use ca_backends::aws::{KmsKeyArn, PrivateCaArn, key_spec_of};
use ca_core::id::AuthorityId;
use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::name::{DistinguishedName, NameConstraints, Subtree};
use ca_core::pkcs11_uri::{Pkcs11Uri, Pkcs11UriError};
use ca_core::time::Lifetime;
use ca_engine::engine::PartialLists;
use ca_engine::port::store::KeyHome;

use super::fault::ConfigProblem;
use super::settings::Settings;

/// The three authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritiesConfig {
    /// The root; its key is moved offline after set-up.
    pub root: AuthorityConfig,
    /// Issues to servers and clients.
    pub tls: AuthorityConfig,
    /// Issues to those who sign documents.
    pub document: AuthorityConfig,
}

/// How an authority is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityConfig {
    /// Its key.
    pub key: KeyPlan,
    /// By what it signs, when that was said: an algorithm of RSA keys. Unlike the key, this is read at every start.
    pub signature: Option<SignatureAlgorithm>,
    /// Its subject.
    pub subject: DistinguishedName,
    /// How long its certificate lives; never longer than its issuer's.
    pub validity: Lifetime,
    /// The names it may certify; empty: any.
    pub name_constraints: NameConstraints,
    /// How long a generation issues before the next one is made by itself; `None`: never. Read at every start.
    pub rollover_every: Option<Lifetime>,
    /// Its lists beside the complete one. Unlike the rest, this is read at every start.
    pub partial_lists: PartialLists,
}

/// Where an authority's key is, or is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlan {
    /// Made by the service, of this type.
    Software(KeyType),
    /// Held elsewhere.
    External(KeyHome),
    /// Made in AWS KMS, of this type, by `ca-server init` or `authority rollover`, which show first what they make.
    MadeInKms(KeyType),
    /// Held in a PKCS#11 token.
    Token {
        /// Which key, and what the URI says of the way to it.
        uri: Pkcs11Uri,
        /// What kind is made where the token has none; `None`: it must be there.
        make: Option<KeyType>,
    },
    /// Held by AWS Private CA, which issues with it. Subject and validity are those of the certificate that it has there.
    PrivateCa(PrivateCaArn),
}

struct Keys {
    key: &'static str,
    key_type: &'static str,
    signature: &'static str,
    subject: &'static str,
    validity: &'static str,
    /// Permitted and excluded subtrees; a root has none: RFC 5280 §6.1 does not process those of a trust anchor.
    subtrees: Option<(&'static str, &'static str)>,
    /// Shards and delta; a root's list is short, and its key is away.
    lists: Option<(&'static str, &'static str)>,
    /// How often it is rolled over; another root is another anchor of trust, which nobody is given by itself.
    rollover: Option<&'static str>,
}

struct Defaults {
    key_type: KeyType,
    subject: &'static str,
    days: u64,
}

impl AuthoritiesConfig {
    /// The one of a line: `tls` or `document`.
    pub(crate) fn of_line(&self, line: &AuthorityId) -> &AuthorityConfig {
        match line.as_str() {
            "tls" => &self.tls,
            _ => &self.document,
        }
    }

    /// Each with the key that says where its key is.
    pub(crate) fn named(&self) -> [(&'static str, &AuthorityConfig); 3] {
        [
            ("authority.root.key", &self.root),
            ("authority.tls.key", &self.tls),
            ("authority.document.key", &self.document),
        ]
    }

    pub(super) fn read(settings: &mut Settings) -> Self {
        let root = AuthorityConfig::read(
            settings,
            &Keys {
                key: "authority.root.key",
                key_type: "authority.root.key_type",
                signature: "authority.root.signature",
                subject: "authority.root.subject",
                validity: "authority.root.validity",
                subtrees: None,
                lists: None,
                rollover: None,
            },
            &Defaults {
                key_type: KeyType::Rsa4096,
                subject: "CN=Cartorio Digital Root CA,O=Cartorio Digital",
                days: 7_305,
            },
        );
        let tls_keys = Keys {
            key: "authority.tls.key",
            key_type: "authority.tls.key_type",
            signature: "authority.tls.signature",
            subject: "authority.tls.subject",
            validity: "authority.tls.validity",
            subtrees: Some(("authority.tls.permitted_subtrees", "authority.tls.excluded_subtrees")),
            lists: Some(("authority.tls.shards", "authority.tls.delta")),
            rollover: Some("authority.tls.rollover_every"),
        };
        let tls_defaults =
            Defaults { key_type: KeyType::P256, subject: "CN=Cartorio Digital TLS CA,O=Cartorio Digital", days: 1_826 };
        let document_keys = Keys {
            key: "authority.document.key",
            key_type: "authority.document.key_type",
            signature: "authority.document.signature",
            subject: "authority.document.subject",
            validity: "authority.document.validity",
            subtrees: Some(("authority.document.permitted_subtrees", "authority.document.excluded_subtrees")),
            lists: Some(("authority.document.shards", "authority.document.delta")),
            rollover: Some("authority.document.rollover_every"),
        };
        let document_defaults = Defaults {
            key_type: KeyType::Rsa2048,
            subject: "CN=Cartorio Digital Document CA,O=Cartorio Digital",
            days: 1_826,
        };
        let tls = AuthorityConfig::read(settings, &tls_keys, &tls_defaults);
        let document = AuthorityConfig::read(settings, &document_keys, &document_defaults);
        for (keys, child) in [(&tls_keys, &tls), (&document_keys, &document)] {
            if child.validity > root.validity {
                let detail = format!(
                    "{} is longer than the root's {}: no authority outlives its issuer",
                    child.validity, root.validity
                );
                settings.invalid(keys.validity, detail);
            }
        }
        refuse_private_root(settings, &root);
        for (keys, child) in [(&tls_keys, &tls), (&document_keys, &document)] {
            refuse_what_a_private_ca_cannot(settings, keys, child);
        }
        refuse_equal_keys(
            settings,
            [("authority.root.key", &root), (tls_keys.key, &tls), (document_keys.key, &document)],
        );
        refuse_equal_subjects(
            settings,
            [("authority.root.subject", &root), (tls_keys.subject, &tls), (document_keys.subject, &document)],
        );
        Self { root, tls, document }
    }
}

impl AuthorityConfig {
    fn read(settings: &mut Settings, keys: &Keys, defaults: &Defaults) -> Self {
        let key = key_plan(settings, keys, defaults.key_type);
        let validity = settings.lifetime(keys.validity, Lifetime::from_days(defaults.days));
        Self {
            signature: signature(settings, keys, &key),
            key,
            subject: subject(settings, keys.subject, defaults.subject),
            validity,
            rollover_every: keys.rollover.and_then(|key| rollover_every(settings, key, validity)),
            name_constraints: NameConstraints {
                permitted: keys.subtrees.map(|(key, _)| subtrees(settings, key)).unwrap_or_default(),
                excluded: keys.subtrees.map(|(_, key)| subtrees(settings, key)).unwrap_or_default(),
            },
            partial_lists: keys.lists.map(|keys| partial_lists(settings, keys)).unwrap_or_default(),
        }
    }
}

/// Generations change no faster than gateways can follow.
const SHORTEST_ROLLOVER: Lifetime = Lifetime::from_days(7);

fn rollover_every(settings: &mut Settings, key: &'static str, validity: Lifetime) -> Option<Lifetime> {
    settings.text(key)?;
    let every = settings.lifetime(key, validity);
    if every < SHORTEST_ROLLOVER || every >= validity {
        let detail = format!(
            "a generation of {validity} is followed by the next after {SHORTEST_ROLLOVER} at least and before its own end, as in `365d`"
        );
        settings.invalid(key, detail);
    }
    Some(every)
}

/// The most shards that may be asked for: each is signed at least once in `status.crl_interval`.
const MOST_SHARDS: u32 = 1_024;

fn partial_lists(settings: &mut Settings, (shards, delta): (&'static str, &'static str)) -> PartialLists {
    let lists = PartialLists { shards: settings.number(shards, 0..=MOST_SHARDS, 0), delta: settings.flag(delta) };
    let without_address = settings.text("public.base_url").is_none();
    for (key, is_wanted) in [(shards, lists.shards > 0), (delta, lists.delta)] {
        if is_wanted && without_address {
            settings.invalid(key, "such a list is found by its URL only, and `public.base_url` is not set; set it");
        }
    }
    lists
}

/// Reads the name of an algorithm, which must go with the key where its type is known.
fn signature(settings: &mut Settings, keys: &Keys, key: &KeyPlan) -> Option<SignatureAlgorithm> {
    let algorithm = match SignatureAlgorithm::of_rsa(settings.text(keys.signature)?) {
        Ok(algorithm) => algorithm,
        Err(error) => {
            settings.invalid(keys.signature, error.to_string());
            return None;
        }
    };
    let key_type = match key {
        KeyPlan::Software(key_type) | KeyPlan::MadeInKms(key_type) | KeyPlan::Token { make: Some(key_type), .. } => {
            *key_type
        }
        KeyPlan::PrivateCa(_) => {
            settings.invalid(keys.signature, "AWS Private CA signs by what its key is made for; leave it out");
            return None;
        }
        KeyPlan::External(_) | KeyPlan::Token { make: None, .. } => return Some(algorithm),
    };
    if !algorithm.fits(key_type) {
        let detail = format!(
            "{algorithm} is for RSA keys, and the key is {key_type}, which signs by {} only; leave `signature` out, or take an RSA key",
            key_type.signature_algorithm()
        );
        settings.invalid(keys.signature, detail);
    }
    Some(algorithm)
}

/// Reads `software:TYPE`, or where else a key is.
fn key_plan(settings: &mut Settings, keys: &Keys, fallback: KeyType) -> KeyPlan {
    let plan = key_home(settings, keys.key, fallback);
    let Some(text) = settings.text(keys.key_type).map(str::to_owned) else { return plan };
    match (plan, text.parse()) {
        (KeyPlan::Token { uri, .. }, Ok(key_type)) => KeyPlan::Token { uri, make: Some(key_type) },
        (KeyPlan::MadeInKms(fallback), Ok(key_type)) => match key_spec_of(key_type) {
            Some(_) => KeyPlan::MadeInKms(key_type),
            None => {
                let detail = format!("AWS KMS makes no {key_type} keys that sign lists; take RSA, p256, p384 or p521");
                settings.invalid(keys.key_type, detail);
                KeyPlan::MadeInKms(fallback)
            }
        },
        (KeyPlan::Software(one), Ok(same)) if one == same => KeyPlan::Software(one),
        (plan, Ok(_)) => {
            let detail =
                format!("it says what kind of key is made in a token or in KMS; of others `{}` says it", keys.key);
            settings.invalid(keys.key_type, detail);
            plan
        }
        (plan, Err(error)) => {
            settings.invalid(keys.key_type, error.to_string());
            plan
        }
    }
}

fn key_home(settings: &mut Settings, key: &'static str, fallback: KeyType) -> KeyPlan {
    let key_type = fallback;
    let fallback = KeyPlan::Software(fallback);
    let Some(text) = settings.text(key).map(str::to_owned) else { return fallback };
    let (home, rest) = text.split_once(':').unwrap_or(("", &text));
    let problem = match (home, rest.parse()) {
        ("software", Ok(key_type)) => return KeyPlan::Software(key_type),
        ("kms", _) if rest == "create" => return KeyPlan::MadeInKms(key_type),
        ("kms", _) => match KmsKeyArn::parse(rest) {
            Ok(arn) => return KeyPlan::External(KeyHome::Kms(arn.to_string())),
            Err(problem) => ConfigProblem::Invalid { detail: problem.to_string() },
        },
        ("software", Err(error)) => ConfigProblem::Invalid { detail: format!("{error}, as in `software:p256`") },
        ("pkcs11", _) => match text.parse() {
            Ok(uri) => return KeyPlan::Token { uri, make: None },
            // No value of a URI is quoted: one may be a PIN.
            Err(error) => ConfigProblem::Invalid { detail: Pkcs11UriError::to_string(&error) },
        },
        ("acm-pca", _) => match PrivateCaArn::parse(rest) {
            Ok(arn) => return KeyPlan::PrivateCa(arn),
            Err(problem) => ConfigProblem::Invalid { detail: problem.to_string() },
        },
        _ => ConfigProblem::Invalid {
            detail: "it does not say where the key is; write it like `software:p256`, `kms:ARN`, `pkcs11:token=hsm;object=tls-ca` or `acm-pca:ARN`"
                .to_owned(),
        },
    };
    settings.fault(key, problem);
    fallback
}

fn subject(settings: &mut Settings, key: &'static str, fallback: &str) -> DistinguishedName {
    let text = settings.text(key).unwrap_or(fallback).to_owned();
    match DistinguishedName::from_rfc4514(&text) {
        // RFC 5280 §4.1.2.6: the subject of a CA must not be empty.
        Ok(name) if name.is_empty() => {
            settings.invalid(key, "empty; a certificate authority needs a name, as in `CN=Example Root CA,O=Example`");
            name
        }
        Ok(name) => name,
        Err(error) => {
            settings.invalid(key, error.to_string());
            DistinguishedName::empty()
        }
    }
}

fn subtrees(settings: &mut Settings, key: &'static str) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    for text in settings.list(key).unwrap_or_default() {
        match Subtree::parse(&text) {
            Ok(subtree) => subtrees.push(subtree),
            Err(error) => settings.invalid(key, error.to_string()),
        }
    }
    subtrees
}

/// RFC 5280 §4.2.1.1 lets clients build chains by name: two authorities of one name are taken for each other.
fn refuse_equal_subjects(settings: &mut Settings, authorities: [(&'static str, &AuthorityConfig); 3]) {
    for (index, (key, authority)) in authorities.iter().enumerate() {
        let twin = authorities[..index]
            .iter()
            .find(|(_, earlier)| !earlier.subject.is_empty() && earlier.subject.matches(&authority.subject));
        if let Some((other, _)) = twin {
            settings
                .invalid(key, format!("the same name as `{other}`; clients would take one authority for the other"));
        }
    }
}

/// AWS certifies authorities by templates of its own, and never what a ceremony of this service writes.
fn refuse_private_root(settings: &mut Settings, root: &AuthorityConfig) {
    if matches!(root.key, KeyPlan::PrivateCa(_)) {
        settings.invalid(
            "authority.root.key",
            "AWS Private CA signs nothing for authorities of this service; name its authorities at `authority.tls.key` and \
             `authority.document.key`: those above them are taken on record with them",
        );
    }
}

/// What it issues must say where OCSP of this service is; its list is its own, and whole.
fn refuse_what_a_private_ca_cannot(settings: &mut Settings, keys: &Keys, authority: &AuthorityConfig) {
    if !matches!(authority.key, KeyPlan::PrivateCa(_)) {
        return;
    }
    if settings.text("public.base_url").is_none() {
        let detail = "certificates of AWS Private CA must say where OCSP of this service is, which knows of a revocation at once; \
                      set `public.base_url`";
        settings.invalid(keys.key, detail);
    }
    if let Some(key) = keys.rollover.filter(|_| authority.rollover_every.is_some()) {
        settings.invalid(key, "the key of an authority that AWS Private CA holds is never another; make a new one there, and leave it out");
    }
    let Some((shards, delta)) = keys.lists else { return };
    for (key, is_wanted) in [(shards, authority.partial_lists.shards > 0), (delta, authority.partial_lists.delta)] {
        if is_wanted {
            settings.invalid(
                key,
                "the list of an authority that AWS Private CA holds is made there, in one piece; leave it out",
            );
        }
    }
}

/// Two authorities of one key are one authority: who may use the key signs for both.
fn refuse_equal_keys(settings: &mut Settings, authorities: [(&'static str, &AuthorityConfig); 3]) {
    for (index, (key, authority)) in authorities.iter().enumerate() {
        let is_same = |other: &AuthorityConfig| match (&authority.key, &other.key) {
            (KeyPlan::External(one), KeyPlan::External(other)) => one == other,
            (KeyPlan::PrivateCa(one), KeyPlan::PrivateCa(other)) => one == other,
            (KeyPlan::Token { uri: one, .. }, KeyPlan::Token { uri: other, .. }) => one.identity() == other.identity(),
            _ => false,
        };
        if let Some((other, _)) = authorities[..index].iter().find(|(_, earlier)| is_same(earlier)) {
            settings.invalid(key, format!("the same key as `{other}`; each authority has a key of its own"));
        }
    }
}
