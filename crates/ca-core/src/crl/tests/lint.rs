use super::*;
use crate::extension;
use crate::tlv::{self, tag};

/// The parts of a TBSCertList, each of which a test can spoil.
struct Parts {
    version: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    this_update: Vec<u8>,
    next_update: Vec<u8>,
    /// The content of revokedCertificates.
    revoked: Option<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
}

fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::append(&mut der, tag, content);
    der
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(tag::SEQUENCE, &parts.concat())
}

fn extension_of(identifier: &ObjectIdentifier, critical: bool, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    extension::append(&mut der, identifier, critical, |out| out.extend_from_slice(content));
    der
}

fn key_identifier() -> Vec<u8> {
    extension_of(&AUTHORITY_KEY_IDENTIFIER, false, &sequence(&[&value(0x80, &KEY_IDENTIFIER)]))
}

fn number(content: &[u8]) -> Vec<u8> {
    extension_of(&CRL_NUMBER, false, &value(tag::INTEGER, content))
}

fn delta(base: &[u8]) -> Vec<u8> {
    extension_of(&DELTA_CRL_INDICATOR, true, &value(tag::INTEGER, base))
}

fn uri_name(uri: &[u8]) -> Vec<u8> {
    value(0xa0, &value(0xa0, &value(0x86, uri)))
}

/// An entry with a serial's content, a time and the content of its extensions.
fn raw_entry(serial: &[u8], time: &[u8], extensions: Option<&[u8]>) -> Vec<u8> {
    let extensions = extensions.map(|content| value(tag::SEQUENCE, content)).unwrap_or_default();
    sequence(&[&value(tag::INTEGER, serial), time, &extensions])
}

fn reason(code: u8) -> Vec<u8> {
    extension_of(&CRL_REASON, false, &value(tag::ENUMERATED, &[code]))
}

const TODAY: &[u8] = b"\x17\x0d261120120000Z";
const TOMORROW: &[u8] = b"\x17\x0d261121120000Z";
const URI: &[u8] = b"http://pki.example.org/crl/tls/7.crl";

impl Parts {
    fn sound() -> Self {
        Self {
            version: vec![2, 1, 1],
            algorithm: SignatureAlgorithm::Ed25519.identifier_der().to_vec(),
            issuer: issuer().as_der().to_vec(),
            this_update: TODAY.to_vec(),
            next_update: TOMORROW.to_vec(),
            revoked: Some(raw_entry(&[7], TODAY, Some(&reason(1)))),
            extensions: vec![key_identifier(), number(&[1, 44])],
        }
    }

    fn lint(&self) -> Vec<crate::lint::Finding> {
        let revoked = self.revoked.as_ref().map(|content| value(tag::SEQUENCE, content)).unwrap_or_default();
        let extensions = value(0xa0, &value(tag::SEQUENCE, &self.extensions.concat()));
        let fields =
            [&self.version, &self.algorithm, &self.issuer, &self.this_update, &self.next_update, &revoked, &extensions];
        let der = value(tag::SEQUENCE, &fields.map(Vec::as_slice).concat());
        lint(der).err().unwrap_or_default()
    }
}

/// Spoils a sound list and expects that this rule, and no other, finds it.
#[track_caller]
fn breaks(rule: &str, spoil: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::sound();
    spoil(&mut parts);
    let found = parts.lint();
    let rules: Vec<&str> = found.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [rule], "{found:?}");
    assert!(found.iter().all(|finding| !finding.detail.is_empty() && finding.clause.contains('§')));
}

#[test]
fn the_list_that_the_tests_spoil_is_faultless() {
    assert_eq!(Parts::sound().lint(), []);
}

#[test]
fn octets_that_are_no_list() {
    breaks("crl_is_der", |parts| parts.version = vec![1, 1, 0]);
    breaks("crl_is_der", |parts| parts.this_update = b"\x17\x0b2611201200Z".to_vec());
    breaks("crl_is_der", |parts| parts.extensions.push(number(&[5])));
    breaks("crl_is_der", |parts| parts.revoked = Some(vec![0x30, 0x80]));
    breaks("crl_is_der", |parts| parts.revoked = Some(raw_entry(&[7], &[5, 0], None)));
    breaks("crl_is_der", |parts| {
        parts.revoked = Some(raw_entry(&[7], TODAY, Some(&[reason(1), reason(1)].concat())));
    });
}

#[test]
fn versions_other_than_2() {
    breaks("version_is_2", |parts| parts.version = Vec::new());
    breaks("version_is_2", |parts| parts.version = vec![2, 1, 0]);
}

#[test]
fn an_algorithm_that_is_not_the_authority_s() {
    breaks("signature_algorithm_is_the_authority_s", |parts| {
        parts.algorithm = SignatureAlgorithm::EcdsaSha256.identifier_der().to_vec();
    });
}

#[test]
fn an_issuer_that_is_empty_or_another() {
    breaks("issuer_is_the_authority", |parts| parts.issuer = vec![0x30, 0]);
    breaks("issuer_is_the_authority", |parts| {
        parts.issuer = DistinguishedName::from_rfc4514("CN=Other").expect("a name").as_der().to_vec();
    });
}

#[test]
fn times_in_the_wrong_form_or_order() {
    let generalized = |digits: &[u8]| value(tag::GENERALIZED_TIME, digits);
    breaks("times_are_encoded_as_asked", |parts| parts.this_update = generalized(b"20261120120000Z"));
    breaks("times_are_encoded_as_asked", |parts| parts.next_update = generalized(b"20491231235959Z"));
    breaks("next_update_comes_after_this_update", |parts| parts.next_update = TODAY.to_vec());
    breaks("next_update_comes_after_this_update", |parts| parts.next_update = Vec::new());
}

#[test]
fn an_empty_list_that_is_present() {
    breaks("revoked_certificates_is_absent_when_empty", |parts| parts.revoked = Some(Vec::new()));
}

#[test]
fn extensions_that_are_unknown_or_marked_wrong() {
    let rule = "extensions_are_known_and_marked_right";
    breaks(rule, |parts| parts.extensions.push(extension_of(&CRL_REASON, false, &[5, 0])));
    breaks(rule, |parts| parts.extensions[1] = extension_of(&CRL_NUMBER, true, &[2, 1, 9]));
    breaks(rule, |parts| parts.extensions.push(extension_of(&DELTA_CRL_INDICATOR, false, &[2, 1, 9])));
    let scope = sequence(&[&uri_name(URI)]);
    breaks(rule, |parts| parts.extensions.push(extension_of(&ISSUING_DISTRIBUTION_POINT, false, &scope)));
}

#[test]
fn a_key_that_is_not_identified() {
    let rule = "authority_key_is_identified";
    breaks(rule, |parts| drop(parts.extensions.remove(0)));
    for content in [&[][..], &[0x80, 0], &[0x80, 2, 1, 2], &[0x82, 1, 7]] {
        breaks(rule, |parts| {
            parts.extensions[0] = extension_of(&AUTHORITY_KEY_IDENTIFIER, false, &value(tag::SEQUENCE, content));
        });
    }
}

#[test]
fn a_number_that_is_missing_negative_or_long() {
    let rule = "number_is_there_and_fits";
    breaks(rule, |parts| drop(parts.extensions.remove(1)));
    breaks(rule, |parts| parts.extensions[1] = number(&[0xff]));
    breaks(rule, |parts| parts.extensions[1] = number(&[1; 21]));
}

#[test]
fn a_list_that_goes_back() {
    let issuer = issuer();
    let lint_after = |number, this_update| {
        let previous = Some(PreviousCrl { number, this_update });
        let context = CrlContext {
            issuer: &issuer,
            key_identifier: &KEY_IDENTIFIER,
            signature_algorithm: SignatureAlgorithm::Ed25519,
            previous,
        };
        lint_in_pieces(&context, &write(template(), &[]), 100).map(drop)
    };
    let later = Timestamp::from_unix_seconds(NOW.unix_seconds() + 1);
    assert_eq!(lint_after(299, NOW), Ok(()));
    for (number, this_update) in [(300, NOW), (301, NOW), (299, later)] {
        let findings = lint_after(number, this_update).expect_err("it goes back");
        assert_eq!(findings[0].rule, "list_follows_the_previous_one");
    }
}

#[test]
fn deltas_without_a_base_below_them_or_with_a_freshest_crl() {
    for base in [&[1, 44][..], &[1, 45], &[0xff], &[1; 9]] {
        breaks("base_number_is_below_the_number", |parts| parts.extensions.push(delta(base)));
    }
    breaks("delta_has_no_freshest_crl", |parts| {
        let points = sequence(&[&sequence(&[&uri_name(URI)])]);
        parts.extensions.extend([delta(&[1, 43]), extension_of(&FRESHEST_CRL, false, &points)]);
    });
}

#[test]
fn scopes_that_clients_do_not_understand() {
    let uri = uri_name(URI);
    let relative = value(0xa0, &value(0xa1, &[]));
    let contents = [
        Vec::new(),
        [&uri[..], &[0x81, 1, 0xff, 0x82, 1, 0xff]].concat(),
        [&uri[..], &[0x84, 1, 0xff]].concat(),
        [&uri[..], &[0x83, 2, 6, 0x40]].concat(),
        [&uri[..], &[0x81, 1, 1]].concat(),
        relative,
        uri_name(b"not a uri"),
        uri_name(b"http://\xff/"),
    ];
    for content in contents {
        breaks("scope_is_one_that_clients_understand", |parts| {
            let scope = value(tag::SEQUENCE, &content);
            parts.extensions.push(extension_of(&ISSUING_DISTRIBUTION_POINT, true, &scope));
        });
    }
}

#[test]
fn a_freshest_crl_that_is_no_uri() {
    for point in [vec![], uri_name(b"nowhere"), value(0xa0, &value(0xa1, &[]))] {
        breaks("freshest_crl_is_a_uri", |parts| {
            let points = sequence(&[&value(tag::SEQUENCE, &point)]);
            parts.extensions.push(extension_of(&FRESHEST_CRL, false, &points));
        });
    }
}

#[test]
fn an_expired_certificates_date_in_the_future_or_of_another_type() {
    for date in [&b"\x18\x0f20261121000000Z"[..], b"\x17\x0d260101000000Z"] {
        breaks("expired_certificates_date_lies_in_the_past", |parts| {
            parts.extensions.push(extension_of(&EXPIRED_CERTS_ON_CRL, false, date));
        });
    }
}

#[test]
fn serials_that_are_wrong_or_out_of_order() {
    for content in [&[0][..], &[0x80], &[0, 7], &[1; 21]] {
        breaks("serial_is_positive_and_short", |parts| parts.revoked = Some(raw_entry(content, TODAY, None)));
    }
    for second in [&[7][..], &[6]] {
        let both = [raw_entry(&[7], TODAY, None), raw_entry(second, TODAY, None)].concat();
        breaks("serials_ascend", |parts| parts.revoked = Some(both));
    }
}

#[test]
fn entries_with_wrong_dates() {
    breaks("revocation_date_is_encoded_as_asked", |parts| {
        parts.revoked = Some(raw_entry(&[7], b"\x18\x0f20261120120000Z", None));
    });
    breaks("revocation_date_is_not_in_the_future", |parts| {
        parts.revoked = Some(raw_entry(&[7], b"\x17\x0d261120120001Z", None));
    });
    breaks("invalidity_date_is_not_in_the_future", |parts| {
        let date = extension_of(&INVALIDITY_DATE, false, b"\x18\x0f20261120120001Z");
        parts.revoked = Some(raw_entry(&[7], TODAY, Some(&date)));
    });
}

#[test]
fn reasons_that_must_not_be_written() {
    for code in [0, 7, 8, 11, 127] {
        breaks("reason_is_one_that_a_list_may_carry", |parts| {
            parts.revoked = Some(raw_entry(&[7], TODAY, Some(&reason(code))));
        });
    }
    let mut parts = Parts::sound();
    parts.extensions.push(delta(&[1, 43]));
    parts.revoked = Some(raw_entry(&[7], TODAY, Some(&reason(8))));
    assert_eq!(parts.lint(), [], "a delta may remove");
}

#[test]
fn entry_extensions_that_are_empty_unknown_or_critical() {
    let unknown = extension_of(&ObjectIdentifier::new_unwrap("2.5.29.23"), false, &[5, 0]);
    let critical = extension_of(&CRL_REASON, true, &value(tag::ENUMERATED, &[1]));
    for content in [Vec::new(), unknown, critical] {
        breaks("entry_extensions_are_known_and_not_empty", |parts| {
            parts.revoked = Some(raw_entry(&[7], TODAY, Some(&content)));
        });
    }
}

#[test]
fn tells_every_rule_that_is_broken_once() {
    let mut parts = Parts::sound();
    parts.version = Vec::new();
    parts.revoked = Some((0..100).flat_map(|_| raw_entry(&[7], TOMORROW, Some(&reason(0)))).collect());
    let rules: Vec<&str> = parts.lint().iter().map(|finding| finding.rule).collect();
    let expected = [
        "version_is_2",
        "serials_ascend",
        "revocation_date_is_not_in_the_future",
        "reason_is_one_that_a_list_may_carry",
    ];
    assert_eq!(rules, expected);
}
