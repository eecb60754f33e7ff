//! What is wrong is told with what would be right, and a wrong PIN is shown once.

use std::fs;

use super::*;

#[test]
fn a_wrong_pin_is_never_shown_twice() {
    alone("faults::a_wrong_pin_is_never_shown_twice", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        hsm.make_key("hsm", "k", "01", "EC:secp256r1").expect("a key");
        fs::write(hsm.pin_file(), "wrong-pin\n").expect("written");
        let uri = uri("pkcs11:token=hsm;object=k");
        let told = refusal(tokens.find(&uri, &settings).await.expect_err("the wrong PIN"));
        assert!(told.contains("PIN") && told.contains("not tried again") && !told.contains("wrong-pin"), "{told}");
        assert!(told.contains(&hsm.pin_file().display().to_string()), "{told}");
        // Now it would be the right one: whoever tried it again would get in.
        hsm.change_pin("hsm", SoftHsm::PIN, "wrong-pin").expect("changed");
        for _ in 0..5 {
            assert_eq!(refusal(tokens.find(&uri, &settings).await.expect_err("not tried again")), told);
        }
        hsm.change_pin("hsm", "wrong-pin", SoftHsm::PIN).expect("changed back");
        fs::write(hsm.pin_file(), format!("{}\n", SoftHsm::PIN)).expect("written");
        let signer = tokens.find(&uri, &settings).await.expect("another PIN is tried at once");
        sign(&signer, b"m").await.expect("it signs");
    });
}

#[test]
fn another_key_than_the_certificate_s_signs_nothing() {
    alone("faults::another_key_than_the_certificate_s_signs_nothing", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let uri = uri("pkcs11:token=hsm;object=k");
        tokens.make(&uri, &settings, KeyType::P256).await.expect("made");
        for (expected, part) in
            [(KeyType::P256, "another p256 key"), (KeyType::Rsa2048, "it is p256, the certificate has rsa2048")]
        {
            let wrong = tokens.open(&uri, &settings, key_of(expected));
            let told = refusal(wrong.check().await.expect_err("another key"));
            assert!(told.contains(part) && told.contains("correct the URI"), "{told}");
            assert_eq!(refusal(wrong.sign_message(Message::Whole(b"m")).await.expect_err("another key")), told);
        }
    });
}

#[test]
fn what_is_missing_is_told_with_what_is_there() {
    alone("faults::what_is_missing_is_told_with_what_is_there", |hsm| async move {
        let (tokens, good) = (Pkcs11Tokens::new(), settings(&hsm));
        let told = refusal(tokens.find(&uri("pkcs11:token=hsm;object=k"), &good).await.expect_err("no key"));
        assert!(told.contains("no private key labelled `k`") && told.contains("init"), "{told}");
        let told = absence(tokens.find(&uri("pkcs11:token=nothing;object=k"), &good).await.expect_err("no token"));
        assert!(told.contains("no token token=nothing") && told.contains("shows hsm"), "{told}");
        let wrong_serial = uri("pkcs11:token=hsm;serial=0000;object=k");
        absence(tokens.find(&wrong_serial, &good).await.expect_err("another serial"));
        let nowhere = ModulePlace::File(PathBuf::from("/nowhere/lib.so"));
        let missing = TokenSettings { configured_as: "pkcs11.a".to_owned(), module: nowhere, ..good.clone() };
        let told = absence(tokens.find(&uri("pkcs11:token=hsm;object=k"), &missing).await.expect_err("no module"));
        assert!(told.contains("/nowhere/lib.so") && told.contains("[pkcs11.a]") && told.contains("install"), "{told}");
        let no_module = ModulePlace::File(hsm.pin_file());
        let unusable = TokenSettings { configured_as: "pkcs11.b".to_owned(), module: no_module, ..good.clone() };
        let told = absence(tokens.find(&uri("pkcs11:token=hsm;object=k"), &unusable).await.expect_err("no module"));
        assert!(told.contains("cannot be used as a PKCS #11 module"), "{told}");
        let no_pin = TokenSettings { configured_as: "pkcs11.my-hsm".to_owned(), pin: PinSource::None, ..good.clone() };
        let told = refusal(
            Pkcs11Tokens::new()
                .find(&uri("pkcs11:token=hsm;serial=x;object=k"), &no_pin)
                .await
                .map_or_else(|_| SignerError::Refused { detail: String::new() }, |_| panic!("no such serial")),
        );
        assert_eq!(told, "");
        drop(tokens);
        let told =
            refusal(Pkcs11Tokens::new().find(&uri("pkcs11:token=hsm;object=k"), &no_pin).await.expect_err("no PIN"));
        assert!(told.contains("`pin_file`") && told.contains("CA__PKCS11__MY_HSM__PIN"), "{told}");
        let unreadable = PinSource::File(PathBuf::from("/nowhere/pin"));
        let unreadable = TokenSettings { configured_as: "pkcs11.c".to_owned(), pin: unreadable, ..good };
        let told = refusal(
            Pkcs11Tokens::new().find(&uri("pkcs11:token=hsm;object=k"), &unreadable).await.expect_err("no PIN"),
        );
        assert!(told.contains("/nowhere/pin"), "{told}");
    });
}

#[test]
fn more_than_may_wait_is_refused_at_once() {
    alone("faults::more_than_may_wait_is_refused_at_once", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), TokenSettings { sessions: 1, ..settings(&hsm) });
        let signer = tokens.make(&uri("pkcs11:token=hsm;object=k"), &settings, KeyType::Rsa2048).await.expect("made");
        let results = futures::future::join_all((0..2_000).map(|_| sign(&signer, b"m"))).await;
        let busy = results
            .iter()
            .filter(|result| matches!(result, Err(SignerError::Busy { retry_after: Some(_), .. })))
            .count();
        let signed = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(busy + signed, 2_000, "nothing else happens");
        assert!(busy > 0 && signed >= 64, "{busy} refused, {signed} signed");
        sign(&signer, b"m").await.expect("there is room again");
    });
}
