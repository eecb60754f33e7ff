//! `verify`

use std::path::PathBuf;

use ca_core::time::Timestamp;
use clap::{Args, ValueEnum};

/// `verify FILE`
#[derive(Debug, Args)]
#[command(after_help = "\
The trusted root is --root (or CA_ROOT, or the configured one), else the hierarchy of --local, else ca.crt beside FILE.

Without --ocsp and --crl every address that the certificates name is asked, and one good answer for each certificate is \
enough; with them, that source must answer for all of them.")]
pub(crate) struct VerifyArgs {
    /// The certificate, PEM or DER; more certificates in it are its chain
    pub(crate) file: PathBuf,

    /// More certificates for the chain, PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Vec<PathBuf>,

    /// OCSP must answer, and say good
    #[arg(long)]
    pub(crate) ocsp: bool,

    /// A revocation list must be had, and not hold the certificate
    #[arg(long)]
    pub(crate) crl: bool,

    /// Use these revocation lists, PEM or DER; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) crl_file: Vec<PathBuf>,

    /// Ask nobody over the network
    #[arg(long, conflicts_with = "ocsp")]
    pub(crate) offline: bool,

    /// What the certificate must be good for
    #[arg(long, value_enum)]
    pub(crate) purpose: Option<Purpose>,

    /// Judge as if it were this time
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    pub(crate) at: Option<Timestamp>,
}

/// What a certificate may have to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// serverAuth
    Server,
    /// clientAuth
    Client,
    /// documentSigning
    Document,
    /// emailProtection
    Email,
}
