//! What hardware takes and gives where certificates have something else: the input of a raw RSA signature, and the two numbers
//! of an ECDSA signature side by side.

use crate::hash::MessageDigest;
use crate::key::{KeyType, SignatureAlgorithm};
use crate::tlv::{self, tag};

/// The DER of a DigestInfo (RFC 8017 §9.2, note 1), which a token pads and signs by CKM_RSA_PKCS; `None` for what is not RSA and
/// for a digest of another length than the algorithm's.
pub fn digest_info(algorithm: SignatureAlgorithm, digest: &MessageDigest) -> Option<Vec<u8>> {
    // id-sha256, id-sha384 and id-sha512 (NIST's arc 2.16.840.1.101.3.4.2), each with NULL as its parameters.
    let (last_arc, length) = match algorithm {
        SignatureAlgorithm::RsaSha256 => (1, 32),
        SignatureAlgorithm::RsaSha384 => (2, 48),
        SignatureAlgorithm::RsaSha512 => (3, 64),
        _ => return None,
    };
    let digest = Some(digest.octets()).filter(|octets| octets.len() == length)?;
    let mut der = Vec::with_capacity(19 + length);
    tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
        tlv::append_nested(out, tag::SEQUENCE, |out| {
            tlv::append(out, tag::OBJECT_IDENTIFIER, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last_arc]);
            tlv::append(out, tag::NULL, &[]);
        });
        tlv::append(out, tag::OCTET_STRING, digest);
    });
    Some(der)
}

/// The DER of an Ecdsa-Sig-Value (RFC 3279 §2.2.3) of `r` and `s` side by side, each as long as the order of the curve (PKCS #11
/// §6.3.1); `None` for another length, for a number that is zero and for a key that makes no such signatures.
pub fn ecdsa_sig_value(key_type: KeyType, raw: &[u8]) -> Option<Vec<u8>> {
    let length = match key_type {
        KeyType::P256 => 32,
        KeyType::P384 => 48,
        KeyType::P521 => 66,
        _ => return None,
    };
    let (r, s) = Some(raw).filter(|raw| raw.len() == 2 * length)?.split_at(length);
    let magnitude = |number: &'_ [u8]| number.iter().position(|octet| *octet != 0);
    let (r, s) = (&r[magnitude(r)?..], &s[magnitude(s)?..]);
    let mut der = Vec::with_capacity(raw.len() + 10);
    tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
        append_positive(out, r);
        append_positive(out, s);
    });
    Some(der)
}

/// An INTEGER of a magnitude that begins with no zero.
fn append_positive(out: &mut Vec<u8>, magnitude: &[u8]) {
    // X.690 §8.3.3: the first bit is the sign.
    let sign = usize::from(magnitude.first().is_some_and(|first| first & 0x80 != 0));
    tlv::append_header(out, tag::INTEGER, sign + magnitude.len());
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(magnitude);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prefixes that RFC 8017 §9.2, note 1, prints.
    #[test]
    fn writes_the_digest_infos_of_the_standard() {
        for (algorithm, prefix) in [
            (SignatureAlgorithm::RsaSha256, "3031300d060960864801650304020105000420"),
            (SignatureAlgorithm::RsaSha384, "3041300d060960864801650304020205000430"),
            (SignatureAlgorithm::RsaSha512, "3051300d060960864801650304020305000440"),
        ] {
            let digest = algorithm.hasher().expect("RSA signs digests").finish();
            let der = digest_info(algorithm, &digest).expect("a digest of the algorithm's length");
            assert_eq!(hex::encode(&der), format!("{prefix}{}", hex::encode(digest.octets())));
        }
        let sha384 = SignatureAlgorithm::RsaSha384.hasher().expect("RSA").finish();
        assert_eq!(digest_info(SignatureAlgorithm::RsaSha256, &sha384), None, "a digest of another length");
        assert_eq!(digest_info(SignatureAlgorithm::EcdsaSha384, &sha384), None, "no RSA");
    }

    #[test]
    fn writes_two_numbers_as_der_in_their_shortest_form() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = ecdsa_sig_value(KeyType::P256, &raw).expect("two numbers");
        // The second begins with a bit that would be its sign: 33 octets.
        assert_eq!(hex::encode(&der), format!("3026020101022100{}{}", "80", "00".repeat(31)));
        let long = ecdsa_sig_value(KeyType::P521, &[0x01; 132]).expect("two numbers");
        assert_eq!(hex::encode(&long[..5]), "3081880242", "a length of two octets");
        assert_eq!(long.len(), 3 + 2 * 68);
    }

    #[test]
    fn refuses_what_is_no_pair_of_numbers() {
        let mut raw = [1; 64];
        assert_eq!(ecdsa_sig_value(KeyType::P384, &raw), None, "of another curve");
        assert_eq!(ecdsa_sig_value(KeyType::Rsa2048, &raw), None);
        assert_eq!(ecdsa_sig_value(KeyType::P256, &raw[..63]), None);
        raw[..32].fill(0);
        assert_eq!(ecdsa_sig_value(KeyType::P256, &raw), None, "zero is no number of a signature");
    }
}
