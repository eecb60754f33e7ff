//! Jobs over a service in a folder of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_engine::flow::revoke::{RevokeRequest, revoke};
use ca_engine::hierarchy::Authority;
use ca_runtime::local::open_local;
use ca_runtime::open::Runtime;

use super::api_certificate::ApiFiles;
use super::driver::{Job, LEASE, Outcome, lease, release_leases, run_guarded};
use super::each_authority::EachAuthority;
use super::obtain_api_certificate;
use crate::serve::state_of;
use crate::state::AppState;

struct Service {
    state: AppState,
    files: ApiFiles,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ["ROOT", "TLS", "DOCUMENT"]
            .map(|authority| (format!("CA__AUTHORITY__{authority}__KEY"), "software:p256".to_owned()));
        let local = open_local(&folder.path().join("ca-data"), &keys, &|_| {}).await.expect("a service");
        let state = state_of(&local.runtime, "a server");
        let files = ApiFiles::in_folder(&local.runtime.data_folder.api_folder());
        Self { state, files, _runtime: local.runtime, _folder: folder }
    }

    /// The API's certificate as a start of the service would have it.
    async fn certificate(&self) -> Certificate {
        let key = obtain_api_certificate(&self.state, &self.files).await.expect("a certificate");
        let shown = Certificate::from_der(&key.cert[0]).expect("a certificate");
        let text = std::fs::read_to_string(&self.files.certificate).expect("a file");
        assert_eq!(Certificate::from_pem(&text).expect("PEM").der(), shown.der());
        shown
    }
}

#[tokio::test]
async fn the_api_s_certificate_is_kept_while_it_serves_and_made_anew_when_it_does_not() {
    let service = Service::open().await;
    let first = service.certificate().await;
    assert_eq!(service.certificate().await.serial(), first.serial(), "kept");
    // The process died between the two files.
    let other = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(&service.files.key, other.serialize_pem()).expect("written");
    let second = service.certificate().await;
    assert_ne!(second.serial(), first.serial(), "its key was lost");
    std::fs::remove_file(&service.files.key).expect("removed");
    let third = service.certificate().await;
    assert_ne!(third.serial(), second.serial(), "its key was lost");
    // Somebody revoked it.
    let engine = service.state.engine();
    let tls = "tls".parse().expect("an id");
    let stored = engine.store().certificate_by_serial(&tls, third.serial()).await.expect("the record answers");
    let request = RevokeRequest {
        certificate: stored.expect("on record").id,
        reason: RevocationReason::Superseded,
        invalidity_date: None,
        request_id: None,
    };
    revoke(engine, &Principal::LocalOperator, &request).await.expect("revoked");
    assert_ne!(service.certificate().await.serial(), third.serial(), "a revoked one is not shown");
}

#[tokio::test]
async fn an_authority_that_cannot_be_served_does_not_hold_up_the_others() {
    let service = Service::open().await;
    let each = EachAuthority::new("test", Duration::from_secs(3_600));
    let (asked, served) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |id: ca_core::id::AuthorityId| {
        asked.fetch_add(1, Ordering::Relaxed);
        let fails = id.as_str() == "tls";
        if !fails {
            served.fetch_add(1, Ordering::Relaxed);
        }
        async move { if fails { anyhow::bail!("no") } else { Ok(1) } }
    };
    assert_eq!(each.run(&service.state, Authority::can_sign, work).await, Outcome::Partly);
    assert_eq!((asked.load(Ordering::Relaxed), served.load(Ordering::Relaxed)), (2, 1), "the root's key is offline");
    assert_eq!(each.run(&service.state, Authority::can_sign, work).await, Outcome::Done(1), "it rests");
    assert_eq!((asked.load(Ordering::Relaxed), served.load(Ordering::Relaxed)), (3, 2));
}

#[tokio::test]
async fn what_a_job_leased_is_free_once_it_is_given_back() {
    let service = Service::open().await;
    lease(&service.state, "work").await.expect("the record answers").expect("free");
    let store = service.state.engine().store();
    assert_eq!(store.acquire_lease("work", "another", LEASE).await.expect("the record answers"), None);
    release_leases(&service.state).await;
    assert!(store.acquire_lease("work", "another", LEASE).await.expect("the record answers").is_some());
}

struct Panicking;

#[async_trait]
impl Job for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _state: &AppState) -> anyhow::Result<Outcome> {
        panic!("a fault")
    }
}

#[tokio::test]
async fn a_job_that_panics_has_failed_and_nothing_more() {
    let service = Service::open().await;
    let job: Arc<dyn Job> = Arc::new(Panicking);
    assert!(run_guarded(&job, &service.state).await.is_err());
}
