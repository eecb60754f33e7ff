//! Faults strike where a test orders them, and leave behind what they say.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::TokenId;
use ca_core::key::KeyType;
use ca_core::principal::TokenBinding;
use ca_core::time::{Lifetime, Timestamp};
use futures::executor::block_on;

use crate::fake::{
    FakeClock, FlakyPublisher, MemoryKeyring, MemoryStore, PublishFault, ScriptedSigner, SigningStep, StoreFault,
    StoreMethod,
};
use crate::port::keyring::{KeyRoom, Keyring, KeyringError};
use crate::port::publisher::Publisher;
use crate::port::signer::{Signer, SignerError};
use crate::port::store::{AuditStore, Journal, OutboxMessage, Store, StoreError, TokenRecord, TokenStore};

fn event(subject: &str) -> AuditEvent {
    AuditEvent::new(Timestamp::from_unix_seconds(0), AuditAction::AdministratorReset, "local", subject)
}

fn full() -> StoreError {
    StoreError::Full { detail: "test".to_owned() }
}

#[test]
fn a_fault_before_the_commit_changes_nothing() {
    let store = MemoryStore::new(FakeClock::default());
    store.fail_next(StoreMethod::AppendEvent, StoreFault::BeforeCommit(full()));
    assert_eq!(block_on(store.append_event(event("a"))), Err(full()));
    assert_eq!(store.events(), []);
    assert_eq!(block_on(store.append_event(event("b"))), Ok(()), "a fault is spent when it strikes");
    assert_eq!(store.events(), [event("b")]);
}

#[test]
fn a_lost_acknowledgement_leaves_the_change() {
    let store = MemoryStore::new(FakeClock::default());
    store.fail_next(StoreMethod::AppendEvent, StoreFault::AcknowledgementLost);
    assert!(matches!(block_on(store.append_event(event("a"))), Err(StoreError::Unknown { .. })));
    assert_eq!(store.events(), [event("a")]);
}

#[test]
fn faults_strike_the_call_that_was_counted() {
    let store = MemoryStore::new(FakeClock::default());
    store.fail_nth(StoreMethod::AppendEvent, 3, StoreFault::BeforeCommit(full()));
    store.fail_nth(StoreMethod::AppendEvent, 1, StoreFault::BeforeCommit(full()));
    let outcomes = ["a", "b", "c", "d"].map(|subject| block_on(store.append_event(event(subject))).is_ok());
    assert_eq!(outcomes, [false, true, false, true]);
    assert_eq!(store.calls(), [StoreMethod::AppendEvent; 4]);
}

#[test]
fn a_store_that_is_down_is_down_until_repaired() {
    let clock = FakeClock::default();
    let store = MemoryStore::new(clock.clone());
    store.break_down("unplugged");
    let down = StoreError::Unavailable { detail: "unplugged".to_owned() };
    assert_eq!(block_on(store.database_time()), Err(down.clone()));
    assert_eq!(block_on(store.clone().append_event(event("a"))), Err(down));
    store.repair();
    clock.advance(Lifetime::from_seconds(5));
    use crate::port::clock::Clock;
    assert_eq!(block_on(store.database_time()), Ok(clock.now()));
}

#[test]
fn messages_of_a_change_are_in_the_outbox_and_of_no_change_are_not() {
    let store = MemoryStore::new(FakeClock::default());
    let message = |topic| OutboxMessage { topic, certificate: None, payload: "{}".to_owned() };
    let journal = || Journal::of(event("token:x")).telling(message("first")).telling(message("second"));
    let unknown = TokenId::from_bytes([7; 16]);
    assert_eq!(block_on(store.withdraw_token(unknown, journal())), Ok(false));
    assert_eq!(store.outbox(), []);
    let token = TokenRecord {
        id: unknown,
        secret_sha256: [0; 32],
        binding: TokenBinding { profile: "server".parse().expect("a name"), names: vec![], common_name: None },
        personal_data: false,
        uses: 1,
        used: 0,
        expires_at: Timestamp::from_unix_seconds(0),
        created_at: Timestamp::from_unix_seconds(0),
        created_by: "local".to_owned(),
        withdrawn: false,
    };
    block_on(store.add_token(token, Journal::of(event("token:x")))).expect("add_token");
    assert_eq!(block_on(store.withdraw_token(unknown, journal())), Ok(true));
    assert_eq!(store.outbox(), [message("first"), message("second")]);
}

#[test]
fn a_signer_follows_its_script_and_then_signs() {
    let signer = ScriptedSigner::generate(KeyType::P256);
    let message = crate::fake::contract::signer::message(1);
    let verifies =
        |octets: &[u8]| signer.public_key().verify(signer.algorithm(), message.to_be_signed(), octets).is_ok();
    signer.script([
        SigningStep::Busy { retry_after: None },
        SigningStep::Unavailable,
        SigningStep::Refused,
        SigningStep::Garbage,
        SigningStep::AnotherMessage,
    ]);
    let sign = || block_on(signer.sign(&message));
    assert!(matches!(sign(), Err(SignerError::Busy { .. })));
    assert!(matches!(sign(), Err(SignerError::Unavailable { .. })));
    assert!(matches!(sign(), Err(SignerError::Refused { .. })));
    for _ in 0..2 {
        assert!(!verifies(&sign().expect("octets").octets), "these are no signature of the message");
    }
    assert!(verifies(&sign().expect("signs").octets));
    signer.always(Some(SigningStep::Refused));
    assert!(sign().is_err() && sign().is_err());
    signer.always(None);
    assert!(sign().is_ok());
    assert_eq!(signer.messages().len(), 9);
}

#[test]
fn a_key_is_the_same_after_pkcs8() {
    for key_type in [KeyType::P256, KeyType::Ed25519, KeyType::Rsa2048] {
        let signer = ScriptedSigner::generate(key_type);
        let again = ScriptedSigner::from_pkcs8(key_type, &signer.to_pkcs8());
        assert_eq!(again.public_key(), signer.public_key());
    }
}

#[test]
fn a_keyring_fails_as_often_as_told_and_lends_its_signers() {
    let keyring = MemoryKeyring::new(FakeClock::default());
    keyring.fail_generations(1);
    let generate = || block_on(keyring.generate(KeyRoom::Responders, KeyType::P256));
    assert!(matches!(generate().err(), Some(KeyringError::Generation { .. })));
    let (sealed, made) = generate().expect("one failure was ordered");
    let lent = keyring.signer(&sealed.id).expect("made here");
    lent.always(Some(SigningStep::Refused));
    assert!(block_on(made.sign(&crate::fake::contract::signer::message(1))).is_err(), "they share their script");
}

#[test]
fn a_publisher_fails_before_or_after() {
    let octets = |text: &[u8]| text.into();
    let publisher = FlakyPublisher::default();
    let list = "tls.crl".parse().expect("the name of a list");
    publisher.script([PublishFault::Before, PublishFault::After]);
    assert!(block_on(publisher.publish_crl(&list, 1, &octets(b"one"))).is_err());
    assert_eq!(publisher.published_list(&list), None);
    assert!(block_on(publisher.publish_crl(&list, 1, &octets(b"one"))).is_err());
    assert_eq!(publisher.published_list(&list), Some((1, b"one".to_vec())));
    assert!(block_on(publisher.publish_crl(&list, 2, &octets(b"two"))).is_ok());
    assert_eq!(publisher.calls().len(), 3);
}
