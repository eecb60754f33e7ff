//! Tells issuers elsewhere what was revoked here, in the order of the sequence of revocations.
//!
//! What is left to do is what lies behind the number on record; so nothing is lost with a process, and what is told twice does no
//! harm. Our own answers tell of a revocation at its commit; the issuer's own status services follow when they have heard of it.

use ca_core::id::AuthorityId;
use ca_core::revocation::Standing;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::hierarchy::Hand;
use crate::port::certificate_issuer::{CertificateIssuer, IssuerError};
use crate::port::store::RevocationRow;

/// How many entries of the sequence are read at a time.
const PAGE: u32 = 100;

/// Tells the issuer of an authority of every revocation that it was not told of; returns how many. Nothing for an authority whose
/// certificates are signed here. Under one lease ([`lease_name`]); of two that run all the same, each may tell what the other has
/// told.
pub async fn pass_on_revocations(engine: &Engine, authority_id: &AuthorityId) -> Result<u64, FlowError> {
    engine.check_anchor()?;
    let authority = engine.authority(authority_id)?;
    let Hand::Elsewhere(issuer) = authority.hand()? else { return Ok(0) };
    let setting = setting_name(authority_id);
    let mut told = 0;
    loop {
        let on_record = engine.store().setting(&setting).await?;
        let passed = read_number(&setting, on_record.as_deref())?;
        let rows = engine.store().revocations_after(passed, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { return Ok(told) };
        let mut reached = passed;
        let mut failed = None;
        for row in &rows {
            match tell(issuer, authority_id, row).await {
                Ok(was_told) => {
                    told += u64::from(was_told);
                    reached = row.sequence;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if reached > passed {
            let value = reached.to_string();
            // Where another was faster, what it has put there is as true.
            engine.store().set_setting(&setting, on_record.as_deref(), value.as_bytes()).await?;
        }
        match failed {
            Some(error) => return Err(error.into()),
            None if reached < last || rows.len() < PAGE as usize => return Ok(told),
            None => {}
        }
    }
}

/// How many entries of the sequence an authority's issuer was not told of yet, other authorities' among them.
pub async fn revocations_to_pass_on(engine: &Engine, authority: &AuthorityId) -> Result<u64, FlowError> {
    let setting = setting_name(authority);
    let passed = read_number(&setting, engine.store().setting(&setting).await?.as_deref())?;
    Ok(engine.store().revocation_sequence().await?.saturating_sub(passed))
}

/// Tells of one entry, if it is the issuer's to know.
async fn tell(
    issuer: &dyn CertificateIssuer,
    authority: &AuthorityId,
    row: &RevocationRow,
) -> Result<bool, IssuerError> {
    let Standing::Revoked(revocation) = row.standing else { return Ok(false) };
    // A provisional serial is in no certificate.
    if row.authority != *authority || row.serial.is_provisional() {
        return Ok(false);
    }
    match issuer.revoke(&row.serial, revocation.reason).await {
        Ok(()) => Ok(true),
        // One that it will never take must not keep back the others.
        Err(IssuerError::Refused { detail }) => {
            tracing::error!(%authority, serial = %row.serial, detail, "an issuer refused to revoke; our own answers say revoked all the same");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn read_number(setting: &str, octets: Option<&[u8]>) -> Result<u64, FlowError> {
    let Some(octets) = octets else { return Ok(0) };
    std::str::from_utf8(octets)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| FlowError::internal(format!("the record's setting {setting} is no number")))
}

fn setting_name(authority: &AuthorityId) -> String {
    format!("revocations-passed-on.{authority}")
}

/// The name of the lease under which an authority's revocations are passed on.
pub fn lease_name(authority: &AuthorityId) -> String {
    format!("pass-on-revocations:{authority}")
}
