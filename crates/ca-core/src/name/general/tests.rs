//! General names against OpenSSL's encodings, their text form and arbitrary input.

use proptest::prelude::*;

use super::*;

/// `testdata/README.md` says how these were made.
const OPENSSL_NAMES: &[u8] = include_bytes!("../testdata/subject-alternative-names-openssl.der");

fn name(text: &str) -> GeneralName {
    GeneralName::parse_typed(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The names in `OPENSSL_NAMES`, in order.
fn names() -> Vec<GeneralName> {
    [
        "dns:*.example.com",
        "dns:xn--mnchen-3ya.example",
        "ip:192.0.2.1",
        "ip:2001:db8::1",
        "email:Ana@example.com",
        "uri:spiffe://example.org/ns/a",
        "upn:ana@corp.example",
        "otherName:2.16.76.1.3.1=#04200101197011122233396000000000000000000000000000000000000000000000",
        "otherName:2.16.76.1.3.4=#1303313233",
        "otherName:1.2.3.4=são",
        "dirname:CN=Ana,O=Example,C=BR",
        "rid:1.2.3.4",
    ]
    .iter()
    .map(|text| name(text))
    .collect()
}

#[test]
fn encodes_as_openssl_does() {
    assert_eq!(hex::encode(GeneralName::encode_all(&names())), hex::encode(OPENSSL_NAMES));
    assert_eq!(GeneralName::decode_all(OPENSSL_NAMES), Ok(names()));
}

#[test]
fn text_and_der_give_the_same_name_again() {
    for name in names() {
        assert_eq!(GeneralName::parse_typed(&name.to_string()), Ok(name.clone()));
        assert_eq!(GeneralName::from_type_and_value(name.type_name(), &name.value_text()), Ok(name.clone()));
        assert_eq!(GeneralName::from_der(&name.to_der()), Ok(name));
    }
}

#[test]
fn writes_types_by_their_stable_names() {
    for (given, written) in [
        ("DNS:API.example.com", "dns:api.example.com"),
        ("IP:2001:0db8:0::1", "ip:2001:db8::1"),
        ("ip:::ffff:192.0.2.1", "ip:::ffff:192.0.2.1"),
        ("Email:a@Example.com", "email:a@example.com"),
        ("URI:urn:x:y", "uri:urn:x:y"),
        ("upn:Ana@CORP.example", "upn:Ana@CORP.example"),
        ("otherName:1.3.6.1.4.1.311.20.2.3=ana@corp", "upn:ana@corp"),
        ("othername:1.3.6.1.4.1.311.20.2.3=#130161", "otherName:1.3.6.1.4.1.311.20.2.3=#130161"),
        ("otherName:1.3.6.1.4.1.311.20.2.3=#0c0161", "otherName:1.3.6.1.4.1.311.20.2.3=#0c0161"),
        ("otherName:1.2.3=a=b", "otherName:1.2.3=a=b"),
        ("otherName:1.2.3=#0c022361", "otherName:1.2.3=#0c022361"),
        ("otherName:1.2.3=#0c0161", "otherName:1.2.3=a"),
        ("otherName:1.2.3=#0c00", "otherName:1.2.3=#0c00"),
        ("dirName:CN=a,O=#130162", "directoryName:CN=a,O=#130162"),
        ("RID:1.2.3", "registeredID:1.2.3"),
    ] {
        assert_eq!(name(given).to_string(), written);
        assert_eq!(name(written), name(given));
    }
}

#[test]
fn recognises_bare_values() {
    for (text, type_name) in [
        ("192.0.2.1", "ip"),
        ("2001:db8::1", "ip"),
        ("::1", "ip"),
        ("ana@example.com", "email"),
        ("https://example.com/a", "uri"),
        ("https://ana@example.com/", "uri"),
        ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "uri"),
        ("URN:a@b", "uri"),
        ("example.com", "dns"),
        ("*.example.com", "dns"),
        ("cliente", "dns"),
    ] {
        assert_eq!(GeneralName::recognise(text).map(|name| name.type_name()), Ok(type_name), "{text}");
        assert_eq!(GeneralName::parse(text), GeneralName::recognise(text));
    }
    assert_eq!(GeneralName::parse("rid:1.2.3"), Ok(name("rid:1.2.3")));
    for text in ["", "a b", "10.0.0.0/8", "999.1.1.1", "[::1]", "fe80::1%eth0", "mailto:x", "é@x", "a:b"] {
        assert!(GeneralName::recognise(text).is_err(), "{text:?}");
    }
}

#[test]
fn refuses_what_is_no_name_of_its_type() {
    for text in [
        "",
        "example.com",
        ":x",
        "dns:",
        "dns:a b",
        "ip:",
        "ip:1.2.3",
        "ip:01.2.3.4",
        "ip:10.0.0.0/8",
        "ip:[::1]",
        "ip:::1%eth0",
        "email:a",
        "uri:a",
        "upn:",
        "upn:a",
        "upn:@b",
        "upn:a@",
        "upn:a@b@c",
        "upn:a b@c",
        "upn:a@*.example",
        "upn:a@b_c",
        "otherName:",
        "otherName:1.2.3",
        "otherName:1.2.3=",
        "otherName:x=a",
        "otherName:1.2.3=#",
        "otherName:1.2.3=#0",
        "otherName:1.2.3=#0c0261",
        "otherName:1.2.3=#0c016100",
        "otherName:1.2.3=#30020c01",
        "otherName:1.2.3=a\u{202e}",
        "otherName:1.3.6.1.4.1.311.20.2.3=a",
        "otherName:1.2.4294967296=a",
        "dirname:",
        "dirname:CN",
        "rid:",
        "rid:9.9",
        "rid:1.2.",
        "rid:1.2.03",
        "rid:1.2.4294967299",
        "x400:a",
        "san:a",
    ] {
        assert!(GeneralName::parse_typed(text).is_err(), "{text:?}");
    }
    let unknown = GeneralName::parse_typed("host:a").expect_err("refused");
    assert!(unknown.why.contains("dns ip email"));
}

#[test]
fn errors_never_quote_the_value_of_an_other_name() {
    for text in
        ["otherName:2.16.76.1.3.1=#11122233396", "otherName:2.16.76.1.3.1=11122233396\u{1}", "otherName:11122233396"]
    {
        let error = GeneralName::parse_typed(text).expect_err("refused").to_string();
        assert!(!error.contains("11122233396"), "{error}");
    }
}

#[test]
fn refuses_der_that_is_no_name() {
    for (hex_der, why) in [
        ("", "nothing"),
        ("8200", "an empty dNSName"),
        ("8203 612062", "a blank"),
        ("8203 61c3a9", "not ASCII"),
        ("8205 6100622e63", "NUL"),
        ("8201 61 00", "trailing octet"),
        ("a203 160161", "constructed dNSName"),
        ("8703 010203", "an address of 3 octets"),
        ("8708 0a000000ff000000", "an address with a mask"),
        ("8710 0000", "cut off"),
        ("8800", "an empty registeredID"),
        ("8803 2a8003", "an identifier that is not in shortest form"),
        ("a300", "x400Address"),
        ("a505 a1030c0161", "ediPartyName"),
        ("a402 3000", "an empty directoryName"),
        ("840e 300c 310a 3008 0603550403 0c0161", "a primitive directoryName"),
        ("a008 0603 2a0304 a001 00", "an otherName whose value is cut off"),
        ("a007 0603 2a0304 a000", "an otherName without value"),
        ("a008 0603 2a0304 0c0161", "an otherName whose value is not tagged"),
        ("a00c 0603 2a0304 a005 0c0161 0500", "an otherName of two values"),
        ("a00a 0603 2a0304 a003 0c01ff", "an otherName that is not UTF-8"),
        ("a900", "no such choice"),
    ] {
        let der = hex::decode(hex_der.replace(' ', "")).expect("hexadecimal");
        assert!(GeneralName::from_der(&der).is_err(), "{why}");
        let all = crate::tlv::element(0x30, &der);
        assert!(GeneralName::decode_all(&all).is_err(), "{why}");
    }
    assert!(GeneralName::decode_all(&GeneralName::encode_all(&[])).is_err());
    let many = vec![name("dns:example.com"); 6000];
    assert!(GeneralName::decode_all(&GeneralName::encode_all(&many)).expect_err("too long").why.contains("65536"));
}

fn any_name() -> impl Strategy<Value = GeneralName> {
    prop_oneof![
        "[a-z][a-z0-9]{0,5}(\\.[a-z]{1,5}){0,3}".prop_map(|text| name(&format!("dns:{text}"))),
        any::<IpAddr>().prop_map(GeneralName::Ip),
        "[a-z.]{0,3}[a-z]@[a-z]{1,9}"
            .prop_filter_map("a mailbox", |text| GeneralName::parse_typed(&format!("email:{text}")).ok()),
        "urn:[a-z:]{1,9}".prop_map(|text| name(&format!("uri:{text}"))),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|octets| GeneralName::Other {
            type_id: crate::oid::USER_PRINCIPAL_NAME,
            value: crate::tlv::element(0x04, &octets),
        }),
        "\\PC{0,20}".prop_map(|text| GeneralName::Other {
            type_id: crate::oid::ICP_BRASIL_OTHER_NAMES,
            value: crate::tlv::element(0x0c, text.as_bytes()),
        }),
        "\\PC{1,20}".prop_filter_map("a name", |text| {
            DistinguishedName::builder().common_name(&text).build().ok().map(GeneralName::Directory)
        }),
        (0_u32..40, any::<u32>()).prop_filter_map("an identifier", |(second, third)| {
            GeneralName::parse_typed(&format!("rid:1.{second}.{third}")).ok()
        }),
    ]
}

proptest! {
    #[test]
    fn names_survive_text_and_der(names in proptest::collection::vec(any_name(), 1..6)) {
        for name in &names {
            prop_assert_eq!(&GeneralName::parse_typed(&name.to_string()), &Ok(name.clone()));
            prop_assert_eq!(&GeneralName::from_der(&name.to_der()), &Ok(name.clone()));
        }
        prop_assert_eq!(GeneralName::decode_all(&GeneralName::encode_all(&names)), Ok(names));
    }

    #[test]
    fn arbitrary_octets_never_panic(der in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = GeneralName::decode_all(&der);
        let _ = GeneralName::from_der(&der);
    }

    #[test]
    fn mutated_names_never_panic_and_keep_their_text(position in 0..OPENSSL_NAMES.len(), octet: u8) {
        let mut der = OPENSSL_NAMES.to_vec();
        der[position] = octet;
        for name in GeneralName::decode_all(&der).unwrap_or_default() {
            prop_assert_eq!(GeneralName::parse_typed(&name.to_string()), Ok(name));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(kind in "(dns|ip|email|uri|upn|otherName|dirname|rid|)", text in "\\PC{0,40}") {
        if let Ok(name) = GeneralName::parse(&format!("{kind}:{text}")) {
            prop_assert_eq!(GeneralName::parse(&name.to_string()), Ok(name));
        }
        let _ = GeneralName::recognise(&text);
    }
}
