//! How a command is told which certificate: by file, id, `authority:serial` or serial.

use std::fs;
use std::path::{Path, PathBuf};

use ca_api::certificate::Certificate as Record;
use ca_api::problem::ProblemType;
use ca_core::certificate::Certificate;
use ca_core::id::CertificateId;
use ca_engine::flow::query::CertificateName;
use ca_engine::port::store::CertificateFilter;

use crate::exit::Failure;
use crate::service::{PageRequest, Service};
use crate::settings::IdentityFiles;

/// Which certificate.
#[derive(Clone, Debug)]
pub(super) enum Reference {
    /// The one in a file.
    File(Box<CertificateFile>),
    /// One on record.
    Record(CertificateName),
}

/// A file with a certificate, and what else is in it.
#[derive(Clone, Debug)]
pub(super) struct CertificateFile {
    /// Which file.
    pub(super) path: PathBuf,
    /// The first certificate in it.
    pub(super) certificate: Certificate,
    /// The others.
    pub(super) others: Vec<Certificate>,
}

impl Reference {
    /// Reads an argument. What is a file is taken as one.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.is_file() {
            return CertificateFile::read(path).map(|file| Self::File(Box::new(file)));
        }
        let name = read_name(text).ok_or_else(|| {
            Failure::Usage(format!(
                "`{text}` names no certificate: there is no such file, and it is no id, no AUTHORITY:SERIAL and no serial number"
            ))
        })?;
        Ok(Self::Record(name))
    }

    /// The certificate on record.
    pub(super) async fn record(&self, service: &dyn Service) -> Result<Record, Failure> {
        match self {
            Self::Record(name) => service.certificate(name).await,
            Self::File(file) => file.record(service).await,
        }
    }
}

impl CertificateFile {
    /// Reads PEM or DER.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let octets = fs::read(path).map_err(|error| Failure::of_file(path, error))?;
        let mut certificates = read_certificates(&octets).map_err(|error| Failure::of_file(path, error))?.into_iter();
        let certificate = certificates.next().ok_or_else(|| Failure::of_file(path, "there is no certificate in it"))?;
        Ok(Self { path: path.to_path_buf(), certificate, others: certificates.collect() })
    }

    /// The file of its key, which has the same name.
    pub(super) fn key_file(&self) -> PathBuf {
        self.path.with_extension("key")
    }

    /// Certificate and key, when the key is beside it.
    pub(super) fn identity(&self) -> Option<IdentityFiles> {
        let key = self.key_file();
        key.is_file().then(|| IdentityFiles { certificate: self.path.clone(), key })
    }

    /// The same certificate on record: the serial number leads to it, the fingerprint decides.
    async fn record(&self, service: &dyn Service) -> Result<Record, Failure> {
        let serial = self.certificate.serial().clone();
        let fingerprint = hex::encode(self.certificate.fingerprint_sha256());
        let not_on_record =
            || Failure::Failed(format!("the certificate in {} is not on record there", self.path.display()));
        match service.certificate(&CertificateName::BareSerial(serial.clone())).await {
            Ok(record) if record.fingerprint_sha256 == fingerprint => Ok(record),
            Ok(_) => Err(not_on_record()),
            Err(failure) if failure.is(ProblemType::NotFound) => Err(not_on_record()),
            Err(failure) if failure.is(ProblemType::AmbiguousSerial) => {
                let filter = CertificateFilter { serial: Some(serial), ..CertificateFilter::all(super::now()) };
                let page = PageRequest { limit: ca_api::page::DEFAULT_LIMIT, cursor: None };
                let candidates = service.certificates(&filter, page).await?.items;
                candidates.into_iter().find(|record| record.fingerprint_sha256 == fingerprint).ok_or_else(not_on_record)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// The certificates in PEM, or the one in DER.
pub(super) fn read_certificates(octets: &[u8]) -> Result<Vec<Certificate>, ca_core::certificate::CertificateError> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.contains("-----BEGIN ") => Certificate::all_from_pem(text),
        _ => Certificate::from_der(octets).map(|certificate| vec![certificate]),
    }
}

/// The name of a certificate that an answer told.
pub(super) fn name_of(record: &Record) -> Result<CertificateName, Failure> {
    let id: CertificateId =
        record.id.parse().map_err(|_| Failure::failed("the service answered an id that is none"))?;
    Ok(CertificateName::Id(id))
}

/// A certificate that is named and not a file.
pub(super) fn read_name(text: &str) -> Option<CertificateName> {
    if let Ok(id) = text.parse() {
        return Some(CertificateName::Id(id));
    }
    // A serial number may be written with colons too; an authority's id is none of its octets then.
    if let Ok(serial) = text.parse() {
        return Some(CertificateName::BareSerial(serial));
    }
    let (authority, serial) = text.split_once(':')?;
    Some(CertificateName::Serial(authority.parse().ok()?, serial.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_serials_and_both_with_an_authority() {
        let id = "0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21";
        assert!(matches!(read_name(id), Some(CertificateName::Id(read)) if read.to_string() == id));
        for serial in ["4b1f0a77", "4B:1F:0A:77"] {
            assert!(
                matches!(read_name(serial), Some(CertificateName::BareSerial(read)) if read.to_string() == "4b1f0a77")
            );
        }
        assert!(matches!(
            read_name("tls:4b1f0a77"),
            Some(CertificateName::Serial(authority, serial)) if authority.as_str() == "tls" && serial.to_string() == "4b1f0a77"
        ));
        for text in ["", "cliente.crt", "tls:", "x:y:z"] {
            assert!(read_name(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_file_is_taken_as_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("root.crt");
        fs::write(&path, include_str!("../testdata/root.pem")).expect("written");
        let reference = Reference::read(path.to_str().expect("UTF-8")).expect("read");
        let Reference::File(file) = reference else { panic!("{reference:?}") };
        assert_eq!(file.key_file(), folder.path().join("root.key"));
        assert!(file.identity().is_none());
        fs::write(&path, file.certificate.der()).expect("written");
        assert!(matches!(Reference::read(path.to_str().expect("UTF-8")), Ok(Reference::File(_))));
        let failure = Reference::read("absent.crt").expect_err("absent");
        assert!(matches!(failure, Failure::Usage(_)));
    }
}
