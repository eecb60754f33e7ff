//! Policies sorted by what they can apply to: a decision costs time for every policy that is looked at.

use std::collections::BTreeMap;

use ca_engine::port::authorizer::Action;
use cedar_policy::{
    ActionConstraint, Entities, Entity, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    ResourceConstraint, Schema,
};

use crate::error::AccessError;
use crate::vocabulary::{ASKED, PrincipalKind, ResourceKind, Vocabulary};

/// Who asks, to do what, to what.
pub(crate) type SliceKey = (PrincipalKind, Action, ResourceKind);

pub(crate) type Slices = BTreeMap<SliceKey, Slice>;

/// The policies that can apply to one kind of question, and no others.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: PolicySet,
    /// The action with the groups it is in, where it is in any.
    pub(crate) action: Option<Entity>,
    /// Whether any of the policies looks at what is asked for.
    pub(crate) reads_context: bool,
}

/// A slice for every question that is asked.
pub(crate) fn slice(policies: &PolicySet, schema: &Schema, vocabulary: &Vocabulary) -> Result<Slices, AccessError> {
    let actions =
        schema.action_entities().map_err(|error| AccessError::SchemaDoesNotFit { faults: vec![error.to_string()] })?;
    let mut slices = Slices::new();
    for (action, resources) in ASKED {
        let uid = vocabulary.action(action);
        let grouped = actions.ancestors(&uid).is_some_and(|mut groups| groups.next().is_some());
        let entity = actions.get(&uid).filter(|_| grouped);
        for principal in PrincipalKind::ALL {
            let principal_type = vocabulary.principal_type(principal);
            for resource in resources {
                let resource_type = vocabulary.resource_type(*resource);
                let applying = policies
                    .policies()
                    .filter(|policy| reaches_action(policy, &uid, &actions))
                    .filter(|policy| Scope::from(policy.principal_constraint()).reaches(principal_type, schema))
                    .filter(|policy| Scope::from(policy.resource_constraint()).reaches(resource_type, schema));
                let policies = PolicySet::from_policies(applying.cloned())
                    .map_err(|error| AccessError::Policies { detail: error.to_string() })?;
                let reads_context = policies.policies().any(reads_context);
                let slice = Slice { policies, action: entity.cloned(), reads_context };
                slices.insert((principal, action, *resource), slice);
            }
        }
    }
    Ok(slices)
}

/// Whether a policy has the variable `context` anywhere, by its JSON form; one that has none is taken to have it.
fn reads_context(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| json.to_string().contains(r#""Var":"context""#))
}

/// Whether the head of a policy lets it apply to an action.
fn reaches_action(policy: &Policy, action: &EntityUid, actions: &Entities) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(only) => only == *action,
        ActionConstraint::In(groups) => {
            groups.contains(action)
                || actions.ancestors(action).is_some_and(|mut ancestors| ancestors.any(|group| groups.contains(group)))
        }
    }
}

/// What the head of a policy says of its principal, or of its resource.
enum Scope {
    Any,
    Only(EntityUid),
    Within(EntityUid),
    Of(EntityTypeName),
}

impl Scope {
    /// Whether an entity of that type can be meant.
    fn reaches(&self, entity_type: &EntityTypeName, schema: &Schema) -> bool {
        match self {
            Self::Any => true,
            Self::Only(entity) => entity.type_name() == entity_type,
            Self::Of(only) => only == entity_type,
            Self::Within(group) => {
                group.type_name() == entity_type
                    || schema
                        .ancestors(entity_type)
                        .is_some_and(|mut types| types.any(|above| above == group.type_name()))
            }
        }
    }
}

impl From<PrincipalConstraint> for Scope {
    fn from(constraint: PrincipalConstraint) -> Self {
        match constraint {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Eq(entity) => Self::Only(entity),
            PrincipalConstraint::In(group) => Self::Within(group),
            PrincipalConstraint::Is(only) | PrincipalConstraint::IsIn(only, _) => Self::Of(only),
        }
    }
}

impl From<ResourceConstraint> for Scope {
    fn from(constraint: ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Eq(entity) => Self::Only(entity),
            ResourceConstraint::In(group) => Self::Within(group),
            ResourceConstraint::Is(only) | ResourceConstraint::IsIn(only, _) => Self::Of(only),
        }
    }
}

#[cfg(test)]
mod tests;
