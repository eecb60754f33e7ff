//! Decides by Cedar policies.

use std::fmt;

use ca_engine::port::authorizer::{Authorizer, Decision, Question};
use cedar_policy::{Entities, Request};

use crate::error::AccessError;
use crate::fitness;
use crate::load;
use crate::remembered::{Remembered, Seen};
use crate::slice::{Slice, Slices, slice};
use crate::vocabulary::{PrincipalKind, ResourceKind, Vocabulary};

/// The policies that come with the program.
pub const SHIPPED_POLICIES: &str = include_str!("../../../policies/access.cedar");

/// The schema that comes with the program.
pub const SHIPPED_SCHEMA: &str = include_str!("../../../policies/access.cedarschema");

/// The authorization port, by Cedar policies. What no policy permits is denied, and so is what cannot be evaluated.
pub struct CedarAuthorizer {
    vocabulary: Vocabulary,
    slices: Slices,
    engine: cedar_policy::Authorizer,
    remembered: Remembered,
}

impl CedarAuthorizer {
    /// Loads policies and their schema, in Cedar's own syntax. Every policy needs an `@id("…")` of its own, which decisions
    /// name, and must fit the schema without a warning; the schema must describe every question of the service.
    pub fn from_texts(policies: &str, schema: &str) -> Result<Self, AccessError> {
        let vocabulary = Vocabulary::new()?;
        let schema = load::read_schema(schema)?;
        fitness::check(&schema, &vocabulary)?;
        let policy_set = load::read_policies(policies)?;
        load::validate(&policy_set, &schema, policies)?;
        let slices = slice(&policy_set, &schema, &vocabulary)?;
        Ok(Self { vocabulary, slices, engine: cedar_policy::Authorizer::new(), remembered: Remembered::default() })
    }

    /// Loads what comes with the program. Its texts are part of the build and loaded by a test, so that this does not fail.
    pub fn shipped() -> Result<Self, AccessError> {
        Self::from_texts(SHIPPED_POLICIES, SHIPPED_SCHEMA)
    }

    /// The decision, or why there is none.
    fn evaluate(&self, question: &Question<'_>) -> Result<Decision, String> {
        let principal =
            PrincipalKind::of(question.principal).ok_or("a principal that the access policy does not know")?;
        let resource = ResourceKind::of(&question.resource).ok_or("a resource that the access policy does not know")?;
        let slice = self
            .slices
            .get(&(principal, question.action, resource))
            .ok_or_else(|| format!("{} is not done to this kind of resource", question.action.as_str()))?;
        let Some(seen) = Seen::of(question, slice) else { return self.ask_policies(question, slice) };
        if let Some(decision) = self.remembered.get(&seen) {
            return Ok(decision);
        }
        let decision = self.ask_policies(question, slice)?;
        self.remembered.keep(seen, decision.clone());
        Ok(decision)
    }

    fn ask_policies(&self, question: &Question<'_>, slice: &Slice) -> Result<Decision, String> {
        let translated = self.vocabulary.translate(question).map_err(|error| error.0)?;
        let entities = translated.entities.into_iter().chain(slice.action.clone());
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let (principal, action, resource) = (translated.principal, translated.action, translated.resource);
        let request =
            Request::new(principal, action, resource, translated.context, None).map_err(|error| error.to_string())?;
        let response = self.engine.is_authorized(&request, &slice.policies, &entities);
        let diagnostics = response.diagnostics();
        // Cedar leaves out a policy that fails; were it one that forbids, others would permit in its place.
        if let Some(error) = diagnostics.errors().next() {
            return Err(error.to_string());
        }
        let mut policies: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        policies.sort();
        Ok(match response.decision() {
            cedar_policy::Decision::Allow => Decision::Allow { policies },
            cedar_policy::Decision::Deny => Decision::Deny { policies },
        })
    }
}

impl Authorizer for CedarAuthorizer {
    fn decide(&self, question: &Question<'_>) -> Decision {
        self.evaluate(question).unwrap_or_else(|reason| {
            let (principal, action) = (question.principal.reference(), question.action.as_str());
            tracing::error!(principal, action, reason, "the access policy could not be evaluated; denied");
            Decision::Deny { policies: Vec::new() }
        })
    }
}

impl fmt::Debug for CedarAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CedarAuthorizer").field("slices", &self.slices.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
