//! An issuance at an issuer elsewhere whose client asks again, by the same idempotency key, before it has ended: its process may have
//! died, and who settles what is left ([`super::elsewhere::settle`]) comes minutes later.

use ca_core::certificate::AskedFor;
use ca_core::id::CertificateId;
use ca_core::principal::Principal;

use super::elsewhere::{Outcome, Verdict, adopt, complete, gave_up_meanwhile, judge, left_open, settled_meanwhile};
use super::{Issued, in_progress};
use crate::engine::Engine;
use crate::error::FlowError;
use crate::hierarchy::Hand;
use crate::port::store::{AdoptOutcome, OpenUpstream};

/// Collects the certificate and ends the issuance, if its name is on record and it is as it was asked for. Everything else stays as it
/// is until it is settled: without a name the order would have to be placed again, and what the process that began it may still be
/// told then nobody could say. Beside that process this is harmless: both collect the same, and a serial is adopted and a reservation
/// completed once.
pub(super) async fn collect(engine: &Engine, principal: &Principal, id: CertificateId) -> Result<Issued, FlowError> {
    engine.check_anchor()?;
    let Some(open) = engine.store().open_upstream_of(id).await? else { return Err(in_progress()) };
    let authority = engine.authority(&open.authority)?;
    let (Some(name), Some(order), Ok(Hand::Elsewhere(issuer)), Some(profile)) =
        (&open.name, &open.order, authority.hand(), engine.profiles().get(&open.profile))
    else {
        return Err(in_progress());
    };
    let asked_for = AskedFor::from_tbs_der(&order.to_be_signed).map_err(FlowError::internal)?;
    let certificate = match issuer.collect(name).await {
        Ok(Some(der)) => match judge(authority.facts(), profile, &asked_for, &der) {
            Verdict::Fits(certificate) => certificate,
            Verdict::Other { .. } | Verdict::None(_) => return Err(in_progress()),
        },
        Ok(None) => return Err(in_progress()),
        Err(error) => return Err(left_open(id, &error)),
    };
    match adopt(engine, id, certificate.serial()).await? {
        AdoptOutcome::Adopted => {}
        AdoptOutcome::NotReserved => {
            return settled_meanwhile(engine, principal, id, &open.authority, &certificate).await;
        }
        AdoptOutcome::SerialTaken => return Err(in_progress()),
    }
    let adopted = OpenUpstream { serial: certificate.serial().clone(), ..open };
    let ended = complete(engine, principal, &adopted, &authority, profile, certificate).await?;
    match (ended, engine.store().certificate(id).await?) {
        (Outcome::Completed, Some(certificate)) => Ok(Issued { certificate, replayed: true }),
        _ => Err(gave_up_meanwhile(id)),
    }
}
