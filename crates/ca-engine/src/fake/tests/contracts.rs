//! Every fake against its port's contract suite.

use std::sync::Arc;

use ca_core::key::KeyType;
use futures::FutureExt;
use futures::executor::block_on;

use crate::fake::contract::anchor::AnchorUnderTest;
use crate::fake::contract::certificate_target::TargetUnderTest;
use crate::fake::contract::keyring::KeyringUnderTest;
use crate::fake::contract::publisher::PublisherUnderTest;
use crate::fake::contract::shared_answers::SharedAnswersUnderTest;
use crate::fake::contract::store::StoreUnderTest;
use crate::fake::contract::{
    check_anchor, check_certificate_target, check_keyring, check_publisher, check_shared_answers, check_signer,
    check_store,
};
use crate::fake::{
    FakeClock, FlakyPublisher, MemoryAnchor, MemoryKeyring, MemorySharedAnswers, MemoryStore, MemoryTarget,
    ScriptedSigner,
};
use crate::port::certificate_target::CertificateTarget;
use crate::port::keyring::KeyRoom;
use crate::port::signer::Signer;
use crate::port::store::Store;

#[test]
fn the_memory_store_keeps_the_contract() {
    block_on(check_store(|| async {
        let clock = FakeClock::default();
        let store = MemoryStore::new(clock.clone());
        let handle = store.clone();
        StoreUnderTest {
            store: Arc::new(store),
            another: Arc::new(move || {
                let handle: Arc<dyn Store> = Arc::new(handle.clone());
                async move { handle }.boxed()
            }),
            pass_time: Arc::new(move |lifetime| {
                clock.advance(lifetime);
                async {}.boxed()
            }),
        }
    }));
}

#[test]
fn scripted_signers_keep_the_contract() {
    for key_type in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa2048] {
        let signer = ScriptedSigner::generate(key_type);
        block_on(check_signer(|| async {
            let signer: Arc<dyn Signer> = Arc::new(signer.clone());
            signer
        }));
    }
}

#[test]
fn the_memory_keyring_keeps_the_contract() {
    block_on(check_keyring(|| async {
        let keyring = MemoryKeyring::new(FakeClock::default());
        KeyringUnderTest {
            restarted: Arc::new(keyring.clone()),
            responders_only: Arc::new(keyring.with_rooms([KeyRoom::Responders])),
            stranger: Arc::new(MemoryKeyring::new(FakeClock::default())),
            keyring: Arc::new(keyring),
        }
    }));
}

#[test]
fn the_flaky_publisher_keeps_the_contract() {
    block_on(check_publisher(|| async {
        let publisher = FlakyPublisher::default();
        let place = publisher.clone();
        PublisherUnderTest {
            publisher: Arc::new(publisher),
            read: Arc::new(move |list| {
                let published = place.published_list(&list);
                async move { published.map(|(_, der)| der) }.boxed()
            }),
        }
    }));
}

#[test]
fn the_memory_anchor_keeps_the_contract() {
    block_on(check_anchor(|| async {
        let anchor = MemoryAnchor::default();
        AnchorUnderTest { another: Arc::new(anchor.clone()), anchor: Arc::new(anchor) }
    }));
}

#[test]
fn shared_answers_in_memory_keep_the_contract() {
    block_on(check_shared_answers(|| async {
        let clock = FakeClock::default();
        let answers = MemorySharedAnswers::new(clock.clone());
        SharedAnswersUnderTest {
            another: Arc::new(answers.clone()),
            answers: Arc::new(answers),
            settle: Arc::new(|| async {}.boxed()),
            pass_time: Arc::new(move |lifetime| {
                clock.advance(lifetime);
                async {}.boxed()
            }),
        }
    }));
}

#[test]
fn the_memory_target_keeps_the_contract() {
    block_on(check_certificate_target(|| async {
        let target = MemoryTarget::default();
        let shared = target.clone();
        TargetUnderTest {
            target: Arc::new(target),
            another: Arc::new(move || {
                let another: Arc<dyn CertificateTarget> = Arc::new(shared.clone());
                async move { another }.boxed()
            }),
        }
    }));
}
