//! Measures the service against the targets of its design, and other programs beside it: `make bench`.
//!
//! Each section prints a table: the median of several rounds with its spread, the target and whether it holds, and peers measured
//! in the same run. What is judged is processor time, so that a busy machine does not count. docs/benchmarks.md tells how to
//! read it.

mod clock;
mod crl;
mod https;
mod issuance;
mod kept_connection;
mod lists;
mod machine;
mod ocsp;
mod ocsp_client;
mod peer;
mod prepare;
mod process;
mod report;
mod scale;
mod service;
mod spread;
mod status;
mod store;
mod token;
mod world;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use machine::{Machine, load_average};
use report::Report;
use scale::Extent;

/// Measures the service against its targets, and other programs beside it
#[derive(Parser)]
struct Arguments {
    /// What to measure [default: everything but `lists`, `pkcs11` and `scale`]
    sections: Vec<Section>,
    /// How many entries the list of section `lists` has
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=20_000_000))]
    entries: u64,
    /// How many certificates section `scale` puts on record
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..=900_000_000))]
    certificates: u64,
    /// One of how many certificates of section `scale` is revoked
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    revoked_of: u64,
    /// Fail when a target is missed
    #[arg(long)]
    strict: bool,
    /// Make one CRL of so many entries and print what it took; section `crl` starts itself so
    #[arg(long, hide = true)]
    make_crl: Option<u64>,
    /// Sign in a token of SoftHSM and nothing else, and print what it took; section `pkcs11` starts itself so
    #[arg(long, hide = true)]
    sign_bare: Option<token::TokenKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// One certificate without a store
    Prepare,
    /// One OCSP answer without a cache or a database
    Ocsp,
    /// A CRL of a million entries
    Crl,
    /// A list of a million entries, from PostgreSQL to its clients; takes five minutes and 3 GB of disk below target/
    Lists,
    /// Certificates on record, durably
    Store,
    /// OCSP from memory under load, beside nginx with a file
    Status,
    /// The service over HTTPS, its memory and its start
    Https,
    /// The service over HTTPS with a key in a token of SoftHSM
    Pkcs11,
    /// The service over a PostgreSQL with ten million certificates; takes half an hour and 30 GB of disk below target/
    Scale,
}

impl Section {
    const fn title(self) -> &'static str {
        match self {
            Self::Prepare => "prepare: one certificate, P-256, one core, no store",
            Self::Ocsp => "ocsp: one answer, P-256 responder, in no cache, without a database",
            Self::Crl => "crl: a complete list of 1,000,000 entries, P-256",
            Self::Lists => "lists: ca-server over a PostgreSQL with a million revoked certificates",
            Self::Store => "store: certificates on record in SQLite, durably",
            Self::Status => "status: OCSP from memory, under load",
            Self::Https => "https: ca-server as its clients meet it",
            Self::Pkcs11 => "pkcs11: ca-server with a key in a token of SoftHSM",
            Self::Scale => "scale: ca-server over a PostgreSQL that is full",
        }
    }

    fn run(self, entries: u64, extent: Extent) -> anyhow::Result<Report> {
        match self {
            Self::Prepare => prepare::run(),
            Self::Ocsp => ocsp::run(),
            Self::Crl => crl::run(),
            Self::Lists => lists::run(entries),
            Self::Store => store::run(),
            Self::Status => status::run(),
            Self::Https => https::run(),
            Self::Pkcs11 => token::run(),
            Self::Scale => scale::run(extent),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (arguments.sign_bare, arguments.make_crl) {
        (Some(key), _) => token::print_bare(key).map(|()| 0),
        (None, Some(entries)) => crl::make(entries).map(|()| 0),
        (None, None) => measure(
            &arguments.sections,
            arguments.entries,
            Extent { certificates: arguments.certificates, revoked_of: arguments.revoked_of },
        ),
    };
    match outcome {
        Ok(misses) if misses > 0 && arguments.strict => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs sections, all that are short when none is named; returns how many targets were missed.
fn measure(sections: &[Section], entries: u64, extent: Extent) -> anyhow::Result<usize> {
    let all = [Section::Prepare, Section::Ocsp, Section::Crl, Section::Store, Section::Status, Section::Https];
    println!("{}\nload average before: {}", Machine::here(), load_average());
    let mut misses = 0;
    for section in if sections.is_empty() { &all } else { sections } {
        println!("\n{}", section.title());
        let report = section.run(entries, extent)?;
        print!("{report}");
        misses += report.misses();
    }
    println!("\nload average after: {}", load_average());
    match misses {
        0 => println!("every target holds"),
        _ => println!("targets missed: {misses}"),
    }
    Ok(misses)
}
