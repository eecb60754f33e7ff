//! Whether a certificate can be an anchor of trust, and whether another leads from one anchor to what is below the other: a
//! cross-certificate (RFC 4949), which has the name and key of one root and is signed by another.

use super::{ChainFinding, Findings, check_authority_end, is_self_signed, validate};
use crate::certificate::Certificate;
use crate::time::Timestamp;
use crate::usage::KeyUsage;

/// Judges a root that is to be trusted beside others.
pub fn judge_anchor(root: &Certificate, now: Timestamp) -> Vec<ChainFinding> {
    let chain = std::slice::from_ref(root);
    let mut findings = Findings { chain, list: validate(chain, now, None) };
    if !is_self_signed(root) {
        findings.push(0, "RFC 5280 §3.2", "is not self-signed: it is no root");
    }
    check_can_certify(&mut findings, root);
    findings.list
}

/// Judges a certificate for the root `of`, signed by the root `by`: whoever trusts `by` must come to every one of `below`, the
/// authorities that `of` has certified, for everything that they are for.
pub fn judge_cross(
    cross: &Certificate,
    of: &Certificate,
    by: &Certificate,
    below: &[&Certificate],
    now: Timestamp,
) -> Vec<ChainFinding> {
    let chain = [cross.clone(), by.clone()];
    let mut findings = Findings { chain: &chain, list: validate(&chain, now, None) };
    if !cross.subject().matches(of.subject()) || cross.public_key() != of.public_key() {
        let detail = format!("is not for the name and key of `{}`", of.subject());
        findings.push(0, "RFC 5280 §6.1", detail);
    }
    // What `of` signed names its key by its identifier, and clients choose by that (RFC 5280 §4.2.1.1).
    if cross.subject_key_identifier() != of.subject_key_identifier() {
        let detail = "does not have the subject key identifier that the root's own certificate has";
        findings.push(0, "RFC 5280 §4.2.1.2", detail);
    }
    check_can_certify(&mut findings, cross);
    if cross.path_length() == Some(0) {
        findings.push(0, "RFC 5280 §4.2.1.9", "has a path length of 0: no authority can be below it");
    }
    check_authority_end(&mut findings, 0);
    let mut list = findings.list;
    for authority in below {
        let chain = [(*authority).clone(), cross.clone(), by.clone()];
        let purposes = authority.extended_key_usage();
        let found = purposes.iter().flat_map(|purpose| validate(&chain, now, Some(*purpose)));
        let new: Vec<ChainFinding> = found.filter(|finding| finding.index < 2).collect();
        for finding in new {
            let is_known = |known: &ChainFinding| known.subject == finding.subject && known.detail == finding.detail;
            if !list.iter().any(is_known) {
                list.push(finding);
            }
        }
    }
    list
}

fn check_can_certify(findings: &mut Findings<'_>, certificate: &Certificate) {
    if !certificate.is_authority() {
        findings.push(0, "RFC 5280 §4.2.1.9", "is no authority's: basicConstraints does not say cA");
    }
    if !certificate.key_usage().is_some_and(|usages| usages.contains(KeyUsage::KeyCertSign)) {
        findings.push(0, "RFC 5280 §4.2.1.3", "its key usage lacks keyCertSign");
    }
    if certificate.subject_key_identifier().is_none() {
        let detail = "has no subject key identifier, which every authority's certificate needs";
        findings.push(0, "RFC 5280 §4.2.1.2", detail);
    }
}
