//! Distinguished names against OpenSSL's encodings, RFC 4514's examples and arbitrary input.

use proptest::prelude::*;

use super::*;

/// `testdata/README.md` says how these were made.
const OPENSSL_SUBJECT: &[u8] = include_bytes!("../testdata/subject-openssl.der");
const OPENSSL_LEGACY_SUBJECT: &[u8] = include_bytes!("../testdata/subject-legacy-openssl.der");

fn name(text: &str) -> DistinguishedName {
    DistinguishedName::from_rfc4514(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> NameError {
    DistinguishedName::from_rfc4514(text).expect_err(text)
}

#[test]
fn encodes_as_openssl_does() {
    let built = DistinguishedName::builder()
        .country("BR")
        .domain_component("org")
        .domain_component("example")
        .organization("Cartório, Ltda.")
        .organizational_unit("One")
        .organizational_unit("Two")
        .rdn(&[(oid::USER_ID, "ana"), (oid::COMMON_NAME, "Ana + Eva")])
        .serial_number("42")
        .email_address("ana@example.org")
        .build()
        .expect("valid");
    assert_eq!(hex::encode(built.as_der()), hex::encode(OPENSSL_SUBJECT));
    let text = concat!(
        r"emailAddress=ana@example.org,serialNumber=42,CN=Ana \+ Eva+UID=ana,",
        r"OU=Two,OU=One,O=Cartório\, Ltda.,DC=example,DC=org,C=BR"
    );
    assert_eq!(name(text), built);
    // The SET OF is ordered by encoding: the shorter element first.
    assert_eq!(built.to_rfc4514(), text);
    assert_eq!(built.attribute_faults(), []);
}

#[test]
fn keeps_what_others_wrote_byte_for_byte() {
    let legacy = DistinguishedName::from_der(OPENSSL_LEGACY_SUBJECT).expect("valid");
    assert_eq!(legacy.as_der(), OPENSSL_LEGACY_SUBJECT);
    assert_eq!(legacy.to_rfc4514(), "CN=São,O=Acme,C=BR");
    assert_eq!(name(&legacy.to_exact_rfc4514()), legacy);
    assert!(legacy.to_exact_rfc4514().contains("O=#130441636d65"), "{legacy:?}");
    assert_eq!(legacy.attribute_faults().len(), 1, "the BMPString: {:?}", legacy.attribute_faults());
    assert!(legacy.matches(&name("CN=são,O=ACME,C=BR")));
}

#[test]
fn reads_the_examples_of_rfc_4514() {
    // RFC 4514 §4.
    for (text, attributes, written) in [
        ("UID=jsmith,DC=example,DC=net", 3, "UID=jsmith,DC=example,DC=net"),
        ("OU=Sales+CN=J.  Smith,DC=example,DC=net", 4, "OU=Sales+CN=J.  Smith,DC=example,DC=net"),
        (r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#, 3, r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#),
        (r"CN=Before\0dAfter,DC=example,DC=net", 0, ""),
        ("1.3.6.1.4.1.1466.0=#04024869", 1, "1.3.6.1.4.1.1466.0=#04024869"),
        (r"CN=Lu\C4\8Di\C4\87", 1, "CN=Lučić"),
    ] {
        match DistinguishedName::from_rfc4514(text) {
            Ok(name) => assert_eq!((name.attributes().count(), name.to_rfc4514()), (attributes, written.to_owned())),
            // A carriage return in a name: legal there, refused here.
            Err(error) => assert!(attributes == 0 && error.why.contains("U+000D"), "{text}: {error}"),
        }
    }
}

#[test]
fn reads_blanks_escapes_and_types_in_any_case() {
    assert_eq!(name(" cn = a b , o=x "), name("CN=a b,O=x"));
    assert_eq!(name("2.5.4.3=a"), name("CN=a"));
    assert_eq!(name("surname=Silva+givenName=Ana"), name("GN=Ana+SN=Silva"));
    assert_eq!(name(r"CN=\ a\ ").common_names(), [" a "]);
    assert_eq!(name(r"CN=\#1").common_names(), ["#1"]);
    assert_eq!(name(r"CN=a\=b=c").common_names(), ["a=b=c"]);
    assert_eq!(name("CN=#0c0161").common_names(), ["a"]);
    assert_eq!(name("CN=Two,CN=One").common_names(), ["One", "Two"]);
    assert!(name("").is_empty());
    assert_eq!(name(""), DistinguishedName::empty());
    let escaped = DistinguishedName::builder().common_name(r#" # "+,;<>\=x "#).build().expect("valid");
    assert_eq!(escaped.to_rfc4514(), r#"CN=\ # \"\+\,\;\<\>\\=x\ "#);
    assert_eq!(name(&escaped.to_rfc4514()), escaped);
}

#[test]
fn refuses_strings_that_are_no_names() {
    for text in [
        "CN",
        "CN=",
        "=a",
        "CN=a,",
        ",CN=a",
        "CN=a,,O=b",
        "CN=a+",
        "CN=a;O=b",
        "CN=a<b",
        "CN=\"a\"",
        r"CN=a\",
        r"CN=a\x",
        r"CN=a\4",
        r"CN=\ff",
        "CN=#",
        "CN=#0",
        "CN=#zz",
        "CN=#0c0261",
        "CN=#0c016100",
        "CN=#0c01ff",
        "CN=a+CN=b",
        "XX=a",
        "9.9=a",
        "2.5.4.=a",
        "/C=BR/CN=a",
        "CN=Silva, Ana",
        "CN=a\nb",
        r"CN=a\00b",
        "CN=a\u{202e}b",
    ] {
        assert!(DistinguishedName::from_rfc4514(text).is_err(), "{text:?}");
    }
    assert!(refused("CN=Silva, Ana").why.contains("`\\,`"));
    assert!(refused("/C=BR/CN=a").why.contains("RFC 4514"));
    assert!(refused("XX=a").why.contains("organizationIdentifier"));
}

#[test]
fn keeps_the_bounds_of_rfc_5280() {
    for (attribute, most) in
        [("CN", 64), ("O", 64), ("OU", 64), ("L", 128), ("ST", 128), ("serialNumber", 64), ("title", 64)]
    {
        assert!(DistinguishedName::from_rfc4514(&format!("{attribute}={}", "a".repeat(most))).is_ok(), "{attribute}");
        let error = refused(&format!("{attribute}={}", "a".repeat(most + 1)));
        assert_eq!((error.text.as_str(), error.why.contains("at most")), (attribute, true));
    }
    // Characters count, not octets.
    assert!(DistinguishedName::builder().common_name(&"ã".repeat(64)).build().is_ok());
    for text in ["C=B", "C=BRA", "C=br", "C=B1", "serialNumber=a_b", "DC=são", "emailAddress=ção@x", "DC="] {
        refused(text);
    }
    let long = vec!["description=".to_owned() + &"d".repeat(1000); 5].join(",");
    assert!(refused(&long).why.contains("4096"));
}

#[test]
fn errors_never_quote_values() {
    let personal = "MARIA DA SILVA:11122233396";
    for text in
        [format!("CN={personal}{}", "x".repeat(64)), format!("CN={personal}\\x"), format!("serialNumber={personal}_")]
    {
        assert!(!refused(&text).to_string().contains("11122233396"), "{text}");
    }
}

#[test]
fn refuses_octets_that_are_not_strict_der() {
    for (hex_der, why) in [
        ("", "nothing"),
        ("3000 00", "trailing octet"),
        ("3002 3100", "an RDN without attribute"),
        ("3080 0000", "indefinite length"),
        ("300c 310a 3008 0603550403 0c0161 00", "trailing octet inside"),
        ("300d 310b 3009 0603550403 0c02c328", "not UTF-8"),
        ("300d 310b 3009 0603550403 13026140", "`@` in a PrintableString"),
        ("300d 310b 3009 0603550403 0c026100", "NUL"),
        ("300b 3109 3007 0603550403 0c01", "cut off"),
        ("300c 300a 3008 0603550403 0c0161", "SEQUENCE for SET"),
        ("3016 3114 3008 060355040a 0c0161 3008 0603550403 0c0161", "SET out of order"),
        ("3016 3114 3008 0603550403 0c0161 3008 0603550403 0c0161", "twice the same"),
        ("3016 3114 3008 0603550403 0c0161 3008 0603550403 0c0162", "two values of one type"),
        ("3011 310f 300d 0603550403 3006 04ff00000000", "a nested value that is not DER"),
    ] {
        let der = hex::decode(hex_der.replace(' ', "")).expect("hexadecimal");
        assert!(DistinguishedName::from_der(&der).is_err(), "{why}");
    }
    let long = tlv_of_length(5000);
    assert!(DistinguishedName::from_der(&long).expect_err("too long").why.contains("4096"));
}

fn tlv_of_length(length: usize) -> Vec<u8> {
    crate::tlv::element(tag::SEQUENCE, &vec![0; length])
}

#[test]
fn tells_attribute_faults_of_what_others_wrote() {
    for (text, count) in [
        ("CN=#0c0161", 0),
        ("CN=#130161", 0),
        ("CN=#140161", 1),
        ("CN=#0c00", 1),
        ("CN=#020101", 1),
        ("C=#0c024252", 1),
        ("C=#13026272", 1),
        ("DC=#0c0161", 1),
        ("1.2.3=#020101", 0),
    ] {
        assert_eq!(name(text).attribute_faults().len(), count, "{text}: {:?}", name(text).attribute_faults());
    }
    let long = format!("CN=#0c41{}", "61".repeat(65));
    assert!(name(&long).attribute_faults()[0].why.contains("at most 64"));
}

#[test]
fn compares_by_rfc_5280_section_7_1() {
    assert!(name("CN=Ana  Silva,C=BR").matches(&name("CN=ana silva,C=#13024252")));
    assert!(name("OU=b+CN=a").matches(&name("CN=A+OU=B")));
    assert!(!name("CN=a,O=b").matches(&name("O=b,CN=a")));
    assert!(!name("CN=a").matches(&name("CN=a,O=b")));
    assert!(!name("CN=a+OU=b").matches(&name("CN=a,OU=b")));
    assert!(name("CN=a,O=b,C=BR").is_within(&name("o=B,C=BR")));
    assert!(name("CN=a").is_within(&name("")));
    assert!(!name("CN=a,O=bb,C=BR").is_within(&name("O=b,C=BR")));
    assert!(!name("C=BR").is_within(&name("O=b,C=BR")));
}

#[test]
fn builder_tells_its_first_fault() {
    let error = DistinguishedName::builder().country("Brazil").common_name("").build().expect_err("refused");
    assert_eq!(error.text, "C");
    assert!(DistinguishedName::builder().rdn(&[]).build().is_err());
    assert_eq!(DistinguishedName::builder().build(), Ok(DistinguishedName::empty()));
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic_and_are_kept(der in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(name) = DistinguishedName::from_der(&der) {
            prop_assert_eq!(name.as_der(), &der[..]);
        }
    }

    #[test]
    fn mutated_names_never_panic_and_have_an_exact_string(position in 0..OPENSSL_SUBJECT.len(), octet: u8) {
        let mut der = OPENSSL_SUBJECT.to_vec();
        der[position] = octet;
        if let Ok(name) = DistinguishedName::from_der(&der) {
            let text = name.to_exact_rfc4514();
            prop_assert_eq!(DistinguishedName::from_rfc4514(&text), Ok(name), "{}", text);
        }
    }

    #[test]
    fn arbitrary_strings_never_panic(text in r#"([A-Za-z0-9.]{0,4}=?[\PC\\ ,+#"=]{0,8}[,+]?){0,4}"#) {
        if let Ok(name) = DistinguishedName::from_rfc4514(&text) {
            prop_assert_eq!(DistinguishedName::from_rfc4514(&name.to_rfc4514()), Ok(name));
        }
    }

    #[test]
    fn values_survive_the_string_form(
        values in proptest::collection::vec(
            "[^\\p{Cc}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}\u{feff}]{1,64}",
            0..5,
        ),
    ) {
        let built = values.iter().fold(DistinguishedName::builder(), |builder, value| builder.common_name(value));
        let name = built.build().expect("within bounds");
        prop_assert_eq!(name.common_names(), values);
        prop_assert_eq!(DistinguishedName::from_rfc4514(&name.to_rfc4514()), Ok(name));
    }
}
