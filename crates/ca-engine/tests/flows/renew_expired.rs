//! Renewal after the end, by a proof that the old key signs: only where the profile says so, once for each nonce, and never for what is
//! revoked, held or renewed.

use std::sync::Arc;

use ca_core::audit::AuditAction;
use ca_core::csr::ParsedCsr;
use ca_core::principal::{Principal, Role};
use ca_core::renewal_proof::{ProofAlgorithm, ProofClaims, signed_proof};
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew_expired::{ExpiredRenewRequest, renew_expired, renewal_nonce};
use ca_engine::flow::role::grant_role;
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;
use rcgen::{KeyPair, SigningKey as _};

use crate::world::*;

const MINUTE: Lifetime = Lifetime::from_seconds(60);

/// A world whose servers may renew within three days of the end, and a certificate that ended an hour ago.
struct Ended {
    world: World,
    key: Arc<KeyPair>,
    stored: StoredCertificate,
}

impl Ended {
    fn new() -> Self {
        let allowed = "until = \"0s\"\nafter_expiry = \"3d\"";
        let world = World::of(Parts::default().with_profile("server", |text| text.replace("until = \"0s\"", allowed)));
        let key = key();
        let stored = world.issue_for(&key);
        world.clock.set(stored.validity.not_after.plus(HOUR));
        Self { world, key, stored }
    }

    fn request(&self) -> ExpiredRenewRequest {
        self.request_at(&self.world.engine)
    }

    fn request_at(&self, engine: &Engine) -> ExpiredRenewRequest {
        let nonce = block_on(renewal_nonce(engine)).expect("a nonce").text;
        self.request_with(&nonce, self.world.now(), &self.key, &csr(&key()))
    }

    fn request_with(&self, nonce: &str, at: Timestamp, key: &KeyPair, csr: &ParsedCsr) -> ExpiredRenewRequest {
        let path = format!("/v1/certificates/{}/renew-expired", self.stored.id);
        let claims = ProofClaims {
            algorithm: ProofAlgorithm::Es256,
            certificate: &self.stored.der,
            nonce,
            url: &format!("https://ca.example.org:8443{path}"),
            csr: csr.der(),
            issued_at: at,
        };
        ExpiredRenewRequest {
            certificate: CertificateName::Id(self.stored.id),
            csr: csr.clone(),
            proof: signed(&claims, key),
            path,
            idempotency_key: None,
            request_id: None,
        }
    }

    fn ask(&self, request: ExpiredRenewRequest) -> Result<StoredCertificate, FlowError> {
        block_on(renew_expired(&self.world.engine, request)).map(|issued| issued.certificate)
    }
}

fn signed(claims: &ProofClaims<'_>, key: &KeyPair) -> String {
    let input = claims.signing_input().expect("written");
    signed_proof(&input, &two_numbers(&key.sign(input.as_bytes()).expect("signed")))
}

/// ECDSA-Sig-Value of P-256 as two numbers of 32 octets.
fn two_numbers(der: &[u8]) -> Vec<u8> {
    let number = |from: usize| {
        let length = usize::from(der[from + 1]);
        let octets = &der[from + 2..from + 2 + length];
        let octets = &octets[octets.len().saturating_sub(32)..];
        ([&vec![0; 32 - octets.len()][..], octets].concat(), from + 2 + length)
    };
    let (r, next) = number(2);
    let (s, _) = number(next);
    [r, s].concat()
}

#[test]
fn a_holder_renews_after_the_end_by_a_proof_of_the_old_key() {
    let ended = Ended::new();
    let successor = ended.ask(ended.request()).expect("within three days");
    assert_eq!((successor.names, successor.renews), (ended.stored.names.clone(), Some(ended.stored.id)));
    assert_eq!(successor.owner, ended.stored.owner);
    let event = ended.world.store.events().pop().expect("an event");
    assert_eq!(event.action, AuditAction::CertificateRenewed);
    assert_eq!(event.principal, format!("expired-certificate:{}", ended.stored.id));
}

#[test]
fn it_is_off_unless_the_profile_says_for_how_long() {
    let ended = Ended::new();
    let request = ended.request();
    let strict = ended.world.restarted_with(Parts::default());
    let refusal = block_on(renew_expired(&strict, request)).expect_err("off");
    assert_eq!(refusal.kind, Kind::RenewalTooLate);
    assert!(refusal.message.contains("profile `server`"), "{}", refusal.message);
    assert_eq!(refused(block_on(renewal_nonce(&strict))), Kind::AccessDenied, "nobody has a use for one");
    ended.world.clock.set(ended.stored.validity.not_after.plus(Lifetime::from_days(3)));
    ended.ask(ended.request()).expect("to the last second");
    let ended = Ended::new();
    ended.world.clock.set(ended.stored.validity.not_after.plus(Lifetime::from_days(3)).plus(SECOND));
    assert_eq!(refused(ended.ask(ended.request())), Kind::RenewalTooLate);
    ended.world.clock.set(ended.stored.validity.not_after);
    let refusal = ended.ask(ended.request()).expect_err("it is in force");
    assert!(refusal.kind == Kind::RenewalTooEarly && refusal.message.contains("mutual TLS"), "{}", refusal.message);
}

#[test]
fn a_nonce_is_good_once_at_every_replica_for_five_minutes() {
    let ended = Ended::new();
    let replica = ended.world.restarted();
    // Made by one, taken by the other.
    let request = ended.request_at(&replica);
    ended.ask(request.clone()).expect("the first use");
    for engine in [&ended.world.engine, &replica] {
        assert_eq!(refused(block_on(renew_expired(engine, request.clone()))), Kind::BadNonce);
    }
    // Where the successor is gone, the proof is still good for nothing.
    let ended = Ended::new();
    let request = ended.request();
    let first = ended.ask(request.clone()).expect("the first use");
    ended.world.revoke(first.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(refused(ended.ask(request)), Kind::BadNonce);
    let fresh = block_on(renewal_nonce(&ended.world.engine)).expect("a nonce");
    assert_eq!(fresh.expires_at, ended.world.now().plus(Lifetime::from_seconds(300)));
    ended.world.clock.set(fresh.expires_at);
    let late = ended.request_with(&fresh.text, ended.world.now(), &ended.key, &csr(&key()));
    assert_eq!(refused(ended.ask(late)), Kind::BadNonce);
    let invented = ended.request_with("AAAA", ended.world.now(), &ended.key, &csr(&key()));
    assert_eq!(refused(ended.ask(invented)), Kind::BadNonce);
}

#[test]
fn what_does_not_prove_it_is_refused_before_anything_is_told_of_the_record() {
    let ended = Ended::new();
    let nonce = || block_on(renewal_nonce(&ended.world.engine)).expect("a nonce").text;
    let (now, other) = (ended.world.now(), csr(&key()));
    let unproved = |request: ExpiredRenewRequest, what: &str| {
        let refusal = ended.ask(request).expect_err(what);
        assert_eq!(refusal.kind, Kind::InvalidCredential, "{what}: {}", refusal.message);
    };
    unproved(ended.request_with(&nonce(), now, &key(), &other), "another key");
    unproved(ended.request_with(&nonce(), now.minus(Lifetime::from_seconds(301)), &ended.key, &other), "too old");
    unproved(ended.request_with(&nonce(), now.plus(MINUTE).plus(SECOND), &ended.key, &other), "of the future");
    let request = ended.request();
    unproved(ExpiredRenewRequest { csr: other.clone(), ..request.clone() }, "another signing request");
    unproved(
        ExpiredRenewRequest { path: "/v1/certificates/x/renew-expired".to_owned(), ..request.clone() },
        "another URL",
    );
    unproved(ExpiredRenewRequest { proof: format!("{}x", request.proof), ..request.clone() }, "another signature");
    unproved(ExpiredRenewRequest { proof: String::new(), ..request.clone() }, "nothing");
    // The key of another certificate on record, which is its own proof and no proof of this one.
    let other_key = key();
    let another = ended.world.issue_for(&other_key);
    let claims = ProofClaims {
        algorithm: ProofAlgorithm::Es256,
        certificate: &another.der,
        nonce: &nonce(),
        url: &format!("https://ca.example.org{}", request.path),
        csr: request.csr.der(),
        issued_at: now,
    };
    unproved(ExpiredRenewRequest { proof: signed(&claims, &other_key), ..request }, "another certificate");
}

#[test]
fn what_is_revoked_held_renewed_or_blocked_is_not_renewed() {
    for reason in [RevocationReason::Superseded, RevocationReason::CertificateHold] {
        let ended = Ended::new();
        ended.world.clock.set(ended.stored.validity.not_after.minus(HOUR));
        ended.world.revoke(ended.stored.id, reason).expect("revoked");
        ended.world.clock.set(ended.stored.validity.not_after.plus(HOUR));
        assert_eq!(refused(ended.ask(ended.request())), Kind::CertificateRevoked, "{reason}");
    }
    let ended = Ended::new();
    ended.ask(ended.request()).expect("the first");
    assert_eq!(refused(ended.ask(ended.request())), Kind::AlreadyRenewed);
    let told = ended.world.store.events().into_iter().filter(|event| event.action == AuditAction::RenewalRepeated);
    assert_eq!(told.count(), 1, "the owner hears of it");
    // Another certificate of the same key was compromised.
    let ended = Ended::new();
    ended.world.clock.set(ended.stored.validity.not_after.minus(HOUR));
    let sibling = ended.world.issue_for(&ended.key);
    ended.world.revoke(sibling.id, RevocationReason::KeyCompromise).expect("revoked");
    ended.world.clock.set(ended.stored.validity.not_after.plus(HOUR));
    assert_eq!(refused(ended.ask(ended.request())), Kind::KeyBlocked);
}

#[test]
fn a_successor_after_the_end_has_none_of_the_roles() {
    let ended = Ended::new();
    let role = grant_role(&ended.world.engine, &Principal::LocalOperator, ended.stored.id, Role::Registrar);
    block_on(role).expect("granted");
    let successor = ended.ask(ended.request()).expect("renewed");
    assert_eq!(block_on(ended.world.store().roles(successor.id)), Ok(Vec::new()));
}

#[test]
fn today_s_profile_decides_again() {
    let ended = Ended::new();
    let narrow = |text: String| {
        let text = text.replace("until = \"0s\"", "until = \"0s\"\nafter_expiry = \"3d\"");
        text.replace("key_types = [", "key_types = [\"p384\"] #")
    };
    let engine = ended.world.restarted_with(Parts::default().with_profile("server", narrow));
    let refusal = block_on(renew_expired(&engine, ended.request())).expect_err("P-256 is not taken any more");
    assert!(matches!(refusal.kind, Kind::ProfileViolation | Kind::InvalidRequest), "{refusal:?}");
}

#[test]
fn the_access_policy_is_asked() {
    let ended = Ended::new();
    let mut parts = ended.world.parts();
    parts.authorizer = ca_engine::fake::ScriptedAuthorizer::deny_all();
    let engine = ended.world.restarted_with(parts);
    assert_eq!(refused(block_on(renew_expired(&engine, ended.request()))), Kind::AccessDenied);
}

#[test]
fn the_same_idempotency_key_gives_the_same_certificate_under_another_nonce() {
    let ended = Ended::new();
    let csr = csr(&key());
    let ask = || {
        let nonce = block_on(renewal_nonce(&ended.world.engine)).expect("a nonce").text;
        let request = ended.request_with(&nonce, ended.world.now(), &ended.key, &csr);
        ended.ask(ExpiredRenewRequest { idempotency_key: Some("rotation-1".to_owned()), ..request })
    };
    assert_eq!(ask().expect("the first").id, ask().expect("again").id);
}
