//! Enrolment tokens: made, used, spent, withdrawn, expired, and never more than they are bound to.

use ca_core::audit::AuditAction;
use ca_core::principal::{Principal, Role};
use ca_core::time::Lifetime;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::SigningStep;
use ca_engine::flow::authenticate::token_bearer;
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::token::{
    MAXIMUM_LIFETIME, MAXIMUM_USES, TOKEN_PREFIX, TokenRequest, TokenSecret, create_token, delete_token, list_tokens,
};
use ca_engine::port::store::{StoredCertificate, TokenRecord};
use futures::executor::block_on;

use crate::world::*;

fn request(uses: u32) -> TokenRequest {
    TokenRequest {
        profile: "server".parse().expect("a name"),
        names: names(&["dns:api.example.com", "dns:www.example.com"]).expect("names"),
        common_name: None,
        lifetime: HOUR,
        uses,
        request_id: Some("request-3".to_owned()),
    }
}

fn create(world: &World, uses: u32) -> (TokenRecord, TokenSecret) {
    block_on(create_token(&world.engine, &Principal::LocalOperator, request(uses))).expect("a token")
}

fn bearer(world: &World, secret: &TokenSecret) -> Principal {
    block_on(token_bearer(&world.engine, secret.expose())).expect("in force")
}

fn enrol(world: &World, secret: &TokenSecret) -> Result<StoredCertificate, FlowError> {
    world.ask_as(&bearer(world, secret), server(csr(&key())))
}

#[test]
fn a_token_is_used_as_often_as_it_says() {
    let world = World::new();
    let (record, secret) = create(&world, 2);
    let stored = enrol(&world, &secret).expect("the first");
    assert_eq!(stored.owner, format!("token:{}", record.id));
    enrol(&world, &secret).expect("the second");
    assert_eq!(refused(enrol(&world, &secret)), Kind::TokenUsedUp);
    assert_eq!(block_on(world.store().token(record.id)).expect("a record").expect("it").used, 2);
}

#[test]
fn two_uses_at_once_of_a_token_for_one_give_one_certificate() {
    let world = World::new();
    let (_, secret) = create(&world, 1);
    let principal = bearer(&world, &secret);
    let (first, second) = block_on(futures::future::join(
        issue(&world.engine, &principal, server(csr(&key()))),
        issue(&world.engine, &principal, server(csr(&key()))),
    ));
    first.expect("one of them");
    assert_eq!(refused(second), Kind::TokenUsedUp);
}

#[test]
fn a_use_comes_back_when_nothing_was_issued() {
    let world = World::new();
    let (_, secret) = create(&world, 1);
    world.signer("tls").script([SigningStep::Unavailable]);
    assert_eq!(refused(enrol(&world, &secret)), Kind::Unavailable);
    enrol(&world, &secret).expect("the use was given back");
}

#[test]
fn a_repeated_request_has_its_answer_though_the_use_is_spent() {
    let world = World::new();
    let (_, secret) = create(&world, 1);
    let request = IssueRequest { idempotency_key: Some("a".to_owned()), ..server(csr(&key())) };
    let first = world.ask_as(&bearer(&world, &secret), request.clone()).expect("issued");
    assert_eq!(world.ask_as(&bearer(&world, &secret), request), Ok(first));
    assert_eq!(refused(enrol(&world, &secret)), Kind::TokenUsedUp);
}

#[test]
fn a_token_asks_for_nothing_but_what_it_is_bound_to() {
    let world = World::new();
    let (_, secret) = create(&world, 10);
    let principal = bearer(&world, &secret);
    let ask = |request: IssueRequest| world.ask_as(&principal, request);
    let www = IssueRequest { subject: None, names: names(&["dns:www.example.com"]), ..server(csr(&key())) };
    ask(www.clone()).expect("one of its names");
    let others = [
        IssueRequest { names: names(&["dns:other.example.com"]), ..www.clone() },
        IssueRequest { names: names(&["dns:www.example.com", "dns:other.example.com"]), ..www.clone() },
        IssueRequest { subject: Some(dn("CN=administrator")), ..www.clone() },
        IssueRequest { profile: "client".parse().expect("a name"), ..www.clone() },
        // Names that come by the CSR are judged like any other.
        IssueRequest { names: None, csr: spki_request(&key(), "x", &["other.example.com"]), ..www.clone() },
    ];
    for other in others {
        assert_eq!(refused(ask(other)), Kind::AccessDenied);
    }
    let revoking = world.revoke_as(&principal, world.issue().id, ca_core::revocation::RevocationReason::Superseded);
    assert_eq!(refused(revoking), Kind::AccessDenied);
}

#[test]
fn an_expired_token_is_told_so_and_a_withdrawn_one_is_as_unknown_as_any() {
    let world = World::new();
    let (record, secret) = create(&world, 1);
    let (other, other_secret) = create(&world, 1);
    world.clock.advance(HOUR);
    assert_eq!(refused(block_on(token_bearer(&world.engine, secret.expose()))), Kind::TokenExpired);
    world.clock.step_back(SECOND);
    // Authenticated in time, used too late: the reservation decides.
    let principal = bearer(&world, &secret);
    world.clock.advance(SECOND);
    assert_eq!(refused(world.ask_as(&principal, server(csr(&key())))), Kind::TokenUsedUp);
    world.clock.step_back(SECOND);
    let held = bearer(&world, &other_secret);
    block_on(delete_token(&world.engine, &Principal::LocalOperator, other.id, None)).expect("withdrawn");
    let withdrawn = block_on(token_bearer(&world.engine, other_secret.expose())).expect_err("withdrawn");
    assert_eq!(withdrawn.kind, Kind::InvalidCredential);
    assert_eq!(refused(world.ask_as(&held, server(csr(&key())))), Kind::TokenUsedUp);
    for wrong in wrong_texts(&secret, &other.id.to_string()) {
        assert_eq!(block_on(token_bearer(&world.engine, &wrong)), Err(withdrawn.clone()), "{wrong}");
    }
    assert_eq!(
        refused(block_on(delete_token(&world.engine, &Principal::LocalOperator, other.id, None))),
        Kind::NotFound
    );
    block_on(delete_token(&world.engine, &Principal::LocalOperator, record.id, None)).expect("withdrawn");
}

/// Texts that are near a token and are none.
fn wrong_texts(secret: &TokenSecret, other_id: &str) -> Vec<String> {
    let text = secret.expose();
    let digits = text.rsplit_once('_').expect("a secret").1;
    let flipped = if text.ends_with('0') { '1' } else { '0' };
    vec![
        format!("{}{flipped}", &text[..text.len() - 1]),
        format!("{TOKEN_PREFIX}{other_id}_{digits}"),
        text.trim_start_matches(TOKEN_PREFIX).to_owned(),
        format!("{text}00"),
        text[..text.len() - 2].to_owned(),
        TOKEN_PREFIX.to_owned(),
        String::new(),
        format!("{TOKEN_PREFIX}x_{digits}"),
    ]
}

#[test]
fn a_token_that_makes_no_sense_is_refused_with_every_fault() {
    let world = World::new();
    let outcome = block_on(create_token(
        &world.engine,
        &Principal::LocalOperator,
        TokenRequest {
            profile: "operator".parse().expect("a name"),
            names: Vec::new(),
            lifetime: MAXIMUM_LIFETIME.seconds().checked_add(1).map(Lifetime::from_seconds).expect("some time"),
            uses: MAXIMUM_USES + 1,
            ..request(1)
        },
    ));
    assert_eq!(codes(outcome), ["unknown-profile", "names-missing", "uses-out-of-range", "lifetime-out-of-range"]);
    let none = TokenRequest { uses: 0, lifetime: Lifetime::ZERO, ..request(1) };
    let outcome = block_on(create_token(&world.engine, &Principal::LocalOperator, none));
    assert_eq!(codes(outcome), ["uses-out-of-range", "lifetime-out-of-range"]);
    for impossible in [String::new(), "a".repeat(65), "a\u{202e}b".to_owned()] {
        let impossible = TokenRequest { common_name: Some(impossible), ..request(1) };
        let outcome = block_on(create_token(&world.engine, &Principal::LocalOperator, impossible));
        assert_eq!(codes(outcome), ["common-name-invalid"]);
    }
}

#[test]
fn making_listing_and_withdrawing_take_a_role() {
    let world = World::new();
    let stored = world.issue();
    let (record, _) = create(&world, 1);
    let (plain, registrar) = (holder(&stored, &[]), holder(&stored, &[Role::Registrar]));
    assert_eq!(refused(block_on(create_token(&world.engine, &plain, request(1)))), Kind::AccessDenied);
    assert_eq!(refused(block_on(list_tokens(&world.engine, &plain, None, 10))), Kind::AccessDenied);
    assert_eq!(refused(block_on(delete_token(&world.engine, &plain, record.id, None))), Kind::AccessDenied);
    block_on(create_token(&world.engine, &registrar, request(1))).expect("a registrar may");
    assert_eq!(block_on(list_tokens(&world.engine, &registrar, None, 10)).expect("a list").len(), 2);
}

#[test]
fn the_secret_is_shown_once_and_stored_nowhere() {
    let world = World::new();
    let (record, secret) = create(&world, 1);
    let digits = secret.expose().rsplit_once('_').expect("a secret").1;
    let octets = hex::decode(digits).expect("hexadecimal");
    assert_eq!(octets.len(), 32);
    assert_eq!(record.secret_sha256.to_vec(), ca_core::hash::sha256(&octets).to_vec());
    let principal = bearer(&world, &secret);
    let told = format!("{secret:?} {record:?} {principal:?} {:?} {:?}", world.store, world.store.events());
    assert!(!told.contains(digits) && !told.contains(&format!("{octets:?}")));
    let event = world.store.events().pop().expect("an event");
    assert_eq!((event.action, event.subject), (AuditAction::TokenCreated, format!("token:{}", record.id)));
    assert!(event.details.values().all(|value| !value.contains("example.com")), "names stay out of events");
}
