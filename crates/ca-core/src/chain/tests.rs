//! Chains that hold are told from those that do not, each for its own clause.

use super::anchor::{judge_anchor, judge_cross};
use super::*;
use crate::hierarchy::{
    Authority, Owner, SigningKey, document_constraints, name, now, profile, request, serial, subject, tls_constraints,
};
use crate::key::KeyType;
use crate::name::{NameConstraints, Subtree};
use crate::policy::AuthorityConstraints;
use crate::tbs;
use crate::template::{self, Issuer};
use crate::time::Lifetime;

struct Built {
    root: Authority,
    tls: Authority,
    leaf: Certificate,
}

fn built() -> Built {
    built_with(&tls_constraints())
}

fn built_with(constraints: &AuthorityConstraints) -> Built {
    let root = Authority::root(KeyType::P256);
    let tls = Authority::below(&root, KeyType::P256, "tls", constraints);
    let leaf = leaf_of(&tls, "server", "dns:api.example.org");
    Built { root, tls, leaf }
}

fn leaf_of(authority: &Authority, profile_name: &str, alternative_name: &str) -> Certificate {
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let holder = subject("CN=api.example.org");
    let names = [name(alternative_name)];
    authority.issue(&profile(profile_name), &request(key.public(), &holder, &names))
}

fn chain() -> Vec<Certificate> {
    let Built { root, tls, leaf } = built();
    vec![leaf, tls.certificate, root.certificate]
}

/// The findings' places and clauses.
fn broken(chain: &[Certificate], purpose: Option<ExtendedKeyUsage>) -> Vec<(usize, &'static str)> {
    validate(chain, now(), purpose).into_iter().map(|finding| (finding.index, finding.clause)).collect()
}

#[test]
fn any_order_becomes_leaf_first() {
    let expected = chain();
    for order_given in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let given = order_given.map(|index| expected[index].clone()).to_vec();
        assert_eq!(order(given), OrderedChain { chain: expected.clone(), left_out: Vec::new() });
    }
}

#[test]
fn strangers_are_left_out() {
    let expected = chain();
    let stranger = Authority::root(KeyType::P384).certificate;
    let mut given = vec![stranger.clone()];
    given.extend(expected.iter().rev().cloned());
    assert_eq!(order(given), OrderedChain { chain: expected, left_out: vec![stranger] });
    assert_eq!(order(Vec::new()), OrderedChain::default());
}

#[test]
fn an_issuer_is_known_by_its_key_not_by_its_name() {
    let Built { tls, leaf, .. } = built();
    // The same names, other keys.
    let other = Authority::below(&Authority::root(KeyType::P384), KeyType::P384, "tls", &tls_constraints());
    assert_eq!(other.certificate.subject(), leaf.issuer());
    let ordered = order(vec![other.certificate.clone(), leaf.clone(), tls.certificate.clone()]);
    assert_eq!(ordered.chain, [leaf, tls.certificate]);
    assert_eq!(ordered.left_out, [other.certificate]);
}

#[test]
fn an_incomplete_chain_goes_as_far_as_it_can() {
    let Built { root, leaf, .. } = built();
    let ordered = order(vec![root.certificate.clone(), leaf.clone()]);
    assert_eq!(ordered.chain, [leaf]);
    assert_eq!(ordered.left_out, [root.certificate]);
}

#[test]
fn what_we_issue_holds() {
    let chain = chain();
    for purpose in [None, Some(ExtendedKeyUsage::SERVER_AUTH), Some(ExtendedKeyUsage::CLIENT_AUTH)] {
        assert_eq!(validate(&chain, now(), purpose), []);
    }
    assert_eq!(validate(&chain[..2], now(), None), [], "the last one is trusted, root or not");
}

#[test]
fn times_are_told() {
    let chain = chain();
    let clause = "RFC 5280 §6.1.3 (a)(2)";
    let late = validate(&chain, now().plus(Lifetime::from_days(91)), None);
    assert_eq!(late.len(), 1);
    assert!(late[0].index == 0 && late[0].clause == clause && late[0].detail.starts_with("ended at"), "{}", late[0]);
    let early = validate(&chain, now().minus(Lifetime::from_seconds(400)), None);
    assert!(early.len() == 1 && early[0].detail.contains("is the clock right?"), "{early:?}");
    let end = chain[0].validity().not_after;
    assert_eq!(validate(&chain, Timestamp::from_unix_millis(end.unix_millis() + 999), None), []);
}

#[test]
fn a_signature_by_another_key_is_told_with_both_keys() {
    let Built { root, leaf, .. } = built();
    let other = Authority::below(&Authority::root(KeyType::P384), KeyType::P384, "tls", &tls_constraints());
    let findings = validate(&[leaf, other.certificate, root.certificate], now(), None);
    assert_eq!(findings[0].clause, "RFC 5280 §6.1.3 (a)(1)");
    assert!(findings[0].detail.contains("it names the issuer's key"), "{}", findings[0]);
    assert_eq!(findings.iter().map(|finding| finding.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_gap_in_the_names_is_told() {
    let Built { root, leaf, .. } = built();
    assert_eq!(broken(&[leaf, root.certificate], None), [(0, "RFC 5280 §6.1.3 (a)(4)")]);
}

#[test]
fn an_end_entity_issues_nothing() {
    let Built { root, tls, leaf } = built();
    // Signed by the holder's key, as one who holds a certificate and wants to be an authority would.
    let holder = SigningKey::of(Owner::Holder, KeyType::P256);
    let mut facts = tls.facts.clone();
    facts.subject = leaf.subject().clone();
    facts.public_key = holder.public().clone();
    facts.key_identifier = holder.public().key_identifier().to_vec();
    let key = SigningKey::of(Owner::Holder, KeyType::P384);
    let (victim, names) = (subject("CN=victim"), [name("dns:victim.example.org")]);
    let asked = request(key.public(), &victim, &names);
    let granted =
        crate::policy::evaluate(&profile("server"), &asked, &crate::hierarchy::by_service()).expect("granted");
    let issuer = Issuer::Authority(&facts);
    let template = template::build(granted, issuer, &template::Endpoints::default(), serial(7), now()).expect("built");
    let linted =
        crate::hierarchy::lint(tbs::encode(&template).expect("encoded"), issuer, &profile("server"), key.public());
    let signature = holder.sign(&linted);
    let der = linted.into_certificate(&signature, holder.public()).expect("signed");
    let forged = Certificate::from_der(der.as_bytes()).expect("a certificate");
    let clauses = broken(&[forged, leaf, tls.certificate, root.certificate], None);
    assert_eq!(clauses, [(1, "RFC 5280 §6.1.4 (k)"), (1, "RFC 5280 §6.1.4 (n)"), (2, "RFC 5280 §6.1.4 (l), (m)")]);
}

#[test]
fn name_constraints_bind_everything_below() {
    let confined = AuthorityConstraints {
        name_constraints: NameConstraints {
            permitted: vec![Subtree::parse("dns:example.org").expect("a subtree")],
            excluded: Vec::new(),
        },
        ..tls_constraints()
    };
    let Built { root, tls, leaf } = built_with(&confined);
    assert_eq!(validate(&[leaf, tls.certificate.clone(), root.certificate.clone()], now(), None), []);
    // The same authority without the constraint issued one that breaks it.
    let outside = leaf_of(&built().tls, "server", "dns:api.example.com");
    let findings = validate(&[outside, tls.certificate, root.certificate], now(), None);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].index == 0 && findings[0].clause == "RFC 5280 §6.1.3 (b), (c)", "{}", findings[0]);
}

#[test]
fn purposes_nest() {
    let chain = chain();
    assert_eq!(
        broken(&chain, Some(ExtendedKeyUsage::EMAIL_PROTECTION)),
        [(0, "RFC 5280 §4.2.1.12"), (1, "RFC 5280 §4.2.1.12")]
    );
    let root = Authority::root(KeyType::P256);
    let document = Authority::below(&root, KeyType::P256, "document", &document_constraints());
    let leaf = leaf_of(&document, "document", "email:maria@example.org");
    let chain = [leaf, document.certificate, root.certificate];
    assert_eq!(broken(&chain, Some(ExtendedKeyUsage::DOCUMENT_SIGNING)), []);
    assert_eq!(broken(&chain, Some(ExtendedKeyUsage::SERVER_AUTH)).len(), 2);
}

#[test]
fn a_delegated_responder_is_not_held_to_its_issuers_purposes() {
    let Built { root, tls, .. } = built();
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let responder = tls.issue(&profile("ocsp-responder"), &request(key.public(), &subject("CN=Responder"), &[]));
    let chain = [responder, tls.certificate, root.certificate];
    assert_eq!(broken(&chain, Some(ExtendedKeyUsage::OCSP_SIGNING)), []);
}

#[test]
fn critical_extensions_that_nobody_knows_are_told() {
    let leaf = Certificate::from_pem(include_str!("../certificate/testdata/leaf.pem")).expect("made by openssl");
    let issuer = Certificate::from_pem(include_str!("../certificate/testdata/issuer.pem")).expect("made by openssl");
    let at = leaf.validity().not_before.plus(Lifetime::from_days(1));
    let findings = validate(&[leaf, issuer], at, None);
    assert!(findings.iter().any(|finding| finding.clause == "RFC 5280 §4.2" && finding.detail.contains("1.2.3.4.5")));
}

#[test]
fn findings_explain_themselves() {
    let Built { root, leaf, .. } = built();
    let finding = &validate(&[leaf, root.certificate], now(), None)[0];
    assert_eq!(
        finding.to_string(),
        "certificate 1 (`CN=api.example.org`): was issued by `CN=Test tls CA,O=Test,C=BR`, not by the next one, \
         `CN=Test Root CA,O=Test,C=BR` (RFC 5280 §6.1.3 (a)(4))"
    );
}

#[test]
fn an_anchor_is_self_signed_and_an_authority() {
    let Built { root, tls, leaf } = built();
    let clauses = |certificate: &Certificate| -> Vec<&'static str> {
        judge_anchor(certificate, now()).into_iter().map(|finding| finding.clause).collect()
    };
    assert_eq!(clauses(&root.certificate), [""; 0]);
    assert_eq!(clauses(&tls.certificate), ["RFC 5280 §3.2"]);
    assert!(clauses(&leaf).contains(&"RFC 5280 §4.2.1.9"));
    let later = root.certificate.validity().not_after.plus(Lifetime::from_seconds(1));
    assert_eq!(judge_anchor(&root.certificate, later)[0].clause, "RFC 5280 §6.1.3 (a)(2)");
}

#[test]
fn a_cross_certificate_is_for_the_name_and_key_of_a_root_and_leaves_room_below_it() {
    let Built { root, tls, .. } = built();
    let another = Authority::root(KeyType::P384).certificate;
    let clauses = |of: &Certificate| -> Vec<&'static str> {
        let findings = judge_cross(&tls.certificate, of, &root.certificate, &[], now());
        findings.into_iter().map(|finding| finding.clause).collect()
    };
    assert_eq!(clauses(&another), ["RFC 5280 §6.1", "RFC 5280 §4.2.1.2", "RFC 5280 §4.2.1.9"]);
    // Of itself it would be one, had it not a path length of 0.
    assert_eq!(clauses(&tls.certificate), ["RFC 5280 §4.2.1.9"]);
}
