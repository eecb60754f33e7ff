//! Lists of ours read by decoders that others wrote, each rule of the lint broken once, and lists made by openssl.

mod lint;
mod parse;
mod writer;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;
use crate::key::PublicKey;
use crate::serial::Serial;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);
const KEY_IDENTIFIER: [u8; 20] = [0xa5; 20];

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect(text)
}

fn serial(text: &str) -> Serial {
    text.parse().expect(text)
}

fn issuer() -> DistinguishedName {
    DistinguishedName::from_rfc4514("CN=Example TLS CA,OU=Two,OU=One,O=Example,C=BR").expect("a name")
}

fn template() -> CrlTemplate {
    CrlTemplate {
        issuer: issuer(),
        authority_key_identifier: KEY_IDENTIFIER.to_vec(),
        signature_algorithm: SignatureAlgorithm::Ed25519,
        this_update: NOW,
        next_update: Timestamp::from_unix_seconds(NOW.unix_seconds() + 7 * 86_400),
        number: 300,
        base_number: None,
        issuing_distribution_point: None,
        freshest_crl: None,
        expired_certs_on_crl: None,
    }
}

fn delta_template() -> CrlTemplate {
    CrlTemplate { base_number: Some(299), ..template() }
}

fn entry(serial_text: &str) -> CrlEntry {
    CrlEntry { serial: serial(serial_text), revoked_at: NOW, reason: None, invalidity_date: None }
}

fn write(template: CrlTemplate, entries: &[CrlEntry]) -> CrlTbs {
    let mut writer = CrlWriter::new(template).expect("times that can be written");
    for entry in entries {
        writer.push(entry).expect("in order");
    }
    writer.finish().expect("times that can be written")
}

/// Lints as the authority of [`template`].
fn lint(crl: CrlTbs) -> Result<LintedCrl, Vec<crate::lint::Finding>> {
    let issuer = issuer();
    let context = CrlContext {
        issuer: &issuer,
        key_identifier: &KEY_IDENTIFIER,
        signature_algorithm: SignatureAlgorithm::Ed25519,
        previous: None,
    };
    lint_crl(crl, &context)
}

/// A key whose signatures need no randomness.
fn signing_key() -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets");
    let mut spki = hex::decode("302a300506032b6570032100").expect("hexadecimal");
    spki.extend_from_slice(pair.public_key().as_ref());
    (pair, PublicKey::from_spki_der(&spki).expect("a sound key"))
}

fn sign(crl: LintedCrl) -> Vec<u8> {
    let octets = signing_key().0.sign(crl.to_be_signed()).as_ref().to_vec();
    assemble(crl, &Signature { algorithm: SignatureAlgorithm::Ed25519, octets }).expect("the algorithm it names")
}
