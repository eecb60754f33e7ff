//! Answers that another replica has signed: taken from where replicas share them, once they were proved.
//!
//! Whoever can write there must gain nothing by it. What is taken is octet for octet what this process could have signed itself,
//! under the key of a responder that it holds; it says `good`, and of a serial of which the sequence of revocations, read from its
//! first entry on and followed, says nothing. So no `good` from before a revocation comes back, be it validly signed, by whomever
//! it was put there and in whatever order it arrives; and neither clocks nor what the place says of an entry are relied on.
//! The answers to serials that have changed are each replica's own.

use ca_core::key::SignatureAlgorithm;
use ca_core::ocsp::{
    CertId, CertIdHash, CertStatus, OcspTbs, ParsedResponse, ResponderId, ResponseTemplate, SingleResponse, assemble,
};
use ca_core::serial::Serial;
use ca_core::signing::Signature;
use ca_core::time::{Lifetime, Timestamp};

use super::Question;
use crate::engine::Engine;
use crate::flow::watch_clock::{COMPARISON_LIFETIME, TOLERANCE, assure_clock};
use crate::port::shared_answers::Lookup;
use crate::shared_use::SharedOutcome;
use crate::status_answer::{AnswerKind, AnswerOrigin, Freshness, StatusAnswer};

/// How far the clocks of two replicas may be apart: each within the tolerance of the record's, as it was when they were compared.
const CLOCKS_APART: Lifetime = Lifetime::from_seconds(2 * (TOLERANCE.seconds() + COMPARISON_LIFETIME.seconds()));

/// What another replica has signed, if it may be given. To be asked only while the sequence of revocations is followed.
pub(super) async fn take(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Option<StatusAnswer> {
    let place = engine.shared_answers()?;
    let [cert_id] = &question.request.certificates[..] else { return None };
    let never_changed = || engine.changed_serials().never_changed(question.authority.id(), serial);
    // 1. Of most serials only; and by a clock that is right, on a record that is the newest, as for a signature.
    if !never_changed() {
        return None;
    }
    let key = key(cert_id, serial)?;
    assure_clock(engine).await.ok()?;
    // 2. Ask.
    let used = engine.shared_use();
    let der = match place.get(&key).await {
        Lookup::Found(der) => der,
        Lookup::Absent => {
            used.note(SharedOutcome::Absent);
            return None;
        }
        Lookup::Unavailable => {
            used.note(SharedOutcome::Unavailable);
            return None;
        }
    };
    // 3. Judge what came, and whether there was news meanwhile.
    let judged = judge(engine, question, cert_id, &der).filter(|_| never_changed());
    used.note(if judged.is_some() { SharedOutcome::Taken } else { SharedOutcome::Refused });
    let freshness = judged?;
    Some(StatusAnswer {
        der: der.into(),
        kind: AnswerKind::Good,
        freshness: Some(freshness),
        origin: AnswerOrigin::Shared,
    })
}

/// Puts what was signed where others find it, if they may take it.
pub(super) fn give(engine: &Engine, question: &Question<'_>, serial: &Serial, answer: &StatusAnswer) {
    let (Some(place), [cert_id]) = (engine.shared_answers(), &question.request.certificates[..]) else { return };
    let Some(freshness) = answer.freshness.filter(|_| answer.kind == AnswerKind::Good) else { return };
    if !engine.changed_serials().never_changed(question.authority.id(), serial) {
        return;
    }
    // Past the half of its life nobody takes it.
    let young = Lifetime::from_seconds(freshness.next_update.since(freshness.this_update).seconds() / 2);
    let lifetime = young.min(engine.settings().shared_lifetime);
    if let Some(key) = key(cert_id, serial).filter(|_| lifetime > Lifetime::ZERO) {
        place.put(key, answer.der.clone(), lifetime);
    }
}

/// Where the answer to a CertID lies. The version stands for what is put there: another form of it gets another.
fn key(cert_id: &CertId, serial: &Serial) -> Option<String> {
    let hash = match cert_id.hash()? {
        CertIdHash::Sha1 => "sha1",
        CertIdHash::Sha256 => "sha256",
    };
    let issuer = hex::encode(cert_id.issuer_key_hash());
    Some(format!("cartorio:ocsp:1:{hash}:{issuer}:{serial}"))
}

/// The period of an answer that is what this process could have signed itself; `None` for everything else.
fn judge(engine: &Engine, question: &Question<'_>, cert_id: &CertId, der: &[u8]) -> Option<Freshness> {
    let Ok(ParsedResponse::Answered(response)) = ParsedResponse::from_der(der) else { return None };
    // 1. One answer, `good`, to this CertID octet for octet, in the first half of its life.
    let [single] = response.responses() else { return None };
    let SingleResponse { status: CertStatus::Good, this_update, next_update: Some(next_update), .. } = *single else {
        return None;
    };
    let freshness = Freshness { this_update, next_update };
    if single.cert_id != *cert_id || !freshness.is_young(engine.now()) || is_of_lost_record(engine, this_update) {
        return None;
    }
    // 2. By a responder of this authority, as this process holds it, that is in force.
    let ResponderId::KeyHash(key_hash) = response.responder_id() else { return None };
    let responder = question.hierarchy.responder_by_key(question.authority.id(), key_hash, engine.now())?;
    if next_update > responder.validity().not_after {
        return None;
    }
    // 3. Made anew from what it says, it is the same: nothing is in it that is not signed, and nothing that we do not say.
    let template = ResponseTemplate {
        responder_key_hash: responder.key_hash(),
        produced_at: response.produced_at(),
        responses: vec![single.clone()],
        nonce: None,
    };
    let to_be_signed = OcspTbs::new(&template).ok()?;
    let algorithm = SignatureAlgorithm::from_identifier_der(response.signature_algorithm_der()).ok()?;
    let signature = Signature { algorithm, octets: response.signature().to_vec() };
    if assemble(&to_be_signed, &signature, &[responder.certificate_der()]) != der {
        return None;
    }
    // 4. The signature.
    let public_key = responder.signer().public_key();
    public_key.verify(algorithm, to_be_signed.to_be_signed(), &signature.octets).ok()?;
    Some(freshness)
}

/// Whether it may have been signed before the record was restored: what was issued since the backup is not on record any more.
fn is_of_lost_record(engine: &Engine, this_update: Timestamp) -> bool {
    let lineage = engine.lineage();
    let restoration = lineage.as_ref().and_then(|lineage| lineage.restorations.last());
    restoration.is_some_and(|restoration| this_update < restoration.until.plus(CLOCKS_APART))
}
