//! A target in memory that fails when told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use zeroize::Zeroizing;

use super::yield_once;
use crate::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};

/// How one call fails that would change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetFault {
    /// Before anything was changed.
    Before,
    /// After it was changed: only the acknowledgement is lost.
    After,
}

/// A target in memory. Clones share it. It believes that a key is that of its request.
#[derive(Clone, Debug, Default)]
pub struct MemoryTarget {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    pending: Option<Version>,
    current: Option<Version>,
    previous: Option<Version>,
    script: VecDeque<Option<TargetFault>>,
}

#[derive(Clone, Debug)]
struct Version {
    staged: StagedKey,
    key: Vec<u8>,
    delivered: Option<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl MemoryTarget {
    /// How the next calls that change something fail, in order; `None` is one that does not. After them calls succeed.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<TargetFault>>) {
        self.state().script.extend(faults);
    }

    /// Deletes everything that is there, as somebody else may.
    pub fn clear(&self) {
        let mut state = self.state();
        (state.pending, state.current, state.previous) = (None, None, None);
    }

    /// Writes something else into what is current, as somebody may by hand: it cannot be read as what was put there.
    pub fn edit(&self) {
        if let Some(current) = &mut self.state().current {
            current.staged.request = b"something else".to_vec();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut State) -> Result<(), TargetError> + Send,
    ) -> Result<(), TargetError> {
        yield_once().await;
        let mut state = self.state();
        let fault = state.script.pop_front().flatten();
        let failed = |detail: &str| Err(TargetError::Unavailable { detail: detail.to_owned() });
        if fault == Some(TargetFault::Before) {
            return failed("failed by the test, nothing was changed");
        }
        change(&mut state)?;
        if fault == Some(TargetFault::After) { failed("failed by the test, it was done") } else { Ok(()) }
    }
}

impl Version {
    fn key_spki_sha256(&self) -> Result<[u8; 32], TargetError> {
        let request = ParsedCsr::from_der(&self.staged.request)
            .map_err(|error| TargetError::Foreign { detail: format!("the request: {error}") })?;
        Ok(request.public_key().spki_sha256())
    }

    fn held(&self) -> Result<Option<HeldCertificate>, TargetError> {
        let Some((certificate, chain)) = self.delivered.clone() else { return Ok(None) };
        let (rotation, key_spki_sha256) = (self.staged.rotation, self.key_spki_sha256()?);
        Ok(Some(HeldCertificate { rotation, certificate, chain, key_spki_sha256 }))
    }

    fn check_pair(&self) -> Result<(), TargetError> {
        let refused = |detail: &str| TargetError::Refused { detail: detail.to_owned() };
        let (certificate, _) = self.delivered.as_ref().ok_or_else(|| refused("its certificate was not delivered"))?;
        let certificate = Certificate::from_der(certificate).map_err(|_| refused("it has no certificate"))?;
        if certificate.public_key().spki_sha256() != self.key_spki_sha256()? {
            return Err(refused("the certificate is of another key"));
        }
        Ok(())
    }
}

#[async_trait]
impl CertificateTarget for MemoryTarget {
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        yield_once().await;
        Ok(self.state().pending.as_ref().map(|pending| pending.staged.clone()))
    }

    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError> {
        self.change(|state| {
            if state.pending.as_ref().is_none_or(|pending| pending.staged.rotation != staged.rotation) {
                state.pending = Some(Version { staged: staged.clone(), key: key.as_pkcs8().to_vec(), delivered: None });
            }
            Ok(())
        })
        .await
    }

    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError> {
        self.change(|state| match &mut state.pending {
            Some(pending) if pending.staged.rotation == rotation => {
                pending.delivered = Some((certificate.to_vec(), chain.to_vec()));
                Ok(())
            }
            _ => Err(TargetError::Refused { detail: format!("rotation {rotation} is not pending") }),
        })
        .await
    }

    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError> {
        yield_once().await;
        let state = self.state();
        let version = match place {
            TargetPlace::Pending => &state.pending,
            TargetPlace::Current => &state.current,
            TargetPlace::Previous => &state.previous,
        };
        version.as_ref().map_or(Ok(None), Version::held)
    }

    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError> {
        yield_once().await;
        let current = self.state().current.clone();
        Ok(current.map(|current| PrivateKeyOctets::new(Zeroizing::new(current.key))))
    }

    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError> {
        self.change(|state| {
            let is_it =
                |version: &Option<Version>| version.as_ref().is_some_and(|version| version.staged.rotation == rotation);
            if is_it(&state.current) {
                return Ok(());
            }
            let Some(pending) = state.pending.clone().filter(|_| is_it(&state.pending)) else {
                return Err(TargetError::Refused { detail: format!("rotation {rotation} is not pending") });
            };
            pending.check_pair()?;
            state.previous = state.current.replace(pending);
            state.pending = None;
            Ok(())
        })
        .await
    }
}
