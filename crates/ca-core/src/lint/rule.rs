//! The rules, in the order in which they are held against a certificate.

use super::{Finding, LintContext};
use crate::key::SignatureAlgorithm;
use crate::tbs::TbsView;
use crate::template::Issuer;

/// Holds the octets against every rule.
pub(super) fn check(der: &[u8], context: &LintContext<'_>) -> Result<SignatureAlgorithm, Vec<Finding>> {
    let view = TbsView::read(der)
        .map_err(|error| vec![Finding { rule: "strict_der", clause: "RFC 5280 §4.1", detail: error.to_string() }])?;
    let algorithm = match context.issuer {
        Issuer::Authority(facts) => facts.signature_algorithm,
        Issuer::Itself => context.public_key.key_type().signature_algorithm(),
    };
    if view.signature_algorithm != algorithm.identifier_der() {
        return Err(vec![]);
    }
    Ok(algorithm)
}
