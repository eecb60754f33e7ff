//! Requests and responses made by openssl, ours read back, each refusal, and no panic on any octets.

mod client;
mod requests;
mod responses;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::pem;
use crate::serial::Serial;
use crate::time::Timestamp;

/// The DER of a file of `testdata`.
macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/", $name, ".der")).as_slice()
    };
}
use testdata;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect(text)
}

fn serial(text: &str) -> Serial {
    text.parse().expect(text)
}

fn certificate_der(text: &str) -> Vec<u8> {
    pem::decode_all("CERTIFICATE", text).expect("PEM").remove(0)
}

/// Name and key of the issuer of `testdata`.
fn issuer() -> (DistinguishedName, PublicKey) {
    let der = certificate_der(include_str!("../testdata/issuer.pem"));
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    let name = DistinguishedName::from_der(certificate.subject().as_raw()).expect("a name");
    (name, PublicKey::from_spki_der(certificate.public_key().raw).expect("a key"))
}

fn identity() -> IssuerIdentity {
    let (name, key) = issuer();
    IssuerIdentity::new(name.as_der(), key.subject_public_key())
}
