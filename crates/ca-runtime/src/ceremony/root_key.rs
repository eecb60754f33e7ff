//! The root's key of a ceremony, where its script says that it lies: in an encrypted file, in a token behind PKCS #11, in AWS KMS.

use std::path::PathBuf;
use std::sync::Arc;

use ca_backends::aws::{AwsPlace, EndpointUrl, KmsKeyArn};
use ca_backends::signer::PrivateKeyInfo;
use ca_core::ceremony::{RootKey, ScriptFault};
use ca_core::hash::sha256;
use ca_core::key::{KeyType, PublicKey};
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::signer::Signer;

use super::issue::fault;
use super::{Ceremony, CeremonyError};
use crate::config::Pkcs11Config;
use crate::encrypted_key;
use crate::external_keys::find_in_kms;
use crate::file::{self, Access, Existing};
use crate::root_key::RootKeyFile;
use crate::root_password::RootPassword;
use crate::seal::{Passphrase, generate_software_key};
use crate::token_keys::TokenKeys;

/// Whoever brings the root's key.
pub(super) struct RootKeeper {
    place: Place,
}

enum Place {
    File { path: PathBuf, passphrase: Arc<Passphrase>, key_type: KeyType },
    Token { tokens: TokenKeys, uri: Pkcs11Uri, make: Option<KeyType> },
    Kms { arn: KmsKeyArn, place: AwsPlace },
}

/// What became of the key of a new root.
pub(super) enum Kept {
    /// It is in its file: SHA-256 of that.
    Written([u8; 32]),
    /// It was made in its token.
    Made,
    /// It was there already.
    There,
}

/// The key of a new root, which is not in its file yet where it is to be in one.
pub(super) struct NewKey {
    pub(super) signer: Arc<dyn Signer>,
    private_key: Option<PrivateKeyInfo>,
}

impl RootKeeper {
    /// Nothing is opened and nobody asked. `passphrase` is that of a key in a file.
    pub(super) fn new(ceremony: &Ceremony, passphrase: Option<Arc<Passphrase>>) -> Result<Self, CeremonyError> {
        let place = match (&ceremony.script.root.key, passphrase) {
            (RootKey::File { key_type, key_file, .. }, Some(passphrase)) => {
                Place::File { path: ceremony.base.join(key_file), passphrase, key_type: *key_type }
            }
            (RootKey::File { .. }, None) => return Err(fault("the root's key", "its passphrase was not read")),
            (RootKey::Token { uri, make }, _) => Place::Token {
                tokens: TokenKeys::new(Pkcs11Config::of_script(uri.clone())),
                uri: uri.clone(),
                make: *make,
            },
            (RootKey::Kms { arn, endpoint_url }, _) => {
                let (arn, place) = in_kms(arn, endpoint_url.as_deref())?;
                Place::Kms { arn, place }
            }
        };
        Ok(Self { place })
    }

    /// Where it is, when that is no file; the same on every machine.
    pub(super) fn home(&self) -> Option<String> {
        match &self.place {
            Place::File { .. } => None,
            Place::Token { uri, .. } => Some(uri.identity().to_string()),
            Place::Kms { arn, .. } => Some(format!("kms:{arn}")),
        }
    }

    /// Refuses a new root where the key that it would make is there already.
    pub(super) async fn refuse_existing(&self) -> Result<(), CeremonyError> {
        match &self.place {
            Place::File { path, .. } if path.symlink_metadata().is_ok() => {
                Err(CeremonyError::Exists { path: path.clone() })
            }
            Place::Token { tokens, uri, make: Some(_) } if tokens.find_if_there(uri).await?.is_some() => {
                Err(CeremonyError::KeyExists { home: uri.identity().to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The key of a new root: made, or as it is there.
    pub(super) async fn make(&self) -> Result<NewKey, CeremonyError> {
        match &self.place {
            Place::File { key_type, .. } => {
                let (key, signer) = generate_software_key(*key_type).await?;
                Ok(NewKey { signer: Arc::new(signer), private_key: Some(key) })
            }
            Place::Token { tokens, uri, make: Some(key_type) } => {
                self.refuse_existing().await?;
                Ok(NewKey { signer: tokens.make(uri, *key_type).await?, private_key: None })
            }
            _ => Ok(NewKey { signer: self.find().await?, private_key: None }),
        }
    }

    /// Writes the key of a new root into its file, and proves that it opens.
    pub(super) async fn keep(&self, key: &NewKey, entropy: &dyn Entropy) -> Result<Kept, CeremonyError> {
        let (Place::File { path, passphrase, .. }, Some(private_key)) = (&self.place, &key.private_key) else {
            let is_made = matches!(&self.place, Place::Token { make: Some(_), .. });
            return Ok(if is_made { Kept::Made } else { Kept::There });
        };
        let pem = encrypted_key::encrypt(private_key.as_der(), passphrase, entropy)?;
        file::write(path, pem.as_bytes(), Access::Private, Existing::Keep).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => CeremonyError::Exists { path: path.clone() },
            _ => CeremonyError::Io { path: path.clone(), source },
        })?;
        // What cannot be opened again is no key.
        self.open(key.signer.public_key()).await?;
        Ok(Kept::Written(sha256(pem.as_bytes())))
    }

    /// The key of a root that is there: it must be that of its certificate.
    pub(super) async fn open(&self, public_key: &PublicKey) -> Result<Arc<dyn Signer>, CeremonyError> {
        if let Place::File { path, passphrase, .. } = &self.place {
            let key = RootKeyFile::new(path.clone(), RootPassword::Passphrase(Arc::clone(passphrase)));
            return Ok(key.open(public_key).await?);
        }
        let signer = self.find().await?;
        match signer.public_key() == public_key {
            true => Ok(signer),
            false => Err(CeremonyError::OtherKey { home: self.home().unwrap_or_default() }),
        }
    }

    /// The kind of key that a new root is to have. Whoever has it is asked, so that a rehearsal finds what is in the way.
    pub(super) async fn kind(&self) -> Result<KeyType, CeremonyError> {
        match &self.place {
            Place::File { key_type, .. } => Ok(*key_type),
            Place::Token { make: Some(key_type), .. } => self.refuse_existing().await.map(|()| *key_type),
            _ => Ok(self.find().await?.public_key().key_type()),
        }
    }

    /// A key that is there.
    async fn find(&self) -> Result<Arc<dyn Signer>, CeremonyError> {
        Ok(match &self.place {
            Place::File { .. } => return Err(fault("the root's key", "a file is opened, not found")),
            Place::Token { tokens, uri, .. } => tokens.find(&uri.identity().to_string()).await?,
            Place::Kms { arn, place } => find_in_kms(place, arn).await?,
        })
    }
}

/// What can be judged of a script without a call.
pub(super) fn check(key: &RootKey) -> Result<(), CeremonyError> {
    match key {
        RootKey::Kms { arn, endpoint_url } => in_kms(arn, endpoint_url.as_deref()).map(drop),
        RootKey::File { .. } | RootKey::Token { .. } => Ok(()),
    }
}

fn in_kms(arn: &str, endpoint_url: Option<&str>) -> Result<(KmsKeyArn, AwsPlace), CeremonyError> {
    let fault =
        |path: &str, message: String| CeremonyError::Script(vec![ScriptFault { path: path.to_owned(), message }]);
    let arn = KmsKeyArn::parse(arn).map_err(|problem| fault("root.key", problem.to_string()))?;
    let endpoint_url = endpoint_url
        .map(EndpointUrl::parse)
        .transpose()
        .map_err(|problem| fault("root.endpoint_url", problem.to_string()))?;
    Ok((arn, AwsPlace { region: None, endpoint_url }))
}
