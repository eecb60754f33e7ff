//! The first administrator: a certificate of profile `operator` to whose id the role is bound, and the files that
//! `ca-cli --config DATA_DIR/admin/cli.toml` needs. And the way back in when they are lost.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::csr::{CsrError, ParsedCsr};
use ca_core::id::{CertificateId, IdError};
use ca_core::name::{DistinguishedName, GeneralName, NameError};
use ca_core::pem;
use ca_core::principal::{Principal, Role};
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::role::{grant_role, withdraw_role_from_all};
use ca_engine::port::store::{StoreError, StoredCertificate};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::{ApiConfig, Config, KeyPlan};
use crate::file::{self, Access, Existing};
use crate::open::Runtime;
use crate::operator_message::operator_message;
use crate::private_ca::first_certificate;
use crate::private_ca_fault::PrivateCaError;

/// The profile of administrators' certificates.
const PROFILE: &str = "operator";
const COMMON_NAME: &str = "administrator";

const CERTIFICATE_FILE: &str = "admin.crt";
const KEY_FILE: &str = "admin.key";
const ROOT_FILE: &str = "ca.crt";
const SETTINGS_FILE: &str = "cli.toml";

/// Who holds the administrator's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdministratorKey<'a> {
    /// It is made here, and lies in `admin/admin.key`.
    MadeHere,
    /// Somebody else; this is their CSR, PEM. No key file is written.
    OfCsr(&'a str),
}

/// An administrator that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The certificate to which the role is bound.
    pub certificate: CertificateId,
    /// The settings for `ca-cli --config`.
    pub settings_file: PathBuf,
}

impl Runtime {
    /// Makes the first administrator, unless somebody has the role already. `api_url` is where the API is reached; see
    /// [`api_url`].
    pub async fn make_first_administrator(
        &self,
        key: AdministratorKey<'_>,
        api_url: &str,
    ) -> Result<Option<Administrator>, AdministratorError> {
        let bindings = self.engine.store().role_bindings().await?;
        if bindings.iter().any(|binding| binding.role == Role::Administrator) {
            return Ok(None);
        }
        self.make_administrator(key, api_url).await.map(Some)
    }

    /// Takes the role from every administrator and makes a new one in their place; audited. For the operator of the host, who
    /// could change the files and the database anyway.
    pub async fn reset_administrator(
        &self,
        key: AdministratorKey<'_>,
        api_url: &str,
    ) -> Result<Administrator, AdministratorError> {
        let principal = Principal::LocalOperator;
        let event =
            AuditEvent::new(self.engine.now(), AuditAction::AdministratorReset, principal.reference(), "service");
        self.engine.store().append_event(event).await?;
        let withdrawn = withdraw_role_from_all(&self.engine, &principal, Role::Administrator).await?;
        tracing::warn!(withdrawn, "the administrators were reset on the host");
        self.make_administrator(key, api_url).await
    }

    async fn make_administrator(
        &self,
        key: AdministratorKey<'_>,
        api_url: &str,
    ) -> Result<Administrator, AdministratorError> {
        let folder = self.data_folder.admin_folder();
        // 1. The key, on disk before a certificate names it.
        let (csr, subject) = match key {
            AdministratorKey::OfCsr(pem) => (ParsedCsr::from_pem(pem)?, None),
            AdministratorKey::MadeHere => {
                let (key, csr) = make_key()?;
                replace(&folder.join(KEY_FILE), key.as_bytes(), Access::Private)?;
                (csr, Some(DistinguishedName::builder().common_name(COMMON_NAME).build()?))
            }
        };
        // 2. The certificate, which gives its holder nothing yet.
        let certificate = issue_operator(&self.engine, csr, subject).await.map_err(|error| self.of_tls(error))?;
        // 3. What the command line needs.
        let chain = chain_pem(&self.engine, &certificate)?;
        replace(&folder.join(CERTIFICATE_FILE), chain.as_bytes(), Access::Public)?;
        replace(&folder.join(ROOT_FILE), roots_pem(&self.engine).as_bytes(), Access::Public)?;
        let settings_file = folder.join(SETTINGS_FILE);
        let has_key = key == AdministratorKey::MadeHere;
        replace(&settings_file, cli_settings(api_url, has_key).as_bytes(), Access::Public)?;
        // 4. The role, bound to the certificate's id and never to its name. Last: who is stopped before has no administrator, and
        //    the next `init` makes one; not one whose files nobody has.
        grant_role(&self.engine, &Principal::LocalOperator, certificate.id, Role::Administrator).await?;
        Ok(Administrator { certificate: certificate.id, settings_file })
    }
}

impl Runtime {
    /// The first certificate of an authority that AWS Private CA holds is an administrator's: what is wrong with it is wrong with all.
    fn of_tls(&self, error: AdministratorError) -> AdministratorError {
        match (&self.config.authorities.tls.key, error) {
            (KeyPlan::PrivateCa(arn), AdministratorError::Flow(error)) => {
                AdministratorError::PrivateCa(first_certificate(arn, error))
            }
            (_, error) => error,
        }
    }
}

/// Where the API is reached: its own certificate's first name, or its address, and its port.
pub fn api_url(config: &Config) -> String {
    let host = match &config.api {
        ApiConfig::Own { names } => names.first().and_then(|name| match name {
            GeneralName::Dns(name) => Some(name.to_string()),
            GeneralName::Ip(address) => Some(host_of(*address)),
            _ => None,
        }),
        ApiConfig::Given { .. } => None,
    };
    let host = host.unwrap_or_else(|| host_of(config.listen.api.ip()));
    format!("https://{host}:{}", config.listen.api.port())
}

/// An address as a URL writes it (RFC 3986 §3.2.2).
fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A P-256 key as PKCS#8 PEM, and a CSR that proves its possession.
fn make_key() -> Result<(Zeroizing<String>, ParsedCsr), AdministratorError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let csr = CertificateParams::default().serialize_request(&key)?;
    Ok((Zeroizing::new(key.serialize_pem()), ParsedCsr::from_der(csr.der())?))
}

async fn issue_operator(
    engine: &Engine,
    csr: ParsedCsr,
    subject: Option<DistinguishedName>,
) -> Result<StoredCertificate, AdministratorError> {
    let request = IssueRequest {
        profile: PROFILE.parse()?,
        csr,
        subject,
        names: None,
        validity: None,
        idempotency_key: None,
        request_id: None,
    };
    Ok(issue(engine, &Principal::LocalOperator, request).await?.certificate)
}

/// The certificate and its chain, the root left out.
fn chain_pem(engine: &Engine, certificate: &StoredCertificate) -> Result<String, AdministratorError> {
    let authority = engine.authority(&certificate.authority)?;
    let leaf = std::iter::once(certificate.der.as_slice());
    Ok(leaf.chain(authority.chain()).map(|der| pem::encode("CERTIFICATE", der)).collect())
}

fn roots_pem(engine: &Engine) -> String {
    let hierarchy = engine.hierarchy();
    hierarchy.roots().map(|root| pem::encode("CERTIFICATE", root.certificate().der())).collect()
}

/// File names are relative to the settings file, so that the folder can be moved whole.
fn cli_settings(api_url: &str, has_key: bool) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let key = if has_key { quoted(KEY_FILE) } else { format!("{} # put the key of the CSR here", quoted(KEY_FILE)) };
    format!(
        "# Settings of ca-cli for an administrator of this service; paths are relative to this file.\n\
         url = {}\nroot = {}\ncertificate = {}\nkey = {key}\n",
        quoted(api_url),
        quoted(ROOT_FILE),
        quoted(CERTIFICATE_FILE),
    )
}

fn replace(path: &Path, octets: &[u8], access: Access) -> Result<(), AdministratorError> {
    file::write(path, octets, access, Existing::Replace)
        .map_err(|source| AdministratorError::Io { path: path.to_path_buf(), source })
}

/// Why there is no administrator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdministratorError {
    /// The CSR that was brought.
    #[error("the administrator's CSR cannot be used: {0}")]
    Csr(#[from] CsrError),
    /// The key that was to be made.
    #[error("the administrator's key could not be made: {0}")]
    Key(#[from] rcgen::Error),
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// An authority that AWS Private CA holds.
    #[error(transparent)]
    PrivateCa(#[from] PrivateCaError),
    /// A built-in name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A built-in id that is none.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl From<FlowError> for AdministratorError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}
