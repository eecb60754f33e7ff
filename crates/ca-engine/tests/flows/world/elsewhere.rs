//! A world one of whose authorities has its certificates made by an issuer elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ca_core::audit::AuditAction;
use ca_core::key::KeyType;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::fake::{ScriptedIssuer, ScriptedSigner};
use ca_engine::flow::issuance::elsewhere::{SettledElsewhere, settle};
use ca_engine::flow::issue::{Issued, issue};
use ca_engine::flow::pass_on_revocations::pass_on_revocations;
use ca_engine::flow::revoke::{RevokeRequest, revoke};
use ca_engine::port::certificate_issuer::IssuerError;
use ca_engine::port::store::{KeyHome, SerialState, StoredCertificate};
use futures::executor::block_on;

use super::*;

/// Who works on the host.
pub(crate) const LOCAL: Principal = Principal::LocalOperator;
/// The job that settles.
pub(crate) const JOB: Principal = Principal::Job("issuances-elsewhere");
const ARN: &str = "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/00000000-0000-4000-8000-000000000000";

/// A world whose newest generation of `tls` issues elsewhere.
pub(crate) struct Elsewhere {
    pub(crate) world: World,
    pub(crate) issuer: ScriptedIssuer,
    pub(crate) engine: Engine,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        Self::of("tls")
    }

    /// A world whose newest generation of this authority issues elsewhere.
    pub(crate) fn of(first: &str) -> Self {
        let world = World::new();
        let key = ScriptedSigner::generate(KeyType::P256);
        let issuer = ScriptedIssuer::new(key.clone(), world.clock.clone());
        world.lend_root();
        let plan = plan(&format!("{first}-2"), Some("root"), KeyHome::AcmPca(ARN.to_owned()));
        // It is on record; who has made it has no way to its issuer.
        assert_eq!(refused(world.try_establish_by(&plan, Arc::new(key))), FlowErrorKind::AuthorityCannotSign);
        block_on(world.engine.return_signer(&id("root"))).expect("the root's key is put away");
        let engine = world.restarted_with(Parts { issuer: Some(issuer.clone()), ..world.parts() });
        Self { world, issuer, engine }
    }

    /// The process died, and another begins.
    pub(crate) fn restart(&mut self) {
        let parts = Parts { issuer: Some(self.issuer.clone()), ..self.world.parts() };
        self.engine = self.world.restarted_with(parts);
    }

    pub(crate) fn issue(&self) -> Result<Issued, FlowError> {
        block_on(issue(&self.engine, &LOCAL, server(csr(&key()))))
    }

    pub(crate) fn issued(&self) -> StoredCertificate {
        self.issue().expect("issued").certificate
    }

    pub(crate) fn settle(&self) -> SettledElsewhere {
        self.world.clock.advance(SECOND);
        block_on(settle(&self.engine, &JOB, self.world.now())).expect("settled")
    }

    pub(crate) fn pass_on(&self) -> Result<u64, FlowError> {
        block_on(pass_on_revocations(&self.engine, &id("tls-2")))
    }

    pub(crate) fn revoke(&self, certificate: &StoredCertificate, reason: RevocationReason) -> Result<(), FlowError> {
        let request = RevokeRequest { certificate: certificate.id, reason, invalidity_date: None, request_id: None };
        block_on(revoke(&self.engine, &LOCAL, &request)).map(|_| ())
    }

    /// How each certificate that the issuer made stands on record, oldest first.
    pub(crate) fn standing(&self) -> Vec<Option<SerialState>> {
        let made = self.issuer.made();
        let status = made.iter().map(|made| block_on(self.world.store().status(&id("tls-2"), &made.serial)));
        status.map(|status| status.expect("answers").map(|status| status.state)).collect()
    }

    pub(crate) fn is_issued(&self) -> bool {
        matches!(self.standing()[..], [Some(SerialState::Issued(_))])
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(self.standing()[..], [Some(SerialState::Abandoned(_))])
    }

    /// The causes of all abandonments, in order.
    pub(crate) fn causes(&self) -> Vec<String> {
        let events =
            self.world.store.events().into_iter().filter(|event| event.action == AuditAction::IssuanceAbandoned);
        events.map(|event| event.details["cause"].clone()).collect()
    }

    /// How many events tell of certificates that were issued.
    pub(crate) fn issued_events(&self) -> usize {
        let events = self.world.store.events().into_iter();
        events
            .filter(|event| event.action == AuditAction::CertificateIssued && event.details["authority"] == "tls-2")
            .count()
    }

    pub(crate) fn open(&self) -> usize {
        let before = self.world.now().plus(DAY);
        let reservations = block_on(self.world.store().open_reservations(before)).expect("answers");
        let upstream = block_on(self.world.store().open_upstream(before, None)).expect("answers");
        reservations.len() + upstream.len()
    }
}

/// Polls a future so often and lets it fall; `None` when it was not done by then.
pub(crate) fn cut_off<T>(mut future: Pin<Box<dyn Future<Output = T> + '_>>, polls: usize) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

/// Polls a future once.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// What an issuer says that cannot be reached.
pub(crate) fn unavailable() -> IssuerError {
    IssuerError::Unavailable { detail: "cut off by the test".to_owned() }
}
