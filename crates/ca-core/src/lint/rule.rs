//! What a rule is, and the run of all of them.

use super::inspection::Inspection;
use super::{Finding, LintContext, extension, field, issuer, name, profile, usage};
use crate::key::SignatureAlgorithm;

/// One rule: its stable name, the text that states it, and the function that says what breaks it.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
    pub(super) check: fn(&Inspection<'_>) -> Result<(), String>,
}

/// A list of rules whose names are those of their functions.
macro_rules! rules {
    ($($check:ident => $clause:literal),* $(,)?) => {
        &[$($crate::lint::rule::Rule { name: stringify!($check), clause: $clause, check: $check }),*]
    };
}
pub(super) use rules;

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

/// `Ok` when the condition holds, else the message.
pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}
