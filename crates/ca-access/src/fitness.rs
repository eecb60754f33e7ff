//! Whether a schema describes what the service asks: one example of every question is held against it when it is loaded, so
//! that no rule is ever tripped by an attribute that is missing or of another type.

use ca_core::id::{AuthorityId, CertificateId, ManagedCertificateId, ProfileName, TokenId};
use ca_core::name::GeneralName;
use ca_core::principal::{Principal, Role, TokenBinding};
use ca_core::serial::Serial;
use ca_engine::port::authorizer::{Question, Resource};
use cedar_policy::{Entities, Request, Schema};

use crate::error::AccessError;
use crate::vocabulary::{ASKED, ResourceKind, Vocabulary};

pub(crate) fn check(schema: &Schema, vocabulary: &Vocabulary) -> Result<(), AccessError> {
    let examples = Examples::new().map_err(|fault| AccessError::SchemaDoesNotFit { faults: vec![fault] })?;
    let mut faults: Vec<String> = Vec::new();
    for (action, kinds) in ASKED {
        for kind in kinds {
            for principal in &examples.principals {
                let question = Question { principal, action, resource: examples.resource(*kind) };
                if let Err(fault) = fits(schema, vocabulary, &question) {
                    faults.push(fault);
                }
            }
        }
    }
    faults.sort();
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(AccessError::SchemaDoesNotFit { faults }) }
}

fn fits(schema: &Schema, vocabulary: &Vocabulary, question: &Question<'_>) -> Result<(), String> {
    let translated = vocabulary.translate(question).map_err(|error| error.0)?;
    Entities::from_entities(translated.entities, Some(schema)).map_err(|error| error.to_string())?;
    Request::new(translated.principal, translated.action, translated.resource, translated.context, Some(schema))
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// A principal and a resource of every kind, with everything that may be told of them.
struct Examples {
    principals: Vec<Principal>,
    authority: AuthorityId,
    profile: ProfileName,
    names: Vec<GeneralName>,
    common_names: Vec<String>,
}

impl Examples {
    fn new() -> Result<Self, String> {
        let authority: AuthorityId = "tls".parse().map_err(text_of)?;
        let profile: ProfileName = "server".parse().map_err(text_of)?;
        let names = vec![GeneralName::Ip([192, 0, 2, 1].into())];
        let token = |common_name: Option<&str>| Principal::EnrolmentToken {
            id: TokenId::from_bytes([1; 16]),
            binding: TokenBinding {
                profile: profile.clone(),
                names: names.clone(),
                common_name: common_name.map(str::to_owned),
            },
        };
        let holder = Principal::Certificate {
            id: CertificateId::from_bytes([1; 16]),
            authority: authority.clone(),
            serial: Serial::from_random([1; 16]),
            roles: Role::ALL.to_vec(),
        };
        let principals = vec![
            Principal::Anonymous,
            holder,
            token(None),
            token(Some("example")),
            Principal::LocalOperator,
            Principal::Job("example"),
        ];
        Ok(Self { principals, authority, profile, names, common_names: vec!["example".to_owned()] })
    }

    fn resource(&self, kind: ResourceKind) -> Resource<'_> {
        match kind {
            ResourceKind::Service => Resource::Service,
            ResourceKind::Profile => Resource::Profile {
                name: &self.profile,
                internal: false,
                common_names: &self.common_names,
                names: &self.names,
            },
            ResourceKind::Certificate => Resource::Certificate {
                id: CertificateId::from_bytes([2; 16]),
                authority: &self.authority,
                profile: &self.profile,
                internal: false,
                owner: "local",
                renewal_open: false,
            },
            ResourceKind::Authority => Resource::Authority(&self.authority),
            ResourceKind::Token => Resource::Token(TokenId::from_bytes([2; 16])),
            ResourceKind::Managed => Resource::Managed {
                id: ManagedCertificateId::from_bytes([2; 16]),
                name: "example",
                profile: &self.profile,
                owner: "local",
            },
            ResourceKind::Gateway => Resource::Gateway { id: "gateway.example", certified: false },
        }
    }
}

fn text_of(error: impl ToString) -> String {
    error.to_string()
}
