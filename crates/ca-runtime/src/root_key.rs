//! The root's key: a file of encrypted PKCS#8 under the root's password, loaded only when needed, meant to be moved away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca_backends::signer::{SoftwareKeyError, SoftwareSigner};
use ca_core::key::{KeyType, PublicKey};
use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::KeyringError;
use ca_engine::port::signer::Signer;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::encrypted_key::{self, EncryptedKeyError};
use crate::file::{self, Access, Existing, Links};
use crate::root_password::{self, RootPassword, RootPasswordError};
use crate::seal::{Passphrase, generate_software_key};

/// The file that holds the root's key, there or moved away.
#[derive(Clone, Debug)]
pub struct RootKeyFile {
    path: PathBuf,
    password: RootPassword,
}

impl RootKeyFile {
    /// The file at `path`, to be opened with `password`.
    pub fn new(path: PathBuf, password: RootPassword) -> Self {
        Self { path, password }
    }

    /// Where it is, or was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there: whether the root's key still has to be moved away.
    pub fn is_present(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// The key in the file; a set-up that was interrupted left one. Otherwise a new key, in the file and synced before it is
    /// returned.
    pub async fn load_or_generate(
        &self,
        key_type: KeyType,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Arc<dyn Signer>, RootKeyError> {
        if self.is_present() {
            return self.load().await;
        }
        let (key, signer) = generate_software_key(key_type).await?;
        // Before the key: what is encrypted under a password that was never kept is lost.
        let passphrase = self.password.read_or_make(&self.path, &**entropy).await?;
        self.encrypt(Zeroizing::new(key.as_der().to_vec()), passphrase, entropy, Existing::Keep).await?;
        Ok(Arc::new(signer))
    }

    /// The root's key, for a ceremony: it must be that of `public_key`, the root's certificate.
    pub async fn open(&self, public_key: &PublicKey) -> Result<Arc<dyn Signer>, RootKeyError> {
        let signer = self.load().await?;
        if signer.public_key() != public_key {
            return Err(RootKeyError::NotTheRootsKey { path: self.path.clone() });
        }
        Ok(signer)
    }

    async fn load(&self) -> Result<Arc<dyn Signer>, RootKeyError> {
        let passphrase = self.password.read(&self.path).await?;
        let key = self.decrypt(&passphrase).await?;
        let signer = SoftwareSigner::from_pkcs8(&key)
            .map_err(|source| RootKeyError::NotUsable { path: self.path.clone(), source })?;
        Ok(Arc::new(signer))
    }

    /// The unencrypted PKCS#8.
    async fn decrypt(&self, passphrase: &Arc<Passphrase>) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        let octets = self.read()?;
        let passphrase = Arc::clone(passphrase);
        off_the_async_threads(move || {
            let pem = std::str::from_utf8(&octets).map_err(|_| EncryptedKeyError::NotAnEncryptedKey)?;
            encrypted_key::decrypt(pem, &passphrase)
        })
        .await?
        .map_err(|source| RootKeyError::NotOpened { path: self.path.clone(), source })
    }

    /// Sees to it that the key opens by the password of this file, made anew where a key elsewhere wraps it; it opens by that
    /// now, or by one of `former`. Returns whether there is a key here: one that was moved away stays as it is. Cut off anywhere, it is
    /// run again.
    pub async fn reseal(&self, former: &[RootPassword], entropy: &Arc<dyn Entropy>) -> Result<bool, RootKeyError> {
        if !self.is_present() {
            return Ok(false);
        }
        let (by, passphrase, key) = self.opened_by(former).await?;
        let passphrase = match (&self.password, by) {
            // The same password, wrapped anew: the key's file stays, and opens at every moment.
            (RootPassword::Wrapped(with), RootPassword::Wrapped(_)) => {
                root_password::wrap(&**with, &self.path, &passphrase).await?;
                return Ok(true);
            }
            // The key opens by the passphrase until its file is replaced.
            (RootPassword::Wrapped(with), RootPassword::Passphrase(_)) => {
                root_password::make(&**with, &self.path, &**entropy).await?
            }
            (RootPassword::Passphrase(passphrase), _) => Arc::clone(passphrase),
        };
        self.encrypt(key, passphrase, entropy, Existing::Replace).await?;
        if let RootPassword::Passphrase(_) = self.password {
            root_password::remove(&self.path)?;
        }
        Ok(true)
    }

    /// The first password that opens the key, and the key. Where none does, the complaint is about the one that is wanted.
    async fn opened_by<'a>(
        &'a self,
        former: &'a [RootPassword],
    ) -> Result<(&'a RootPassword, Arc<Passphrase>, Zeroizing<Vec<u8>>), RootKeyError> {
        let mut complaint = None;
        for password in std::iter::once(&self.password).chain(former) {
            let opened = match password.read(&self.path).await {
                Ok(passphrase) => self.decrypt(&passphrase).await.map(|key| (password, passphrase, key)),
                Err(error) => Err(error.into()),
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => complaint = complaint.or(Some(error)),
            }
        }
        Err(complaint.unwrap_or_else(|| RootKeyError::Offline { path: self.path.clone() }))
    }

    async fn encrypt(
        &self,
        key: Zeroizing<Vec<u8>>,
        passphrase: Arc<Passphrase>,
        entropy: &Arc<dyn Entropy>,
        existing: Existing,
    ) -> Result<(), RootKeyError> {
        let entropy = Arc::clone(entropy);
        let pem = off_the_async_threads(move || encrypted_key::encrypt(&key, &passphrase, &*entropy)).await??;
        file::write(&self.path, pem.as_bytes(), Access::Private, existing).map_err(|source| self.io_error(source))
    }

    /// Moves the file to `target`, which must not be there: written and synced there before it is removed here. It stays
    /// encrypted under the same password; where that is wrapped beside it, the wrapped one goes with it.
    pub fn move_to(&self, target: &Path) -> Result<(), RootKeyError> {
        let octets = self.read()?;
        root_password::copy(&self.path, target)?;
        let failed = |source| RootKeyError::Io { path: target.to_path_buf(), source };
        file::write(target, &octets, Access::Private, Existing::Keep).map_err(failed)?;
        let written = file::read_private(target, Links::Refuse).map_err(failed)?;
        if written.as_deref() != Some(&*octets) {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "what was written cannot be read back")));
        }
        file::remove(&self.path).map_err(|source| self.io_error(source))?;
        Ok(root_password::remove(&self.path)?)
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        file::read_private(&self.path, Links::Refuse)
            .map_err(|source| self.io_error(source))?
            .ok_or_else(|| RootKeyError::Offline { path: self.path.clone() })
    }

    fn io_error(&self, source: io::Error) -> RootKeyError {
        RootKeyError::Io { path: self.path.clone(), source }
    }
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RootKeyError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RootKeyError::Stopped)
}

/// Why the root's key cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// Moved away, as it should be.
    #[error("the root's key is not at {}: it is offline; put its file back there for as long as it is needed", path.display())]
    Offline {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file does not open.
    #[error("the root's key {}: {source}", path.display())]
    NotOpened {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: EncryptedKeyError,
    },
    /// It opens to something that is no key of ours.
    #[error("the root's key {}: {source}", path.display())]
    NotUsable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SoftwareKeyError,
    },
    /// Another key.
    #[error("the key in {} is not the one of the root's certificate; another root's file was put there", path.display())]
    NotTheRootsKey {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error(transparent)]
    Generation(#[from] KeyringError),
    /// Its password cannot be had.
    #[error(transparent)]
    Password(#[from] RootPasswordError),
    /// It could not be encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptedKeyError),
    /// The system refused.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopped,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::seal::key_elsewhere::KeyElsewhere;

    fn passphrase(text: &str) -> RootPassword {
        RootPassword::Passphrase(Arc::new(Passphrase::new(text, "the test".to_owned()).expect("long enough")))
    }

    fn entropy() -> Arc<dyn Entropy> {
        Arc::new(SystemEntropy::new())
    }

    #[tokio::test]
    async fn is_made_once_and_opened_with_its_passphrase_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = RootKeyFile::new(folder.path().join("root.key"), passphrase("correct horse"));
        assert!(!root.is_present());
        let made = root.load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        assert_eq!(std::fs::metadata(root.path()).expect("there").mode() & 0o7777, 0o600);
        let again = root.load_or_generate(KeyType::P384, &entropy()).await.expect("there already");
        assert_eq!(again.public_key(), made.public_key(), "an interrupted set-up goes on with its key");
        root.open(made.public_key()).await.expect("opens");

        let wrong = RootKeyFile::new(root.path().to_path_buf(), passphrase("battery staple"));
        let error = wrong.open(made.public_key()).await.map(|_| ()).expect_err("wrong passphrase");
        assert!(matches!(error, RootKeyError::NotOpened { source: EncryptedKeyError::WrongPassphrase { .. }, .. }));
        assert!(error.to_string().contains("the passphrase from the test does not open the key"), "{error}");
    }

    #[tokio::test]
    async fn is_refused_when_it_is_another_root_s() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = RootKeyFile::new(folder.path().join("root.key"), passphrase("correct horse"));
        let other = RootKeyFile::new(folder.path().join("other.key"), passphrase("correct horse"));
        let key = root.load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        other.load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        let error = other.open(key.public_key()).await.map(|_| ()).expect_err("another key");
        assert!(matches!(error, RootKeyError::NotTheRootsKey { .. }), "{error}");
    }

    #[tokio::test]
    async fn moves_away_whole_and_overwrites_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = RootKeyFile::new(folder.path().join("root.key"), passphrase("correct horse"));
        let key = root.load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        let target = folder.path().join("stick");
        std::fs::write(&target, "precious").expect("written");
        assert!(matches!(root.move_to(&target), Err(RootKeyError::Io { .. })));
        assert!(root.is_present());
        assert_eq!(std::fs::read(&target).expect("there"), b"precious");

        std::fs::remove_file(&target).expect("removed");
        root.move_to(&target).expect("moved");
        assert!(matches!(root.open(key.public_key()).await, Err(RootKeyError::Offline { .. })));
        RootKeyFile::new(target, passphrase("correct horse")).open(key.public_key()).await.expect("opens");
    }

    /// What lies beside a key, as text.
    fn beside(root: &RootKeyFile) -> Option<String> {
        std::fs::read_to_string(root_password::beside(root.path())).ok()
    }

    fn wrapped(key: &Arc<KeyElsewhere>) -> RootPassword {
        RootPassword::Wrapped(key.clone())
    }

    #[tokio::test]
    async fn a_password_of_its_own_lies_beside_it_wrapped_and_goes_where_it_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyElsewhere::new("kms:a");
        let root = RootKeyFile::new(folder.path().join("root.key"), wrapped(&key));
        let made = root.load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        let password = beside(&root).expect("beside");
        assert!(
            password.contains("wrapped_by = \"kms:a\"") && password.contains("purpose = \"root-key\""),
            "{password}"
        );
        let mode = std::fs::metadata(root_password::beside(root.path())).expect("there").mode();
        assert_eq!(mode & 0o7777, 0o600);
        root.open(made.public_key()).await.expect("opens");
        let target = folder.path().join("stick");
        root.move_to(&target).expect("moved");
        assert_eq!(beside(&root), None);
        let moved = RootKeyFile::new(target, wrapped(&key));
        moved.open(made.public_key()).await.expect("opens");
        // Under another key, or without it, what is said helps.
        let other = RootKeyFile::new(moved.path().to_path_buf(), wrapped(&KeyElsewhere::new("kms:b")));
        let said = other.open(made.public_key()).await.map(|_| ()).expect_err("another").to_string();
        assert!(said.contains("wrapped by kms:a") && said.contains("reseal --from kms:a"), "{said}");
        std::fs::remove_file(root_password::beside(moved.path())).expect("removed");
        let said = moved.open(made.public_key()).await.map(|_| ()).expect_err("gone").to_string();
        assert!(said.contains("stick.password is missing"), "{said}");
    }

    #[tokio::test]
    async fn moves_from_password_to_password_and_goes_on_where_it_was_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (KeyElsewhere::new("kms:a"), KeyElsewhere::new("kms:b"));
        let at = |password: &RootPassword| RootKeyFile::new(folder.path().join("root.key"), password.clone());
        let words = passphrase("correct horse");
        assert!(!at(&words).reseal(&[], &entropy()).await.expect("none here"));
        let made = at(&words).load_or_generate(KeyType::P256, &entropy()).await.expect("made");
        let is_the_same = async |password: &RootPassword| at(password).open(made.public_key()).await.is_ok();

        assert!(at(&wrapped(&one)).reseal(&[], &entropy()).await.is_err(), "nobody opens it");
        assert!(is_the_same(&words).await, "nothing was changed");
        // Cut off when the password was beside it, and the key was still under the passphrase.
        let RootPassword::Wrapped(wrapping) = wrapped(&one) else { panic!("wrapped") };
        root_password::make(&*wrapping, at(&words).path(), &*entropy()).await.expect("beside");
        assert!(is_the_same(&words).await && !is_the_same(&wrapped(&one)).await);
        assert!(
            at(&wrapped(&one)).reseal(&[passphrase("wrong horse"), words.clone()], &entropy()).await.expect("moved")
        );
        assert!(is_the_same(&wrapped(&one)).await && !is_the_same(&words).await);

        // Anew, and under another key: the key's file stays as it is, so there is nothing to be cut off in.
        let file = std::fs::read(at(&words).path()).expect("there");
        let before = beside(&at(&words));
        assert!(at(&wrapped(&one)).reseal(&[], &entropy()).await.expect("anew"));
        assert_ne!(beside(&at(&words)), before);
        assert!(at(&wrapped(&other)).reseal(&[wrapped(&one)], &entropy()).await.expect("moved"));
        assert_eq!(std::fs::read(at(&words).path()).expect("there"), file);
        assert!(is_the_same(&wrapped(&other)).await && !is_the_same(&wrapped(&one)).await);

        // Back; and cut off when the key was under the passphrase, with the password still beside it.
        let left = beside(&at(&words)).expect("beside");
        assert!(at(&words).reseal(&[wrapped(&other)], &entropy()).await.expect("moved"));
        assert_eq!(beside(&at(&words)), None);
        std::fs::write(root_password::beside(at(&words).path()), left).expect("written");
        assert!(is_the_same(&words).await);
        assert!(at(&words).reseal(&[wrapped(&other)], &entropy()).await.expect("moved"));
        assert_eq!(beside(&at(&words)), None);
        assert!(is_the_same(&words).await);
    }
}
