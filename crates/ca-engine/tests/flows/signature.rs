//! By what an authority signs: what its line was told, from the start at which it was told on, and nothing that was signed before is
//! worth less.

use std::collections::BTreeMap;

use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::pem;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::engine::{Engine, Settings};
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::ScriptedSigner;
use ca_engine::flow::publish_crl::{lease_name, publish_crl};
use futures::executor::block_on;

use crate::world::*;

const RSA: &str = include_str!("../../../ca-core/tests/issuance/keys/root.rsa2048.pem");

fn told(authority: &str, algorithm: SignatureAlgorithm) -> Parts {
    let parts = Parts::default();
    let signatures = BTreeMap::from([(id(authority), algorithm)]);
    Parts { settings: Settings { signatures, ..parts.settings.clone() }, ..parts }
}

/// A world whose root is to have an RSA key, and has none yet.
fn with_rsa_root(parts: Parts) -> World {
    let pkcs8 = pem::decode_all("PRIVATE KEY", RSA).expect("made by openssl").remove(0);
    let mut world = World::empty(parts);
    world.root = ScriptedSigner::from_pkcs8(KeyType::Rsa2048, &pkcs8);
    world
}

fn newest_list(world: &World, engine: &Engine) -> (u64, ParsedCrl) {
    block_on(engine.lend_signer(id("root"), world.root_signer())).expect("the root's key");
    let lease = block_on(engine.store().acquire_lease(&lease_name(&id("root")), "test", Lifetime::from_seconds(60)));
    let lease = lease.expect("a record").expect("free");
    let list = block_on(publish_crl(engine, &Principal::Job("crl"), &id("root"), &lease)).expect("published");
    block_on(engine.store().release_lease(&lease)).expect("released");
    (list.intent.number, world.read_list("root", &list.der))
}

fn certificate_of(engine: &Engine, authority: &str) -> Certificate {
    engine.authority(&id(authority)).expect("an authority").certificate().clone()
}

#[test]
fn an_authority_signs_all_by_what_its_line_was_told() {
    let algorithm = SignatureAlgorithm::RsaPssSha256;
    let world = with_rsa_root(told("root", algorithm));
    world.establish("root", None);
    world.establish("tls", Some("root"));
    let (root, tls) = (certificate_of(&world.engine, "root"), certificate_of(&world.engine, "tls"));
    assert_eq!((root.signature_algorithm(), tls.signature_algorithm()), (algorithm, algorithm));
    root.verify_signed_by(root.public_key()).expect("it signed itself");
    tls.verify_signed_by(root.public_key()).expect("it signed the one below");
    let responder = world.engine.hierarchy().responder(&id("root"), world.now()).expect("a responder").clone();
    let responder = Certificate::from_der(responder.certificate_der()).expect("a certificate");
    assert_eq!(responder.signature_algorithm(), algorithm);
    let (_, list) = newest_list(&world, &world.engine);
    assert_eq!(list.signature_algorithm(), Ok(algorithm));
    // `tls` was told nothing, and is no RSA key.
    assert_eq!(
        world.engine.authority(&id("tls")).expect("tls").facts().signature_algorithm,
        SignatureAlgorithm::EcdsaSha256
    );
}

/// Whoever chose it would rely on it.
#[test]
fn a_key_that_cannot_sign_so_is_refused_before_it_is_used() {
    let world = with_rsa_root(told("tls", SignatureAlgorithm::RsaPssSha256));
    world.establish("root", None);
    let refusal = world.try_establish("tls", Some("root")).expect_err("P-256 has no PSS");
    assert_eq!(refusal.kind, Kind::AuthorityCannotSign);
    assert!(refusal.message.contains("RSASSA-PSS with SHA-256") && refusal.message.contains("p256"), "{refusal:?}");
    assert!(world.engine.hierarchy().authority(&id("tls")).is_none());
    assert!(
        block_on(world.store().open_reservations(world.now().plus(DAY))).is_ok_and(|open| open.is_empty()),
        "nothing was begun"
    );
}

#[test]
fn another_choice_changes_what_is_signed_from_then_on_and_nothing_else() {
    let world = with_rsa_root(Parts::default());
    world.establish("root", None);
    let (first, before) = newest_list(&world, &world.engine);
    let own = SignatureAlgorithm::RsaSha256;
    let by = |list: &ParsedCrl| list.signature_algorithm();
    assert_eq!(by(&before), Ok(own));
    let mut number = first;
    for algorithm in [SignatureAlgorithm::RsaPssSha256, own, SignatureAlgorithm::RsaPssSha256] {
        let restarted = world.restarted_with(told("root", algorithm));
        assert_eq!(certificate_of(&restarted, "root").signature_algorithm(), own, "what was signed stays as it was");
        let (next, list) = newest_list(&world, &restarted);
        assert_eq!((by(&list), next > number), (Ok(algorithm), true));
        number = next;
    }
    // A generation whose key has no such algorithm came before the choice: it goes on as it is.
    world.establish("tls", Some("root"));
    let restarted = world.restarted_with(told("tls", SignatureAlgorithm::RsaPssSha256));
    let tls = restarted.authority(&id("tls")).expect("it is there");
    assert!(tls.can_sign());
    assert_eq!(tls.signer().expect("its key").algorithm(), SignatureAlgorithm::EcdsaSha256);
}
