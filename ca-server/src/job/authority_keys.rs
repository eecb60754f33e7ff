//! Asks the keys of authorities that are held elsewhere whether they would sign, without a signature, and issuers elsewhere whether they
//! issue: one that was disabled, or may not be used any more, is told of by `/ready` before somebody wants a certificate. On every replica that uses them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::hierarchy::Hand;
use ca_engine::port::certificate_issuer::IssuerError;
use ca_engine::port::signer::SignerError;
use ca_engine::port::store::{AuthorityState, KeyHome};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::driver::{Job, Outcome};
use crate::state::AppState;
use crate::telemetry::metrics;

/// How long after a key in KMS said that it would sign it is asked again: each answer is a call that is paid for. One that would not
/// is asked at every run, and so is one in a token, which is near.
const REST: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct AuthorityKeysJob {
    /// When each key last said that it would sign.
    said: Mutex<BTreeMap<AuthorityId, Instant>>,
}

#[async_trait]
impl Job for AuthorityKeysJob {
    fn name(&self) -> &'static str {
        "authority-keys"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let mut said = self.said.lock().await;
        let (mut done, mut failed) = (0, false);
        for authority in engine.hierarchy().authorities() {
            let id = authority.id();
            let is_expected = !authority.has_ended(engine.now()) && authority.record().state != AuthorityState::Retired;
            if authority.record().key_home.is_offline() || !is_expected {
                state.set_unusable_key(id, None);
                continue;
            }
            let is_far = matches!(authority.record().key_home, KeyHome::Kms(_) | KeyHome::AcmPca(_));
            let rest = if is_far { REST } else { Duration::ZERO };
            if said.get(id).is_some_and(|said| said.elapsed() < rest) {
                continue;
            }
            let answer = match authority.hand() {
                Ok(Hand::Key(signer)) => signer.check().await.map_err(|error| match error {
                    // It is there and has much to do: no reason to send requests elsewhere.
                    SignerError::Busy { .. } => None,
                    error => Some(error.to_string()),
                }),
                Ok(Hand::Elsewhere(issuer)) => match issuer.state().await {
                    Ok(state) => state.obstacle().map_or(Ok(()), |why| Err(Some(why))),
                    Err(IssuerError::Busy { .. }) => Err(None),
                    Err(error) => Err(Some(error.to_string())),
                },
                Err(error) => Err(Some(error.to_string())),
            };
            match answer {
                Ok(()) => {
                    said.insert(id.clone(), Instant::now());
                    if state.set_unusable_key(id, None) {
                        tracing::info!(authority = %id, "the key of an authority can be used again");
                        done += 1;
                    }
                    metrics::authority_key(id, true);
                }
                Err(None) => {}
                Err(Some(why)) => {
                    said.remove(id);
                    metrics::authority_key(id, false);
                    failed = true;
                    if state.set_unusable_key(id, Some(why.clone())) {
                        tracing::error!(authority = %id, why, "the key of an authority cannot be used: it signs nothing");
                    }
                }
            }
        }
        Ok(if failed { Outcome::Partly } else { Outcome::Done(done) })
    }
}
