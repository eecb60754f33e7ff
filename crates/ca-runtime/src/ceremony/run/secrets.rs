//! The passphrases of a ceremony: each is of its own, so that whoever opens one thing opens nothing else.

use std::sync::Arc;

use ca_core::ceremony::RootKey;

use super::super::{Ceremony, CeremonyError};
use crate::config::PassphraseSource;
use crate::seal::Passphrase;

pub(super) struct Secrets {
    /// Of the root's key, when that is in a file.
    pub(super) root: Option<Arc<Passphrase>>,
    pub(super) sealed: Option<Passphrase>,
    pub(super) responders: Passphrase,
}

impl Secrets {
    /// Reads all of them; two that are the same are refused.
    pub(super) fn read(ceremony: &Ceremony) -> Result<Self, CeremonyError> {
        let script = &ceremony.script;
        let read = |file: &str| Passphrase::read(&PassphraseSource::File(ceremony.base.join(file)));
        let root = match &script.root.key {
            RootKey::File { passphrase_file, .. } => Some(Arc::new(read(passphrase_file)?)),
            RootKey::Token { .. } | RootKey::Kms { .. } => None,
        };
        let sealed = script.sealed_passphrase_file.as_deref().map(read).transpose()?;
        let responders = read(&script.responder_passphrase_file)?;
        let same = |what, other| Err(CeremonyError::SamePassphrase { what, other });
        let is_the_roots = |other: &Passphrase| root.as_ref().is_some_and(|root| root.as_bytes() == other.as_bytes());
        if is_the_roots(&responders) {
            return same("the responders' keys", "the root's key");
        }
        match &sealed {
            Some(sealed) if is_the_roots(sealed) => same("what is sealed", "the root's key"),
            Some(sealed) if sealed.as_bytes() == responders.as_bytes() => {
                same("what is sealed", "the responders' keys")
            }
            _ => Ok(Self { root, sealed, responders }),
        }
    }
}
