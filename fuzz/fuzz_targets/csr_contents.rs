//! What lies behind the proof of possession: subject and attributes of a request whose signature is right.
//!
//! The input is the DER of a subject, followed by the DER of the attributes; a fixed key is put between and signs the whole.
//! Without that, a mutation would hardly ever get past the signature.
#![no_main]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ca_core::csr::ParsedCsr;
use ca_core::name::GeneralName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(subject_end) = end_of_element(data) else { return };
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets are a seed");

    let spki = sequence(&[&sequence(&[&ED25519]), &element(0x03, &[&[0], key.public_key().as_ref()])]);
    let info = sequence(&[&[0x02, 0x01, 0x00], &data[..subject_end], &spki, &data[subject_end..]]);
    let signature = key.sign(&info);
    let request = sequence(&[&info, &sequence(&[&ED25519]), &element(0x03, &[&[0], signature.as_ref()])]);

    if let Ok(csr) = ParsedCsr::from_der(&request) {
        assert_eq!(csr.subject().as_der(), &data[..subject_end], "the subject is kept byte for byte");
        for name in csr.subject_alternative_names() {
            let again = GeneralName::from_type_and_value(name.type_name(), &name.value_text());
            assert_eq!(again.as_ref(), Ok(name), "a name can be written as text and read again");
        }
    }
});

/// Where the first element ends.
fn end_of_element(der: &[u8]) -> Option<usize> {
    let (header, length) = match *der.get(1)? {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(*der.get(2)?)),
        0x82 => (4, usize::from(*der.get(2)?) << 8 | usize::from(*der.get(3)?)),
        _ => return None,
    };
    Some(header + length).filter(|&end| end <= der.len())
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, parts)
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        0x100..=0xffff => der.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => der.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}

/// id-Ed25519 (RFC 8410 §3).
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];
