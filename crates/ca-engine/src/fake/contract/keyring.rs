//! The contract of [`crate::port::keyring`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::key::KeyType;

use super::case::{cases, run_cases};
use super::signer::message;
use crate::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use crate::port::signer::Signer;

/// A keyring under test and its neighbours.
#[derive(Clone)]
pub struct KeyringUnderTest {
    /// Has the data keys of both rooms.
    pub keyring: Arc<dyn Keyring>,
    /// The same data keys after a restart.
    pub restarted: Arc<dyn Keyring>,
    /// The same data key of the responders, and no other: what a status replica has.
    pub responders_only: Arc<dyn Keyring>,
    /// Other data keys of both rooms, as after another passphrase.
    pub stranger: Arc<dyn Keyring>,
}

impl fmt::Debug for KeyringUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringUnderTest").finish_non_exhaustive()
    }
}

/// Checks that a keyring keeps its contract.
///
/// Panics with the names of the broken rules.
pub async fn check_keyring<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = KeyringUnderTest>,
{
    let cases = cases![
        a_record_describes_its_key,
        keys_of_every_kind_are_made_and_opened,
        an_opened_key_is_the_one_that_was_made,
        no_key_is_made_twice,
        a_changed_seal_does_not_open,
        a_seal_opens_for_its_own_record_only,
        rooms_are_apart,
        another_passphrase_opens_nothing,
        without_its_data_key_a_room_is_closed,
    ];
    run_cases("keyring", cases, make).await;
}

async fn a_record_describes_its_key(under_test: KeyringUnderTest) {
    for room in [KeyRoom::Authorities, KeyRoom::Responders] {
        let (sealed, signer) = generate(&*under_test.keyring, room, KeyType::P256).await;
        assert_eq!(sealed.room, room);
        assert_eq!(sealed.key_type, KeyType::P256);
        assert_eq!(sealed.spki, signer.public_key().spki_der());
        assert_eq!(sealed.id, hex::encode(signer.public_key().spki_sha256()));
        assert!(!sealed.sealed.is_empty());
    }
}

async fn keys_of_every_kind_are_made_and_opened(under_test: KeyringUnderTest) {
    for key_type in KeyType::ALL {
        let (sealed, made) = generate(&*under_test.keyring, KeyRoom::Authorities, key_type).await;
        assert_eq!((sealed.key_type, made.public_key().key_type()), (key_type, key_type));
        let opened = under_test.restarted.open(&sealed).await.expect("opens");
        assert_eq!(opened.public_key(), made.public_key());
        assert_signs(&*opened, &*made).await;
    }
}

async fn an_opened_key_is_the_one_that_was_made(under_test: KeyringUnderTest) {
    let (sealed, made) = generate(&*under_test.keyring, KeyRoom::Responders, KeyType::P256).await;
    for keyring in [&under_test.keyring, &under_test.restarted, &under_test.responders_only] {
        let opened = keyring.open(&sealed).await.expect("opens");
        assert_eq!(opened.public_key(), made.public_key());
        assert_eq!(opened.algorithm(), made.algorithm());
        assert_signs(&*opened, &*made).await;
    }
}

async fn no_key_is_made_twice(under_test: KeyringUnderTest) {
    let (first, _) = generate(&*under_test.keyring, KeyRoom::Responders, KeyType::Ed25519).await;
    let (second, _) = generate(&*under_test.keyring, KeyRoom::Responders, KeyType::Ed25519).await;
    assert_ne!(first.id, second.id);
    assert_ne!(first.sealed, second.sealed);
}

async fn a_changed_seal_does_not_open(under_test: KeyringUnderTest) {
    let (sealed, _) = generate(&*under_test.keyring, KeyRoom::Responders, KeyType::P256).await;
    for index in 0..sealed.sealed.len() {
        let mut changed = sealed.clone();
        changed.sealed[index] ^= 0x01;
        assert_wrong_seal(&*under_test.keyring, &changed, &format!("octet {index} changed")).await;
    }
    for length in [0, 1, sealed.sealed.len() / 2, sealed.sealed.len() - 1] {
        let changed = SealedKey { sealed: sealed.sealed[..length].to_vec(), ..sealed.clone() };
        assert_wrong_seal(&*under_test.keyring, &changed, &format!("cut to {length} octets")).await;
    }
}

async fn a_seal_opens_for_its_own_record_only(under_test: KeyringUnderTest) {
    let (first, _) = generate(&*under_test.keyring, KeyRoom::Authorities, KeyType::P256).await;
    let (second, _) = generate(&*under_test.keyring, KeyRoom::Authorities, KeyType::P256).await;
    for changed in [
        SealedKey { sealed: second.sealed.clone(), ..first.clone() },
        SealedKey { spki: second.spki.clone(), ..first.clone() },
        SealedKey { spki: second.spki.clone(), id: second.id.clone(), ..first.clone() },
        SealedKey { key_type: KeyType::P384, ..first.clone() },
    ] {
        assert_wrong_seal(&*under_test.keyring, &changed, "the record of another key").await;
    }
    assert!(under_test.keyring.open(&first).await.is_ok(), "the right record still opens");
}

async fn rooms_are_apart(under_test: KeyringUnderTest) {
    let (authority, _) = generate(&*under_test.keyring, KeyRoom::Authorities, KeyType::P256).await;
    // Somebody who can write the table moves an authority's key to where a status replica reads.
    let moved = SealedKey { room: KeyRoom::Responders, ..authority };
    assert_wrong_seal(&*under_test.keyring, &moved, "a key in another room").await;
    assert_wrong_seal(&*under_test.responders_only, &moved, "a key in another room").await;
}

async fn another_passphrase_opens_nothing(under_test: KeyringUnderTest) {
    for room in [KeyRoom::Authorities, KeyRoom::Responders] {
        let (sealed, _) = generate(&*under_test.keyring, room, KeyType::P256).await;
        let refused = under_test.stranger.open(&sealed).await.err();
        assert_eq!(refused, Some(KeyringError::WrongSeal { id: sealed.id }));
    }
}

async fn without_its_data_key_a_room_is_closed(under_test: KeyringUnderTest) {
    let closed = Some(KeyringError::NoDataKey { room: KeyRoom::Authorities });
    let (sealed, _) = generate(&*under_test.keyring, KeyRoom::Authorities, KeyType::P256).await;
    let replica = &under_test.responders_only;
    assert_eq!(replica.open(&sealed).await.err(), closed);
    assert_eq!(replica.generate(KeyRoom::Authorities, KeyType::P256).await.err(), closed);
    let (sealed, made) = generate(&**replica, KeyRoom::Responders, KeyType::P256).await;
    let opened = under_test.keyring.open(&sealed).await.expect("the other room is open to both");
    assert_signs(&*opened, &*made).await;
}

async fn generate(keyring: &dyn Keyring, room: KeyRoom, key_type: KeyType) -> (SealedKey, Arc<dyn Signer>) {
    keyring.generate(room, key_type).await.expect("generate")
}

async fn assert_wrong_seal(keyring: &dyn Keyring, sealed: &SealedKey, what: &str) {
    let refused = keyring.open(sealed).await.err();
    let expected = matches!(refused, Some(KeyringError::WrongSeal { .. } | KeyringError::NotThatKey { .. }));
    assert!(expected, "{what}: {refused:?}");
}

/// What `signer` signs verifies under the public key of `made`.
async fn assert_signs(signer: &dyn Signer, made: &dyn Signer) {
    let message = message(1);
    let signature = signer.sign(&message).await.expect("signs");
    let verified = made.public_key().verify(signature.algorithm, message.to_be_signed(), &signature.octets);
    assert_eq!(verified, Ok(()));
}
