//! Whether a certificate that others signed is the one that an authority of ours asked for, and fit to issue under.

use super::{ChainFinding, Findings, check_authority_end, is_self_signed, validate};
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::policy::AuthorityConstraints;
use crate::template::ANY_POLICY;
use crate::time::Timestamp;
use crate::usage::{ExtendedKeyUsage, KeyUsage};

/// What an authority asked others to certify.
#[derive(Clone, Copy, Debug)]
pub struct AskedAuthority<'a> {
    /// Its key.
    pub public_key: &'a PublicKey,
    /// Its name.
    pub subject: &'a DistinguishedName,
    /// What it is to be confined to.
    pub constraints: &'a AuthorityConstraints,
}

/// What was made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorityVerdict {
    /// Why the certificate cannot be used; none means that it can.
    pub findings: Vec<ChainFinding>,
    /// What differs from what was asked for and does no harm here; whoever signed may want to know.
    pub notes: Vec<String>,
}

/// Judges the chain of an authority, in the order of [`super::order`], whose last certificate is to be trusted from now on: it must
/// hold at `now`, end with a self-signed certificate, and its first certificate must be what was asked for.
pub fn judge_subordinate(chain: &[Certificate], asked: &AskedAuthority<'_>, now: Timestamp) -> AuthorityVerdict {
    let mut verdict = AuthorityVerdict { findings: validate(chain, now, None), notes: Vec::new() };
    let Some(certificate) = chain.first() else { return verdict };
    let mut findings = Findings { chain, list: Vec::new() };
    if !chain.last().is_some_and(is_self_signed) {
        let detail = "no self-signed root is above it; put the certificates of every authority above it into the file";
        findings.push(chain.len() - 1, "RFC 5280 §6.1", detail);
    }
    check_identity(&mut findings, certificate, asked);
    check_authority(&mut findings, certificate);
    for index in 0..chain.len() {
        check_authority_end(&mut findings, index);
    }
    check_constraints(&mut findings, certificate, asked);
    verdict.findings.extend(findings.list);
    verdict.notes = notes(certificate, asked);
    verdict
}

fn check_identity(findings: &mut Findings<'_>, certificate: &Certificate, asked: &AskedAuthority<'_>) {
    if certificate.public_key() != asked.public_key {
        findings.push(0, "RFC 5280 §4.1.2.7", "is for another key than the one that asked");
    }
    if !certificate.subject().matches(asked.subject) {
        findings.push(
            0,
            "RFC 5280 §4.1.2.6",
            format!("names another subject than the `{}` that asked; the order of its parts counts", asked.subject),
        );
    }
}

fn check_authority(findings: &mut Findings<'_>, certificate: &Certificate) {
    if !certificate.is_authority() {
        findings.push(0, "RFC 5280 §4.2.1.9", "is no authority's: basicConstraints does not say cA");
    }
    let needed = [(KeyUsage::KeyCertSign, "keyCertSign"), (KeyUsage::CrlSign, "cRLSign")];
    for (_, name) in needed.iter().filter(|(usage, _)| !certificate.key_usage().is_some_and(|has| has.contains(*usage)))
    {
        findings.push(0, "RFC 5280 §4.2.1.3", format!("its key usage lacks {name}"));
    }
    if certificate.subject_key_identifier().is_none() {
        findings.push(
            0,
            "RFC 5280 §4.2.1.2",
            "has no subject key identifier, which every authority's certificate needs",
        );
    }
}

fn check_constraints(findings: &mut Findings<'_>, certificate: &Certificate, asked: &AskedAuthority<'_>) {
    let purposes = certificate.extended_key_usage();
    if purposes.contains(&ExtendedKeyUsage::OCSP_SIGNING) {
        let detail = "is for OCSPSigning too: whoever holds its key could answer for its issuer";
        findings.push(0, "RFC 6960 §4.2.2.2", detail);
    }
    if !purposes.is_empty() && !purposes.contains(&ExtendedKeyUsage::ANY) {
        let wanted = asked.constraints.extended_key_usage.iter();
        for lacking in wanted.filter(|purpose| !purposes.contains(purpose)) {
            let detail = format!("is not for {lacking}, which certificates below it are to be for");
            findings.push(0, "RFC 5280 §4.2.1.12", detail);
        }
    }
    let wanted = &asked.constraints.name_constraints;
    if !wanted.is_empty() && certificate.name_constraints() != Some(wanted) {
        let detail = "does not have the name constraints that were asked for, as they were asked for";
        findings.push(0, "RFC 5280 §4.2.1.10", detail);
    }
}

fn notes(certificate: &Certificate, asked: &AskedAuthority<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if certificate.path_length() != Some(0) {
        notes.push("its path length is not 0: its key could certify further authorities".to_owned());
    }
    if certificate.extended_key_usage().is_empty() && !asked.constraints.extended_key_usage.is_empty() {
        notes.push("it is not confined to the purposes that were asked for".to_owned());
    }
    if asked.constraints.name_constraints.is_empty() && certificate.name_constraints().is_some() {
        notes.push("it is confined to names, which was not asked for: others will be refused".to_owned());
    }
    if !certificate.certificate_policies().contains(&ANY_POLICY) {
        notes
            .push("it lacks anyPolicy: verifiers that ask for a certificate policy accept nothing below it".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hierarchy::{Authority, Owner, SigningKey, now, tls_constraints};
    use crate::key::KeyType;
    use crate::policy::AuthorityConstraints;

    /// A chain of two, and what was asked for of it.
    fn judged(
        change: impl FnOnce(&mut Vec<Certificate>),
        constraints: &AuthorityConstraints,
    ) -> (Vec<&'static str>, Vec<String>) {
        let root = Authority::root(KeyType::P256);
        let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
        let asked = tls.certificate.clone();
        let mut chain = vec![tls.certificate, root.certificate];
        change(&mut chain);
        let asked = AskedAuthority { public_key: asked.public_key(), subject: asked.subject(), constraints };
        let verdict = judge_subordinate(&chain, &asked, now());
        (verdict.findings.into_iter().map(|finding| finding.clause).collect(), verdict.notes)
    }

    #[test]
    fn what_was_asked_for_is_accepted() {
        assert_eq!(judged(|_| {}, &tls_constraints()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn another_key_and_another_name_are_refused() {
        let root = Authority::root(KeyType::P256);
        let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
        let document = Authority::below(&root, KeyType::P384, "document", &tls_constraints());
        let chain = [tls.certificate, root.certificate];
        let constraints = tls_constraints();
        let asked = AskedAuthority {
            public_key: document.certificate.public_key(),
            subject: document.certificate.subject(),
            constraints: &constraints,
        };
        let clauses: Vec<_> =
            judge_subordinate(&chain, &asked, now()).findings.into_iter().map(|finding| finding.clause).collect();
        assert_eq!(clauses, ["RFC 5280 §4.1.2.7", "RFC 5280 §4.1.2.6"]);
    }

    #[test]
    fn a_chain_without_its_root_and_one_of_an_end_entity_are_refused() {
        assert_eq!(judged(|chain| drop(chain.pop()), &tls_constraints()).0, ["RFC 5280 §6.1"]);
        let root = Authority::root(KeyType::P256);
        let key = SigningKey::of(Owner::Holder, KeyType::P256);
        let holder = crate::hierarchy::subject("CN=api.example.org");
        let names = [crate::hierarchy::name("dns:api.example.org")];
        let leaf =
            root.issue(&crate::hierarchy::profile("server"), &crate::hierarchy::request(key.public(), &holder, &names));
        let constraints = AuthorityConstraints::default();
        let asked =
            AskedAuthority { public_key: leaf.public_key(), subject: leaf.subject(), constraints: &constraints };
        let verdict = judge_subordinate(&[leaf.clone(), root.certificate], &asked, now());
        let clauses: Vec<_> = verdict.findings.into_iter().map(|finding| finding.clause).collect();
        assert_eq!(clauses, ["RFC 5280 §4.2.1.9", "RFC 5280 §4.2.1.3", "RFC 5280 §4.2.1.3"]);
    }

    #[test]
    fn purposes_and_names_that_were_asked_for_must_be_there() {
        let mut wanted = tls_constraints();
        wanted.extended_key_usage.push(ExtendedKeyUsage::DOCUMENT_SIGNING);
        wanted.name_constraints.permitted.push(crate::name::Subtree::parse("dns:example.net").expect("a subtree"));
        assert_eq!(judged(|_| {}, &wanted).0, ["RFC 5280 §4.2.1.12", "RFC 5280 §4.2.1.10"]);
        let (findings, notes) = judged(|_| {}, &AuthorityConstraints::default());
        assert!(findings.is_empty());
        assert_eq!(notes.len(), usize::from(!tls_constraints().name_constraints.is_empty()));
    }
}
