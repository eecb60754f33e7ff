//! What a grant and an issuer make of each other: lifetimes, and everything the issuer's certificate forbids.

use super::*;
use crate::hierarchy::{
    Authority, Owner, SigningKey, by_service, endpoints, name, now, profile, request, serial, subject, tls_constraints,
};
use crate::key::{KeyType, SignatureAlgorithm};
use crate::name::Subtree;
use crate::policy::{self, AuthorityConstraints, CertificateRequest};

fn tls() -> IssuerFacts {
    Authority::below(&Authority::root(KeyType::P256), KeyType::P256, "tls", &tls_constraints()).facts
}

/// A grant of the profile for one name, asked for with this lifetime.
fn granted(profile_name: &str, names: &[&str], validity: Option<Lifetime>) -> Granted {
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let names: Vec<_> = names.iter().map(|text| name(text)).collect();
    let holder = subject("CN=api.example.org");
    let asked = CertificateRequest { validity, ..request(key.public(), &holder, &names) };
    policy::evaluate(&profile(profile_name), &asked, &by_service()).expect("granted")
}

fn server(validity: Option<Lifetime>) -> Granted {
    granted("server", &["dns:api.example.org"], validity)
}

fn built(granted: Granted, facts: &IssuerFacts, at: Timestamp) -> Result<CertificateTemplate, Vec<Violation>> {
    build(granted, Issuer::Authority(facts), &endpoints("tls"), serial(9), at)
}

fn codes(refused: Result<CertificateTemplate, Vec<Violation>>) -> Vec<(&'static str, String)> {
    let violations = refused.expect_err("refused");
    violations.into_iter().map(|violation| (violation.code.as_str(), violation.pointer)).collect()
}

#[test]
fn validity_begins_five_minutes_ago_to_the_second() {
    let at = Timestamp::from_unix_millis(now().unix_millis() + 999);
    let template = built(server(None), &tls(), at).expect("built");
    assert_eq!(template.validity().not_before, now().minus(Lifetime::from_seconds(300)));
    assert_eq!(template.validity().not_after, now().plus(Lifetime::from_days(90)));
}

#[test]
fn validity_never_begins_before_the_issuers() {
    let facts = IssuerFacts { validity: Validity { not_before: now(), ..tls().validity }, ..tls() };
    let template = built(server(None), &facts, now()).expect("built");
    assert_eq!(template.validity().not_before, now());
}

#[test]
fn a_default_lifetime_is_cut_short_at_the_issuers_end() {
    let end = now().plus(Lifetime::from_days(30));
    let facts = IssuerFacts { validity: Validity { not_after: end, ..tls().validity }, ..tls() };
    assert_eq!(built(server(None), &facts, now()).expect("built").validity().not_after, end);
}

#[test]
fn a_lifetime_asked_for_beyond_the_issuers_end_is_refused() {
    let end = now().plus(Lifetime::from_days(30));
    let facts = IssuerFacts { validity: Validity { not_after: end, ..tls().validity }, ..tls() };
    let asked = |days| built(server(Some(Lifetime::from_days(days))), &facts, now());
    assert_eq!(asked(30).expect("up to the end").validity().not_after, end);
    assert_eq!(codes(asked(31)), [("validity-beyond-issuer", "/validity".to_owned())]);
    let refused = asked(31).expect_err("too long");
    assert!(refused[0].message.contains("ask for at most 30d or leave the validity out"), "{}", refused[0]);
}

#[test]
fn nothing_is_issued_before_or_after_the_issuers_validity() {
    let facts = tls();
    let before = facts.validity.not_before.minus(Lifetime::from_seconds(1));
    assert_eq!(codes(built(server(None), &facts, before)), [("issuer-not-yet-valid", String::new())]);
    let after = facts.validity.not_after.plus(Lifetime::from_seconds(1));
    assert_eq!(codes(built(server(None), &facts, after)), [("issuer-expired", String::new())]);
    built(server(None), &facts, facts.validity.not_before).expect("at its first second");
    let last = facts.validity.not_after.minus(Lifetime::from_seconds(1));
    built(server(None), &facts, last).expect("in its last second but one");
}

#[test]
fn in_its_last_second_an_issuer_makes_nothing_that_is_dead() {
    let facts = tls();
    let template = built(server(None), &facts, facts.validity.not_after);
    let validity = template.expect("built").validity();
    assert!(validity.not_before < validity.not_after);
}

#[test]
fn an_issuers_name_constraints_are_enforced_name_by_name() {
    let constraints = NameConstraints {
        permitted: vec![Subtree::parse("dns:example.org").expect("a subtree")],
        excluded: vec![Subtree::parse("ip:192.0.2.0/24").expect("a subtree")],
    };
    let facts = IssuerFacts { name_constraints: Some(constraints), ..tls() };
    let names = ["dns:api.example.org", "dns:api.example.com", "ip:192.0.2.1", "ip:198.51.100.1"];
    assert_eq!(
        codes(built(granted("server", &names, None), &facts, now())),
        [
            ("issuer-name-constraints", "/subject_alternative_names/1".to_owned()),
            ("issuer-name-constraints", "/subject_alternative_names/2".to_owned())
        ]
    );
}

#[test]
fn purposes_and_policies_of_the_issuer_are_enforced() {
    let document = granted("document", &["email:maria@example.org"], None);
    let broken = codes(built(document, &tls(), now()));
    assert_eq!(broken, vec![("issuer-extended-key-usage", "/profile".to_owned()); 2]);
    let facts = IssuerFacts { certificate_policies: vec![ObjectIdentifier::new_unwrap("1.2.3")], ..tls() };
    assert_eq!(codes(built(server(None), &facts, now())), [("issuer-policies", "/profile".to_owned())]);
}

#[test]
fn responders_are_outside_their_issuers_purposes() {
    let template = built(granted("ocsp-responder", &[], None), &tls(), now()).expect("built");
    assert!(template.ocsp_no_check);
    assert_eq!(*template.endpoints(), Endpoints::default());
}

#[test]
fn authorities_below_are_as_confined_as_their_issuer() {
    let unconfined = IssuerFacts { path_length: None, ..tls() };
    assert_eq!(
        codes(built(granted("subordinate", &[], None), &unconfined, now())),
        [("issuer-extended-key-usage", "/profile".to_owned())]
    );
    assert_eq!(
        codes(built(
            granted("subordinate", &[], None),
            &IssuerFacts { extended_key_usage: Vec::new(), ..tls() },
            now()
        )),
        [("issuer-path-length", "/profile".to_owned())]
    );
}

#[test]
fn only_roots_sign_themselves() {
    let own = Issuer::Itself(SignatureAlgorithm::EcdsaSha256);
    let sign_itself = |granted| build(granted, own, &Endpoints::default(), serial(1), now());
    assert_eq!(codes(sign_itself(server(None))), [("issuer-not-fit", "/profile".to_owned())]);
    let root = granted("root", &[], None);
    let broken = codes(built(root, &IssuerFacts { extended_key_usage: Vec::new(), path_length: None, ..tls() }, now()));
    assert_eq!(broken, [("issuer-not-fit", "/profile".to_owned())]);
    let template = sign_itself(granted("root", &[], None)).expect("built");
    assert_eq!(template.issuer(), template.subject());
    assert_eq!(template.authority_key_identifier, None);
    assert_eq!(template.role(), SubjectRole::Authority { path_length: None });
    assert_eq!(template.validity().not_after, now().plus(Lifetime::from_days(7305)));
}

#[test]
fn endpoints_are_the_services_where_the_profile_wants_them() {
    let template = built(server(None), &tls(), now()).expect("built");
    assert_eq!(*template.endpoints(), endpoints("tls"));
    let none = build(server(None), Issuer::Authority(&tls()), &Endpoints::default(), serial(9), now()).expect("built");
    assert_eq!(*none.endpoints(), Endpoints::default());
}

#[test]
fn an_authority_is_confined_to_what_it_was_made_for() {
    let root = Authority::root(KeyType::P384);
    let constraints = AuthorityConstraints {
        name_constraints: NameConstraints {
            permitted: vec![Subtree::parse("dns:example.org").expect("a subtree")],
            excluded: Vec::new(),
        },
        ..tls_constraints()
    };
    let authority = Authority::below(&root, KeyType::P256, "tls", &constraints);
    assert_eq!(authority.facts.extended_key_usage, constraints.extended_key_usage);
    assert_eq!(authority.facts.name_constraints.as_ref(), Some(&constraints.name_constraints));
    assert_eq!(authority.facts.path_length, Some(0));
    assert_eq!(authority.facts.certificate_policies, [ANY_POLICY]);
    assert_eq!(authority.certificate.signature_algorithm(), SignatureAlgorithm::EcdsaSha384);
    assert_eq!(authority.facts.signature_algorithm, SignatureAlgorithm::EcdsaSha256);
}
