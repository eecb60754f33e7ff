//! Data keys and the keyring over a store, as starts of the service meet them.

use std::sync::Arc;

use ca_backends::signer::SoftwareSigner;
use ca_core::key::KeyType;
use ca_core::time::Timestamp;
use ca_engine::fake::contract::keyring::{KeyringUnderTest, check_keyring};
use ca_engine::fake::{FakeClock, MemoryStore, SeededEntropy};
use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::Signer;
use ca_engine::port::store::AuthorityStore;

use super::*;

fn passphrase(text: &str) -> Arc<Passphrase> {
    Arc::new(Passphrase::new(text, "the test".to_owned()).expect("long enough"))
}

fn one(text: &str) -> Passphrases {
    Passphrases { authorities: Some(passphrase(text)), responders: passphrase(text) }
}

fn two(authorities: &str, responders: &str) -> Passphrases {
    Passphrases { authorities: Some(passphrase(authorities)), responders: passphrase(responders) }
}

fn status_only(text: &str) -> Passphrases {
    Passphrases { authorities: None, responders: passphrase(text) }
}

fn store() -> (MemoryStore, SeededEntropy) {
    (MemoryStore::new(clock()), SeededEntropy::new(7))
}

fn clock() -> FakeClock {
    FakeClock::at(Timestamp::from_unix_seconds(1_800_000_000))
}

fn keyring(data_keys: DataKeys, entropy: &SeededEntropy) -> SealedKeyring {
    let entropy: Arc<dyn Entropy> = Arc::new(entropy.clone());
    SealedKeyring::new(data_keys, entropy, Arc::new(clock()))
}

#[tokio::test]
async fn data_keys_are_made_once_and_opened_by_every_later_start() {
    let (store, entropy) = store();
    assert!(!is_sealed(&store).await.expect("a store"));
    let refused = DataKeys::open(&store, &one("correct horse"), MissingKeys::Refuse, &entropy).await;
    assert_eq!(refused.map(|_| ()), Err(SealError::NotInitialised));
    let first = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    assert!(is_sealed(&store).await.expect("a store"));
    let later = DataKeys::open(&store, &one("correct horse"), MissingKeys::Refuse, &entropy).await.expect("opened");
    for room in [KeyRoom::Authorities, KeyRoom::Responders] {
        let sealed = first.of(room).expect("held").seal(b"", b"secret", &entropy).expect("sealed");
        assert_eq!(later.of(room).expect("held").open(b"", &sealed).expect("the same key").as_slice(), b"secret");
    }
    let across = first.of(KeyRoom::Authorities).expect("held").seal(b"", b"secret", &entropy).expect("sealed");
    assert!(first.of(KeyRoom::Responders).expect("held").open(b"", &across).is_none(), "a key for each room");
}

#[tokio::test]
async fn the_keyring_keeps_its_contract() {
    check_keyring(|| async {
        let (store, entropy) = store();
        let made = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
        let opened = DataKeys::open(&store, &one("correct horse"), MissingKeys::Refuse, &entropy).await.expect("there");
        let responders = status_only("correct horse");
        let responders = DataKeys::open(&store, &responders, MissingKeys::Refuse, &entropy).await.expect("there");
        let elsewhere = MemoryStore::new(clock());
        let other =
            DataKeys::open(&elsewhere, &one("battery staple"), MissingKeys::Make, &entropy).await.expect("made");
        KeyringUnderTest {
            keyring: Arc::new(keyring(made, &entropy)),
            restarted: Arc::new(keyring(opened, &entropy)),
            responders_only: Arc::new(keyring(responders, &entropy)),
            stranger: Arc::new(keyring(other, &entropy)),
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_passphrase_is_said_to_be_wrong_and_where_it_came_from() {
    let (store, entropy) = store();
    DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    let error = DataKeys::open(&store, &one("battery staple"), MissingKeys::Make, &entropy).await.expect_err("wrong");
    assert_eq!(
        error,
        SealError::WrongPassphrase { room: DataKeyRoom::Keys(KeyRoom::Authorities), origin: "the test".to_owned() }
    );
    assert!(error.to_string().starts_with("the passphrase from the test does not open"), "{error}");
}

#[tokio::test]
async fn the_status_role_opens_responders_keys_only() {
    let (store, entropy) = store();
    let both = two("correct horse", "battery staple");
    DataKeys::open(&store, &both, MissingKeys::Make, &entropy).await.expect("made");
    let status =
        DataKeys::open(&store, &status_only("battery staple"), MissingKeys::Refuse, &entropy).await.expect("opened");
    assert!(status.of(KeyRoom::Authorities).is_none());
    assert!(status.of(KeyRoom::Responders).is_some());
    let wrong = DataKeys::open(&store, &status_only("correct horse"), MissingKeys::Refuse, &entropy).await;
    assert!(matches!(wrong, Err(SealError::WrongPassphrase { room: DataKeyRoom::Keys(KeyRoom::Responders), .. })));
}

#[tokio::test]
async fn two_first_starts_end_with_the_same_keys() {
    let (store, entropy) = store();
    let passphrases = one("correct horse");
    let (left, right) = tokio::join!(
        DataKeys::open(&store, &passphrases, MissingKeys::Make, &entropy),
        DataKeys::open(&store, &passphrases, MissingKeys::Make, &entropy)
    );
    let (left, right) = (left.expect("made"), right.expect("made"));
    for room in [KeyRoom::Authorities, KeyRoom::Responders] {
        let sealed = left.of(room).expect("held").seal(b"", b"secret", &entropy).expect("sealed");
        assert!(right.of(room).expect("held").open(b"", &sealed).is_some());
    }
}

#[tokio::test]
async fn a_record_that_was_changed_is_said_to_be() {
    let (store, entropy) = store();
    DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    let record = store.setting("seal.authorities").await.expect("a store").expect("there");
    assert!(store.set_setting("seal.authorities", Some(&record), b"nonsense").await.expect("a store"));
    let error = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect_err("changed");
    assert_eq!(error, SealError::UnreadableRecord { room: DataKeyRoom::Keys(KeyRoom::Authorities) });
}

/// What is sealed may be right and the record wrong: another kind of key than the one that opens.
#[tokio::test]
async fn a_key_that_is_not_what_its_record_says_is_refused() {
    let (store, entropy) = store();
    let data_keys = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    let keyring = keyring(data_keys, &entropy);
    let (sealed, _) = keyring.generate(KeyRoom::Authorities, KeyType::P256).await.expect("made");
    let relabelled = SealedKey { key_type: KeyType::P384, ..sealed.clone() };
    assert_eq!(keyring.open(&relabelled).await.map(|_| ()), Err(KeyringError::NotThatKey { id: sealed.id }));
}

#[tokio::test]
async fn what_is_stored_shows_no_key() {
    let (store, entropy) = store();
    let data_keys = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    let keyring = keyring(data_keys, &entropy);
    let (sealed, _) = keyring.generate(KeyRoom::Authorities, KeyType::P256).await.expect("made");
    let (clear, signer) = keyring.unseal(&sealed).expect("opens");
    assert!(SoftwareSigner::from_pkcs8(&clear).is_ok_and(|key| key.public_key() == signer.public_key()));
    // The private scalar of a P-256 key lies at a fixed place of its PKCS#8; no eight octets of the key are in the seal.
    for part in clear.windows(8) {
        assert!(!sealed.sealed.windows(8).any(|window| window == part));
    }
}

#[tokio::test]
async fn the_key_of_personal_data_is_made_where_it_is_missing_and_kept_from_the_status_role() {
    let (store, entropy) = store();
    DataKeys::open(&store, &two("correct horse", "battery staple"), MissingKeys::Make, &entropy).await.expect("made");
    // A record of a version that knew no such key.
    let made = store.setting("seal.personal-data").await.expect("a store").expect("made with the others");
    let (older, entropy) = (MemoryStore::new(clock()), entropy);
    for name in ["seal.authorities", "seal.responders"] {
        let value = store.setting(name).await.expect("a store").expect("made");
        assert!(older.set_setting(name, None, &value).await.expect("a store"));
    }
    let status =
        DataKeys::open(&older, &status_only("battery staple"), MissingKeys::Refuse, &entropy).await.expect("opened");
    assert!(status.personal_data().is_none());
    assert_eq!(older.setting("seal.personal-data").await, Ok(None), "the status role makes nothing");
    let wrong = DataKeys::open(&older, &two("wrong horses", "battery staple"), MissingKeys::Refuse, &entropy).await;
    assert!(wrong.is_err());
    assert_eq!(older.setting("seal.personal-data").await, Ok(None), "nor does who cannot open the others");
    let opened = DataKeys::open(&older, &two("correct horse", "battery staple"), MissingKeys::Refuse, &entropy)
        .await
        .expect("opened");
    let sealed = opened.personal_data().expect("held").seal(b"", b"secret", &entropy).expect("sealed");
    let again = DataKeys::open(&older, &two("correct horse", "battery staple"), MissingKeys::Refuse, &entropy)
        .await
        .expect("opened");
    assert_eq!(again.personal_data().expect("held").open(b"", &sealed).expect("the same key").as_slice(), b"secret");
    assert_ne!(older.setting("seal.personal-data").await.expect("a store"), Some(made), "a key of its own");
    assert!(opened.of(KeyRoom::Authorities).expect("held").open(b"", &sealed).is_none(), "a key for each room");
}
