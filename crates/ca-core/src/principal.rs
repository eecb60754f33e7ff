//! Who asks, and how that was proved. What they may do is the access policy's business.

use std::fmt;
use std::str::FromStr;

use crate::id::{AuthorityId, CertificateId, ProfileName, TokenId};
use crate::name::GeneralName;
use crate::serial::Serial;

/// A caller, as authentication proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// Nobody: no proof was offered.
    Anonymous,
    /// The holder of a certificate of ours, proved by a TLS handshake; not revoked, held or expired.
    Certificate {
        /// Which certificate.
        id: CertificateId,
        /// Its issuer.
        authority: AuthorityId,
        /// Its serial number.
        serial: Serial,
        /// The roles bound to this certificate's id, in order.
        roles: Vec<Role>,
    },
    /// The holder of a certificate of ours that has ended, proved by a signature of the old key over this one request. It can ask for a
    /// successor and for nothing else, and speaks with none of the certificate's roles.
    ExpiredHolder {
        /// Which certificate.
        id: CertificateId,
    },
    /// The bearer of an enrolment token, whose secret was checked. Whether uses remain is decided when it is used.
    EnrolmentToken {
        /// Which token.
        id: TokenId,
        /// What it may ask for.
        binding: TokenBinding,
    },
    /// The operator of this machine, in local mode or a server command; files and locks are the proof.
    LocalOperator,
    /// A job of the service itself, by name.
    Job(&'static str),
}

impl Principal {
    /// A stable text that names the principal in records: `certificate:ID`, `expired-certificate:ID`, `token:ID`, `local`, `job:NAME`, `anonymous`.
    pub fn reference(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Certificate { id, .. } => format!("certificate:{id}"),
            Self::ExpiredHolder { id } => format!("expired-certificate:{id}"),
            Self::EnrolmentToken { id, .. } => format!("token:{id}"),
            Self::LocalOperator => "local".to_owned(),
            Self::Job(name) => format!("job:{name}"),
        }
    }
}

/// What an enrolment token may ask for, exactly.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenBinding {
    /// The one profile.
    pub profile: ProfileName,
    /// The names: a request's set of subject alternative names must be a subset of these, and not empty.
    pub names: Vec<GeneralName>,
    /// The subject common name it may ask for; `None` allows those of `names` alone.
    pub common_name: Option<String>,
}

/// Without the names: they may be personal data, and this goes to logs.
impl fmt::Debug for TokenBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenBinding({}, {} names)", self.profile, self.names.len())
    }
}

/// A role: a row bound to a certificate id, never to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// May do everything.
    Administrator,
    /// May read everything, the audit events too, and change nothing.
    Auditor,
    /// May issue, renew and revoke certificates, and read them.
    Registrar,
    /// May bring managed certificates to their targets, those that a worker is to bring.
    Worker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Auditor, Self::Registrar, Self::Worker];

    /// The role's name in records and policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
            Self::Registrar => "registrar",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// Text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; roles are administrator, auditor, registrar and worker")]
pub struct UnknownRole(pub String);
