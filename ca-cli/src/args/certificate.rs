//! Commands about one certificate or a list of them.

use ca_core::id::{AuthorityId, ProfileName};
use ca_core::key::KeyType;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use clap::{ArgGroup, Args, ValueEnum};

use super::bulk_revocation::BulkRevocationArgs;
use super::issue::{OutputFileArgs, Pkcs12Args};
use super::value::{Instant, revocation_reason};

/// `renew CERTIFICATE`
#[derive(Debug, Args)]
#[command(after_help = "\
Given a file, the new certificate and key take the places of the old ones, which are kept as FILE.old. Without a configured \
client certificate, the certificate itself authenticates, with the key beside it: its holder may renew from half of its \
lifetime on.")]
pub(crate) struct RenewArgs {
    /// The certificate: a file, an id, AUTHORITY:SERIAL or a serial number
    pub(crate) certificate: String,

    /// Keep the key instead of making a new one
    #[arg(long, conflicts_with = "key_type")]
    pub(crate) reuse_key: bool,

    /// The kind of key to make [default: the kind of the old one]
    #[arg(long, value_name = "TYPE")]
    pub(crate) key_type: Option<KeyType>,

    /// How long it shall be valid, as in 90d, 12h, 30m [default: the profile's]
    #[arg(long, value_name = "TIME")]
    pub(crate) validity: Option<Lifetime>,

    #[command(flatten)]
    pub(crate) files: OutputFileArgs,

    #[command(flatten)]
    pub(crate) pkcs12: Pkcs12Args,
}

/// `revoke CERTIFICATE`, `revoke --filter …`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").required(true).args(["certificate", "filter", "from_file", "status", "resume", "cancel"]),
    after_help = "\
Many at once are counted first, and revoked when their number was typed (or given: --yes --expect COUNT). The service then revokes \
them one after the other, also when this command is ended; OCSP tells of each at once, revocation lists when all are done, and \
meanwhile at most every 15 s. Certificates that have ended, and those of authorities, responders, listeners and operators, are not \
reached by a filter unless it names their profile."
)]
pub(crate) struct RevokeArgs {
    /// The certificate: a file, an id, AUTHORITY:SERIAL or a serial number
    pub(crate) certificate: Option<String>,

    #[command(flatten)]
    pub(crate) bulk: BulkRevocationArgs,

    /// Why; certificateHold can be ended by `unhold`, keyCompromise blocks the key for ever
    #[arg(long, value_parser = revocation_reason(), default_value = "unspecified")]
    pub(crate) reason: RevocationReason,

    /// Since when the key must be taken as compromised, as in 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    pub(crate) invalidity_date: Option<Timestamp>,

    /// Wait until every gateway enforces it, so long at most [default when no TIME is given: 30s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30s")]
    pub(crate) wait: Option<Lifetime>,
}

/// `unhold CERTIFICATE`
#[derive(Debug, Args)]
pub(crate) struct UnholdArgs {
    /// The certificate: a file, an id, AUTHORITY:SERIAL or a serial number
    pub(crate) certificate: String,
}

/// `show CERTIFICATE`
#[derive(Debug, Args)]
#[command(
    after_help = "A file is shown as it is on record; where no service is configured or it does not know it, as it stands."
)]
pub(crate) struct ShowArgs {
    /// The certificate: a file, an id, AUTHORITY:SERIAL or a serial number
    pub(crate) certificate: String,
}

/// Whether a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    /// Issued, within its validity, neither revoked nor held
    Active,
    /// Revoked for good
    Revoked,
    /// On hold
    Held,
    /// Past its validity, and never revoked
    Expired,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only certificates that stand so now
    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,

    /// Only those of this profile
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,

    /// Only those of this authority
    #[arg(long)]
    pub(crate) authority: Option<AuthorityId>,

    /// Only those that end before this time, or within so long from now (30d)
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_before: Option<Instant>,

    /// Only those issued since this time, or within so long until now (24h)
    #[arg(long, value_name = "TIME")]
    pub(crate) issued_after: Option<Instant>,

    /// Only those that this principal asked for: certificate:ID, token:ID, local
    #[arg(long, value_name = "PRINCIPAL")]
    pub(crate) owner: Option<String>,

    /// Only those with this serial number
    #[arg(long)]
    pub(crate) serial: Option<Serial>,

    /// Only those with this common name or subject alternative name, the whole of it
    #[arg(long, conflicts_with_all = ["owner", "serial", "expires_before", "issued_after"])]
    pub(crate) name: Option<String>,

    /// Only those with this subject, the whole of it, as RFC 4514 text
    #[arg(long, conflicts_with_all = ["name", "owner", "serial", "expires_before", "issued_after"])]
    pub(crate) subject: Option<String>,

    /// At most so many; 0 lists all of them
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u64,
}
