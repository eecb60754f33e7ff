//! An access policy of one line.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::port::authorizer::{Action, Authorizer, Decision, Question};

type Rule = dyn Fn(&Question<'_>) -> bool + Send + Sync;

/// Decides as a test says, and remembers what it was asked. Clones share rule and memory.
#[derive(Clone)]
pub struct ScriptedAuthorizer {
    rule: Arc<Rule>,
    asked: Arc<Mutex<Vec<(String, Action)>>>,
}

impl ScriptedAuthorizer {
    /// Everybody may do everything.
    pub fn allow_all() -> Self {
        Self::by(|_| true)
    }

    /// Nobody may do anything.
    pub fn deny_all() -> Self {
        Self::by(|_| false)
    }

    /// Allows what `rule` says yes to.
    pub fn by(rule: impl Fn(&Question<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), asked: Arc::default() }
    }

    /// Every question so far: who (as [`ca_core::principal::Principal::reference`] names them) asked to do what.
    pub fn asked(&self) -> Vec<(String, Action)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Authorizer for ScriptedAuthorizer {
    fn decide(&self, question: &Question<'_>) -> Decision {
        let asked = (question.principal.reference(), question.action);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        let policies = vec!["scripted".to_owned()];
        if (self.rule)(question) { Decision::Allow { policies } } else { Decision::Deny { policies } }
    }
}

impl fmt::Debug for ScriptedAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedAuthorizer").field("asked", &self.asked()).finish_non_exhaustive()
    }
}
