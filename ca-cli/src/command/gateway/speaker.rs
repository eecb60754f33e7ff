//! Says what the gateway enforces: a statement under its mTLS identity, made only after a probe of the gateway itself.

use std::collections::BTreeMap;
use std::time::Duration;

use ca_api::gateway::{EnforcedList, GatewayStatus};
use ca_core::certificate::Certificate;
use ca_core::time::{Lifetime, Timestamp};

use super::alarm::AlarmKind;
use super::good::Good;
use super::probe::{Probe, ProbeSettings};
use crate::exit::{Exit, Failure};
use crate::service::Service;
use crate::service::remote::{Credential, Remote};
use crate::settings::{IdentityFiles, RemoteSettings};
use crate::tls;

/// Who speaks, and where.
#[derive(Clone, Debug)]
pub(super) struct SpeakerSettings {
    /// The gateway's name, which its certificate has.
    pub(super) id: String,
    /// The API.
    pub(super) remote: RemoteSettings,
    /// The gateway's certificate and key.
    pub(super) identity: IdentityFiles,
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// Where the gateway is asked.
    pub(super) probe: ProbeSettings,
}

/// Speaks for one gateway.
pub(super) struct Speaker {
    settings: SpeakerSettings,
    ready: Option<Ready>,
    said: Option<(String, Timestamp)>,
    failed: Option<Failed>,
}

/// Why a statement was not made.
struct Failed {
    generation: String,
    at: Timestamp,
    kind: AlarmKind,
    text: String,
}

/// What is made of the files of the identity, which somebody may renew.
struct Ready {
    files: [Vec<u8>; 2],
    remote: Remote,
    probe: Probe,
    /// Ids of authorities, by the fingerprint of their certificate.
    authorities: BTreeMap<String, String>,
}

impl Speaker {
    /// Speaks for nobody yet.
    pub(super) fn new(settings: SpeakerSettings) -> Self {
        Self { settings, ready: None, said: None, failed: None }
    }

    /// Says that the gateway enforces these lists, unless it was said within the last minute. Returns whether it was said now.
    pub(super) async fn speak(&mut self, good: &Good, now: Timestamp) -> Result<bool, (AlarmKind, String)> {
        let is_said = self
            .said
            .as_ref()
            .is_some_and(|(generation, at)| *generation == good.generation && now.since(*at) < AGAIN_AFTER);
        if is_said {
            return Ok(false);
        }
        let failed = self
            .failed
            .as_ref()
            .filter(|failed| failed.generation == good.generation && now.since(failed.at) < ANEW_AFTER);
        if let Some(failed) = failed {
            return Err((failed.kind, failed.text.clone()));
        }
        match self.state(good).await {
            Ok(()) => {
                self.failed = None;
                self.said = Some((good.generation.clone(), now));
                Ok(true)
            }
            Err((kind, text)) => {
                let generation = good.generation.clone();
                self.failed = Some(Failed { generation, at: now, kind, text: text.clone() });
                Err((kind, text))
            }
        }
    }

    /// Asks the gateway, and says what it showed.
    async fn state(&mut self, good: &Good) -> Result<(), (AlarmKind, String)> {
        let statement = |failure: Failure| match failure.exit() {
            Exit::Unreachable => (AlarmKind::Service, failure.to_string()),
            _ => (AlarmKind::Statement, failure.to_string()),
        };
        self.prepare().await.map_err(statement)?;
        let Some(ready) = &mut self.ready else { return Ok(()) };
        ready.probe.enforces(&good.generation).await.map_err(|text| (AlarmKind::Probe, text))?;
        let lists = ready.told(good).await.map_err(statement)?;
        let status = GatewayStatus { generation: good.generation.clone(), lists };
        ready.remote.report_gateway(&self.settings.id, &status).await.map_err(statement)?;
        Ok(())
    }

    /// Reads the identity, where it is new.
    async fn prepare(&mut self) -> Result<(), Failure> {
        let settings = &self.settings;
        let read = |path| std::fs::read(path).map_err(|error| Failure::of_file(path, error));
        let files = [read(&settings.identity.certificate)?, read(&settings.identity.key)?];
        if self.ready.as_ref().is_some_and(|ready| ready.files == files) {
            return Ok(());
        }
        let credential = Credential::Certificate(settings.identity.clone());
        let remote = Remote::new(&settings.remote, credential, settings.timeout)?;
        let roots = settings.remote.root.as_deref().map(tls::read_roots).transpose()?.unwrap_or_default();
        let probe = Probe::new(settings.probe.clone(), &roots, &settings.identity)?;
        self.ready = Some(Ready { files, remote, probe, authorities: BTreeMap::new() });
        Ok(())
    }
}

impl Ready {
    /// The lists, under the ids that the service has for their authorities.
    async fn told(&mut self, good: &Good) -> Result<Vec<EnforcedList>, Failure> {
        let is_known =
            |ready: &Self| good.lists().iter().all(|list| ready.authorities.contains_key(&list.authority_fingerprint));
        if !is_known(self) {
            for authority in self.remote.authorities().await? {
                let certificate = Certificate::from_pem(&authority.certificate).map_err(Failure::failed)?;
                self.authorities.insert(hex::encode(certificate.fingerprint_sha256()), authority.id);
            }
        }
        let told = good.lists().iter().map(|list| {
            let id = self.authorities.get(&list.authority_fingerprint).ok_or_else(|| {
                Failure::Failed(format!("the service has no authority `{}` with this certificate", list.issuer))
            })?;
            Ok(EnforcedList { authority: id.clone(), number: list.number, sha256: list.sha256.clone() })
        });
        told.collect()
    }
}

/// What stays true is said again after so long, so that a gateway that fell silent is told apart.
const AGAIN_AFTER: Lifetime = Lifetime::from_seconds(60);
/// What failed is tried anew after so long; lists are fetched meanwhile.
const ANEW_AFTER: Lifetime = Lifetime::from_seconds(5);
