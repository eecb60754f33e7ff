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

/// The DER of a TBSCertList.
fn write(template: CrlTemplate, entries: &[CrlEntry]) -> Vec<u8> {
    let mut writer = CrlWriter::new(template).expect("times that can be written");
    let mut pieces = Vec::new();
    for entry in entries {
        writer.push(entry).expect("in order");
        pieces.extend(writer.take_piece());
    }
    let CrlTbs { before, after } = writer.finish().expect("times that can be written");
    [before, pieces.concat(), after].concat()
}

/// What the lint made of a list, and its octets.
#[derive(Debug)]
struct Linted {
    crl: LintedCrl,
    der: Vec<u8>,
}

/// Lints as the authority of [`template`].
fn lint(der: Vec<u8>) -> Result<Linted, Vec<crate::lint::Finding>> {
    let issuer = issuer();
    let whole = lint_in_pieces(&context(&issuer), &der, der.len().max(1));
    // However the octets come, the same is found.
    for length in [1, 7, 64] {
        let pieces = lint_in_pieces(&context(&issuer), &der, length);
        assert_eq!(pieces.as_ref().map(LintedCrl::sha256), whole.as_ref().map(LintedCrl::sha256), "{length}");
    }
    whole.map(|crl| Linted { crl, der })
}

fn context(issuer: &DistinguishedName) -> CrlContext<'_> {
    CrlContext {
        issuer,
        key_identifier: &KEY_IDENTIFIER,
        signature_algorithm: SignatureAlgorithm::Ed25519,
        previous: None,
    }
}

fn lint_in_pieces(context: &CrlContext<'_>, der: &[u8], length: usize) -> Result<LintedCrl, Vec<crate::lint::Finding>> {
    let mut lint = CrlLint::new(*context);
    der.chunks(length).for_each(|piece| lint.update(piece));
    lint.finish()
}

/// A key whose signatures need no randomness.
fn signing_key() -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets");
    let mut spki = hex::decode("302a300506032b6570032100").expect("hexadecimal");
    spki.extend_from_slice(pair.public_key().as_ref());
    (pair, PublicKey::from_spki_der(&spki).expect("a sound key"))
}

fn sign(Linted { crl, der }: Linted) -> Vec<u8> {
    let Message::Whole(message) = crl.message() else { panic!("Ed25519 signs the list itself") };
    assert_eq!(message, der, "what passed is what is signed");
    let octets = signing_key().0.sign(message).as_ref().to_vec();
    let signature = Signature { algorithm: SignatureAlgorithm::Ed25519, octets };
    let Envelope { before, after } = crl.envelope(&signature).expect("the algorithm it names");
    [before, der, after].concat()
}
