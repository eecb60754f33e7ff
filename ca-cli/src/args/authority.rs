//! `authority` and `profile`

use std::path::PathBuf;

use ca_core::id::{AuthorityId, ProfileName};
use ca_core::time::Lifetime;
use clap::{Args, Subcommand};

use super::drill::CompromiseDrillArgs;

/// `authority …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// List the authorities
    List,
    /// Show an authority
    Show {
        /// Its id, as in tls
        id: AuthorityId,
    },
    /// Write the key of an authority as encrypted PKCS#8 (with --local only)
    ExportKey(ExportKeyArgs),
    /// Move the root's key out of the data folder (with --local only)
    ExportRootKey(ExportRootKeyArgs),
    /// Sign and publish the revocation list of an authority now (with --local only)
    PublishCrl(PublishCrlArgs),
    /// Make the next generation of an authority, with a key of its own (with --local only)
    Rollover(RolloverArgs),
    /// What a compromise of an authority's key takes: counted, or done as a drill (at a server only)
    CompromiseDrill(Box<CompromiseDrillArgs>),
    /// Destroy the key of a retired authority, for ever (with --local only)
    DestroyKey(DestroyKeyArgs),
}

/// `authority rollover ID`
#[derive(Debug, Args)]
#[command(after_help = "\
The root's key must lie in the data folder. On a host that runs the service, `ca-server authority rollover` does the same beside it.")]
pub(crate) struct RolloverArgs {
    /// The authority: tls or document
    pub(crate) id: AuthorityId,

    /// How long after that it begins to issue: until then every gateway must have its certificate
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    pub(crate) issue_after: Lifetime,
}

/// `authority destroy-key ID`
#[derive(Debug, Args)]
pub(crate) struct DestroyKeyArgs {
    /// The authority's id
    pub(crate) id: AuthorityId,

    /// The SHA-256 fingerprint of its certificate, as `authority show` prints it
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) confirm: String,
}

/// `authority export-key ID`
#[derive(Debug, Args)]
pub(crate) struct ExportKeyArgs {
    /// The authority's id
    pub(crate) id: AuthorityId,

    /// The file to write, which must not be there
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Take the passphrase for it from this file (- reads it from standard input) [env: CA_KEY_PASSPHRASE]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// `authority export-root-key`
#[derive(Debug, Args)]
#[command(after_help = "\
The file stays encrypted under the passphrase of the data folder (seal.passphrase): keep that too, elsewhere. \
`openssl pkey -in FILE` opens it.")]
pub(crate) struct ExportRootKeyArgs {
    /// Where to move it: a file that must not be there, best on another medium
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// `authority publish-crl ID`
#[derive(Debug, Args)]
pub(crate) struct PublishCrlArgs {
    /// The authority's id
    pub(crate) id: AuthorityId,

    /// Write the list (DER) to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `profile …`
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List the profiles
    List,
    /// Show a profile
    Show {
        /// Its name, as in server
        name: ProfileName,
    },
}
