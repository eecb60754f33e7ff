//! One certificate from an order to its files: what can be refused is refused before anything is asked for.

use std::path::{Path, PathBuf};

use ca_api::certificate::Certificate as Record;
use ca_core::certificate::Certificate;
use ca_core::chain;
use ca_core::csr::ParsedCsr;
use ca_core::id::ProfileName;
use ca_core::key::{KeyType, PublicKey};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::time::Lifetime;
use ca_engine::flow::issue::IssueRequest;
use ca_runtime::pkcs12::{self, Pkcs12Error};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::args::OutputFileArgs;
use crate::exit::Failure;
use crate::files::{self, Contents, Destination};
use crate::key::PrivateKey;
use crate::printer::Printer;
use crate::service::Service;

/// What is to be issued, and where it goes.
pub(super) struct Order {
    /// The profile.
    pub(super) profile: ProfileName,
    /// The subject; the signing request's when absent.
    pub(super) subject: Option<DistinguishedName>,
    /// The subject alternative names; the signing request's when absent.
    pub(super) names: Option<Vec<GeneralName>>,
    /// How long; the profile's default when absent.
    pub(super) validity: Option<Lifetime>,
    /// The key.
    pub(super) key: KeySource,
    /// What programs list a PKCS#12 file's content as, and its password.
    pub(super) pkcs12: Option<(String, SecretString)>,
    /// Where the files go.
    pub(super) destination: Destination,
}

/// Where the key comes from.
pub(super) enum KeySource {
    /// It is made here.
    Make(KeyType),
    /// It is elsewhere; this proves its possession.
    Proved(ParsedCsr),
}

/// What was issued, and the files that are new.
#[derive(Debug, Serialize)]
pub(super) struct Issued {
    /// The certificate on record.
    pub(super) certificate: Record,
    /// The files.
    pub(super) files: Vec<PathBuf>,
}

/// Carries out an order; `roots` are those of the service.
pub(super) async fn issue(
    service: &dyn Service,
    order: Order,
    roots: &[Certificate],
    printer: &Printer,
) -> Result<Issued, Failure> {
    // 1. What the files would refuse.
    let makes_key = matches!(order.key, KeySource::Make(_));
    order.destination.check(makes_key, order.pkcs12.is_some(), roots).map_err(Failure::failed)?;
    // 2. The key.
    let (key, csr) = prepare_key(order.key, printer).await?;
    let public_key = csr.public_key().clone();
    // 3. The certificate.
    let request = IssueRequest {
        profile: order.profile,
        csr,
        subject: order.subject,
        names: order.names,
        validity: order.validity,
        idempotency_key: Some(super::new_idempotency_key()?),
        request_id: None,
    };
    let spinner = printer.spinner("asking for the certificate");
    let record = service.issue(request).await?;
    drop(spinner);
    // 4. Its files.
    let files = keep(&record, &public_key, key, order.pkcs12, &order.destination, roots).await?;
    Ok(Issued { certificate: record, files })
}

/// The key and the proof of its possession. RSA keys take a while.
pub(super) async fn prepare_key(
    source: KeySource,
    printer: &Printer,
) -> Result<(Option<PrivateKey>, ParsedCsr), Failure> {
    let key_type = match source {
        KeySource::Proved(csr) => return Ok((None, csr)),
        KeySource::Make(key_type) => key_type,
    };
    let spinner = printer.spinner(format!("making the {key_type} key"));
    let made = tokio::task::spawn_blocking(move || {
        let key = PrivateKey::generate(key_type)?;
        let csr = key.signing_request()?;
        Ok((Some(key), csr))
    });
    let made = made.await.map_err(Failure::failed)?;
    drop(spinner);
    made.map_err(|error: crate::key::KeyFailure| Failure::failed(error))
}

/// The PKCS#12 file of a key; takes some tenths of a second of CPU.
fn pkcs12_file(
    name: &str,
    key: &PrivateKey,
    certificates: &[Certificate],
    password: &SecretString,
) -> Result<Vec<u8>, Failure> {
    let certificates: Vec<&[u8]> = certificates.iter().map(Certificate::der).collect();
    let key = key.to_pkcs8().map_err(Failure::failed)?;
    pkcs12::encode(name, &key, &certificates, password.expose_secret(), pkcs12::ITERATIONS).map_err(|error| match error
    {
        Pkcs12Error::EmptyPassword => Failure::Usage(error.to_string()),
        _ => Failure::failed(error),
    })
}

/// Checks what the service answered, and writes it. A certificate that is lost on the way is told by its id.
pub(super) async fn keep(
    record: &Record,
    public_key: &PublicKey,
    key: Option<PrivateKey>,
    pkcs12: Option<(String, SecretString)>,
    destination: &Destination,
    roots: &[Certificate],
) -> Result<Vec<PathBuf>, Failure> {
    let written = write(record, public_key, key, pkcs12, destination, roots).await;
    written.map_err(|failure| {
        Failure::Failed(format!(
            "certificate {} was issued, but its files were not written: {failure}; revoke it and ask for another one",
            record.id
        ))
    })
}

async fn write(
    record: &Record,
    public_key: &PublicKey,
    key: Option<PrivateKey>,
    pkcs12: Option<(String, SecretString)>,
    destination: &Destination,
    roots: &[Certificate],
) -> Result<Vec<PathBuf>, Failure> {
    let chain = read_chain(record)?;
    if chain[0].public_key() != public_key {
        return Err(Failure::failed("the service certified another key"));
    }
    let root = root_of(&chain, roots)?;
    let key_pem = key.as_ref().map(PrivateKey::to_pem).transpose().map_err(Failure::failed)?;
    let certificate_pem: String = chain.iter().map(Certificate::to_pem).collect();
    let pkcs12 = match (key, pkcs12) {
        (Some(key), Some((name, password))) => {
            let certificates: Vec<Certificate> = chain.iter().chain([root]).cloned().collect();
            let encoded = tokio::task::spawn_blocking(move || pkcs12_file(&name, &key, &certificates, &password)).await;
            Some(encoded.map_err(Failure::failed)??)
        }
        _ => None,
    };
    let contents = Contents {
        certificate: &certificate_pem,
        key: key_pem.as_ref().map(|pem| pem.as_str()),
        pkcs12: pkcs12.as_deref(),
        root,
    };
    destination.write(&contents).map_err(Failure::failed)
}

/// The certificate of a record, then its chain; at least one.
fn read_chain(record: &Record) -> Result<Vec<Certificate>, Failure> {
    let unreadable = |error| Failure::Failed(format!("the certificate that the service answered: {error}"));
    let mut chain = vec![Certificate::from_pem(&record.certificate).map_err(unreadable)?];
    if !record.chain.is_empty() {
        chain.extend(Certificate::all_from_pem(&record.chain).map_err(unreadable)?);
    }
    Ok(chain)
}

/// The root that a chain leads to, each certificate being signed by the next.
fn root_of<'a>(certificates: &[Certificate], roots: &'a [Certificate]) -> Result<&'a Certificate, Failure> {
    let leads_to = |root: &Certificate| {
        let ordered = chain::order(certificates.iter().cloned().chain([root.clone()]).collect());
        ordered.left_out.is_empty() && ordered.chain.last() == Some(root)
    };
    roots.iter().find(|root| leads_to(root)).ok_or_else(|| {
        Failure::failed("the certificate that the service answered leads to none of the roots that are trusted")
    })
}

/// The kind of key to make: as asked for, else the profile's first. Who may ask for a certificate may not always read the
/// profile; P-256 is what every shipped profile prefers.
pub(super) async fn key_type(
    service: &dyn Service,
    profile: &ProfileName,
    asked: Option<KeyType>,
) -> Result<KeyType, Failure> {
    if let Some(key_type) = asked {
        return Ok(key_type);
    }
    match service.profile(profile).await {
        Ok(profile) => {
            let first = profile.key_types.first().map(|name| name.parse());
            first.transpose().map_err(Failure::failed)?.ok_or_else(|| Failure::failed("the profile takes no key"))
        }
        Err(Failure::Refused(problem)) if matches!(problem.status, 401 | 403) => Ok(KeyType::P256),
        Err(failure) => Err(failure),
    }
}

/// The folder for the files.
pub(super) fn folder(args: &OutputFileArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| Path::new(".").to_path_buf())
}

/// What is told of an issued certificate.
pub(super) fn describe(issued: &Issued) -> String {
    let certificate = &issued.certificate;
    let mut text = format!(
        "issued {} certificate {} by authority {}, valid until {}\n",
        certificate.profile, certificate.id, certificate.authority, certificate.not_after
    );
    for file in &issued.files {
        let what = match file.extension().and_then(|extension| extension.to_str()) {
            Some("key") => "private key",
            Some("p12") => "PKCS#12",
            _ if file.file_name().is_some_and(|name| name == files::ROOT_FILE) => "root certificate",
            _ => "certificate and its chain",
        };
        text.push_str(&format!("  {}  {what}\n", files::shown(file)));
    }
    text
}
