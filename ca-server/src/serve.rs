//! Listeners and jobs over an opened runtime, until a signal says stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use ca_core::principal::Principal;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_runtime::config::ApiConfig;
use ca_runtime::open::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::Role;
use crate::http::router;
use crate::http::status_front::StatusFront;
use crate::job::{self, ApiFiles, Jobs, Plan};
use crate::listener::Listener;
use crate::listener::descriptors::raise_limit;
use crate::listener::threads::Apart;
use crate::listener::tls::{TlsIdentity, read_certified_key};
use crate::state::AppState;
use crate::telemetry::metrics;

/// Where the service listens.
pub(crate) struct Addresses {
    pub(crate) api: Option<SocketAddr>,
    pub(crate) public: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
}

/// What handlers and jobs share. `holder` is the name under which leases are held.
pub(crate) fn state_of(runtime: &Runtime, holder: impl Into<String>) -> AppState {
    AppState::new(
        Arc::clone(&runtime.engine),
        holder.into(),
        runtime.config.status.max_age,
        Arc::clone(&runtime.anchor),
        runtime.mirrors.clone(),
        Box::new(runtime.aws_calls()),
        runtime.rollover_schedule(),
    )
}

/// Who holds the leases of this server. An embedded record has one server at a time, as the lock on its folder proves: one that
/// is started after a crash goes on at once with what its predecessor held, and need not wait until those leases end. On a
/// shared record each replica is somebody else at every start.
fn holder(runtime: &Runtime) -> anyhow::Result<String> {
    Ok(match runtime.is_shared() {
        false => "server".to_owned(),
        true => format!("replica-{}", hex::encode(runtime.engine.random::<8>()?)),
    })
}

/// Serves until SIGTERM or SIGINT; `ready` is told once every socket is bound.
pub(crate) async fn run(runtime: Runtime, role: Role, ready: impl FnOnce(&Addresses)) -> anyhow::Result<()> {
    metrics::start()?;
    let state = state_of(&runtime, holder(&runtime)?);
    // 1. What an earlier process left behind. An embedded record has one server: whatever it holds open is nobody's. On a shared
    //    one it may be another replica's, and only the job tells by its age.
    if role != Role::Status && !runtime.is_shared() && state.engine().check_anchor().is_ok() {
        let engine = state.engine();
        let principal = Principal::Job("reservations");
        if let Err(error) = abandon_reservations_before(engine, &principal, engine.now()).await {
            // The disk may be full: the status of what was issued is told all the same, and the job tries again.
            let error = job::with_detail(error);
            tracing::error!(error = format!("{error:#}"), "issuances that were cut off are closed later");
        }
    }
    if role == Role::Status {
        state.set_answers_only();
    }
    job::compare_clock(&state).await?;
    job::refresh_lists(&state).await?;
    // 2. Sockets, before anything is announced.
    let (stop, stopped) = watch::channel(false);
    let tls = match role {
        Role::All => match tls(&runtime, &state).await {
            // What a standby has to tell, it tells without the API.
            Err(error) if state.is_read_only() => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "the API is not served: the database can only be read, and no certificate lies here; set \
                     `api.certificate_file`, or start again once the database can be changed"
                );
                None
            }
            tls => Some(tls?),
        },
        Role::Status | Role::Worker => None,
    };
    // Heard from here on: whoever reads that the service is ready may stop it at once.
    let mut signals = Signals::listen()?;
    let listeners = bind(&runtime, role, &state, tls.as_ref().map(|(identity, _)| identity)).await?;
    raise_limit(listeners.count());
    ready(&listeners.addresses()?);
    // 3. Jobs and listeners, until told to stop.
    let mut jobs = Jobs::new(stopped.clone());
    let identity = tls.as_ref().map(|(identity, _)| Arc::clone(identity));
    job::start_following(&state, runtime.revocation_hints(), identity, &mut jobs);
    match role {
        Role::Status => job::start_answering(&state, &mut jobs),
        Role::All | Role::Worker => {
            let api = tls.and_then(|(identity, files)| files.map(|files| (identity, files)));
            job::start(&state, Plan { crl_interval: runtime.config.status.crl_interval, api }, &mut jobs);
        }
    }
    let tidying = tokio::spawn(async {
        loop {
            tokio::time::sleep(metrics::TIDY_INTERVAL).await;
            metrics::tidy();
        }
    });
    let mut serving = JoinSet::new();
    if let Some(public) = listeners.public {
        serving.spawn(Apart::start(public, &stopped)?.ended());
    }
    for listener in listeners.api.into_iter().chain([listeners.admin]) {
        serving.spawn(listener.serve(stopped.clone()));
    }
    signals.wait().await;
    tracing::info!("stopping: open requests may end");
    let _ = stop.send(true);
    while serving.join_next().await.is_some() {}
    tidying.abort();
    jobs.finish().await;
    job::release_leases(&state).await;
    runtime.close().await;
    Ok(())
}

/// The API's certificate: the operator's, or one that this service makes and renews.
async fn tls(runtime: &Runtime, state: &AppState) -> anyhow::Result<(Arc<TlsIdentity>, Option<ApiFiles>)> {
    let (certificate, files) = match &runtime.config.api {
        ApiConfig::Given { certificate_file, key_file } => (read_certified_key(certificate_file, key_file)?, None),
        _ => {
            let files = ApiFiles::in_folder(&runtime.data_folder.api_folder());
            (job::obtain_api_certificate(state, &files).await?, Some(files))
        }
    };
    Ok((Arc::new(TlsIdentity::new(certificate, &state.engine().hierarchy())?), files))
}

struct Listeners {
    api: Option<Listener>,
    public: Option<Listener>,
    admin: Listener,
}

impl Listeners {
    fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            api: self.api.as_ref().map(Listener::address).transpose()?,
            public: self.public.as_ref().map(Listener::address).transpose()?,
            admin: self.admin.address()?,
        })
    }

    fn count(&self) -> usize {
        [&self.api, &self.public].iter().filter(|listener| listener.is_some()).count() + 1
    }
}

async fn bind(
    runtime: &Runtime,
    role: Role,
    state: &AppState,
    tls: Option<&Arc<TlsIdentity>>,
) -> anyhow::Result<Listeners> {
    let listen = &runtime.config.listen;
    let api = match tls {
        Some(identity) => {
            let router = router::api(state.clone());
            Some(Listener::bind("api", listen.api, router, Some(Arc::clone(identity))).await?)
        }
        None => None,
    };
    let public = match role {
        Role::All | Role::Status => {
            let listener = Listener::bind("public", listen.public, router::public(state.clone()), None).await?;
            Some(listener.with_front(StatusFront::new(state.clone())))
        }
        Role::Worker => None,
    };
    let admin = Listener::bind("admin", listen.admin, router::admin(state.clone()), None).await?;
    Ok(Listeners { api, public, admin })
}

/// What tells the service to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be awaited")?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
