//! Decisions in memory, for the question that a busy service asks of the same few principals again and again: may this one ask
//! for certificates of that profile?
//!
//! Policies see nothing but the question: the same question has the same answer for as long as the policies are loaded. What is
//! asked for changes from request to request, so only questions whose policies do not look at it are remembered.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use ca_core::id::{CertificateId, ProfileName};
use ca_core::principal::{Principal, Role};
use ca_engine::port::authorizer::{Action, Decision, Question, Resource};

use crate::slice::Slice;

/// How many decisions are kept; one more, and all are forgotten.
const MOST: usize = 4_096;

/// All that policies which do not read the context can see of a question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    principal: SeenPrincipal,
    action: Action,
    profile: ProfileName,
    internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SeenPrincipal {
    Holder(CertificateId, Vec<Role>),
    LocalOperator,
    Job(&'static str),
}

impl Seen {
    /// What is seen of a question; nothing for one that is not remembered.
    pub(crate) fn of(question: &Question<'_>, slice: &Slice) -> Option<Self> {
        let Resource::Profile { name, internal, .. } = &question.resource else { return None };
        if slice.reads_context {
            return None;
        }
        let principal = match question.principal {
            Principal::Certificate { id, roles, .. } => SeenPrincipal::Holder(*id, roles.clone()),
            Principal::LocalOperator => SeenPrincipal::LocalOperator,
            Principal::Job(name) => SeenPrincipal::Job(name),
            // Tokens are bound to names, which policies read; anybody else is refused and need not be quick.
            _ => return None,
        };
        Some(Self { principal, action: question.action, profile: (*name).clone(), internal: *internal })
    }
}

/// The decisions.
#[derive(Default)]
pub(crate) struct Remembered {
    decisions: RwLock<BTreeMap<Seen, Decision>>,
}

impl Remembered {
    pub(crate) fn get(&self, seen: &Seen) -> Option<Decision> {
        self.decisions.read().unwrap_or_else(PoisonError::into_inner).get(seen).cloned()
    }

    pub(crate) fn keep(&self, seen: Seen, decision: Decision) {
        let mut decisions = self.decisions.write().unwrap_or_else(PoisonError::into_inner);
        if decisions.len() >= MOST {
            decisions.clear();
        }
        decisions.insert(seen, decision);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.decisions.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
