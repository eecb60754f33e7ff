use der::asn1::{GeneralizedTime, OctetString, Uint};
use der::{Decode, Encode};
use proptest::prelude::*;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlReason, IssuingDistributionPoint as Scope};
use x509_cert::time::Time;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::*;

/// Entries of every kind, in order.
fn entries() -> Vec<CrlEntry> {
    vec![
        entry("01"),
        CrlEntry { reason: Some(EntryReason::KeyCompromise), ..entry("40aa") },
        CrlEntry { invalidity_date: Some(at("2025-06-01T00:00:00Z")), ..entry("7f") },
        CrlEntry {
            reason: Some(EntryReason::CertificateHold),
            invalidity_date: Some(at("1999-06-01T00:00:00Z")),
            ..entry("80")
        },
        CrlEntry { revoked_at: at("1980-01-01T00:00:00Z"), ..entry("8000000000000000000000000000000000000f") },
    ]
}

fn independently_read(der: &[u8]) -> CertificateList {
    CertificateList::from_der(der).expect("x509-cert reads it")
}

/// Serial content, revocation time, reason code, invalidity date.
type Decoded = (Vec<u8>, i64, Option<u8>, Option<i64>);

/// What another decoder reads.
fn decoded(list: &CertificateList) -> Vec<Decoded> {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).expect("in range");
    let revoked = list.tbs_cert_list.revoked_certificates.iter().flatten();
    revoked
        .map(|entry| {
            let value = |identifier: &str| {
                let mut all = entry.crl_entry_extensions.iter().flatten();
                all.find(|extension| extension.extn_id.to_string() == identifier).map(|e| e.extn_value.as_bytes())
            };
            let reason = value("2.5.29.21").map(|der| CrlReason::from_der(der).expect("a reason") as u8);
            let invalidity = value("2.5.29.24")
                .map(|der| seconds(GeneralizedTime::from_der(der).expect("a time").to_unix_duration()));
            let time = seconds(entry.revocation_date.to_unix_duration());
            (entry.serial_number.as_bytes().to_vec(), time, reason, invalidity)
        })
        .collect()
}

#[test]
fn others_read_what_was_written_and_write_it_again_octet_for_octet() {
    let template = CrlTemplate {
        issuing_distribution_point: Some(IssuingDistributionPoint {
            uri: Uri::parse("http://pki.example.org/crl/tls/7.crl").expect("a URI"),
            only_user: true,
            only_ca: false,
        }),
        freshest_crl: Some(Uri::parse("http://pki.example.org/crl/tls-delta.crl").expect("a URI")),
        expired_certs_on_crl: Some(at("2026-01-01T00:00:00Z")),
        ..template()
    };
    let entries = entries();
    let der = sign(lint(write(template.clone(), &entries)).expect("faultless"));

    let list = independently_read(&der);
    assert_eq!(list.to_der().expect("encodes"), der);
    let tbs = &list.tbs_cert_list;
    assert_eq!(tbs.issuer.to_der().expect("encodes"), issuer().as_der());
    assert!(matches!(tbs.this_update, Time::UtcTime(_)));
    let expected: Vec<_> = entries
        .iter()
        .map(|entry| {
            let invalidity = entry.invalidity_date.map(Timestamp::unix_seconds);
            (
                entry.serial.to_der_content(),
                entry.revoked_at.unix_seconds(),
                entry.reason.map(EntryReason::code),
                invalidity,
            )
        })
        .collect();
    assert_eq!(decoded(&list), expected);

    let extensions = tbs.crl_extensions.as_ref().expect("extensions");
    let value = |identifier: &str, critical: bool| {
        let extension = extensions.iter().find(|e| e.extn_id.to_string() == identifier).expect(identifier);
        assert_eq!(extension.critical, critical, "{identifier}");
        extension.extn_value.as_bytes()
    };
    assert_eq!(Uint::from_der(value("2.5.29.20", false)), Uint::new(&[1, 44]));
    let identifier = AuthorityKeyIdentifier::from_der(value("2.5.29.35", false)).expect("an AKI").key_identifier;
    assert_eq!(identifier.as_ref().map(OctetString::as_bytes), Some(&KEY_IDENTIFIER[..]));
    let scope = Scope::from_der(value("2.5.29.28", true)).expect("an IDP");
    assert!(scope.only_contains_user_certs && !scope.only_contains_ca_certs && !scope.indirect_crl);
    x509_cert::ext::pkix::FreshestCrl::from_der(value("2.5.29.46", false)).expect("a freshest CRL");
    GeneralizedTime::from_der(value("2.5.29.60", false)).expect("a date");
}

#[test]
fn the_signature_is_over_the_list_and_covers_it() {
    let der = sign(lint(write(template(), &entries())).expect("faultless"));
    let (rest, list) = CertificateRevocationList::from_der(&der).expect("x509-parser reads it");
    assert!(rest.is_empty());
    assert_eq!(list.iter_revoked_certificates().count(), 5);
    let parsed = ParsedCrl::from_der(der).expect("own reader");
    assert_eq!(parsed.verify(&issuer(), &signing_key().1), Ok(()));
}

#[test]
fn an_empty_list_has_no_revoked_certificates_field() {
    let der = sign(lint(write(template(), &[])).expect("faultless"));
    assert_eq!(independently_read(&der).tbs_cert_list.revoked_certificates, None);
}

#[test]
fn a_delta_names_its_base_critically_and_may_remove() {
    let removed = CrlEntry { reason: Some(EntryReason::RemoveFromCrl), ..entry("10") };
    let der = sign(lint(write(delta_template(), std::slice::from_ref(&removed))).expect("faultless"));
    let list = independently_read(&der);
    let extensions = list.tbs_cert_list.crl_extensions.as_ref().expect("extensions");
    let base = extensions.iter().find(|e| e.extn_id.to_string() == "2.5.29.27").expect("a delta indicator");
    assert!(base.critical);
    assert_eq!(Uint::from_der(base.extn_value.as_bytes()), Uint::new(&[1, 43]));
    assert_eq!(decoded(&list)[0].2, Some(8));

    let mut complete = CrlWriter::new(template()).expect("a writer");
    let refused = CrlError::RemovedFromCompleteList { serial: serial("10") };
    assert_eq!(complete.push(&removed), Err(refused));
    assert_eq!(complete.entries(), 0);
}

#[test]
fn times_from_2050_on_are_generalized() {
    let template =
        CrlTemplate { this_update: at("2050-01-01T00:00:00Z"), next_update: at("2050-02-01T00:00:00Z"), ..template() };
    let entries = [
        CrlEntry { revoked_at: at("2049-12-31T23:59:59Z"), ..entry("01") },
        CrlEntry { revoked_at: at("2050-01-01T00:00:00Z"), ..entry("02") },
    ];
    let der = sign(lint(write(template, &entries)).expect("faultless"));
    let list = independently_read(&der).tbs_cert_list;
    assert!(matches!((list.this_update, list.next_update), (Time::GeneralTime(_), Some(Time::GeneralTime(_)))));
    let times: Vec<_> = list.revoked_certificates.iter().flatten().map(|entry| entry.revocation_date).collect();
    assert!(matches!(times[..], [Time::UtcTime(_), Time::GeneralTime(_)]));
}

#[test]
fn refuses_entries_out_of_order_and_keeps_those_it_has() {
    let mut writer = CrlWriter::new(template()).expect("a writer");
    writer.push(&entry("20")).expect("the first");
    for late in ["20", "10", "1fff"] {
        assert_eq!(writer.push(&entry(late)), Err(CrlError::NotAscending { serial: serial(late) }));
    }
    let out_of_range = at("1949-12-31T23:59:59Z");
    let error = writer.push(&CrlEntry { invalidity_date: Some(out_of_range), ..entry("30") });
    assert_eq!(error, Err(crate::der_time::TimeOutOfRange { instant: out_of_range }.into()));
    writer.push(&entry("2000")).expect("after 20 in octet order");
    let CrlTbs { before, after } = writer.finish().expect("a list");
    let linted = lint([before, after].concat()).expect("faultless: the refused ones left no trace");
    assert_eq!(linted.crl.entries(), 2);
}

#[test]
fn refuses_a_signature_by_another_algorithm() {
    let signature = Signature { algorithm: SignatureAlgorithm::EcdsaSha256, octets: vec![0; 64] };
    let linted = lint(write(template(), &[])).expect("faultless");
    assert_eq!(
        linted.crl.envelope(&signature),
        Err(CrlError::OtherAlgorithm { named: SignatureAlgorithm::Ed25519, signed: SignatureAlgorithm::EcdsaSha256 })
    );
}

/// Dated anew while entries are there, also into the years that GeneralizedTime names: the octets are those of a list that was
/// dated so from the beginning.
#[test]
fn a_list_can_be_dated_anew_at_any_length() {
    for (this_update, next_update) in [
        (NOW, at("2049-12-31T23:59:59Z")),
        (NOW, at("2050-01-01T00:00:00Z")),
        (at("2050-01-01T00:00:00Z"), at("2051-01-01T00:00:00Z")),
    ] {
        let dated = CrlTemplate { this_update, next_update, ..template() };
        for entries in [vec![], vec![entry("01"), entry("02")]] {
            let mut writer = CrlWriter::new(template()).expect("times that can be written");
            entries.iter().for_each(|entry| writer.push(entry).expect("in order"));
            writer.set_times(this_update, next_update).expect("times that can be written");
            let CrlTbs { before, after } = writer.finish().expect("times that can be written");
            assert_eq!([before, after].concat(), write(dated.clone(), &entries));
        }
    }
    let mut writer = CrlWriter::new(template()).expect("times that can be written");
    assert!(writer.set_times(NOW, Timestamp::from_unix_millis(i64::MAX)).is_err());
    writer.push(&entry("01")).expect("as before");
    let CrlTbs { before, after } = writer.finish().expect("as before");
    assert_eq!(
        [before, after].concat(),
        write(template(), &[entry("01")]),
        "a date that cannot be written changes nothing"
    );
}

/// A list of several pieces is read by another decoder, and its number by whoever sees it pass.
#[test]
fn a_list_of_several_pieces_is_one_list() {
    let serial =
        |number: u32| Serial::from_bytes(&[&[0x40; 12][..], &number.to_be_bytes()].concat()).expect("a serial");
    let entries: Vec<_> = (0..60_000_u32).map(|number| CrlEntry { serial: serial(number), ..entry("01") }).collect();
    let der = write(template(), &entries);
    assert!(der.len() > 2 * PIECE, "{} octets", der.len());
    let issuer = issuer();
    let crl = lint_in_pieces(&context(&issuer), &der, PIECE).expect("faultless");
    assert_eq!((crl.entries(), crl.octets(), crl.sha256()), (60_000, der.len(), crate::hash::sha256(&der)));
    let signed = sign(Linted { crl, der });
    assert_eq!(independently_read(&signed).tbs_cert_list.revoked_certificates.map(|list| list.len()), Some(60_000));
    for length in [1_000, PIECE, signed.len()] {
        let mut outline = CrlOutline::new();
        signed.chunks(length).for_each(|piece| outline.update(piece).expect("a list"));
        assert_eq!(outline.finish(), Ok(Some(vec![1, 44])));
    }
}

#[test]
fn an_outline_is_of_whole_lists_only() {
    let der = sign(lint(write(template(), &entries())).expect("faultless"));
    let outline = |octets: &[u8], length: usize| {
        let mut outline = CrlOutline::new();
        octets.chunks(length).try_for_each(|piece| outline.update(piece))?;
        outline.finish()
    };
    for length in [1, 9, 1_000] {
        assert_eq!(outline(&der, length), Ok(Some(vec![1, 44])));
        for end in 0..der.len() {
            assert!(outline(&der[..end], length).is_err(), "the first {end} octets");
        }
        assert!(outline(&[&der[..], &[0]].concat(), length).is_err());
    }
    assert_eq!(
        outline(b"no list at all, whatever it is", 1),
        Err(crate::tlv::DerError::Tag { expected: 0x30, found: b'n' })
    );
}

proptest! {
    #[test]
    fn every_list_is_read_back_as_it_was_written(
        serials in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 1..=20), 0..200),
        seconds in 0..NOW.unix_seconds(),
        reason in 0..11_u8,
        number in any::<u64>(),
    ) {
        let entries: Vec<CrlEntry> = serials
            .iter()
            .filter_map(|octets| Serial::from_bytes(octets).ok())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|serial| CrlEntry {
                serial,
                revoked_at: Timestamp::from_unix_seconds(seconds),
                reason: EntryReason::from_code(reason).filter(|reason| *reason != EntryReason::RemoveFromCrl),
                invalidity_date: (seconds % 2 == 0).then(|| Timestamp::from_unix_seconds(seconds / 2)),
            })
            .collect();
        let crl = lint(write(CrlTemplate { number, ..template() }, &entries));
        let der = sign(crl.map_err(|findings| TestCaseError::fail(format!("{findings:?}")))?);
        prop_assert_eq!(&independently_read(&der).to_der().expect("encodes"), &der);
        let parsed = ParsedCrl::from_der(der).expect("own reader");
        prop_assert_eq!(parsed.number(), Some(number));
        prop_assert_eq!(parsed.entries().collect::<Vec<_>>(), entries);
    }
}
