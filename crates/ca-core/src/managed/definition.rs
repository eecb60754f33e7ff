//! What is wanted of a managed certificate, as people write it: the same in the record, in the API and in a file.
//!
//! A definition is read as it stands and judged as a whole by [`ManagedDefinition::check`]; what profile, access policy and target say of
//! it is decided elsewhere, at each rotation again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::RenewBefore;
use crate::key::KeyType;
use crate::name::{DistinguishedName, DnsName, GeneralName};
use crate::time::Lifetime;

/// The most names, and the most hooks, of one definition.
const MOST_NAMES: usize = 100;
const MOST_HOOKS: usize = 16;

/// What is wanted of a managed certificate, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedDefinition {
    /// The subject, as RFC 4514 writes it; empty when absent, unless the profile adds something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject alternative names, each `TYPE:VALUE`: `dns:…`, `ip:…`, `email:…`, `uri:…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alternative_names: Vec<String>,
    /// The lifetime, like `90d`; the profile's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<String>,
    /// The kind of key.
    #[serde(default = "default_key_type", with = "as_text")]
    pub key_type: KeyType,
    /// Whether the key that is current is certified again, instead of a new one each time.
    #[serde(default)]
    pub keep_key: bool,
    /// Where it is wanted.
    pub target: TargetDefinition,
    /// Who brings it there.
    #[serde(default)]
    pub delivered_by: Deliverer,
    /// How long before its end it is rotated.
    #[serde(default, with = "as_text")]
    pub renew_before: RenewBefore,
    /// What is told to take the new certificate once it is current.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Where the new certificate is to be seen served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointDefinition>,
    /// How long after its successor is current the one before is revoked, like `24h`; absent: the service never revokes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_superseded_after: Option<String>,
}

/// Where a managed certificate and its key are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TargetDefinition {
    /// A folder of PEM files that is switched as a whole.
    Directory {
        /// Its path, absolute.
        path: String,
    },
    /// A secret of AWS Secrets Manager.
    SecretsManager {
        /// Its name, or its ARN.
        secret: String,
        /// The region; the one of the process when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Whether it is made when it is not there.
        #[serde(default)]
        create: bool,
        /// How its value is written.
        #[serde(default)]
        layout: SecretLayout,
        /// ARN, id or alias of the KMS key that encrypts it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kms_key: Option<String>,
        /// Tags that it has.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, String>,
        /// Regions that it is replicated to, each with the KMS key there, or an empty text for the service's own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        replicas: BTreeMap<String, String>,
    },
    /// A PKCS#12 file.
    Pkcs12 {
        /// Its path, absolute.
        path: String,
        /// The file that has its passphrase, absolute.
        passphrase_file: String,
    },
}

/// How the value of a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretLayout {
    /// A JSON object of `certificate`, `chain`, `private_key` (PEM each), `serial` (lower-case hex), `not_before`, `not_after` (RFC
    /// 3339), `fingerprint_sha256` and `rotation`.
    #[default]
    Json,
    /// Key, certificate and chain in PEM, one after the other.
    Pem,
}

/// Who brings a managed certificate to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deliverer {
    /// The service.
    #[default]
    Service,
    /// A worker that stands where the target is.
    Worker,
}

/// Where a certificate is to be seen served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointDefinition {
    /// `host:port`.
    pub address: String,
    /// The name that is asked for in the handshake; the host of the address when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// How long after it became current, like `10m`.
    #[serde(default = "default_within")]
    pub within: String,
}

/// What is told to take a new certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Hook {
    /// A deployment of AWS CodeDeploy.
    CodeDeploy {
        /// The application.
        application: String,
        /// Its deployment group.
        group: String,
    },
    /// A new deployment of a service of Amazon ECS.
    Ecs {
        /// The cluster.
        cluster: String,
        /// The service.
        service: String,
    },
}

/// One thing wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct DefinitionProblem {
    /// JSON pointer (RFC 6901) into the definition.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ManagedDefinition {
    /// Finds everything that is wrong with it by itself, before anybody is asked.
    pub fn check(&self) -> Result<(), Vec<DefinitionProblem>> {
        let mut problems = Vec::new();
        problems.extend(self.parsed_subject().err());
        problems.extend(self.each_name().filter_map(Result::err));
        problems.extend(self.parsed_validity().err());
        problems.extend(self.overlap().err());
        if self.subject_alternative_names.len() > MOST_NAMES {
            let message = format!("{} names; at most {MOST_NAMES}", self.subject_alternative_names.len());
            problems.push(problem("/subject_alternative_names", message));
        }
        if self.subject_alternative_names.is_empty() && self.subject.is_none() {
            let message = "it has no name; give it one, like dns:api.example.com, or a subject";
            problems.push(problem("/subject_alternative_names", message));
        }
        if self.hooks.len() > MOST_HOOKS {
            problems.push(problem("/hooks", format!("{} hooks; at most {MOST_HOOKS}", self.hooks.len())));
        }
        self.target.check(&mut problems);
        if let Some(endpoint) = &self.endpoint {
            endpoint.check(&mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The subject; `None` when there is none.
    pub fn parsed_subject(&self) -> Result<Option<DistinguishedName>, DefinitionProblem> {
        let Some(text) = &self.subject else { return Ok(None) };
        DistinguishedName::from_rfc4514(text).map(Some).map_err(|error| problem("/subject", error.to_string()))
    }

    /// The subject alternative names, or the first that is none.
    pub fn names(&self) -> Result<Vec<GeneralName>, DefinitionProblem> {
        self.each_name().collect()
    }

    /// The lifetime; `None` for the profile's default.
    pub fn parsed_validity(&self) -> Result<Option<Lifetime>, DefinitionProblem> {
        self.validity.as_deref().map(|text| some_time("/validity", text)).transpose()
    }

    /// How long the one before stays in force beside its successor; `None` when it is not revoked.
    pub fn overlap(&self) -> Result<Option<Lifetime>, DefinitionProblem> {
        let Some(text) = &self.revoke_superseded_after else { return Ok(None) };
        let read = text.parse().map(Some);
        read.map_err(|error: crate::time::TimeError| problem("/revoke_superseded_after", error.to_string()))
    }

    fn each_name(&self) -> impl Iterator<Item = Result<GeneralName, DefinitionProblem>> + '_ {
        self.subject_alternative_names.iter().enumerate().map(|(position, text)| {
            let pointer = format!("/subject_alternative_names/{position}");
            GeneralName::parse_typed(text).map_err(|error| problem(&pointer, error.to_string()))
        })
    }
}

impl TargetDefinition {
    fn check(&self, problems: &mut Vec<DefinitionProblem>) {
        match self {
            Self::Directory { path } => problems.extend(path_problem("/target/path", path)),
            Self::Pkcs12 { path, passphrase_file } => {
                problems.extend(path_problem("/target/path", path));
                problems.extend(path_problem("/target/passphrase_file", passphrase_file));
            }
            Self::SecretsManager { secret, create, .. } => {
                if secret.is_empty() {
                    problems.push(problem("/target/secret", "the name of a secret, like tls/web, or its ARN"));
                }
                if *create && secret.starts_with("arn:") {
                    let message = "a secret that is to be made is named by its name, not by an ARN, which AWS gives it";
                    problems.push(problem("/target/secret", message));
                }
            }
        }
    }
}

/// In words, for logs, events and people.
impl fmt::Display for TargetDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path } => write!(f, "folder {path}"),
            Self::SecretsManager { secret, region: Some(region), .. } => write!(f, "secret {secret} in {region}"),
            Self::SecretsManager { secret, region: None, .. } => write!(f, "secret {secret}"),
            Self::Pkcs12 { path, .. } => write!(f, "PKCS#12 file {path}"),
        }
    }
}

impl Deliverer {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Worker => "worker",
        }
    }
}

impl EndpointDefinition {
    /// Host and port of the address; IPv6 addresses stand in brackets.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            Some(_) => return None,
            None if host.is_empty() || host.contains([':', '/', '@']) || host.contains(char::is_whitespace) => {
                return None;
            }
            None => host,
        };
        port.parse().ok().filter(|port| *port > 0).map(|port| (host, port))
    }

    /// How long it may take.
    pub fn time(&self) -> Result<Lifetime, DefinitionProblem> {
        some_time("/endpoint/within", &self.within)
    }

    fn check(&self, problems: &mut Vec<DefinitionProblem>) {
        if self.host_and_port().is_none() {
            let message = format!("`{}` is no address; write host:port, like www.example.com:443", self.address);
            problems.push(problem("/endpoint/address", message));
        }
        if let Some(name) = &self.server_name
            && let Err(error) = DnsName::parse(name)
        {
            problems.push(problem("/endpoint/server_name", error.to_string()));
        }
        problems.extend(self.time().err());
    }
}

/// As it is read: `codedeploy:APPLICATION/GROUP` or `ecs:CLUSTER/SERVICE`.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CodeDeploy { application, group } => write!(f, "codedeploy:{application}/{group}"),
            Self::Ecs { cluster, service } => write!(f, "ecs:{cluster}/{service}"),
        }
    }
}

impl FromStr for Hook {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, HookError> {
        let unknown = || HookError { text: text.chars().take(100).collect() };
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        let (first, second) = rest.split_once('/').ok_or_else(unknown)?;
        let is_name = |name: &str| !name.is_empty() && name.len() <= 255 && !name.contains(['/', ':']);
        if !is_name(first) || !is_name(second) {
            return Err(unknown());
        }
        let (first, second) = (first.to_owned(), second.to_owned());
        match kind {
            "codedeploy" => Ok(Self::CodeDeploy { application: first, group: second }),
            "ecs" => Ok(Self::Ecs { cluster: first, service: second }),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Hook {
    type Error = HookError;

    fn try_from(text: String) -> Result<Self, HookError> {
        text.parse()
    }
}

impl From<Hook> for String {
    fn from(hook: Hook) -> Self {
        hook.to_string()
    }
}

/// A text that names no hook.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no hook; write codedeploy:APPLICATION/GROUP or ecs:CLUSTER/SERVICE")]
pub struct HookError {
    /// The first characters of what was given, at most 100.
    pub text: String,
}

fn default_key_type() -> KeyType {
    KeyType::P256
}

fn default_within() -> String {
    "10m".to_owned()
}

fn problem(pointer: &str, message: impl Into<String>) -> DefinitionProblem {
    DefinitionProblem { pointer: pointer.to_owned(), message: message.into() }
}

fn some_time(pointer: &str, text: &str) -> Result<Lifetime, DefinitionProblem> {
    match text.parse::<Lifetime>() {
        Ok(Lifetime::ZERO) => Err(problem(pointer, "no time at all; write 90d, 12h, 30m or 10s")),
        Ok(time) => Ok(time),
        Err(error) => Err(problem(pointer, error.to_string())),
    }
}

fn path_problem(pointer: &str, path: &str) -> Option<DefinitionProblem> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    let is_right = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
    (!is_right).then(|| problem(pointer, format!("`{path}` is no path; write an absolute one, like /etc/web/tls")))
}

/// Values that are written as text.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
