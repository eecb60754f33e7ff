//! Every key there is, what kind of value it takes, and those that a later version will have.
//!
//! What a value means is the business of its section's file.

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// An array of strings; comma-separated in the environment.
    List,
    /// A whole number; in the environment its digits.
    Number,
    /// `true` or `false`.
    Flag,
    /// A secret string: by the environment only.
    Secret,
}

use Kind::{Flag, List, Number, Secret, Text};

/// Every known key.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("data_dir", Text),
    ("listen.api", Text),
    ("listen.public", Text),
    ("listen.admin", Text),
    ("api.names", List),
    ("api.certificate_file", Text),
    ("api.key_file", Text),
    ("public.base_url", Text),
    ("database.url", Text),
    ("database.url_file", Text),
    ("database.listen_url", Text),
    ("database.listen_url_file", Text),
    ("anchor.dir", Text),
    ("seal.key", Text),
    ("seal.passphrase", Secret),
    ("seal.passphrase_file", Text),
    ("seal.responders.key", Text),
    ("seal.responders.passphrase", Secret),
    ("seal.responders.passphrase_file", Text),
    ("authority.root.key", Text),
    ("authority.root.key_type", Text),
    ("authority.root.signature", Text),
    ("authority.root.subject", Text),
    ("authority.root.validity", Text),
    ("authority.tls.key", Text),
    ("authority.tls.key_type", Text),
    ("authority.tls.signature", Text),
    ("authority.tls.subject", Text),
    ("authority.tls.validity", Text),
    ("authority.tls.permitted_subtrees", List),
    ("authority.tls.excluded_subtrees", List),
    ("authority.tls.rollover_every", Text),
    ("authority.tls.shards", Number),
    ("authority.tls.delta", Flag),
    ("authority.document.key", Text),
    ("authority.document.key_type", Text),
    ("authority.document.signature", Text),
    ("authority.document.subject", Text),
    ("authority.document.validity", Text),
    ("authority.document.permitted_subtrees", List),
    ("authority.document.excluded_subtrees", List),
    ("authority.document.rollover_every", Text),
    ("authority.document.shards", Number),
    ("authority.document.delta", Flag),
    ("status.ocsp_validity", Text),
    ("status.max_age", Text),
    ("status.cache", Text),
    ("status.nonce", Text),
    ("status.crl_validity", Text),
    ("status.crl_interval", Text),
    ("publish.s3.bucket", Text),
    ("publish.s3.prefix", Text),
    ("publish.s3.kms_key", Text),
    ("publish.s3.max_age", Text),
    ("aws.region", Text),
    ("aws.endpoint_url", Text),
    ("aws.kms.quota", Number),
    ("aws.kms.rsa_quota", Number),
    ("aws.kms.ecc_quota", Number),
    ("aws.kms.signers", List),
    ("aws.kms.administrators", List),
    ("aws.secrets_manager.region", Text),
    ("aws.secrets_manager.endpoint_url", Text),
    ("aws.acm_pca.issue", Number),
    ("aws.acm_pca.get", Number),
    ("aws.acm_pca.revoke", Number),
    ("redis.url", Text),
    ("redis.url_file", Text),
    ("redis.ca_file", Text),
    ("redis.ttl", Text),
    ("outbox.max_attempts", Number),
    ("outbox.first_retry", Text),
    ("outbox.longest_retry", Text),
    ("outbox.keep_undelivered", Text),
    ("outbox.keep_unassigned", Text),
    ("deployments.enabled", Flag),
    ("notices.certificates", List),
    ("notices.authorities", List),
    ("managed.schedule", Text),
    ("managed.wave", Number),
    ("managed.rate", Number),
    ("managed.directories", List),
    ("managed.secrets", List),
    ("retention.expired", Text),
    ("policies.dir", Text),
];

/// The keys of sections that have a table for each name that the operator gives: `webhook.NAME.url`.
pub(super) const NAMED_KEYS: &[(&str, &[(&str, Kind)])] = &[
    ("webhook", &[("url", Text), ("secret_file", Text), ("ca_file", Text)]),
    ("sns", &[("topic", Text)]),
    ("sqs", &[("queue", Text)]),
    (
        "pkcs11",
        &[
            ("token", Text),
            ("module", Text),
            ("module_arguments", Text),
            ("pin", Secret),
            ("pin_file", Text),
            ("sessions", Number),
        ],
    ),
];

/// Section, name, key and kind of a key in a named table, where `path` is one.
pub(super) fn named(path: &str) -> Option<(&'static str, &str, &'static str, Kind)> {
    let mut parts = path.split('.');
    let (section, name, key) = (parts.next()?, parts.next()?, parts.next()?);
    let (section, keys) = NAMED_KEYS.iter().find(|(known, _)| *known == section)?;
    let (key, kind) = keys.iter().find(|(known, _)| *known == key)?;
    parts.next().is_none().then_some((section, name, key, *kind))
}

/// Keys and sections of the public contract that this version does not have: accepted by none, and never silently.
const NOT_YET: &[(&str, &str)] =
    &[("oidc", "callers prove themselves by certificates and enrolment tokens, not by OIDC")];

/// The kind of a known key.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    KEYS.iter().find(|(known, _)| *known == path).map(|(_, kind)| *kind)
}

/// Whether keys begin with `path` and a dot.
pub(super) fn is_section(path: &str) -> bool {
    let (section, rest) = path.split_once('.').map_or((path, None), |(section, rest)| (section, Some(rest)));
    if NAMED_KEYS.iter().any(|(known, _)| *known == section) {
        // The section itself, or the table of a name.
        return rest.is_none_or(|name| !name.contains('.'));
    }
    KEYS.iter().any(|(known, _)| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// What a key or section that this version does not have would have been.
pub(super) fn not_yet(path: &str) -> Option<&'static str> {
    let inside =
        |section: &str| path == section || path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    NOT_YET.iter().find(|(section, _)| inside(section)).map(|(_, what)| *what)
}

/// The environment variable of a key: `CA__LISTEN__API` for `listen.api`.
pub(super) fn environment_name(path: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The environment variable of a key in a named table: `CA__WEBHOOK__AUDIT_LOG__URL` for `webhook.audit-log.url`.
pub(super) fn environment_name_of_named(section: &str, name: &str, key: &str) -> String {
    environment_name(&format!("{section}.{}.{key}", name.replace('-', "_")))
}

/// The key of an environment variable, if it is meant to be one.
pub(super) fn path_of_environment_name(name: &str) -> Option<String> {
    let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.replace("__", ".").to_ascii_lowercase();
    // Names that operators give have hyphens, which no shell takes in the name of a variable.
    Some(match named(&path) {
        Some((section, name, key, _)) => format!("{section}.{}.{key}", name.replace('_', "-")),
        None => path,
    })
}

/// Variables that begin with it are settings.
pub(super) const ENVIRONMENT_PREFIX: &str = "CA__";
