//! From texts to policies: read, named, checked against the schema.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::error::AccessError;

pub(crate) fn read_schema(text: &str) -> Result<Schema, AccessError> {
    let (schema, warnings) = Schema::from_cedarschema_str(text)
        .map_err(|error| AccessError::Schema { detail: located(&error.to_string(), &error, text) })?;
    let warnings: Vec<String> = warnings.map(|warning| warning.to_string()).collect();
    if !warnings.is_empty() {
        return Err(AccessError::Schema { detail: warnings.join("; ") });
    }
    Ok(schema)
}

/// Reads policies and names each after its `@id`.
pub(crate) fn read_policies(text: &str) -> Result<PolicySet, AccessError> {
    let unnamed = PolicySet::from_str(text)
        .map_err(|error| AccessError::Policies { detail: located(&error.to_string(), &error, text) })?;
    if let Some(template) = unnamed.templates().next() {
        let id = template.annotation("id").map_or_else(|| template.id().to_string(), str::to_owned);
        return Err(AccessError::Template { id });
    }
    // Cedar calls them policy0, policy1 …, in the order of the text.
    let mut in_order: Vec<&Policy> = unnamed.policies().collect();
    in_order.sort_by_key(|policy| place(policy.id()));
    let mut named = PolicySet::new();
    let mut ids = BTreeSet::new();
    for (number, policy) in (1..).zip(in_order) {
        let id = policy.annotation("id").filter(|id| !id.is_empty()).ok_or(AccessError::MissingId { number })?;
        if !ids.insert(id) {
            return Err(AccessError::DuplicateId { id: id.to_owned() });
        }
        named
            .add(policy.new_id(PolicyId::new(id)))
            .map_err(|error| AccessError::Policies { detail: error.to_string() })?;
    }
    Ok(named)
}

/// Checks every policy against the schema. Warnings count: a policy that can never apply is a slip of the pen, and in a
/// policy that forbids a dangerous one.
pub(crate) fn validate(policies: &PolicySet, schema: &Schema, text: &str) -> Result<(), AccessError> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| located(&error.to_string(), error, text));
    let warnings = result.validation_warnings().map(|warning| located(&warning.to_string(), warning, text));
    let mut faults: Vec<String> = errors.chain(warnings).collect();
    if faults.is_empty() {
        return Ok(());
    }
    faults.sort();
    Err(AccessError::Invalid { faults })
}

fn place(id: &PolicyId) -> usize {
    id.to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// A message and the line of the text that it is about.
fn located(message: &str, error: &dyn Diagnostic, text: &str) -> String {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    match offset.and_then(|offset| text.get(..offset)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
