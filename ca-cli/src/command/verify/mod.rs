//! `verify`: does a certificate lead to the root, in its time, and does it still stand? And if not, why not.

mod path;
mod report;
mod status;

use std::fs;

use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::usage::ExtendedKeyUsage;
use ca_core::{chain, pem};

use self::path::{Anchors, Path};
use self::report::{Report, Verdict};
use self::status::{StatusSources, Wanted};
use super::reference::{CertificateFile, read_certificates};
use crate::args::{Purpose, VerifyArgs};
use crate::exit::{Exit, Failure};
use crate::fetch::Fetcher;
use crate::files::ROOT_FILE;
use crate::printer::Printer;
use crate::service::Service;
use crate::settings::{Settings, Target};
use crate::tls;

/// Verifies the certificate in a file. `service` is the one that is configured, if one is.
pub(super) async fn run(
    service: Option<&dyn Service>,
    args: &VerifyArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    // 1. What is trusted, and what the path may be built of.
    let file = CertificateFile::read(&args.file)?;
    let anchors = anchors(service, args, settings).await?;
    let mut known = file.others.clone();
    for path in &args.chain {
        let octets = fs::read(path).map_err(|error| Failure::of_file(path, error))?;
        known.extend(read_certificates(&octets).map_err(|error| Failure::of_file(path, error))?);
    }
    if let (Some(service), Target::Local(_)) = (service, &settings.target) {
        for authority in service.authorities().await? {
            known.push(Certificate::from_pem(&authority.certificate).map_err(Failure::failed)?);
        }
    }
    let fetcher = match args.offline {
        true => None,
        false => Some(Fetcher::new(tls::client(anchors.certificates(), None)?, settings.timeout)?),
    };
    // 2. The path, and what is wrong with it.
    let spinner = printer.spinner("verifying");
    let now = super::now();
    let judged_at = args.at.unwrap_or(now);
    let path = Path::build(file.certificate, known, &anchors, fetcher.as_ref()).await;
    let findings = chain::validate(path.certificates(), judged_at, args.purpose.map(purpose));
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    // 3. Whether each certificate of the path still stands.
    let sources = StatusSources {
        // A server is asked over the network, a folder is not.
        service: service.filter(|_| !args.offline || matches!(settings.target, Target::Local(_))),
        fetcher: fetcher.as_ref(),
        lists: read_lists(args)?,
        now,
        judged_at,
        wanted: Wanted { ocsp: args.ocsp, crl: args.crl },
    };
    let statuses = match path.is_signed_throughout() {
        true => sources.of_path(path.certificates()).await,
        // Whose responders and lists would be asked?
        false => Vec::new(),
    };
    drop(spinner);
    // 4. The verdict.
    let report = Report::new(&path, findings, statuses, judged_at);
    printer.result(&report, Report::describe)?;
    Ok(match report.verdict() {
        Verdict::Valid => Exit::Done,
        Verdict::Invalid => Exit::Failed,
        Verdict::Undecided => Exit::Unreachable,
    })
}

/// The roots to trust: named or configured, else of the folder, else beside the file.
async fn anchors(service: Option<&dyn Service>, args: &VerifyArgs, settings: &Settings) -> Result<Anchors, Failure> {
    if let (Some(service), Target::Local(_)) = (service, &settings.target) {
        return Ok(Anchors::new(service.roots().await?));
    }
    let beside = args.file.with_file_name(ROOT_FILE);
    let file = match &settings.root {
        Some(path) => path.clone(),
        None if beside.is_file() => beside,
        None => {
            return Err(Failure::Usage(format!(
                "nothing says which root to trust: name it with --root or CA_ROOT, or put it beside the certificate as {ROOT_FILE}"
            )));
        }
    };
    tls::read_roots(&file).map(Anchors::new)
}

fn read_lists(args: &VerifyArgs) -> Result<Vec<ParsedCrl>, Failure> {
    let mut lists = Vec::new();
    for path in &args.crl_file {
        let octets = fs::read(path).map_err(|error| Failure::of_file(path, error))?;
        lists.extend(parse_lists(octets).map_err(|error| Failure::of_file(path, error))?);
    }
    Ok(lists)
}

/// Revocation lists in PEM, or one in DER.
fn parse_lists(octets: Vec<u8>) -> Result<Vec<ParsedCrl>, ca_core::crl::CrlParseError> {
    let label = format!("-----BEGIN {}-----", ca_core::crl::PEM_LABEL);
    match std::str::from_utf8(&octets) {
        Ok(text) if text.contains(&label) => {
            pem::decode_all(ca_core::crl::PEM_LABEL, text)?.into_iter().map(ParsedCrl::from_der).collect()
        }
        _ => ParsedCrl::from_der(octets).map(|list| vec![list]),
    }
}

fn purpose(purpose: Purpose) -> ExtendedKeyUsage {
    match purpose {
        Purpose::Server => ExtendedKeyUsage::SERVER_AUTH,
        Purpose::Client => ExtendedKeyUsage::CLIENT_AUTH,
        Purpose::Document => ExtendedKeyUsage::DOCUMENT_SIGNING,
        Purpose::Email => ExtendedKeyUsage::EMAIL_PROTECTION,
    }
}
