//! Tokens that go away under load and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;

/// What a load of signatures met.
#[derive(Default)]
struct Tally {
    signed: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

async fn wait_for(what: &str, count: &AtomicU64) {
    let before = count.load(Ordering::SeqCst);
    let more = async {
        while count.load(Ordering::SeqCst) < before + 10 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), more).await.unwrap_or_else(|_| panic!("{what}: nothing for a minute"));
}

#[test]
fn a_token_that_comes_back_signs_again_and_never_wrongly() {
    alone("outage::a_token_that_comes_back_signs_again_and_never_wrongly", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let signer = tokens.make(&uri("pkcs11:token=hsm;object=k"), &settings, KeyType::P256).await.expect("made");
        let (signer, tally) = (Arc::new(signer), Arc::new(Tally::default()));
        let load: Vec<_> = (0..8)
            .map(|_| {
                let (signer, tally) = (Arc::clone(&signer), Arc::clone(&tally));
                tokio::spawn(async move {
                    while !tally.is_over.load(Ordering::SeqCst) {
                        // Panics over a signature that does not verify.
                        match sign(&signer, b"under load").await {
                            Ok(()) => tally.signed.fetch_add(1, Ordering::SeqCst),
                            Err(_) => {
                                sleep(Duration::from_millis(5)).await;
                                tally.failed.fetch_add(1, Ordering::SeqCst)
                            }
                        };
                    }
                })
            })
            .collect();
        for round in 0..3 {
            wait_for("signatures", &tally.signed).await;
            hsm.unplug().expect("away");
            wait_for("errors", &tally.failed).await;
            let told = absence(signer.check().await.expect_err("it is away"));
            assert!(
                ["no token", "lost", "cannot be found there any more"].iter().any(|part| told.contains(part)),
                "{told}"
            );
            hsm.plug_in().expect("back");
            let returned = Instant::now();
            wait_for("signatures after the return", &tally.signed).await;
            println!("round {round}: signs {:?} after the token returned", returned.elapsed());
            signer.check().await.expect("it is back");
        }
        tally.is_over.store(true, Ordering::SeqCst);
        for task in load {
            task.await.expect("no wrong signature");
        }
    });
}

#[test]
fn a_token_that_is_away_at_the_start_is_found_when_it_comes() {
    alone("outage::a_token_that_is_away_at_the_start_is_found_when_it_comes", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let uri = uri("pkcs11:token=hsm;object=k");
        let public_key = tokens.make(&uri, &settings, KeyType::P256).await.expect("made").public_key().clone();
        drop(tokens);
        hsm.unplug().expect("away");
        let tokens = Pkcs11Tokens::new();
        let signer = tokens.open(&uri, &settings, public_key);
        absence(signer.check().await.expect_err("it is away"));
        hsm.plug_in().expect("back");
        let found = async {
            while signer.check().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), found).await.expect("it is found");
        sign(&signer, b"m").await.expect("it signs");
    });
}

#[test]
fn another_token_under_the_same_name_signs_nothing() {
    alone("outage::another_token_under_the_same_name_signs_nothing", |hsm| async move {
        let (tokens, settings) = (Pkcs11Tokens::new(), settings(&hsm));
        let uri = uri("pkcs11:token=hsm;object=k");
        let signer = tokens.make(&uri, &settings, KeyType::P256).await.expect("made");
        sign(&signer, b"m").await.expect("it signs");
        hsm.unplug().expect("away");
        hsm.add_token("hsm").expect("another, of the same label");
        hsm.make_key("hsm", "k", "01", "EC:secp256r1").expect("another key, of the same label");
        let refused = async {
            loop {
                match signer.sign_message(Message::Whole(b"m")).await {
                    Err(SignerError::Refused { detail }) => return detail,
                    // SoftHSM signs by what it has in memory until it looks at its files again.
                    Ok(signature) => {
                        signer.public_key().verify(signature.algorithm, b"m", &signature.octets).expect("its own");
                    }
                    Err(_) => {}
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let told = timeout(Duration::from_secs(60), refused).await.expect("it is noticed");
        assert!(told.contains("not the one of the authority's certificate"), "{told}");
    });
}
