//! The command line of `ca-server`.

use std::path::PathBuf;

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::time::Lifetime;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::telemetry::logs::LogFormat;

/// A private certificate authority.
#[derive(Debug, Parser)]
#[command(name = "ca-server", version, about, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every subcommand takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// Configuration file [default: $CA_SERVER_CONFIG, else config.toml in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or target=level pairs
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,
    /// How log lines look [default: plain for dev, json otherwise]
    #[arg(long, global = true, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try it: everything embedded in ./ca-data, loopback only, short-lived certificates
    Dev,
    /// Make the hierarchy and the first administrator
    Init(InitArgs),
    /// Serve what `init` made
    Serve {
        /// Which part of the service this replica is
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
    },
    /// Bring the database's tables to this version
    Migrate,
    /// Make an encrypted backup of the record, while the service goes on
    Backup(BackupArgs),
    /// Restore a backup, or bring a record that was set back up to what was published
    Restore(RestoreArgs),
    /// Take certificates back on record that were issued after the backup it comes from
    Import {
        /// Certificates, PEM or DER
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Seal the keys anew, by what the configuration names: after a change of it, or of the key in KMS
    #[command(after_help = "\
Change `[seal]` first, then run this, and then start the servers again. Name what sealed the keys before with --from or \
--from-passphrase-file; neither is needed to seal anew by what seals them now. Cut off anywhere, it is run again.")]
    Reseal(ResealArgs),
    /// Take the next revocation list of a root on record whose key is elsewhere; may run beside a server
    ImportCrl {
        /// Complete lists, PEM or DER
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Take an OCSP responder on record that a root whose key is elsewhere has certified; may run beside a server
    ImportResponder(ImportResponderArgs),
    /// Judge the configuration, every fault at once
    CheckConfig,
    /// List the jobs, or run one now
    #[command(subcommand)]
    Job(JobCommand),
    /// The next generation of an authority, and the end of the last one's key; may run beside a server
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Administrators, on the host of the service
    #[command(subcommand)]
    Admin(AdminCommand),
}

/// What `init` is told.
#[derive(Debug, ClapArgs)]
pub(crate) struct InitArgs {
    /// CSR of the first administrator (PEM); without it a key is made in the data folder
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_csr: Option<PathBuf>,
    /// Have AWS KMS make the keys that the configuration asks for (`kms:create`) without asking; they are printed all the same
    #[arg(long)]
    pub(crate) yes: bool,
    /// Others hold the root: make the keys below it, and write the requests that they are to sign
    #[arg(long)]
    pub(crate) external_root: bool,
    /// Where to put the requests, `tls.csr` and `document.csr` [default: requests in the data folder]
    #[arg(long, value_name = "DIR", requires = "external_root", conflicts_with = "import")]
    pub(crate) requests: Option<PathBuf>,
    /// The certificates that they signed, and those of every authority above, PEM or DER; may be given several times
    #[arg(long, value_name = "FILE", requires = "external_root")]
    pub(crate) import: Vec<PathBuf>,
    /// SHA-256 fingerprint of the root, as its holders tell it on another way
    #[arg(long, value_name = "HEX", requires = "import", value_parser = fingerprint)]
    pub(crate) root_fingerprint: Vec<[u8; 32]>,
}

/// 64 hexadecimal digits, with or without the colons that openssl puts between them.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    let octets = hex::decode(digits).ok().and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    octets.ok_or_else(|| "a SHA-256 fingerprint has 64 hexadecimal digits".to_owned())
}

/// What `import-responder` is told.
#[derive(Debug, ClapArgs)]
pub(crate) struct ImportResponderArgs {
    /// Its certificate, PEM or DER
    #[arg(value_name = "FILE")]
    pub(crate) certificate: PathBuf,
    /// Its key, encrypted PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// File whose first line is the passphrase of the key
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: PathBuf,
}

/// What `backup` is told.
#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    /// Where to put it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File whose first line is the passphrase of the backup: not the seal's
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `restore` is told.
#[derive(Debug, ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The backup; goes into an empty database only
    #[arg(value_name = "FILE", required_unless_present = "reconcile", requires = "passphrase_file")]
    pub(crate) file: Option<PathBuf>,
    /// File whose first line is the passphrase of the backup
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// No backup: compare the record that is there with what was published, and bring it up to that
    #[arg(long, conflicts_with_all = ["file", "passphrase_file"])]
    pub(crate) reconcile: bool,
    /// The anchor is lost for good: what was revoked after the backup is valid again
    #[arg(long)]
    pub(crate) accept_without_anchor: bool,
}

/// What `reseal` is told.
#[derive(Debug, ClapArgs)]
pub(crate) struct ResealArgs {
    /// A key of AWS KMS that sealed the keys before, as kms:ARN; may be given again
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Vec<String>,
    /// File whose first line is a passphrase that sealed the keys before; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) from_passphrase_file: Vec<PathBuf>,
}

/// The parts of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// API, status and jobs
    All,
    /// OCSP, CRL and certificates only; holds no authority's key
    Status,
    /// Jobs only; listens on the admin address alone
    Worker,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs
    List,
    /// Run a job once, for cron or a scheduled task
    Run {
        /// Its name, as `job list` prints it
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Make the next generation of an authority (tls-2 after tls) with a key of its own; needs the root's key in its file
    Rollover {
        /// The authority: tls or document
        id: AuthorityId,
        /// The root that signs it, as root-2, where it is to be another than that of the generation before
        #[arg(long, value_name = "ROOT")]
        below: Option<AuthorityId>,
        /// How long after that it begins to issue: until then every gateway must have its certificate
        #[arg(long, value_name = "DURATION", default_value = "1d")]
        issue_after: Lifetime,
        /// Write a request for its certificate instead (PKCS#10, PEM), for whoever holds the root's key elsewhere
        #[arg(long, value_name = "FILE", conflicts_with_all = ["import", "issue_after"])]
        csr_out: Option<PathBuf>,
        /// Take the certificate that the request came back with (PEM or DER)
        #[arg(long, value_name = "FILE")]
        import: Option<PathBuf>,
        /// Have AWS KMS make the key that the configuration asks for (`kms:create`) without asking; it is printed all the same
        #[arg(long, conflicts_with = "import")]
        yes: bool,
    },
    /// Take another root on record, as root-2: from then on /roots.pem has it too, and authorities may be rolled over below it
    ImportRoot {
        /// The root's certificate (PEM or DER)
        file: PathBuf,
        /// Its SHA-256 fingerprint, as its holders tell it on another way
        #[arg(long, value_name = "HEX", value_parser = fingerprint)]
        root_fingerprint: Vec<[u8; 32]>,
    },
    /// Take a cross-certificate on record: of one root on record, signed by another; /ca/ID.ROOT.pem then leads there
    ImportCross {
        /// The certificate (PEM or DER)
        file: PathBuf,
    },
    /// Destroy the key of an authority that is retired, for ever; audited
    DestroyKey {
        /// The authority's id
        id: AuthorityId,
        /// The SHA-256 fingerprint of its certificate, as `ca-cli authority show` prints it
        #[arg(long, value_name = "FINGERPRINT")]
        confirm: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Take the role from every administrator and make a new one; audited
    Reset {
        /// CSR of the new administrator (PEM); without it a key is made in the data folder
        #[arg(long, value_name = "FILE")]
        admin_csr: Option<PathBuf>,
    },
    /// Give a role to a certificate, and so to whoever has its key and renews it; audited; may run beside a server
    Grant {
        /// administrator, auditor, registrar or worker
        role: ca_core::principal::Role,
        /// The certificate's id, as `ca-cli list` prints it
        certificate: CertificateId,
    },
    /// Take a role from a certificate; audited; may run beside a server
    Withdraw {
        /// administrator, auditor, registrar or worker
        role: ca_core::principal::Role,
        /// The certificate's id
        certificate: CertificateId,
    },
    /// List the certificates that have a role; may run beside a server
    Roles,
    /// Show the personal data that the audit event of a certificate commits to, or erase it for ever; may run beside a server
    AuditText {
        /// The certificate's id
        certificate: CertificateId,
        /// Erase it: the chain stays whole, and nobody can tell any more what was committed to; audited
        #[arg(long)]
        erase: bool,
    },
    /// Show what the job `retention` would remove of the months that have ended, and what stays and why; changes nothing, and may run
    /// beside a server
    Retention {
        /// For people or for programs
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

/// How a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns
    Table,
    /// JSON
    Json,
}
