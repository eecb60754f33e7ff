use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Pkcs11Uri, Pkcs11UriError> {
    text.parse()
}

fn refused(text: &str) -> Pkcs11UriError {
    read(text).expect_err(text)
}

#[test]
fn reads_what_the_standard_shows() {
    // RFC 7512 §3, as far as the examples name a private key in a token.
    let uri = read(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
    );
    assert_eq!(uri, Err(Pkcs11UriError::NotText { attribute: "serial".to_owned() }), "an empty serial names no token");
    let uri = read(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-key;type=private;id=%69%95%3E%5C%F4%BD%EC%91?pin-source=file:/etc/token_pin&module-path=/usr/lib/libsnakeoil.so",
    )
    .expect("an example of the standard");
    assert_eq!(uri.text(Pkcs11Attribute::Token), Some("The Software PKCS#11 Softtoken"));
    assert_eq!(uri.text(Pkcs11Attribute::Manufacturer), Some("Snake Oil, Inc."));
    assert_eq!(uri.text(Pkcs11Attribute::Model), Some("1.0"));
    assert_eq!(uri.text(Pkcs11Attribute::Object), Some("my-key"));
    assert_eq!(uri.text(Pkcs11Attribute::Serial), None);
    assert_eq!(uri.text(Pkcs11Attribute::Id), None, "octets, not text");
    assert_eq!(uri.id(), Some(&[0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91][..]));
    assert_eq!(uri.reach().pin_file.as_deref(), Some("/etc/token_pin"));
    assert_eq!(uri.reach().module_path.as_deref(), Some("/usr/lib/libsnakeoil.so"));
    let uri = read(
        "pkcs11:slot-description=Sun%20Metaslot;library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23;slot-id=327;serial=0A;object=k",
    );
    let uri = uri.expect("attributes of library and slot");
    assert_eq!(uri.text(Pkcs11Attribute::LibraryVersion), Some("1.23"));
    assert_eq!(uri.text(Pkcs11Attribute::SlotId), Some("327"));
}

#[test]
fn writes_one_form_whatever_was_written() {
    for (given, written) in [
        ("PKCS11:object=tls;token=hsm", "pkcs11:token=hsm;object=tls"),
        ("pkcs11:token=h%73m;id=%01a;type=private", "pkcs11:token=hsm;id=%01%61"),
        ("pkcs11:token=a%3Bb%2fc;object=x=y&z", "pkcs11:token=a%3Bb%2Fc;object=x=y&z"),
        (
            "pkcs11:serial=1;object=k;slot-id=007;library-version=3",
            "pkcs11:serial=1;slot-id=7;library-version=3.0;object=k",
        ),
        (
            "pkcs11:token=t;object=k?pin-source=file:///etc/a%2520b&module-name=softhsm2",
            "pkcs11:token=t;object=k?module-name=softhsm2&pin-source=/etc/a%20b",
        ),
        ("pkcs11:token=Cart%C3%B3rio;object=k", "pkcs11:token=Cart%C3%B3rio;object=k"),
    ] {
        let uri = read(given).expect(given);
        assert_eq!(uri.to_string(), written);
        assert_eq!(read(written).as_ref(), Ok(&uri), "what it writes says the same");
    }
}

#[test]
fn the_query_is_of_the_host_and_no_part_of_the_identity() {
    let here = read("pkcs11:token=hsm;object=tls?module-path=/a.so&pin-source=/pin").expect("one host");
    let there = read("pkcs11:token=hsm;object=tls?module-name=b").expect("another");
    assert_ne!(here, there);
    assert_eq!(here.identity(), there.identity());
    assert_eq!(here.identity().to_string(), "pkcs11:token=hsm;object=tls");
    assert!(here.is_in_same_token(&read("pkcs11:token=hsm;id=%01").expect("another key")));
    assert!(!here.is_in_same_token(&read("pkcs11:token=hsm2;object=tls").expect("another token")));
}

#[test]
fn never_takes_a_pin_nor_tells_one() {
    for text in [
        "pkcs11:token=t;object=k?pin-value=s3cr3t",
        "pkcs11:token=t;object=k?module-name=m&pin-value=s3cr3t",
        "pkcs11:token=t;object=k?pin-value=%zzs3cr3t",
    ] {
        assert_eq!(refused(text), Pkcs11UriError::PinValue);
    }
    for text in [
        "pkcs11:token=t;object=k?pin-source=|echo%20s3cr3t",
        "pkcs11:token=t;object=k?pin-source=s3cr3t",
        "pkcs11:token=t;object=k?pin-source=https://s3cr3t",
        "pkcs11:token=t;object=k?pin-source=file://elsewhere/s3cr3t",
        "pkcs11:token=t;object=k?pin-source=file:s3cr3t",
    ] {
        assert_eq!(refused(text), Pkcs11UriError::PinSource, "{text}");
    }
    for text in ["pkcs11:token=t;object=k;pin-value=s3cr3t", "pkcs11:token=t;object=k;pin=s3cr3t?x=s3cr3t"] {
        let said = refused(text);
        assert!(matches!(said, Pkcs11UriError::Unknown { .. }) && !said.to_string().contains("s3cr3t"), "{said}");
    }
}

#[test]
fn refuses_what_names_no_single_key_or_says_what_it_does_not_mean() {
    assert_eq!(refused("kms:arn"), Pkcs11UriError::NotPkcs11);
    assert_eq!(refused("token=t"), Pkcs11UriError::NotPkcs11);
    assert_eq!(refused("pkcs11:"), Pkcs11UriError::NoToken);
    assert_eq!(refused("pkcs11:object=k"), Pkcs11UriError::NoToken);
    assert_eq!(refused("pkcs11:token=t"), Pkcs11UriError::NoKey);
    assert_eq!(refused("pkcs11:token=t;object=k;"), Pkcs11UriError::NotAnAttribute);
    assert_eq!(refused("pkcs11:token=t;object=k?a"), Pkcs11UriError::NotAnAttribute);
    assert_eq!(refused("pkcs11:token=t;object=k;type=cert"), Pkcs11UriError::NotAPrivateKey);
    assert_eq!(
        refused("pkcs11:token=t;object=k;object=k"),
        Pkcs11UriError::Repeated { attribute: "object".to_owned() }
    );
    assert_eq!(
        refused("pkcs11:token=t;object=k;type=private;type=private"),
        Pkcs11UriError::Repeated { attribute: "type".to_owned() }
    );
    assert_eq!(
        refused("pkcs11:token=t;object=k?module-name=a&module-name=a"),
        Pkcs11UriError::Repeated { attribute: "module-name".to_owned() }
    );
    for text in [
        "pkcs11:token=a b;object=k",
        "pkcs11:token=a%2;object=k",
        "pkcs11:token=%xy;object=k",
        "pkcs11:token=é;object=k",
    ] {
        assert_eq!(refused(text), Pkcs11UriError::Escape { attribute: "token".to_owned() }, "{text}");
    }
    for text in ["pkcs11:token=%ff;object=k", "pkcs11:token=%00;object=k", "pkcs11:token=;object=k"] {
        assert_eq!(refused(text), Pkcs11UriError::NotText { attribute: "token".to_owned() }, "{text}");
    }
    let long = format!("pkcs11:token={};object=k", "t".repeat(33));
    assert_eq!(refused(&long), Pkcs11UriError::TooLong { attribute: "token", longest: 32 });
    for text in ["slot-id=x", "slot-id=+1", "library-version=1.2.3", "library-version=256"] {
        let said = refused(&format!("pkcs11:token=t;object=k;{text}"));
        assert!(matches!(said, Pkcs11UriError::Number { .. }), "{text}: {said}");
    }
    assert_eq!(
        refused("pkcs11:token=t;object=k?module-path=lib.so"),
        Pkcs11UriError::RelativePath { attribute: "module-path" }
    );
    assert_eq!(refused("pkcs11:token=t;object=k?module-name=../a"), Pkcs11UriError::ModuleName);
}

#[test]
fn a_label_may_read_as_an_attribute_that_is_refused() {
    let uri = read("pkcs11:token=hsm;object=pin-value=&pin-value=1").expect("a label");
    assert_eq!(uri.text(Pkcs11Attribute::Object), Some("pin-value=&pin-value=1"));
    assert_eq!(read(&uri.to_string()), Ok(uri));
}

proptest! {
    #[test]
    fn reads_what_it_writes(token in "[^\\p{C}]{1,8}", object in "[^\\p{C}]{1,8}", id in proptest::collection::vec(any::<u8>(), 1..40)) {
        let escape = |octets: &[u8]| octets.iter().map(|octet| format!("%{octet:02x}")).collect::<String>();
        let text = format!("pkcs11:id={};token={};object={}", escape(&id), escape(token.as_bytes()), escape(object.as_bytes()));
        let uri = read(&text).expect("every octet is escaped");
        prop_assert_eq!(uri.text(Pkcs11Attribute::Token), Some(token.as_str()));
        prop_assert_eq!(uri.text(Pkcs11Attribute::Object), Some(object.as_str()));
        prop_assert_eq!(uri.id(), Some(id.as_slice()));
        prop_assert_eq!(read(&uri.to_string()), Ok(uri));
    }

    #[test]
    fn nothing_makes_it_panic(text in "(pkcs11:)?[a-z%;=?&/ \\PC]{0,60}") {
        if let Ok(uri) = read(&text) {
            prop_assert_eq!(read(&uri.to_string()), Ok(uri));
        }
    }
}
