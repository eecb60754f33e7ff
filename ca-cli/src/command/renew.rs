//! `renew`: the successor of a certificate, its files in the places of the old ones.

use std::path::Path;

use ca_api::certificate::Certificate as Record;
use ca_core::certificate::Certificate;
use ca_core::key::{KeyType, PublicKey};

use super::issuance::{self, Issued, KeySource};
use super::pkcs12_password;
use super::reference::{CertificateFile, Reference, name_of};
use crate::args::RenewArgs;
use crate::exit::{Exit, Failure};
use crate::files::{Destination, FileName, Replace, shown};
use crate::key::PrivateKey;
use crate::printer::Printer;
use crate::service::{Renewal, Service};
use crate::settings::Settings;

/// Renews a certificate.
pub(super) async fn run(
    service: &dyn Service,
    reference: &Reference,
    args: &RenewArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let password = match args.pkcs12.p12 {
        true => Some(pkcs12_password(args.pkcs12.p12_password_file.as_deref(), settings).read_or_ask()?),
        false => None,
    };
    // 1. Which certificate, and where the files of its successor go.
    let record = reference.record(service).await?;
    let predecessor = Certificate::from_pem(&record.certificate).map_err(Failure::failed)?;
    let (destination, name) = destination(reference, args, &record, &predecessor)?;
    // 2. The key: a new one of the same kind, or the old one, whose possession is proved where it is at hand.
    let old_key = match (reference, args.reuse_key) {
        (Reference::File(file), true) => Some(old_key(file, &predecessor)?),
        _ => None,
    };
    let makes_key = !args.reuse_key;
    if password.is_some() && !makes_key && old_key.is_none() {
        return Err(Failure::Usage("a PKCS#12 file holds the key: name the certificate by its file".to_owned()));
    }
    let roots = service.roots().await?;
    destination.check(makes_key, password.is_some(), &roots).map_err(Failure::failed)?;
    let (key, csr) = match (&old_key, makes_key) {
        (_, true) => {
            let key_type = args.key_type.unwrap_or_else(|| predecessor.public_key().key_type());
            let (key, csr) = make(key_type, printer).await?;
            (Some(key), Some(csr))
        }
        (Some(key), false) => (None, Some(key.signing_request().map_err(Failure::failed)?)),
        (None, false) => (None, None),
    };
    let public_key: PublicKey =
        csr.as_ref().map_or_else(|| predecessor.public_key().clone(), |csr| csr.public_key().clone());
    // 3. The certificate.
    let renewal = Renewal { csr, validity: args.validity, idempotency_key: super::new_idempotency_key()? };
    let spinner = printer.spinner("asking for the certificate");
    let renewed = service.renew(&name_of(&record)?, renewal).await?;
    drop(spinner);
    // 4. Its files.
    let pkcs12 = password.map(|password| (name, password));
    let files = match (key, old_key) {
        (None, Some(old)) if pkcs12.is_some() => {
            issuance::keep(&renewed, &public_key, Some(old), pkcs12, &destination, &roots).await?
        }
        (key, _) => issuance::keep(&renewed, &public_key, key, pkcs12, &destination, &roots).await?,
    };
    let stale = destination.pkcs12_file();
    if !files.contains(&stale) && stale.exists() && matches!(reference, Reference::File(_)) {
        printer.warning(format!("{} still holds the old certificate; --p12 renews it too", shown(&stale)));
    }
    printer.result(&Issued { certificate: renewed, files }, issuance::describe)?;
    if record.status == ca_api::certificate::CertificateStatus::Active {
        printer
            .note(format!("certificate {} stays valid until {}, or until it is revoked", record.id, record.not_after));
    }
    Ok(Exit::Done)
}

async fn make(key_type: KeyType, printer: &Printer) -> Result<(PrivateKey, ca_core::csr::ParsedCsr), Failure> {
    match issuance::prepare_key(KeySource::Make(key_type), printer).await? {
        (Some(key), csr) => Ok((key, csr)),
        (None, _) => Err(Failure::failed("no key was made")),
    }
}

/// Where the files go: beside the old ones, or where the flags say. And what a PKCS#12 file lists the key as.
fn destination(
    reference: &Reference,
    args: &RenewArgs,
    record: &Record,
    predecessor: &Certificate,
) -> Result<(Destination, String), Failure> {
    let wrong = |error: crate::files::FilesError| Failure::Usage(error.to_string());
    let common_name = predecessor.subject().common_names().into_iter().next();
    let label = common_name.clone().unwrap_or_else(|| record.id.clone());
    let given = args.files.file_name.as_deref().map(FileName::given).transpose().map_err(wrong)?;
    if let (Reference::File(file), None, None) = (reference, &args.files.out, &given) {
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if file.path.extension().is_some_and(|extension| extension == "crt") {
            let folder = file.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let replace = if args.files.force { Replace::Overwrite } else { Replace::KeepOld };
            let name = FileName::given(stem).map_err(wrong)?;
            return Ok((Destination::new(folder.to_path_buf(), name, replace), label));
        }
    }
    let name = match (given, common_name) {
        (Some(given), _) => given,
        (None, Some(name)) => FileName::of_subject(&name).map_err(wrong)?,
        (None, None) => FileName::given(&record.id).map_err(wrong)?,
    };
    let folder = args.files.out.clone().unwrap_or_else(|| Path::new(".").to_path_buf());
    let replace = if args.files.force { Replace::Overwrite } else { Replace::Never };
    Ok((Destination::new(folder, name, replace), label))
}

/// The key beside a certificate's file, which must be its own.
fn old_key(file: &CertificateFile, certificate: &Certificate) -> Result<PrivateKey, Failure> {
    let path = file.key_file();
    let key = PrivateKey::from_file(&path).map_err(Failure::failed)?;
    if key.subject_public_key() != certificate.public_key().subject_public_key() {
        return Err(Failure::of_file(&path, "this is not the key of the certificate"));
    }
    Ok(key)
}
