//! `issue`, and the flags about files that it shares with `renew`.

use std::path::PathBuf;

use ca_core::id::ProfileName;
use ca_core::key::KeyType;
use ca_core::name::GeneralName;
use ca_core::time::Lifetime;
use clap::Args;

use super::value::general_name;

/// `issue PROFILE NAME`
///
/// The key is made here and never leaves this machine: only its signing request does.
#[derive(Debug, Args)]
#[command(after_help = "\
NAME becomes the common name and, without --san, the subject alternative name: a DNS name if it looks like one, an e-mail \
address if it holds an @, an IP address, else a URI.

Files: NAME.crt (certificate, then its chain), NAME.key (PKCS#8, mode 0600), ca.crt (root). They appear complete or not at \
all. `*.example.com` is written as `_.example.com.crt`.

Examples:
  ca-cli issue client cliente
  ca-cli issue server api.example.com --san api.example.com --san api.internal --san ip:10.0.0.7 --out certs
  ca-cli issue document ana --san ana@example.com --p12
  ca-cli issue --batch names.csv --out certs")]
pub(crate) struct IssueArgs {
    /// The kind of certificate: client, server, document, or another profile of the service
    #[arg(required_unless_present = "batch")]
    pub(crate) profile: Option<ProfileName>,

    /// Whom it is for
    #[arg(required_unless_present = "batch")]
    pub(crate) name: Option<String>,

    /// A subject alternative name: dns: ip: email: uri: upn: otherName:OID= or a bare value; may be repeated
    #[arg(long = "san", value_name = "NAME", value_parser = general_name, conflicts_with = "batch")]
    pub(crate) names: Vec<GeneralName>,

    /// The whole subject, as in "CN=api,O=Example" (RFC 4514) [default: CN=NAME]
    #[arg(long, value_name = "SUBJECT", conflicts_with = "batch")]
    pub(crate) subject: Option<String>,

    /// The kind of key to make: rsa2048 rsa3072 rsa4096 p256 p384 p521 ed25519 [default: the profile's first]
    #[arg(long, value_name = "TYPE")]
    pub(crate) key_type: Option<KeyType>,

    /// How long it shall be valid, as in 90d, 12h, 30m [default: the profile's]
    #[arg(long, value_name = "TIME")]
    pub(crate) validity: Option<Lifetime>,

    /// Use this signing request (PEM; - reads it from standard input) and make no key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_type", "p12", "batch"])]
    pub(crate) csr: Option<PathBuf>,

    /// Authenticate with the enrolment token in this file (- reads it from standard input) [env: CA_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Issue one certificate for every row `PROFILE,NAME[,SAN…]` of a CSV file; rows whose files are there are skipped
    #[arg(long, value_name = "FILE", conflicts_with_all = ["profile", "file_name"])]
    pub(crate) batch: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) files: OutputFileArgs,

    #[command(flatten)]
    pub(crate) pkcs12: Pkcs12Args,
}

/// Where files go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct OutputFileArgs {
    /// The folder for the files, made when it is missing [default: the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// What the files are called, without .crt and .key [default: NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) file_name: Option<String>,

    /// Overwrite files that are there
    #[arg(long)]
    pub(crate) force: bool,
}

/// PKCS#12.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct Pkcs12Args {
    /// Write NAME.p12 too: key, certificate and chain under a password that is asked for
    #[arg(long)]
    pub(crate) p12: bool,

    /// Take the password of NAME.p12 from this file (- reads it from standard input) [env: CA_P12_PASSWORD]
    #[arg(long, value_name = "FILE", requires = "p12")]
    pub(crate) p12_password_file: Option<PathBuf>,
}
