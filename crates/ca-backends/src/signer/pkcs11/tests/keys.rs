//! Keys of every kind, made here and by others, found by label and id, and signing.

use super::*;

const MESSAGE: &[u8] = b"to be signed";

#[test]
fn makes_keys_of_every_kind_that_sign_what_their_public_part_verifies() {
    alone("keys::makes_keys_of_every_kind_that_sign_what_their_public_part_verifies", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        for key_type in
            [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519]
        {
            let uri = uri(&format!("pkcs11:token=hsm;object={key_type}"));
            let made = tokens.make(&uri, &settings, key_type).await.expect("made");
            assert_eq!(made.public_key().key_type(), key_type);
            made.check().await.expect("it would sign");
            // Several, so that numbers that begin with zeros and with a sign are among them.
            for _ in 0..20 {
                sign(&made, MESSAGE).await.expect("it signs");
            }
            match made.algorithm().hasher() {
                Some(mut hasher) => {
                    hasher.update(MESSAGE);
                    let digest = hasher.finish();
                    let signature = made.sign_message(Message::Digest(&digest)).await.expect("signs digests");
                    made.public_key()
                        .verify(signature.algorithm, MESSAGE, &signature.octets)
                        .expect("of the same message");
                }
                None => {
                    let digest = ca_core::hash::Sha256::new().into_message_digest();
                    refusal(
                        made.sign_message(Message::Digest(&digest)).await.expect_err("no digest stands for a message"),
                    );
                }
            }
            let found = tokens.find(&uri, &settings).await.expect("found");
            assert_eq!(found.public_key(), made.public_key());
            for (name, algorithm) in SignatureAlgorithm::OF_RSA {
                let told = match found.with_algorithm(algorithm) {
                    Ok(told) if key_type.is_rsa() => told,
                    Err(_) if !key_type.is_rsa() => continue,
                    _ => panic!("{name} of {key_type}"),
                };
                told.check().await.expect("the token has the mechanism");
                let signature = told.sign(&message(1)).await.expect("signs");
                assert_eq!(signature.algorithm, algorithm);
                message(1).message().verify(made.public_key(), &signature).expect("of the message, by what was told");
            }
            let told = refusal(tokens.make(&uri, &settings, key_type).await.expect_err("it is there"));
            assert!(told.contains("already"), "{told}");
        }
        let listed = hsm.objects("hsm").expect("what another program sees");
        assert!(listed.contains("never extractable") && !listed.contains("Usage:      none"), "{listed}");
    });
}

#[test]
fn finds_what_other_software_made_by_label_and_by_id() {
    alone("keys::finds_what_other_software_made_by_label_and_by_id", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        hsm.make_key("hsm", "one", "0a01", "EC:secp384r1").expect("a key");
        hsm.make_key("hsm", "two", "0a02", "rsa:2048").expect("a key");
        for (named, key_type) in [
            ("object=one", KeyType::P384),
            ("id=%0a%01", KeyType::P384),
            ("object=one;id=%0a%01", KeyType::P384),
            ("id=%0a%02", KeyType::Rsa2048),
        ] {
            let signer = tokens.find(&uri(&format!("pkcs11:token=hsm;{named}")), &settings).await.expect(named);
            assert_eq!(signer.public_key().key_type(), key_type, "{named}");
            sign(&signer, MESSAGE).await.expect("it signs");
        }
        let of_both = uri("pkcs11:token=hsm;object=one;id=%0a%02");
        let told = refusal(tokens.find(&of_both, &settings).await.expect_err("no key has both"));
        assert!(told.contains("no private key labelled `one` with id 0a02"), "{told}");
        hsm.make_key("hsm", "one", "0a03", "EC:secp256r1").expect("a key");
        let told = refusal(tokens.find(&uri("pkcs11:token=hsm;object=one"), &settings).await.expect_err("two"));
        assert!(told.contains("several") && told.contains("id="), "{told}");
    });
}

#[test]
fn a_key_whose_public_part_is_not_told_proves_itself_by_its_first_signature() {
    alone("keys::a_key_whose_public_part_is_not_told_proves_itself_by_its_first_signature", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let uri = uri("pkcs11:token=hsm;object=k");
        let public_key = tokens.make(&uri, &settings, KeyType::P256).await.expect("made").public_key().clone();
        hsm.remove("hsm", "pubkey", "k").expect("removed");
        let told = refusal(tokens.find(&uri, &settings).await.expect_err("nothing tells it"));
        assert!(told.contains("public part") && told.contains("import"), "{told}");
        let right = tokens.open(&uri, &settings, public_key);
        right.check().await.expect("nothing speaks against it");
        sign(&right, MESSAGE).await.expect("its signature verified");
        let wrong = tokens.open(&uri, &settings, key_of(KeyType::P256));
        for _ in 0..2 {
            let told = refusal(wrong.sign_message(Message::Whole(MESSAGE)).await.expect_err("another key's"));
            assert!(told.contains("another key"), "{told}");
        }
    });
}

#[test]
fn two_tokens_of_one_module_are_used_side_by_side() {
    alone("keys::two_tokens_of_one_module_are_used_side_by_side", |hsm| async move {
        hsm.add_token("other").expect("a token");
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let one = tokens.make(&uri("pkcs11:token=hsm;object=k"), &settings, KeyType::P256).await.expect("made");
        let other = tokens.make(&uri("pkcs11:token=other;object=k"), &settings, KeyType::P256).await.expect("made");
        assert_ne!(one.public_key(), other.public_key());
        for signer in [&one, &other, &one] {
            sign(signer, MESSAGE).await.expect("it signs");
        }
        let with_arguments = TokenSettings { module_arguments: Some("connector=x".to_owned()), ..settings };
        let told = refusal(
            tokens
                .find(&uri("pkcs11:token=hsm;serial=1;object=k"), &with_arguments)
                .await
                .expect_err("initialised already"),
        );
        assert!(told.contains("module_arguments"), "{told}");
    });
}
