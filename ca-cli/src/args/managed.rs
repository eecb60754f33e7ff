//! `managed`

use std::path::PathBuf;

use ca_core::id::ProfileName;
use ca_core::key::KeyType;
use ca_core::managed::RenewBefore;
use ca_core::managed::definition::Hook;
use ca_core::name::GeneralName;
use ca_core::time::Lifetime;
use ca_engine::flow::managed::define::is_name;
use ca_engine::flow::managed::query::ManagedReference;
use clap::{Args, Subcommand, ValueEnum};

use super::value::general_name;

/// `managed …`
#[derive(Debug, Subcommand)]
pub(crate) enum ManagedCommand {
    /// Have a certificate rotated by the service from now on, the first time at once
    Add(Box<ManagedAddArgs>),
    /// Make what is on record what a file says: shows what would be added, changed and removed, and asks
    Apply(ManagedApplyArgs),
    /// List managed certificates, in order of their names
    List(ManagedListArgs),
    /// Show one, and how far it has come
    Show(ManagedNameArgs),
    /// How many there are, how many are due, and when that will be done
    Status(ManagedStatusArgs),
    /// Have one rotated at once
    Rotate(ManagedRotateArgs),
    /// Have nothing done for one until it is resumed
    Pause(ManagedNameArgs),
    /// Look after one again
    Resume(ManagedNameArgs),
    /// Take one from the record: its certificates stay valid, its target stays as it is
    Remove(ManagedNameArgs),
}

/// One managed certificate.
#[derive(Debug, Args)]
pub(crate) struct ManagedNameArgs {
    /// Its name or its id
    #[arg(value_parser = reference)]
    pub(crate) name: ManagedReference,
}

/// `managed add`
#[derive(Debug, Args)]
#[command(after_help = "\
Everything that a rotation would be refused for is told at once. The same command again changes nothing.

Examples:
  ca-cli managed add web --profile server --san www.example.com --directory /etc/web/tls
  ca-cli managed add api --profile server --san api.example.com --secret tls/api --create --hook ecs:web/api")]
pub(crate) struct ManagedAddArgs {
    /// What to call it: a-z, 0-9 and . _ -
    pub(crate) name: String,

    /// The kind of certificate: server, client, or another profile of the service
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: ProfileName,

    /// A subject alternative name: dns: ip: email: uri: upn: otherName:OID= or a bare value; may be repeated
    #[arg(long = "san", value_name = "NAME", value_parser = general_name)]
    pub(crate) names: Vec<GeneralName>,

    /// The whole subject, as in "O=Example" (RFC 4514) [default: none]
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,

    /// How long each certificate shall be valid, as in 90d, 12h, 30m [default: the profile's]
    #[arg(long, value_name = "TIME")]
    pub(crate) validity: Option<Lifetime>,

    /// The kind of key: rsa2048 rsa3072 rsa4096 p256 p384 p521 ed25519
    #[arg(long, value_name = "TYPE", default_value = "p256")]
    pub(crate) key_type: KeyType,

    /// Certify the key that is current again, instead of a new one each time
    #[arg(long)]
    pub(crate) keep_key: bool,

    /// How long before its end a certificate is rotated: a part of its lifetime, or a length of time
    #[arg(long, value_name = "PART|TIME", default_value = "1/3")]
    pub(crate) renew_before: RenewBefore,

    /// Revoke a certificate so long after its successor is current [default: never]
    #[arg(long, value_name = "TIME")]
    pub(crate) revoke_superseded_after: Option<Lifetime>,

    /// What is told to take a new certificate: codedeploy:APPLICATION/GROUP, ecs:CLUSTER/SERVICE; may be repeated
    #[arg(long = "hook", value_name = "HOOK")]
    pub(crate) hooks: Vec<Hook>,

    /// Where a new certificate is to be seen served, host:port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) endpoint: Option<String>,

    /// The name that is asked for there [default: the host of the address]
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) server_name: Option<String>,

    /// Within how long after it became current
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "endpoint")]
    pub(crate) served_within: Lifetime,

    /// Only check it
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) target: ManagedTargetArgs,
}

/// Where certificate and key are wanted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct ManagedTargetArgs {
    /// A folder of PEM files that is switched as a whole
    #[arg(long, value_name = "PATH", required_unless_present_any = ["secret", "pkcs12"])]
    pub(crate) directory: Option<String>,

    /// A PKCS#12 file
    #[arg(long, value_name = "PATH", requires = "passphrase_file", conflicts_with_all = ["directory", "secret"])]
    pub(crate) pkcs12: Option<String>,

    /// The file that has its passphrase, where the certificate is wanted
    #[arg(long, value_name = "PATH", requires = "pkcs12")]
    pub(crate) passphrase_file: Option<String>,

    /// A secret of AWS Secrets Manager, by its name or ARN
    #[arg(long, value_name = "NAME", conflicts_with = "directory")]
    pub(crate) secret: Option<String>,

    /// Its region [default: the service's]
    #[arg(long, value_name = "REGION", requires = "secret")]
    pub(crate) region: Option<String>,

    /// Make it when it is not there
    #[arg(long, requires = "secret")]
    pub(crate) create: bool,

    /// How its value is written
    #[arg(long, value_enum, default_value_t = SecretLayout::Json, value_name = "LAYOUT", requires = "secret")]
    pub(crate) layout: SecretLayout,

    /// ARN, id or alias of the KMS key that encrypts it
    #[arg(long, value_name = "KEY", requires = "secret")]
    pub(crate) kms_key: Option<String>,

    /// A tag that it has; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair, requires = "secret")]
    pub(crate) tags: Vec<(String, String)>,

    /// A region that it is replicated to, and the KMS key there; may be repeated
    #[arg(long = "replica", value_name = "REGION[=KEY]", value_parser = replica, requires = "secret")]
    pub(crate) replicas: Vec<(String, String)>,

    /// A worker that stands where the target is brings it there, not the service
    #[arg(long)]
    pub(crate) by_worker: bool,
}

/// How the value of a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretLayout {
    /// A JSON object
    Json,
    /// Key, certificate and chain in PEM
    Pem,
}

/// `managed apply`
#[derive(Debug, Args)]
#[command(after_help = "\
A file has a table [[managed]] for each, with the fields of the API:

  [[managed]]
  name = \"web\"
  profile = \"server\"
  subject_alternative_names = [\"dns:www.example.com\"]
  target = { kind = \"directory\", path = \"/etc/web/tls\" }

Everything is checked before anything is changed.")]
pub(crate) struct ManagedApplyArgs {
    /// The file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Remove those on record that the file does not name
    #[arg(long)]
    pub(crate) prune: bool,

    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

/// `managed list`
#[derive(Debug, Args)]
pub(crate) struct ManagedListArgs {
    /// Only those that failed since something last succeeded
    #[arg(long)]
    pub(crate) failing: bool,

    /// Only those that are paused
    #[arg(long)]
    pub(crate) paused: bool,
}

/// `managed status`
#[derive(Debug, Args)]
pub(crate) struct ManagedStatusArgs {
    /// Look again until nothing is due any more
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `managed rotate`
#[derive(Debug, Args)]
pub(crate) struct ManagedRotateArgs {
    /// Its name or its id
    #[arg(value_parser = reference)]
    pub(crate) name: ManagedReference,

    /// Wait until it is rotated, for so long at most
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "15m", require_equals = true)]
    pub(crate) wait: Option<Lifetime>,
}

fn reference(text: &str) -> Result<ManagedReference, String> {
    match ManagedReference::from(text) {
        ManagedReference::Name(name) if !is_name(&name) => {
            Err("neither an id nor a name: those have a-z, 0-9 and . _ -".to_owned())
        }
        reference => Ok(reference),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn replica(text: &str) -> Result<(String, String), String> {
    let (region, key) = text.split_once('=').unwrap_or((text, ""));
    if region.is_empty() {
        Err("write REGION, or REGION=KEY".to_owned())
    } else {
        Ok((region.to_owned(), key.to_owned()))
    }
}
