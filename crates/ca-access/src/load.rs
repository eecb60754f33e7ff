//! From texts to policies that can be decided by: read, named, checked against the schema, sliced.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use ca_engine::port::authorizer::Action;
use cedar_policy::{
    ActionConstraint, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, ResourceConstraint, Schema,
    ValidationMode, Validator,
};
use miette::Diagnostic;

use crate::error::AccessError;
use crate::vocabulary::{ASKED, ResourceKind, Vocabulary};

/// What is decided by for one action on one kind of resource: the policies that can apply, and no others. A decision costs
/// time for every policy that is looked at.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: PolicySet,
    /// The action with the groups it is in, where it is in any.
    pub(crate) action: Option<Entity>,
}

pub(crate) type Slices = BTreeMap<(Action, ResourceKind), Slice>;

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

pub(crate) fn slice(policies: &PolicySet, schema: &Schema, vocabulary: &Vocabulary) -> Result<Slices, AccessError> {
    let actions =
        schema.action_entities().map_err(|error| AccessError::SchemaDoesNotFit { faults: vec![error.to_string()] })?;
    let mut slices = Slices::new();
    for (action, kinds) in ASKED {
        let action_uid = vocabulary.action(action);
        for kind in kinds {
            let mut applying = PolicySet::new();
            for policy in policies.policies() {
                if concerns_action(policy, &action_uid, &actions) && concerns_kind(policy, *kind, vocabulary) {
                    applying
                        .add(policy.clone())
                        .map_err(|error| AccessError::Policies { detail: error.to_string() })?;
                }
            }
            let entity = actions.get(&action_uid).filter(|_| actions.ancestors(&action_uid).is_some_and(has_some));
            slices.insert((action, *kind), Slice { policies: applying, action: entity.cloned() });
        }
    }
    Ok(slices)
}

fn has_some<'a>(mut ancestors: impl Iterator<Item = &'a EntityUid>) -> bool {
    ancestors.next().is_some()
}

/// Whether the head of a policy lets it apply to an action.
fn concerns_action(policy: &Policy, action: &EntityUid, actions: &Entities) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(only) => only == *action,
        ActionConstraint::In(groups) => {
            groups.contains(action)
                || actions.ancestors(action).is_some_and(|mut ancestors| ancestors.any(|group| groups.contains(group)))
        }
    }
}

/// Whether the head of a policy lets it apply to a kind of resource. In doubt it does: it is then looked at in vain.
fn concerns_kind(policy: &Policy, kind: ResourceKind, vocabulary: &Vocabulary) -> bool {
    let kind = vocabulary.resource_type(kind);
    match policy.resource_constraint() {
        ResourceConstraint::Is(only) | ResourceConstraint::IsIn(only, _) => only == *kind,
        ResourceConstraint::Eq(only) => only.type_name() == kind,
        ResourceConstraint::Any | ResourceConstraint::In(_) => true,
    }
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
