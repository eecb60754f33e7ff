//! The status of a certificate as a relying party learns it: OCSP asked over HTTP, and the CRL of its issuer.
//!
//! Answers are believed only after their signature was verified.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use ca_api::certificate::Certificate as WireCertificate;
use ca_core::certificate::Certificate;
use ca_core::ocsp::{CertId, CertIdHash, CertStatus, IssuerIdentity, ParsedResponse, request};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use reqwest::Method;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::client::{Answer, Client, eventually, send};
use crate::stack::PATIENCE;
use crate::tools::run;

/// A certificate, by its serial number, and its issuer, as relying parties know them.
pub struct Subject {
    serial: Serial,
    issuer: Certificate,
}

impl Subject {
    /// From an answer of the API, whose chain begins with the issuer.
    pub fn of(certificate: &WireCertificate) -> anyhow::Result<Self> {
        Self::from_pem(&certificate.certificate, &certificate.chain)
    }

    /// From a certificate and a chain that begins with its issuer.
    pub fn from_pem(certificate: &str, chain: &str) -> anyhow::Result<Self> {
        let first = |pem: &str| Certificate::all_from_pem(pem)?.into_iter().next().context("no certificate");
        let issuer = first(chain).context("the chain is empty")?;
        Ok(Self::numbered(first(certificate)?.serial().clone(), issuer))
    }

    /// A serial number of an issuer; whether there is a certificate of that number is for the service to say.
    pub fn numbered(serial: Serial, issuer: Certificate) -> Self {
        Self { serial, issuer }
    }

    /// The OCSP request about it, with a CertID of this hash and without a nonce.
    pub fn ocsp_request(&self, hash: CertIdHash) -> Vec<u8> {
        request::encode(&[CertId::new(hash, &self.issuer_identity(), &self.serial)], None)
    }

    /// The same with a CertID of SHA-256 and this nonce.
    pub fn ocsp_request_with_nonce(&self, nonce: &[u8; 32]) -> Vec<u8> {
        request::encode(&[CertId::new(CertIdHash::Sha256, &self.issuer_identity(), &self.serial)], Some(nonce))
    }

    /// Asks OCSP by POST, and again while the answer is `tryLater`: a replica that could not look at the record for three seconds, on
    /// a machine that has other work, says so.
    pub async fn ask_ocsp(&self, public: &Client) -> anyhow::Result<CertStatus> {
        eventually(PATIENCE, "OCSP says more than tryLater", || async {
            match self.ask_ocsp_once(public).await {
                Err(error) if is_try_later(&error) => Ok(None),
                answer => answer.map(Some),
            }
        })
        .await
    }

    /// Asks OCSP by POST. `tryLater` is an error ([`is_try_later`]).
    pub async fn ask_ocsp_once(&self, public: &Client) -> anyhow::Result<CertStatus> {
        let asked = public.request(Method::POST, "/ocsp").header("content-type", "application/ocsp-request");
        let answer = send(asked.body(self.ocsp_request(CertIdHash::Sha1))).await?.expect(200)?;
        self.read_ocsp(&answer)
    }

    /// What an OCSP answer says about it; fails unless the answer is signed by who may, and current.
    pub fn read_ocsp(&self, answer: &Answer) -> anyhow::Result<CertStatus> {
        let media_type = answer.header("content-type");
        ensure!(media_type == "application/ocsp-response", "not an OCSP response but {media_type}");
        let response = match ParsedResponse::from_der(&answer.body)? {
            ParsedResponse::Answered(response) => response,
            ParsedResponse::Failed(error) => bail!("OCSP refused: {error:?}"),
        };
        let now = now()?;
        response.verify(self.issuer.subject(), self.issuer.public_key(), now)?;
        let single = response
            .find(&self.issuer_identity(), &self.serial)
            .context("the OCSP response speaks of another certificate")?;
        ensure!(single.is_current(now), "the OCSP response is not current: {single:?}");
        Ok(single.status)
    }

    /// Whether a CRL of its issuer lists it; fails unless the issuer signed the list.
    pub fn is_listed(&self, crl_der: &[u8]) -> anyhow::Result<bool> {
        let (rest, list) = CertificateRevocationList::from_der(crl_der).context("not a CRL")?;
        ensure!(rest.is_empty(), "something follows the CRL");
        let (_, issuer) = X509Certificate::from_der(self.issuer.der()).context("not a certificate")?;
        ensure!(list.issuer() == issuer.subject(), "the CRL is another issuer's");
        list.verify_signature(issuer.public_key()).context("the issuer did not sign the CRL")?;
        let serial = self.serial.as_bytes();
        // x509-parser gives the octets of the INTEGER: with a zero in front where the number would be negative.
        let without_zeros = |octets: &[u8]| octets.iter().copied().skip_while(|octet| *octet == 0).collect::<Vec<u8>>();
        Ok(list.iter_revoked_certificates().any(|entry| without_zeros(entry.raw_serial()) == without_zeros(serial)))
    }

    fn issuer_identity(&self) -> IssuerIdentity {
        IssuerIdentity::new(self.issuer.subject().as_der(), self.issuer.public_key().subject_public_key())
    }
}

/// Whether an answer to an OCSP request was `tryLater`.
pub fn is_try_later(error: &anyhow::Error) -> bool {
    error.to_string().contains("OCSP refused: TryLater")
}

/// What openssl's OCSP client is told of a serial number (hexadecimal): `good`, `revoked` or `unknown`; `None` when nobody answers
/// or the answer is `tryLater`. `folder` holds `issuer.pem`, and `trust.pem` with the chain up to the root.
pub fn openssl_ocsp(url: &str, serial: &str, folder: &Path) -> anyhow::Result<Option<String>> {
    let (url, serial) = (format!("{url}/ocsp"), format!("0x{serial}"));
    let arguments =
        ["ocsp", "-issuer", "issuer.pem", "-serial", &serial, "-CAfile", "trust.pem", "-url", &url, "-no_nonce"];
    let said = run("openssl", arguments, folder)?.all();
    if ["trylater", "Error querying OCSP responder", "Error connecting"].iter().any(|silence| said.contains(silence)) {
        return Ok(None);
    }
    ensure!(said.contains("Response verify OK"), "{said}");
    let status = said.lines().find_map(|line| line.strip_prefix(&serial)?.strip_prefix(": ")).context("no status")?;
    Ok(Some(status.to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "a relying party judges by the wall clock")]
fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Timestamp::from_unix_seconds(i64::try_from(since.as_secs()).context("the clock is far ahead")?))
}
