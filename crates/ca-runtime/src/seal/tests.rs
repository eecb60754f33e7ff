//! Data keys and the keyring over a store, as starts of the service meet them.

use std::sync::Arc;

use ca_backends::signer::SoftwareSigner;
use ca_core::key::KeyType;
use ca_core::time::Timestamp;
use ca_engine::fake::contract::keyring::{KeyringUnderTest, check_keyring};
use ca_engine::fake::{FakeClock, MemoryStore, SeededEntropy, StoreFault, StoreMethod};
use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::Signer;
use ca_engine::port::store::{AuthorityStore, StoreError};
use ca_engine::port::wrapping_key::WrappingPurpose;

use super::key_elsewhere::KeyElsewhere;
use super::*;

fn passphrase(text: &str) -> Arc<Passphrase> {
    Arc::new(Passphrase::new(text, "the test".to_owned()).expect("long enough"))
}

fn sealed_by(text: &str) -> Seal {
    Seal::Passphrase(passphrase(text))
}

fn one(text: &str) -> Seals {
    Seals { authorities: Some(sealed_by(text)), responders: sealed_by(text) }
}

fn two(authorities: &str, responders: &str) -> Seals {
    Seals { authorities: Some(sealed_by(authorities)), responders: sealed_by(responders) }
}

fn status_only(text: &str) -> Seals {
    Seals { authorities: None, responders: sealed_by(text) }
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

fn elsewhere(key: &Arc<KeyElsewhere>, purpose: WrappingPurpose) -> Seal {
    Seal::External(key.clone(), purpose)
}

/// Both rooms under one key; or responders under a seal of their own.
fn all_under(key: &Arc<KeyElsewhere>) -> Seals {
    let seal = elsewhere(key, WrappingPurpose::Authorities);
    Seals { authorities: Some(seal.clone()), responders: seal }
}

fn apart(key: &Arc<KeyElsewhere>) -> Seals {
    Seals { responders: elsewhere(key, WrappingPurpose::Responders), ..all_under(key) }
}

/// What is sealed with one opens with the other, in every room that both hold.
fn are_the_same(one: &DataKeys, other: &DataKeys) -> bool {
    let rooms = [KeyRoom::Authorities, KeyRoom::Responders].map(|room| (one.of(room), other.of(room)));
    rooms.into_iter().chain([(one.personal_data(), other.personal_data())]).all(|pair| match pair {
        (Some(one), Some(other)) => one.as_octets() == other.as_octets(),
        _ => true,
    })
}

#[tokio::test]
async fn a_key_elsewhere_is_asked_once_a_start() {
    let (store, entropy) = store();
    let key = KeyElsewhere::new("a");
    let made = DataKeys::open(&store, &all_under(&key), MissingKeys::Make, &entropy).await.expect("made");
    assert_eq!(key.opened(), 0, "what was made just now is known");
    let opened = DataKeys::open(&store, &all_under(&key), MissingKeys::Refuse, &entropy).await.expect("opened");
    assert_eq!(key.opened(), 1, "for three data keys");
    assert!(are_the_same(&made, &opened) && opened.personal_data().is_some());
    let record = store.setting("seal.authorities").await.expect("a store").expect("there");
    let record = String::from_utf8(record).expect("text");
    assert!(record.contains("wrapped_by = \"a\"") && record.contains("purpose = \"authorities\""), "{record}");
    key.shut();
    let error = DataKeys::open(&store, &all_under(&key), MissingKeys::Refuse, &entropy).await.expect_err("shut");
    assert_eq!(error.to_string(), "the keys of authorities do not open: a is shut");
    let (empty, entropy) = self::store();
    let error = DataKeys::open(&empty, &all_under(&key), MissingKeys::Make, &entropy).await.expect_err("shut");
    assert_eq!(error.to_string(), "no keys can be sealed: a is shut");
    assert!(!is_sealed(&empty).await.expect("a store"), "nothing is left of it");
}

#[tokio::test]
async fn the_status_role_opens_what_is_wrapped_for_responders_and_nothing_else() {
    let (store, entropy) = store();
    let key = KeyElsewhere::new("a");
    let made = DataKeys::open(&store, &apart(&key), MissingKeys::Make, &entropy).await.expect("made");
    let seals = Seals { authorities: None, ..apart(&key) };
    let status = DataKeys::open(&store, &seals, MissingKeys::Refuse, &entropy).await.expect("opened");
    assert_eq!(key.opened(), 1);
    assert!(status.of(KeyRoom::Authorities).is_none() && status.personal_data().is_none());
    assert!(are_the_same(&made, &status));
    // What a role for the one purpose is shown of the other does not open.
    let record = store.setting("seal.authorities").await.expect("a store").expect("there");
    let responders = store.setting("seal.responders").await.expect("a store").expect("there");
    let moved = String::from_utf8(record).expect("text").replace("\"authorities\"", "\"responders\"");
    assert!(store.set_setting("seal.responders", Some(&responders), moved.as_bytes()).await.expect("a store"));
    assert!(DataKeys::open(&store, &seals, MissingKeys::Refuse, &entropy).await.is_err());
}

#[tokio::test]
async fn another_seal_than_the_record_s_is_named_with_what_helps() {
    let (store, entropy) = store();
    let (one, other) = (KeyElsewhere::new("a"), KeyElsewhere::new("b"));
    DataKeys::open(&store, &self::one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    let refused = async |seals: &Seals| {
        let error = DataKeys::open(&store, seals, MissingKeys::Make, &entropy).await.expect_err("refused");
        error.to_string()
    };
    let said = refused(&all_under(&one)).await;
    assert!(said.contains("sealed by a passphrase, and the configuration seals by a for `authorities`"), "{said}");
    assert!(said.contains("ca-server reseal"), "{said}");
    reseal(&store, &all_under(&one), &[sealed_by("correct horse")], &entropy).await.expect("moved");
    let said = refused(&self::one("correct horse")).await;
    assert!(said.contains("sealed by a for `authorities`, and") && said.contains("passphrase from the test"), "{said}");
    let said = refused(&all_under(&other)).await;
    assert!(said.contains("sealed by a for") && said.contains("seals by b for"), "{said}");
}

#[tokio::test]
async fn keys_move_from_seal_to_seal_and_stay_the_same() {
    let (store, entropy) = store();
    let (one, other) = (KeyElsewhere::new("a"), KeyElsewhere::new("b"));
    let first = DataKeys::open(&store, &self::one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
    // From each to the next, told only what was there before; the last move is to the same, anew.
    let ways: [(Seals, Vec<Seal>); 7] = [
        (all_under(&one), vec![sealed_by("wrong horse"), sealed_by("correct horse")]),
        (all_under(&other), vec![elsewhere(&one, WrappingPurpose::Authorities)]),
        (apart(&other), vec![]),
        (all_under(&other), vec![]),
        (two("battery staple", "paper clip"), vec![elsewhere(&other, WrappingPurpose::Authorities)]),
        (self::one("correct horse"), vec![sealed_by("battery staple"), sealed_by("paper clip")]),
        (self::one("correct horse"), vec![]),
    ];
    for (step, (wanted, former)) in ways.iter().enumerate() {
        let before = store.setting("seal.responders").await.expect("a store");
        let moved = reseal(&store, wanted, former, &entropy).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_eq!(moved.len(), 3, "{step}");
        assert_ne!(store.setting("seal.responders").await.expect("a store"), before, "{step}: anew");
        let opened = DataKeys::open(&store, wanted, MissingKeys::Refuse, &entropy).await;
        assert!(are_the_same(&first, &opened.unwrap_or_else(|error| panic!("{step}: {error}"))), "{step}");
    }
    // Nobody who cannot open all of it moves any of it.
    let before = store.setting("seal.authorities").await.expect("a store");
    assert!(reseal(&store, &all_under(&one), &[], &entropy).await.is_err());
    assert!(reseal(&store, &all_under(&one), &[sealed_by("wrong horse")], &entropy).await.is_err());
    assert_eq!(store.setting("seal.authorities").await.expect("a store"), before);
    let (empty, entropy) = self::store();
    assert_eq!(reseal(&empty, &all_under(&one), &[], &entropy).await, Err(SealError::NotInitialised));
}

#[tokio::test]
async fn a_move_that_was_cut_off_anywhere_is_gone_on_with() {
    for writes in 0..3 {
        let (store, entropy) = store();
        let key = KeyElsewhere::new("a");
        let first = DataKeys::open(&store, &one("correct horse"), MissingKeys::Make, &entropy).await.expect("made");
        let former = [sealed_by("correct horse")];
        let fault = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "cut off".to_owned() });
        store.fail_nth(StoreMethod::SetSetting, writes + 1, fault);
        assert!(reseal(&store, &all_under(&key), &former, &entropy).await.is_err(), "{writes}");
        if writes > 0 {
            assert!(DataKeys::open(&store, &all_under(&key), MissingKeys::Refuse, &entropy).await.is_err());
        }
        reseal(&store, &all_under(&key), &former, &entropy).await.expect("moved");
        key.opened();
        let opened = DataKeys::open(&store, &all_under(&key), MissingKeys::Refuse, &entropy).await.expect("opened");
        assert!(are_the_same(&first, &opened));
        assert_eq!(key.opened(), 1, "under one wrapping key again");
    }
}
