//! Asks the shipped access policy every case of `policies/cases`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ca_access::{CedarAuthorizer, SHIPPED_POLICIES};
use ca_core::id::{AuthorityId, CertificateId, ManagedCertificateId, ProfileName, TokenId};
use ca_core::name::GeneralName;
use ca_core::principal::{Principal, TokenBinding};
use ca_core::serial::Serial;
use ca_engine::port::authorizer::{Action, Authorizer, Decision, Question, Resource};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    principal: Asker,
    action: String,
    resource: Thing,
    expect: Expectation,
    policies: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Asker {
    Anonymous,
    Local,
    Job,
    Holder {
        certificate: char,
        #[serde(default)]
        roles: Vec<String>,
    },
    Token {
        profile: String,
        #[serde(default)]
        names: Vec<String>,
        common_name: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Thing {
    Service,
    Profile {
        name: String,
        #[serde(default)]
        internal: bool,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        common_names: Vec<String>,
    },
    Certificate {
        id: char,
        profile: String,
        #[serde(default)]
        internal: bool,
        #[serde(default)]
        owner: String,
        #[serde(default)]
        renewal_open: bool,
    },
    Authority {
        name: String,
    },
    Token {
        id: char,
    },
    Gateway {
        id: String,
        #[serde(default)]
        certified: bool,
    },
    Managed {
        id: char,
        name: String,
        profile: String,
        #[serde(default)]
        owner: String,
    },
}

#[test]
fn every_case_is_decided_as_it_says_and_by_the_rules_it_names() {
    let authorizer = CedarAuthorizer::shipped().expect("the shipped texts are faultless");
    let mut wrong = Vec::new();
    for (file, case) in cases() {
        let decision = decide(&authorizer, &case);
        let (decided, policies) = match decision {
            Decision::Allow { policies } => (Expectation::Allow, policies),
            Decision::Deny { policies } => (Expectation::Deny, policies),
        };
        if decided != case.expect || policies != case.policies {
            let word = if decided == Expectation::Allow { "allowed" } else { "denied" };
            wrong.push(format!("{file}: {}: {word} by {policies:?}", case.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_of_the_policy_has_a_case() {
    let shown: BTreeSet<String> = cases().into_iter().flat_map(|(_, case)| case.policies).collect();
    let rules = SHIPPED_POLICIES.lines().filter_map(|line| line.strip_prefix("@id(\"")?.strip_suffix("\")"));
    let without: Vec<&str> = rules.filter(|rule| !shown.contains(*rule)).collect();
    assert!(without.is_empty(), "{without:?}");
}

fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cases");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let name = path.file_name().expect("a file's name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.extend(file.case.into_iter().map(|case| (name.clone(), case)));
    }
    assert!(!cases.is_empty(), "no case was found");
    cases
}

fn decide(authorizer: &CedarAuthorizer, case: &Case) -> Decision {
    let principal = principal(&case.principal);
    let action = Action::ALL.into_iter().find(|action| action.as_str() == case.action);
    let action = action.unwrap_or_else(|| panic!("{}: there is no action {}", case.rule, case.action));
    let ask = |resource: Resource<'_>| authorizer.decide(&Question { principal: &principal, action, resource });
    match &case.resource {
        Thing::Service => ask(Resource::Service),
        Thing::Profile { name, internal, names, common_names } => ask(Resource::Profile {
            name: &profile(name),
            internal: *internal,
            common_names,
            names: &general_names(names),
        }),
        Thing::Certificate { id, profile: name, internal, owner, renewal_open } => ask(Resource::Certificate {
            id: certificate(*id),
            authority: &authority("tls"),
            profile: &profile(name),
            internal: *internal,
            owner,
            renewal_open: *renewal_open,
        }),
        Thing::Authority { name } => ask(Resource::Authority(&authority(name))),
        Thing::Token { id } => ask(Resource::Token(token(*id))),
        Thing::Gateway { id, certified } => ask(Resource::Gateway { id, certified: *certified }),
        Thing::Managed { id, name, profile: of, owner } => {
            let id = ManagedCertificateId::from_bytes(*certificate(*id).as_bytes());
            ask(Resource::Managed { id, name, profile: &profile(of), owner })
        }
    }
}

fn principal(asker: &Asker) -> Principal {
    match asker {
        Asker::Anonymous => Principal::Anonymous,
        Asker::Local => Principal::LocalOperator,
        Asker::Job => Principal::Job("case"),
        Asker::Holder { certificate: letter, roles } => Principal::Certificate {
            id: certificate(*letter),
            authority: authority("tls"),
            serial: Serial::from_random([1; 16]),
            roles: roles.iter().map(|role| role.parse().expect("a role")).collect(),
        },
        Asker::Token { profile: name, names, common_name } => Principal::EnrolmentToken {
            id: token('t'),
            binding: TokenBinding {
                profile: profile(name),
                names: general_names(names),
                common_name: common_name.clone(),
            },
        },
    }
}

fn certificate(letter: char) -> CertificateId {
    CertificateId::from_bytes([octet(letter); 16])
}

fn token(letter: char) -> TokenId {
    TokenId::from_bytes([octet(letter); 16])
}

fn octet(letter: char) -> u8 {
    u8::try_from(letter).expect("an ASCII letter")
}

fn authority(name: &str) -> AuthorityId {
    name.parse().expect("an authority id")
}

fn profile(name: &str) -> ProfileName {
    name.parse().expect("a profile name")
}

fn general_names(names: &[String]) -> Vec<GeneralName> {
    names.iter().map(|name| GeneralName::parse(name).expect("a name")).collect()
}
