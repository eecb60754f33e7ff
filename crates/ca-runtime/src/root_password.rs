//! What opens the root's key file: the seal's passphrase; or a password of its own, made by chance, that a key elsewhere wraps and that
//! lies beside the file, so that whoever has the file and may use that key can open it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use ca_engine::port::wrapping_key::{WrappingError, WrappingKey, WrappingPurpose};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::file::{self, Access, Existing, Links};
use crate::seal::Passphrase;

/// What the name of the file with the wrapped password ends with, after that of the key's.
const EXTENSION: &str = ".password";

/// The password of the root's key file.
#[derive(Clone, Debug)]
pub enum RootPassword {
    /// The seal's passphrase.
    Passphrase(Arc<Passphrase>),
    /// One that this key wraps.
    Wrapped(Arc<dyn WrappingKey>),
}

/// The file beside the key: TOML, so that a person can see what opens it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    wrapped_by: String,
    purpose: String,
    password: String,
}

impl RootPassword {
    /// The password of the key file at `path`.
    pub(crate) async fn read(&self, path: &Path) -> Result<Arc<Passphrase>, RootPasswordError> {
        match self {
            Self::Passphrase(passphrase) => Ok(Arc::clone(passphrase)),
            Self::Wrapped(key) => {
                let beside = beside(path);
                match read_record(&beside)? {
                    Some(record) => open(&**key, &beside, &record).await,
                    None => Err(RootPasswordError::NotBeside { key: path.to_path_buf(), beside }),
                }
            }
        }
    }

    /// The same for a key that is to be made: where a password is to lie beside it and does not, it is made, and durable.
    pub(crate) async fn read_or_make(
        &self,
        path: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Arc<Passphrase>, RootPasswordError> {
        match self {
            Self::Wrapped(key) if read_record(&beside(path))?.is_none() => make(&**key, path, entropy).await,
            _ => self.read(path).await,
        }
    }
}

/// Puts what lies beside a key beside the place that the key is moved to, if anything does.
pub(crate) fn copy(path: &Path, target: &Path) -> Result<(), RootPasswordError> {
    let (from, to) = (beside(path), beside(target));
    let Some(octets) = file::read_private(&from, Links::Refuse).map_err(failed(&from))? else { return Ok(()) };
    match file::write(&to, &octets, Access::Private, Existing::Keep) {
        // A move that was cut off left it there.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = file::read_private(&to, Links::Refuse).map_err(failed(&to))?;
            if there.as_deref() == Some(&*octets) { Ok(()) } else { Err(failed(&to)(error)) }
        }
        written => written.map_err(failed(&to)),
    }
}

/// Takes away what lies beside a key, if anything does.
pub(crate) fn remove(path: &Path) -> Result<(), RootPasswordError> {
    let beside = beside(path);
    file::remove(&beside).map_err(failed(&beside))
}

/// Where the password of the key file at `path` lies, when a key elsewhere wraps it.
pub fn beside(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(EXTENSION);
    PathBuf::from(name)
}

fn read_record(beside: &Path) -> Result<Option<Record>, RootPasswordError> {
    let Some(octets) = file::read_private(beside, Links::Refuse).map_err(failed(beside))? else { return Ok(None) };
    let record: Record = toml::from_slice(&octets).map_err(|_| unreadable(beside))?;
    if record.purpose != WrappingPurpose::RootKey.as_str() {
        return Err(unreadable(beside));
    }
    Ok(Some(record))
}

async fn open(key: &dyn WrappingKey, beside: &Path, record: &Record) -> Result<Arc<Passphrase>, RootPasswordError> {
    if record.wrapped_by != key.name() {
        return Err(RootPasswordError::OtherKey {
            beside: beside.to_path_buf(),
            by: record.wrapped_by.clone(),
            configured: key.name().to_owned(),
        });
    }
    let wrapped = STANDARD.decode(&record.password).map_err(|_| unreadable(beside))?;
    let octets = key.unwrap(WrappingPurpose::RootKey, &wrapped).await?;
    let text = std::str::from_utf8(&octets).map_err(|_| unreadable(beside))?;
    Ok(Arc::new(Passphrase::new(text, beside.display().to_string()).map_err(|_| unreadable(beside))?))
}

/// A new password of 32 random octets, wrapped and durable beside the key.
pub(crate) async fn make(
    key: &dyn WrappingKey,
    path: &Path,
    entropy: &dyn Entropy,
) -> Result<Arc<Passphrase>, RootPasswordError> {
    let mut octets = Zeroizing::new([0; 32]);
    entropy.fill(octets.as_mut())?;
    let text = Zeroizing::new(STANDARD.encode(octets.as_ref()));
    let beside = beside(path);
    let password = Passphrase::new(&text, beside.display().to_string()).map_err(|_| unreadable(&beside))?;
    wrap(key, path, &password).await?;
    Ok(Arc::new(password))
}

/// Wraps a password, in the place of what lay beside the key.
pub(crate) async fn wrap(key: &dyn WrappingKey, path: &Path, password: &Passphrase) -> Result<(), RootPasswordError> {
    let beside = beside(path);
    let wrapped = key.wrap(WrappingPurpose::RootKey, password.as_bytes()).await?;
    let text = format!(
        "# The password of the key file beside, wrapped by that key: docs/aws.md says how to open it.\nwrapped_by = \"{}\"\n\
         purpose = \"{}\"\npassword = \"{}\"\n",
        key.name(),
        WrappingPurpose::RootKey.as_str(),
        STANDARD.encode(wrapped)
    );
    file::write(&beside, text.as_bytes(), Access::Private, Existing::Replace).map_err(failed(&beside))
}

fn unreadable(beside: &Path) -> RootPasswordError {
    RootPasswordError::Unreadable { beside: beside.to_path_buf() }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> RootPasswordError + use<> {
    let path = path.to_path_buf();
    move |source| RootPasswordError::Io { path: path.clone(), source }
}

/// Why there is no password for the root's key file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootPasswordError {
    /// None beside the key.
    #[error(
        "{} is missing, which has the password of {}: put it there with the key; or, if a passphrase encrypted that key, run `ca-server reseal \
         --from-passphrase-file FILE`",
        beside.display(),
        key.display()
    )]
    NotBeside {
        /// The key file.
        key: PathBuf,
        /// Where its password should be.
        beside: PathBuf,
    },
    /// Another key wrapped it.
    #[error(
        "the password in {} is wrapped by {by}, and the configuration seals by {configured}; move it with `ca-server reseal --from {by}`",
        beside.display()
    )]
    OtherKey {
        /// The file.
        beside: PathBuf,
        /// What wrapped it.
        by: String,
        /// What is configured.
        configured: String,
    },
    /// It makes no sense.
    #[error("{} holds no wrapped password; it was changed, or made by a newer version", beside.display())]
    Unreadable {
        /// The file.
        beside: PathBuf,
    },
    /// The key elsewhere refuses.
    #[error("the password of the root's key: {0}")]
    Wrapping(#[from] WrappingError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The system refused.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
