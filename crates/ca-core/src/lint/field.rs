//! Rules of the basic fields (RFC 5280 §4.1) and of the encoding as a whole.

use x509_parser::certificate::TbsCertificate;
use x509_parser::prelude::FromDer;

use super::inspection::Inspection;
use super::rule::{Rule, ensure, rules};
use crate::der_time::is_utc_time;
use crate::tlv::{self, Element, tag};

pub(super) const RULES: &[Rule] = rules![
    version_is_3 => "RFC 5280 §4.1.2.1",
    serial_is_positive => "RFC 5280 §4.1.2.2",
    serial_has_at_most_20_octets => "RFC 5280 §4.1.2.2",
    serial_has_64_bits => "CA/Browser Forum BR §7.1",
    signature_algorithm_is_the_issuers => "RFC 5280 §4.1.2.3",
    validity_is_in_whole_seconds_utc => "RFC 5280 §4.1.2.5",
    validity_is_utc_time_through_2049 => "RFC 5280 §4.1.2.5",
    validity_is_in_order => "RFC 5280 §4.1.2.5",
    public_key_is_the_accepted_one => "RFC 5280 §4.1.2.7",
    unique_identifiers_are_absent => "RFC 5280 §4.1.2.8",
    another_parser_reads_the_same => "RFC 5280 §4.1",
];

fn version_is_3(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.view.version == Some(&[2]), || "the version is not 3, though there are extensions".to_owned())
}

fn serial_is_positive(seen: &Inspection<'_>) -> Result<(), String> {
    let positive = tlv::unsigned(seen.view.serial).is_ok_and(|magnitude| magnitude != [0]);
    ensure(positive, || format!("the serial number {} is not a positive INTEGER", hex::encode(seen.view.serial)))
}

fn serial_has_at_most_20_octets(seen: &Inspection<'_>) -> Result<(), String> {
    let octets = seen.view.serial.len();
    ensure(octets <= 20, || format!("the serial number has {octets} octets, 20 are allowed"))
}

fn serial_has_64_bits(seen: &Inspection<'_>) -> Result<(), String> {
    // A random number of 64 bits or more has a zero top octet once in 256 times, ours never: `Serial::from_random`.
    let octets = tlv::unsigned(seen.view.serial).map_or(0, <[u8]>::len);
    ensure(octets >= 8, || format!("the serial number has {octets} octets: too few for 64 random bits"))
}

fn signature_algorithm_is_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.view.signature_algorithm == seen.algorithm.identifier_der(), || {
        format!("the certificate does not name {}, which its issuer signs with", seen.algorithm.as_str())
    })
}

fn validity_is_in_whole_seconds_utc(seen: &Inspection<'_>) -> Result<(), String> {
    seen.validity.as_ref().map(|_| ()).map_err(|error| format!("{error}: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ is right"))
}

fn validity_is_utc_time_through_2049(seen: &Inspection<'_>) -> Result<(), String> {
    let misplaced = |time: &Element<'_>| {
        time.tag == tag::GENERALIZED_TIME && time.content.try_into().is_ok_and(|digits: &[u8; 15]| is_utc_time(digits))
    };
    ensure(!misplaced(&seen.view.not_before) && !misplaced(&seen.view.not_after), || {
        "a time through 2049 is written as GeneralizedTime; UTCTime is right".to_owned()
    })
}

fn validity_is_in_order(seen: &Inspection<'_>) -> Result<(), String> {
    let Ok(validity) = &seen.validity else { return Ok(()) };
    ensure(validity.not_before < validity.not_after, || {
        format!("the validity begins at {} and ends at {}", validity.not_before, validity.not_after)
    })
}

fn public_key_is_the_accepted_one(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.view.public_key == seen.context.public_key.spki_der(), || {
        "the SubjectPublicKeyInfo is not the key that was checked and accepted".to_owned()
    })
}

fn unique_identifiers_are_absent(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(!seen.view.unique_identifiers, || {
        "issuerUniqueID or subjectUniqueID is there; nobody may write them".to_owned()
    })
}

/// Our own reader might share a mistake with our own encoder; this one shares no code with either.
fn another_parser_reads_the_same(seen: &Inspection<'_>) -> Result<(), String> {
    let (rest, tbs) = TbsCertificate::from_der(seen.view.whole).map_err(|error| format!("x509-parser: {error}"))?;
    ensure(rest.is_empty(), || format!("x509-parser leaves {} octets unread", rest.len()))?;
    let validity = seen.validity.as_ref().ok();
    let times = validity.map(|validity| (validity.not_before.unix_seconds(), validity.not_after.unix_seconds()));
    let same_extensions = tbs.extensions().len() == seen.view.extensions.len()
        && tbs.extensions().iter().zip(&seen.view.extensions).all(|(theirs, ours)| {
            theirs.oid.as_bytes() == ours.identifier() && theirs.critical == ours.critical && theirs.value == ours.value
        });
    for (field, same) in [
        ("serial number", tbs.raw_serial() == seen.view.serial),
        ("issuer", tbs.issuer.as_raw() == seen.view.issuer),
        ("subject", tbs.subject.as_raw() == seen.view.subject),
        ("public key", tbs.subject_pki.raw == seen.view.public_key),
        (
            "validity",
            times == Some((tbs.validity.not_before.timestamp(), tbs.validity.not_after.timestamp())) || times.is_none(),
        ),
        ("extensions", same_extensions),
    ] {
        ensure(same, || format!("x509-parser reads another {field} than we do"))?;
    }
    let unparsed = tbs.extensions().iter().find_map(|extension| extension.parsed_extension().error());
    ensure(unparsed.is_none(), || format!("x509-parser cannot read an extension: {unparsed:?}"))
}
