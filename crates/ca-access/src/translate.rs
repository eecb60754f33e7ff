//! A question of the engine in the words of the schema: a request, and the entities it speaks of.

use std::collections::{HashMap, HashSet};

use ca_core::id::CertificateId;
use ca_core::name::GeneralName;
use ca_core::principal::{Principal, Role, TokenBinding};
use ca_engine::port::authorizer::{Action, Question, Resource};
use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression};

use crate::vocabulary::{Vocabulary, uid};

/// A question in Cedar's words.
pub(crate) struct Translated {
    pub(crate) principal: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    pub(crate) context: Context,
    /// The principal and the resource.
    pub(crate) entities: [Entity; 2],
}

/// Why a question has no translation: it names something that this crate does not know yet. It is denied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untranslatable(pub(crate) String);

impl Vocabulary {
    pub(crate) fn translate(&self, question: &Question<'_>) -> Result<Translated, Untranslatable> {
        let principal = self.principal(question.principal)?;
        let resource = self.resource(&question.resource)?;
        Ok(Translated {
            principal: principal.uid(),
            action: self.action(question.action),
            resource: resource.uid(),
            context: context(question)?,
            entities: [principal, resource],
        })
    }

    fn principal(&self, principal: &Principal) -> Result<Entity, Untranslatable> {
        let plain = |entity_type, id: &str| Ok(Entity::new_no_attrs(uid(entity_type, id), HashSet::new()));
        match principal {
            Principal::Anonymous => plain(&self.anonymous, "anonymous"),
            Principal::Certificate { id, roles, .. } => self.holder(*id, roles),
            Principal::EnrolmentToken { id, binding } => {
                entity(uid(&self.enrolment_token, id.to_string()), self.bound_to(binding), HashSet::new())
            }
            Principal::LocalOperator => plain(&self.local_operator, "local"),
            Principal::Job(name) => plain(&self.job, name),
            other => Err(Untranslatable(format!("principal {}", other.reference()))),
        }
    }

    fn holder(&self, id: CertificateId, roles: &[Role]) -> Result<Entity, Untranslatable> {
        let id = id.to_string();
        let certificate = RestrictedExpression::new_entity_uid(uid(&self.certificate, &id));
        let roles = roles.iter().map(|role| uid(&self.role, role.as_str())).collect();
        entity(uid(&self.holder, &id), vec![("certificate", certificate)], roles)
    }

    fn bound_to(&self, binding: &TokenBinding) -> Vec<(&'static str, RestrictedExpression)> {
        let values = binding.names.iter().map(GeneralName::value_text);
        let mut attributes = vec![
            ("profile", RestrictedExpression::new_entity_uid(uid(&self.profile, binding.profile.as_str()))),
            ("names", strings(binding.names.iter().map(GeneralName::to_string))),
            ("common_names", strings(values.chain(binding.common_name.clone()))),
        ];
        if let Some(common_name) = &binding.common_name {
            attributes.push(("common_name", RestrictedExpression::new_string(common_name.clone())));
        }
        attributes
    }

    fn resource(&self, resource: &Resource<'_>) -> Result<Entity, Untranslatable> {
        let plain = |entity_type, id: &str| Ok(Entity::new_no_attrs(uid(entity_type, id), HashSet::new()));
        match resource {
            Resource::Service => plain(&self.service, "service"),
            Resource::Profile { name, internal, .. } => {
                let attributes = vec![("internal", RestrictedExpression::new_bool(*internal))];
                entity(uid(&self.profile, name.as_str()), attributes, HashSet::new())
            }
            Resource::Certificate { id, authority, profile, internal, owner, renewal_open } => {
                let authority = RestrictedExpression::new_entity_uid(uid(&self.authority, authority.as_str()));
                let profile = RestrictedExpression::new_entity_uid(uid(&self.profile, profile.as_str()));
                let attributes = vec![
                    ("authority", authority),
                    ("profile", profile),
                    ("internal", RestrictedExpression::new_bool(*internal)),
                    ("owner", RestrictedExpression::new_string((*owner).to_owned())),
                    ("renewal_open", RestrictedExpression::new_bool(*renewal_open)),
                ];
                entity(uid(&self.certificate, id.to_string()), attributes, HashSet::new())
            }
            Resource::Authority(id) => plain(&self.authority, id.as_str()),
            Resource::Token(id) => plain(&self.token, &id.to_string()),
            Resource::Gateway { id, certified } => {
                let attributes = vec![("certified", RestrictedExpression::new_bool(*certified))];
                entity(uid(&self.gateway, id), attributes, HashSet::new())
            }
            Resource::Managed { id, name, profile, owner } => {
                let profile = RestrictedExpression::new_entity_uid(uid(&self.profile, profile.as_str()));
                let attributes = vec![
                    ("name", RestrictedExpression::new_string((*name).to_owned())),
                    ("profile", profile),
                    ("owner", RestrictedExpression::new_string((*owner).to_owned())),
                ];
                entity(uid(&self.managed, id.to_string()), attributes, HashSet::new())
            }
            other => Err(Untranslatable(format!("resource {other:?}"))),
        }
    }
}

/// What is asked of a profile belongs to the request, not to the profile.
fn context(question: &Question<'_>) -> Result<Context, Untranslatable> {
    let Resource::Profile { common_names, names, .. } = &question.resource else {
        return Ok(Context::empty());
    };
    if question.action != Action::IssueCertificate {
        return Ok(Context::empty());
    }
    let pairs = [
        ("common_names".to_owned(), strings(common_names.iter().cloned())),
        ("names".to_owned(), strings(names.iter().map(GeneralName::to_string))),
    ];
    Context::from_pairs(pairs).map_err(|error| Untranslatable(error.to_string()))
}

fn entity(
    uid: EntityUid,
    attributes: Vec<(&'static str, RestrictedExpression)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, Untranslatable> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents).map_err(|error| Untranslatable(error.to_string()))
}

fn strings(texts: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(RestrictedExpression::new_string))
}
