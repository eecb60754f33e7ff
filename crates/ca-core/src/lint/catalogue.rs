//! Every rule there is, and the run of all of them.

use super::inspection::Inspection;
use super::rule::Rule;
use super::{Finding, LintContext, extension, field, issuer, name, profile, usage};
use crate::key::SignatureAlgorithm;

/// Every rule, in the order of checking.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    [field::RULES, name::RULES, extension::RULES, usage::RULES, issuer::RULES, profile::RULES].into_iter().flatten()
}

/// Holds the octets against every rule; the algorithm to sign with when none is broken.
pub(super) fn check(der: &[u8], context: &LintContext<'_>) -> Result<SignatureAlgorithm, Vec<Finding>> {
    let inspection = Inspection::read(der, context).map_err(|error| {
        vec![Finding { rule: STRICT_DER, clause: "RFC 5280 §4.1, X.690 §10", detail: error.to_string() }]
    })?;
    let findings: Vec<Finding> = all()
        .filter_map(|rule| {
            let detail = (rule.check)(&inspection).err()?;
            Some(Finding { rule: rule.name, clause: rule.clause, detail })
        })
        .collect();
    if findings.is_empty() { Ok(inspection.algorithm) } else { Err(findings) }
}

/// The rule that comes before all others: without the DER of a TBSCertificate there is nothing to look at.
pub(super) const STRICT_DER: &str = "strict_der";
