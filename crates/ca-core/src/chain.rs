//! Chains of certificates: put in order, and judged as RFC 5280 §6.1 asks, with findings that explain themselves.
//!
//! The last certificate of a chain is the trust anchor: whoever calls decides that it is trusted. Revocation is not looked
//! at here (that takes a CRL or an OCSP response), nor are certificate policies.

pub mod anchor;
pub mod subordinate;

use std::fmt;

use crate::certificate::Certificate;
use crate::time::Timestamp;
use crate::usage::{ExtendedKeyUsage, KeyUsage};

/// Certificates put in order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct OrderedChain {
    /// The leaf, its issuer, and so on, to a self-signed certificate or as far as the issuers were given.
    pub chain: Vec<Certificate>,
    /// Certificates that do not belong to the leaf's chain, in the order given.
    pub left_out: Vec<Certificate>,
}

/// Puts certificates in order, whatever order they come in. The leaf is the first that issued none of the others, an end
/// entity before an authority. An issuer is known by its name and by the signature that its key made, never by its name
/// alone.
pub fn order(mut certificates: Vec<Certificate>) -> OrderedChain {
    let issued_another = |candidate: &Certificate| {
        certificates.iter().any(|other| other.der() != candidate.der() && issued(candidate, other))
    };
    let leaf = certificates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| !issued_another(candidate))
        .min_by_key(|(index, candidate)| (candidate.is_authority(), *index))
        .map(|(index, _)| index);
    let Some(leaf) = leaf else { return OrderedChain { chain: Vec::new(), left_out: certificates } };
    let mut chain = vec![certificates.remove(leaf)];
    while let Some(subject) = chain.last().filter(|last| !is_self_signed(last)) {
        let Some(issuer) = certificates.iter().position(|candidate| issued(candidate, subject)) else { break };
        chain.push(certificates.remove(issuer));
    }
    OrderedChain { chain, left_out: certificates }
}

/// Something that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFinding {
    /// Which certificate, counted from the leaf as 0.
    pub index: usize,
    /// Its subject.
    pub subject: String,
    /// The clause that it breaks.
    pub clause: &'static str,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for ChainFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} (`{}`): {} ({})", self.index + 1, self.subject, self.detail, self.clause)
    }
}

/// Judges a chain in the order of [`order`], whose last certificate is trusted. Every finding is told, from the leaf on;
/// none means that the chain holds at `now`, for `purpose` where one is given.
pub fn validate(chain: &[Certificate], now: Timestamp, purpose: Option<ExtendedKeyUsage>) -> Vec<ChainFinding> {
    let mut findings = Findings { chain, list: Vec::new() };
    for index in 0..chain.len() {
        check_validity(&mut findings, index, now);
        check_critical_extensions(&mut findings, index);
        check_signature(&mut findings, index);
        if index > 0 {
            check_authority(&mut findings, index);
            check_name_constraints(&mut findings, index);
        }
        if let Some(purpose) = purpose {
            check_purpose(&mut findings, index, purpose);
        }
    }
    findings.list
}

struct Findings<'a> {
    chain: &'a [Certificate],
    list: Vec<ChainFinding>,
}

impl Findings<'_> {
    fn push(&mut self, index: usize, clause: &'static str, detail: impl Into<String>) {
        let subject = self.chain[index].subject().to_string();
        self.list.push(ChainFinding { index, subject, clause, detail: detail.into() });
    }
}

fn check_validity(findings: &mut Findings<'_>, index: usize, now: Timestamp) {
    let validity = findings.chain[index].validity();
    const CLAUSE: &str = "RFC 5280 §6.1.3 (a)(2)";
    if now < validity.not_before {
        let detail = format!("is valid from {} on, and now is {now}; is the clock right?", validity.not_before);
        findings.push(index, CLAUSE, detail);
    }
    // notAfter is the last valid second (§4.1.2.5), so the whole of it counts.
    if now.floor_to_second() > validity.not_after {
        findings.push(index, CLAUSE, format!("ended at {}, and now is {now}", validity.not_after));
    }
}

fn check_critical_extensions(findings: &mut Findings<'_>, index: usize) {
    for extension in findings.chain[index].unknown_critical_extensions() {
        findings.push(
            index,
            "RFC 5280 §4.2",
            format!("has the critical extension {extension}, which is not known here"),
        );
    }
}

fn check_signature(findings: &mut Findings<'_>, index: usize) {
    let certificate = &findings.chain[index];
    let Some(issuer) = findings.chain.get(index + 1) else {
        if certificate.is_self_issued()
            && let Err(error) = certificate.verify_signed_by(certificate.public_key())
        {
            findings.push(index, "RFC 5280 §6.1.3 (a)(1)", format!("names itself as issuer, but {error}"));
        }
        return;
    };
    if !certificate.issuer().matches(issuer.subject()) {
        let detail = format!("was issued by `{}`, not by the next one, `{}`", certificate.issuer(), issuer.subject());
        findings.push(index, "RFC 5280 §6.1.3 (a)(4)", detail);
        return;
    }
    if let Err(error) = certificate.verify_signed_by(issuer.public_key()) {
        let keys = (certificate.authority_key_identifier(), issuer.subject_key_identifier());
        let hint = match keys {
            (Some(wanted), Some(given)) if wanted != given => {
                format!(": it names the issuer's key {}, this one has {}", hex::encode(wanted), hex::encode(given))
            }
            _ => String::new(),
        };
        findings.push(index, "RFC 5280 §6.1.3 (a)(1)", format!("the issuer's key did not sign it, {error}{hint}"));
    }
}

fn check_authority(findings: &mut Findings<'_>, index: usize) {
    let issuer = &findings.chain[index];
    if !issuer.is_authority() {
        let detail = "issued another certificate, but is no authority (basicConstraints does not say cA)";
        findings.push(index, "RFC 5280 §6.1.4 (k)", detail);
    }
    if issuer.key_usage().is_some_and(|usages| !usages.contains(KeyUsage::KeyCertSign)) {
        findings.push(index, "RFC 5280 §6.1.4 (n)", "issued another certificate, but its key usage lacks keyCertSign");
    }
    // The leaf does not count, self-issued certificates do not either (§6.1.4 (l)).
    let below = findings.chain[1..index].iter().filter(|certificate| !certificate.is_self_issued()).count();
    if let Some(limit) = issuer.path_length().filter(|limit| below > usize::from(*limit)) {
        let detail = format!("allows {limit} authorities below it, and there are {below}");
        findings.push(index, "RFC 5280 §6.1.4 (l), (m)", detail);
    }
}

fn check_name_constraints(findings: &mut Findings<'_>, index: usize) {
    let Some(constraints) = findings.chain[index].name_constraints() else { return };
    for below in 0..index {
        let certificate = &findings.chain[below];
        // §6.1.3 (b): self-issued certificates are exempt, the last of the path apart.
        if below > 0 && certificate.is_self_issued() {
            continue;
        }
        if let Err(violations) = constraints.check(certificate.subject(), certificate.names()) {
            for violation in violations {
                findings.push(below, "RFC 5280 §6.1.3 (b), (c)", violation.to_string());
            }
        }
    }
}

/// No authority outlives its issuer: what it certifies then would lead nowhere. Not asked by RFC 5280 of who verifies.
fn check_authority_end(findings: &mut Findings<'_>, index: usize) {
    let Some(issuer) = findings.chain.get(index + 1) else { return };
    let (end, last) = (findings.chain[index].validity().not_after, issuer.validity().not_after);
    if end > last {
        findings.push(index, "RFC 5280 §4.1.2.5", format!("ends at {end}, after its issuer, which ends at {last}"));
    }
}

/// Purposes nest: below an authority that lists purposes, a certificate is good for those only, as OpenSSL, NSS, Go and
/// Windows have it (RFC 5280 says it of end entities alone). The trust anchor's are its own business.
fn check_purpose(findings: &mut Findings<'_>, index: usize, purpose: ExtendedKeyUsage) {
    let certificate = &findings.chain[index];
    if index > 0 && index + 1 == findings.chain.len() {
        return;
    }
    let purposes = certificate.extended_key_usage();
    let any = purposes.is_empty() || purposes.contains(&ExtendedKeyUsage::ANY);
    // RFC 6960 §4.2.2.2 ties a delegated responder to its issuer's key.
    let exempt = index > 0 && purpose == ExtendedKeyUsage::OCSP_SIGNING;
    if any || exempt || purposes.contains(&purpose) {
        return;
    }
    let listed: Vec<String> = purposes.iter().map(ToString::to_string).collect();
    let detail = format!("is for {}, not for {purpose}", listed.join(", "));
    findings.push(index, "RFC 5280 §4.2.1.12", detail);
}

fn issued(issuer: &Certificate, subject: &Certificate) -> bool {
    subject.issuer().matches(issuer.subject()) && subject.verify_signed_by(issuer.public_key()).is_ok()
}

fn is_self_signed(certificate: &Certificate) -> bool {
    certificate.is_self_issued() && certificate.verify_signed_by(certificate.public_key()).is_ok()
}

#[cfg(test)]
mod tests;
