//! What is asked of a world: keys, CSRs, requests, and the answers in one line.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::csr::ParsedCsr;
use ca_core::id::CertificateId;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::ocsp::{BasicResponse, CertId, CertIdHash, CertStatus, ParsedResponse, request};
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::flow::answer_status::{StatusAnswer, answer_status};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::publish_crl::{lease_name, publish_crl};
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew::{RenewRequest, renew};
use ca_engine::flow::respond::make_responder;
use ca_engine::flow::revoke::{RevokeRequest, revoke};
use ca_engine::list_octets::ListOctets;
use ca_engine::port::store::{Completion, Journal, Lease, PublishedCrl, Reservation, StoredCertificate};
use futures::executor::block_on;
use rcgen::{CertificateParams, DistinguishedName as RcgenName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::{World, id};

/// A new subscriber's key, P-256.
pub(crate) fn key() -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"))
}

/// A CSR by that key that names nobody.
pub(crate) fn csr(key: &KeyPair) -> ParsedCsr {
    let mut params = CertificateParams::default();
    params.distinguished_name = RcgenName::new();
    let der = params.serialize_request(key).expect("a CSR");
    ParsedCsr::from_der(der.der()).expect("a CSR that proves possession")
}

/// A CSR with a common name and DNS names of its own.
pub(crate) fn spki_request(key: &KeyPair, common_name: &str, dns: &[&str]) -> ParsedCsr {
    let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(dns).expect("DNS names");
    params.distinguished_name = RcgenName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let der = params.serialize_request(key).expect("a CSR");
    ParsedCsr::from_der(der.der()).expect("a CSR that proves possession")
}

/// A general name, `dns:api.example.com`.
pub(crate) fn name(text: &str) -> GeneralName {
    GeneralName::parse(text).expect("a general name")
}

/// Several of them.
pub(crate) fn names(texts: &[&str]) -> Option<Vec<GeneralName>> {
    Some(texts.iter().map(|text| name(text)).collect())
}

/// A distinguished name.
pub(crate) fn dn(text: &str) -> DistinguishedName {
    DistinguishedName::from_rfc4514(text).expect("a distinguished name")
}

/// A request for a `server` certificate of `api.example.com`.
pub(crate) fn server(csr: ParsedCsr) -> IssueRequest {
    IssueRequest {
        profile: "server".parse().expect("a profile name"),
        csr,
        subject: Some(dn("CN=api.example.com")),
        names: names(&["dns:api.example.com"]),
        validity: None,
        idempotency_key: None,
        request_id: Some("request-1".to_owned()),
    }
}

/// The holder of a certificate, as a TLS handshake proves it.
pub(crate) fn holder(certificate: &StoredCertificate, roles: &[Role]) -> Principal {
    Principal::Certificate {
        id: certificate.id,
        authority: certificate.authority.clone(),
        serial: certificate.serial.clone(),
        roles: roles.to_vec(),
    }
}

impl World {
    /// Issues a `server` certificate with a new key.
    pub(crate) fn issue(&self) -> StoredCertificate {
        self.issue_for(&key())
    }

    /// Issues a `server` certificate for that key.
    pub(crate) fn issue_for(&self, key: &KeyPair) -> StoredCertificate {
        self.ask(server(csr(key))).expect("a certificate")
    }

    /// Asks for a certificate as the operator of the host.
    pub(crate) fn ask(&self, request: IssueRequest) -> Result<StoredCertificate, FlowError> {
        self.ask_as(&Principal::LocalOperator, request)
    }

    /// Asks for a certificate.
    pub(crate) fn ask_as(&self, principal: &Principal, request: IssueRequest) -> Result<StoredCertificate, FlowError> {
        block_on(issue(&self.engine, principal, request)).map(|issued| issued.certificate)
    }

    /// Renews a certificate with a new key.
    pub(crate) fn renew(
        &self,
        principal: &Principal,
        predecessor: &StoredCertificate,
    ) -> Result<StoredCertificate, FlowError> {
        let request = RenewRequest {
            certificate: CertificateName::Id(predecessor.id),
            csr: Some(csr(&key())),
            validity: None,
            idempotency_key: None,
            request_id: None,
        };
        block_on(renew(&self.engine, principal, request)).map(|issued| issued.certificate)
    }

    /// Revokes a certificate as the operator of the host.
    pub(crate) fn revoke(&self, id: CertificateId, reason: RevocationReason) -> Result<StoredCertificate, FlowError> {
        self.revoke_as(&Principal::LocalOperator, id, reason)
    }

    /// Revokes a certificate.
    pub(crate) fn revoke_as(
        &self,
        principal: &Principal,
        certificate: CertificateId,
        reason: RevocationReason,
    ) -> Result<StoredCertificate, FlowError> {
        let request = RevokeRequest { certificate, reason, invalidity_date: None, request_id: None };
        block_on(revoke(&self.engine, principal, &request)).map(|revoked| revoked.certificate)
    }

    /// A certificate as it stands on record now.
    pub(crate) fn stored(&self, id: CertificateId) -> Option<StoredCertificate> {
        block_on(self.store().certificate(id)).expect("the record answers")
    }

    /// Every certificate of an authority on record.
    pub(crate) fn all_of(&self, authority: &str) -> Vec<StoredCertificate> {
        let serials = self.store.serials();
        let of_authority = serials.iter().filter(|(issuer, _)| *issuer == id(authority));
        let found = of_authority.filter_map(|(issuer, serial)| {
            block_on(self.store().certificate_by_serial(issuer, serial)).expect("a record")
        });
        found.collect()
    }

    /// Begins an issuance by `tls` and drops it once it is on record, as a process that dies does; returns its serial.
    pub(crate) fn begin_and_die(&self) -> Serial {
        self.begin_and_die_with(server(csr(&key())))
    }

    /// As [`Self::begin_and_die`], with that request.
    pub(crate) fn begin_and_die_with(&self, request: IssueRequest) -> Serial {
        let before = self.store.serials();
        let mut issuing = Box::pin(issue(&self.engine, &Principal::LocalOperator, request));
        self.poll_until_reserved(issuing.as_mut());
        drop(issuing);
        let begun = self.store.serials().into_iter().find(|serial| !before.contains(serial));
        begun.expect("a serial was reserved").1
    }

    /// Polls an issuance until its reservation is on record and no further.
    pub(crate) fn poll_until_reserved<T>(&self, mut issuing: Pin<&mut (impl Future<Output = T> + ?Sized)>) {
        let before = self.store.serials().len();
        // Every call of a fake lets others run once before it does anything: each poll makes one call.
        let mut context = Context::from_waker(Waker::noop());
        while self.store.serials().len() == before {
            assert!(issuing.as_mut().poll(&mut context).is_pending(), "the issuance came to its end");
        }
    }

    /// Two certificates of two authorities with one serial, as imports and other services' choices may bring; returns it.
    pub(crate) fn twin_serials(&self) -> Serial {
        let stored = self.issue();
        let reservation = Reservation {
            id: CertificateId::from_bytes([9; 16]),
            authority: id("document"),
            serial: stored.serial.clone(),
            profile: stored.profile.clone(),
            validity: stored.validity,
            subject: stored.subject.clone(),
            names: Vec::new(),
            spki_sha256: [0; 32],
            to_be_signed: Vec::new(),
            owner: stored.owner.clone(),
            requested_by: stored.requested_by.clone(),
            renews: None,
            token: None,
            idempotency: None,
            personal_data: None,
            reserved_at: self.now(),
        };
        block_on(self.store().reserve(reservation)).expect("a record");
        let event = AuditEvent::new(self.now(), AuditAction::CertificateIssued, "local", "certificate:twin");
        let completion = Completion {
            id: CertificateId::from_bytes([9; 16]),
            certificate: stored.der,
            completed_at: self.now(),
            inherit_roles: false,
            personal_data: false,
            journal: Journal::of(event),
        };
        block_on(self.store().complete(completion)).expect("a record");
        stored.serial
    }

    /// How many reservations are neither completed nor abandoned.
    pub(crate) fn open_reservations(&self) -> usize {
        let ever = self.now().plus(Lifetime::from_days(36_500));
        block_on(self.store().open_reservations(ever)).expect("the record answers").len()
    }

    /// What OCSP says of a serial; the signature is verified as a client does.
    pub(crate) fn status(&self, authority: &str, serial: &Serial) -> CertStatus {
        status(&self.engine, authority, serial)
    }

    /// Makes a new OCSP responder for an authority.
    pub(crate) fn renew_responder(&self, authority: &str) {
        block_on(make_responder(&self.engine, &Principal::Job("responders"), &id(authority), None))
            .expect("a responder");
    }

    /// Takes the lease under which an authority's lists are made.
    pub(crate) fn crl_lease(&self, authority: &str, holder: &str) -> Lease {
        block_on(self.store().acquire_lease(&lease_name(&id(authority)), holder, Lifetime::from_seconds(60)))
            .expect("the record answers")
            .expect("nobody else has it")
    }

    /// Makes an authority's next CRL.
    pub(crate) fn publish(&self, authority: &str) -> Result<Arc<PublishedCrl>, FlowError> {
        let lease = self.crl_lease(authority, "test");
        block_on(publish_crl(&self.engine, &Principal::Job("crl"), &id(authority), &lease))
    }

    /// Makes an authority's next CRL, and reads it as a client does.
    pub(crate) fn list(&self, authority: &str) -> ParsedCrl {
        self.read_list(authority, &self.publish(authority).expect("a list").der)
    }

    /// Reads a list and verifies its signature.
    pub(crate) fn read_list(&self, authority: &str, der: &ListOctets) -> ParsedCrl {
        let list = ParsedCrl::from_der(der.to_vec().expect("in memory")).expect("a list");
        let authority = self.engine.authority(&id(authority)).expect("an authority");
        let certificate = authority.certificate();
        list.verify(certificate.subject(), certificate.public_key()).expect("the authority's signature");
        list
    }
}

/// A certificate, parsed and verified against its authority.
pub(crate) fn parsed(world: &World, stored: &StoredCertificate) -> Certificate {
    let certificate = Certificate::from_der(&stored.der).expect("a certificate");
    let authority = world.engine.authority(&stored.authority).expect("an authority");
    certificate.verify_signed_by(authority.certificate().public_key()).expect("the authority's signature");
    certificate
}

/// Walks a certificate's chain up to the root: every signature, and that no child outlives its issuer.
pub(crate) fn verified_chain(world: &World, stored: &StoredCertificate) {
    let authority = world.engine.authority(&stored.authority).expect("an authority");
    let mut chain = vec![stored.der.clone(), authority.certificate().der().to_vec()];
    chain.extend(authority.ancestors().iter().cloned());
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).expect("a certificate")).collect();
    for pair in chain.windows(2) {
        pair[0].verify_signed_by(pair[1].public_key()).expect("signed by the next");
        assert!(pair[0].validity().not_after <= pair[1].validity().not_after, "a child never outlives its issuer");
    }
    assert!(chain.last().is_some_and(Certificate::is_self_issued));
}

/// The CertID of a serial.
pub(crate) fn cert_id(engine: &Engine, authority: &str, serial: &Serial) -> CertId {
    let authority = engine.authority(&id(authority)).expect("an authority");
    CertId::new(CertIdHash::Sha1, authority.identity(), serial)
}

/// What a process answers to a request.
pub(crate) fn answer(engine: &Engine, certificates: &[CertId], nonce: Option<&[u8; 32]>) -> StatusAnswer {
    block_on(answer_status(engine, &request::encode(certificates, nonce), |_| {}))
}

/// A signed answer, verified as a client does, for certificates of `authority`.
pub(crate) fn verified(engine: &Engine, authority: &str, answer: &StatusAnswer) -> BasicResponse {
    let ParsedResponse::Answered(response) = ParsedResponse::from_der(&answer.der).expect("an OCSP response") else {
        panic!("the responder gives no status: {:?}", answer.kind);
    };
    let authority = engine.authority(&id(authority)).expect("an authority");
    let certificate = authority.certificate();
    response.verify(certificate.subject(), certificate.public_key(), engine.now()).expect("a responder's signature");
    response
}

/// What OCSP says of a serial.
pub(crate) fn status(engine: &Engine, authority: &str, serial: &Serial) -> CertStatus {
    let answer = answer(engine, &[cert_id(engine, authority, serial)], None);
    let response = verified(engine, authority, &answer);
    let single = &response.responses()[0];
    assert!(single.is_current(engine.now()), "an answer is current when it is made");
    single.status
}
