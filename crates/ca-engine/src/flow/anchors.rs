//! Several anchors of trust: another root beside those on record, whose key others hold or a ceremony made, and cross-certificates, by
//! which whoever trusts one root comes to what is below the other. Authorities go over to the new root by a rollover below it.
//!
//! A cross-certificate is on record as a certificate of the root that signed it, so its status is told and it can be revoked. Which
//! certificates are cross-certificates stands in one setting of the record.

use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::chain::ChainFinding;
use ca_core::chain::anchor::{judge_anchor, judge_cross};
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::principal::Principal;
use ca_core::revocation::Standing;

use super::adopt::{Adoption, adopt_authorities, put_on_record};
use super::on_host::permit_on_host;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::generation::generation_id;
use crate::hierarchy::{Authority, EXTERNAL_PROFILE};
use crate::port::store::KeyHome;

/// The setting that says which certificates are cross-certificates: their ids, one a line.
const SETTING: &str = "cross-certificates";

/// The line of roots.
const ROOT: &str = "root";

/// A cross-certificate that was taken on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossCertificate {
    /// Its id as a certificate.
    pub id: CertificateId,
    /// The root whose name and key it has.
    pub of: AuthorityId,
    /// The root that signed it.
    pub by: AuthorityId,
}

/// Takes another root on record, `root-2` and so on. Whoever calls has compared its fingerprint on another way. Repeating is harmless.
pub async fn add_anchor(
    engine: &Engine,
    principal: &Principal,
    certificate: &Certificate,
) -> Result<AuthorityId, FlowError> {
    permit_on_host(principal, "roots are taken on record")?;
    assure_clock(engine).await?;
    engine.reload_hierarchy().await?;
    let hierarchy = engine.hierarchy();
    let root: AuthorityId = ROOT.parse().map_err(FlowError::internal)?;
    if hierarchy.authority(&root).is_none() {
        let message = "there is no root on record yet: `ca-server init` makes the first, or takes that of others";
        return Err(FlowError::new(FlowErrorKind::NotFound, message));
    }
    refuse_findings("root", judge_anchor(certificate, engine.now()))?;
    let known = hierarchy.authorities().iter().find(|known| known.certificate().der() == certificate.der());
    if let Some(known) = known {
        return Ok(known.id().clone());
    }
    // Lists and issuers are looked up by name, and who has a key is one authority.
    let is_twin = |other: &&Arc<Authority>| {
        other.certificate().subject().matches(certificate.subject())
            || other.certificate().public_key() == certificate.public_key()
    };
    if let Some(twin) = hierarchy.authorities().iter().find(is_twin) {
        let message = format!(
            "{} has the same name or key; another root has its own of both, or clients take one for the other",
            twin.id()
        );
        return Err(FlowError::invalid("not-another-root", "/certificate", message));
    }
    let number = hierarchy.generations(&root).last().map_or(1, |(number, _)| *number).saturating_add(1);
    let id = generation_id(&root, number).map_err(FlowError::internal)?;
    let adoption = Adoption { id: id.clone(), certificate: certificate.clone(), parent: None, key_home: KeyHome::File };
    adopt_authorities(engine, principal, &[adoption]).await?;
    Ok(id)
}

/// Takes a cross-certificate on record: of one root on record, signed by another. Repeating is harmless.
pub async fn add_cross_certificate(
    engine: &Engine,
    principal: &Principal,
    certificate: &Certificate,
) -> Result<CrossCertificate, FlowError> {
    permit_on_host(principal, "cross-certificates are taken on record")?;
    assure_clock(engine).await?;
    engine.reload_hierarchy().await?;
    let hierarchy = engine.hierarchy();
    let refused = |message: String| FlowError::invalid("not-a-cross-certificate", "/certificate", message);
    let has_key = |root: &&Arc<Authority>| root.certificate().public_key() == certificate.public_key();
    let of = hierarchy.roots().find(has_key).ok_or_else(|| {
        refused(format!(
            "no root on record has the key that `{}` is certified with here; import the root first",
            certificate.subject()
        ))
    })?;
    let by = hierarchy.issuer_of(certificate).filter(|by| by.record().parent.is_none() && by.id() != of.id());
    let by = by.ok_or_else(|| {
        refused(format!("no other root on record signed it; it names `{}` as its issuer", certificate.issuer()))
    })?;
    let now = engine.now();
    let children = hierarchy.authorities().iter().filter(|child| child.record().parent.as_ref() == Some(of.id()));
    let below: Vec<&Certificate> =
        children.filter(|child| !child.has_ended(now)).map(|child| child.certificate()).collect();
    let findings = judge_cross(certificate, of.certificate(), by.certificate(), &below, now);
    refuse_findings("cross-certificate", findings)?;
    let id = put_on_record(engine, principal, by.id(), EXTERNAL_PROFILE, certificate).await?;
    note(engine, id).await?;
    Ok(CrossCertificate { id, of: of.id().clone(), by: by.id().clone() })
}

/// The certificates that lead from what `id` issues to the root `anchor`, which is left out: the authority's own first, a
/// cross-certificate last where its root is another. DER.
pub async fn chain_to_anchor(
    engine: &Engine,
    id: &AuthorityId,
    anchor: &AuthorityId,
) -> Result<Vec<Vec<u8>>, FlowError> {
    let authority = engine.authority(id)?;
    let hierarchy = engine.hierarchy();
    let own_root = authority.ancestors().last().unwrap_or(&authority.record().certificate_der);
    let root = hierarchy.roots().find(|root| root.record().certificate_der == *own_root);
    let (Some(root), Some(anchor)) = (root, hierarchy.roots().find(|root| root.id() == anchor)) else {
        return Err(no_way(id, anchor));
    };
    // A root leads to itself without anything.
    let mut chain: Vec<Vec<u8>> = match authority.record().parent {
        Some(_) => authority.chain().into_iter().map(<[u8]>::to_vec).collect(),
        None => Vec::new(),
    };
    if root.id() == anchor.id() {
        return Ok(chain);
    }
    let now = engine.now();
    let mut longest: Option<Certificate> = None;
    for id in cross_certificates(engine).await? {
        let Some(stored) = engine.store().certificate(id).await? else { continue };
        if stored.authority != *anchor.id() || stored.standing != Standing::Active {
            continue;
        }
        let cross = Certificate::from_der(&stored.der).map_err(FlowError::internal)?;
        let leads = cross.public_key() == root.certificate().public_key() && cross.validity().contains(now);
        let ends = |certificate: &Certificate| certificate.validity().not_after;
        if leads && longest.as_ref().is_none_or(|other| ends(other) < ends(&cross)) {
            longest = Some(cross);
        }
    }
    let cross = longest.ok_or_else(|| no_way(id, anchor.id()))?;
    chain.push(cross.der().to_vec());
    Ok(chain)
}

fn no_way(id: &AuthorityId, anchor: &AuthorityId) -> FlowError {
    FlowError::new(FlowErrorKind::NotFound, format!("no certificate on record leads from `{anchor}` to `{id}`"))
}

/// Those on record, oldest first.
async fn cross_certificates(engine: &Engine) -> Result<Vec<CertificateId>, FlowError> {
    let Some(octets) = engine.store().setting(SETTING).await? else { return Ok(Vec::new()) };
    let damaged = || FlowError::internal(format!("the setting {SETTING} on record is damaged"));
    let text = std::str::from_utf8(&octets).map_err(|_| damaged())?;
    text.lines().map(|line| line.parse().map_err(|_| damaged())).collect()
}

async fn note(engine: &Engine, id: CertificateId) -> Result<(), FlowError> {
    if cross_certificates(engine).await?.contains(&id) {
        return Ok(());
    }
    let before = engine.store().setting(SETTING).await?;
    let mut text = before.clone().unwrap_or_default();
    text.extend_from_slice(format!("{id}\n").as_bytes());
    match engine.store().set_setting(SETTING, before.as_deref(), &text).await? {
        true => Ok(()),
        false => Err(FlowError::new(FlowErrorKind::Overloaded, "another process imports at the same time; try again")
            .retry_after(1)),
    }
}

fn refuse_findings(what: &str, findings: Vec<ChainFinding>) -> Result<(), FlowError> {
    if findings.is_empty() {
        return Ok(());
    }
    let faults = findings.into_iter().map(|finding| Fault {
        code: format!("not-a-{what}"),
        pointer: "/certificate".to_owned(),
        message: finding.to_string(),
    });
    let summary = format!("the certificate cannot be taken as a {what}");
    Err(FlowError::of_faults(FlowErrorKind::InvalidRequest, &summary, faults.collect()))
}
