//! Every rule fires on what breaks it: certificates are taken apart, spoiled and put together again, so that nothing is
//! left to the encoder, the policy or the template to prevent.

mod scene;
mod spoiled;

use std::collections::BTreeSet;

use super::catalogue::{self, STRICT_DER};
use super::*;
use crate::hierarchy::{Owner, SigningKey};
use crate::key::KeyType;
use scene::Scene;

#[test]
fn faultless_certificates_break_no_rule() {
    for (kind, scene) in [
        ("server", Scene::server()),
        ("stapling server", Scene::stapling_server()),
        ("responder", Scene::responder()),
        ("document", Scene::document()),
        ("subordinate", Scene::subordinate()),
        ("root", Scene::root()),
    ] {
        assert_eq!(scene.lint().map(|_| ()), Ok(()), "{kind}");
    }
}

#[test]
fn a_responder_of_another_issuer_may_be_made_in_its_way_and_nobody_else() {
    let in_aws_s_way = |scene: &mut Scene| {
        scene.set_critical(id::EXTENDED_KEY_USAGE, true);
        scene.set(id::BASIC_CONSTRAINTS, false, &[0x30, 0]);
    };
    assert!(Scene::responder().with(in_aws_s_way).lint().is_err());
    assert_eq!(Scene::responder().with(in_aws_s_way).lint_received(), [""; 0]);
    assert_eq!(
        Scene::server().with(in_aws_s_way).lint_received(),
        [extension::CONSTRAINING_CRITICAL, usage::PURPOSES_NOT_CRITICAL]
    );
    let lax = Scene::responder().with(in_aws_s_way).with(|scene| scene.set_critical(id::KEY_USAGE, false));
    assert_eq!(lax.lint_received(), [extension::CONSTRAINING_CRITICAL]);
}

#[test]
fn every_rule_fires_on_what_breaks_it() {
    let spoiled =
        [spoiled::fields(), spoiled::names(), spoiled::extensions(), spoiled::usages(), spoiled::agreements()];
    let mut fired = BTreeSet::new();
    for (index, (rule, scene)) in spoiled.into_iter().flatten().enumerate() {
        let findings = scene.lint().expect_err(rule);
        assert!(findings.iter().any(|finding| finding.rule == rule), "case {index}, {rule}: {findings:?}");
        assert!(findings.iter().all(|finding| !finding.clause.is_empty() && !finding.detail.is_empty()));
        fired.insert(rule);
    }
    let known: BTreeSet<&str> = catalogue::all().map(|rule| rule.name).chain([STRICT_DER]).collect();
    assert_eq!(fired, known, "every rule has a case");
}

#[test]
fn rules_have_names_of_their_own() {
    let names: Vec<&str> = catalogue::all().map(|rule| rule.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn a_signature_of_another_key_makes_no_certificate() {
    let scene = Scene::server();
    let issuer = scene.facts.clone().expect("of an authority").public_key;
    let stranger = SigningKey::of(Owner::Holder, KeyType::P256);
    let linted = scene.lint().expect("faultless");
    let signature = stranger.sign(&linted);
    assert!(matches!(linted.into_certificate(&signature, &issuer), Err(AssembleError::Signature(_))));
}

#[test]
fn a_signature_by_another_algorithm_makes_no_certificate() {
    let scene = Scene::server();
    let issuer = scene.facts.clone().expect("of an authority").public_key;
    let linted = scene.lint().expect("faultless");
    let other = SigningKey::of(Owner::Authority, KeyType::P384);
    let signature = other.sign(&linted);
    assert_eq!(
        linted.into_certificate(&signature, &issuer),
        Err(AssembleError::OtherAlgorithm {
            expected: SignatureAlgorithm::EcdsaSha256,
            found: SignatureAlgorithm::EcdsaSha384
        })
    );
}

#[test]
fn what_is_signed_is_what_was_linted() {
    let scene = Scene::server();
    let linted = scene.lint().expect("faultless");
    assert_eq!(linted.der(), scene.der());
    assert_eq!(linted.der(), scene.der());
    assert_eq!(linted.sha256(), hash::sha256(&scene.der()));
}

#[test]
fn no_octets_make_it_panic() {
    let scene = Scene::server();
    let der = scene.der();
    for position in 0..der.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut spoiled = der.clone();
            spoiled[position] ^= change;
            let issuer = scene.issuer();
            let context = LintContext { issuer, public_key: &scene.key, profile: &scene.profile };
            // The serial, the lifetime and the names within the profile may be others without breaking a rule.
            if let Ok(linted) = check(TbsDer::from_bytes(spoiled), &context) {
                assert_eq!(linted.der().len(), der.len());
            }
        }
        assert!(check_truncated(&scene, &der[..position]), "{position}");
    }
}

fn check_truncated(scene: &Scene, der: &[u8]) -> bool {
    let issuer = scene.issuer();
    let context = LintContext { issuer, public_key: &scene.key, profile: &scene.profile };
    check(TbsDer::from_bytes(der.to_vec()), &context).is_err_and(|findings| findings[0].rule == STRICT_DER)
}
