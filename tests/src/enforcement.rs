//! From a revocation to its effect at a gateway, measured: two replicas over a PostgreSQL and a Redis, nginx with what `deploy/`
//! ships, `ca-cli gateway` beside it, and relying parties that ask OCSP all the while.
//!
//! A certificate is revoked through one replica, and the gateway learns of it from the other. Two clients hold it: one makes a new
//! session each time, one offers the sessions that it was let in with, in TLS 1.2 and 1.3.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_test_services::{PostgresServer, RedisServer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::client::tls_config_of;
use crate::gateway_host::{Gateway, NAME, World};
use crate::identity::Identity;
use crate::percentiles::Percentiles;
use crate::process::Process;
use crate::sidecar::{once, speaking, start};
use crate::stack::{Site, Stack};
use crate::status::Subject;
use crate::status_load::{Asked, Seen, StatusLoad};

/// How many certificates are asked about that stay in force.
const IN_FORCE: usize = 64;

/// The pause between two calls of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// For how long a client must be refused without a break before it counts: workers of before may still let in.
const REFUSED_FOR: Duration = Duration::from_millis(500);

/// How long a revocation may take to have its effect before the run gives up.
const GIVES_UP: Duration = Duration::from_secs(60);

/// How long a call may take.
const CALL: Duration = Duration::from_secs(60);

/// How the gateway learns of revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By lists, which the sidecar keeps fresh (`ssl_crl`).
    Lists,
    /// By OCSP at each handshake, kept nowhere (`ssl_ocsp`).
    Ocsp,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// From asking for a revocation until the gateway refuses new sessions for good.
    pub new_sessions: Percentiles,
    /// The same for a client that offers sessions of before.
    pub resumed_sessions: Percentiles,
    /// How long acknowledging a revocation took.
    pub acknowledged: Percentiles,
    /// Calls that were neither let in nor refused: no connection, or one that broke.
    pub unheard: usize,
    /// What those saw who asked OCSP meanwhile.
    pub seen: Seen,
}

/// Two replicas, and a gateway. Fields are dropped in this order.
pub struct Enforcement {
    sidecar: Option<Process>,
    nginx: Gateway,
    world: World,
    other: Stack,
    redis: RedisServer,
    postgres: PostgresServer,
    way: Way,
}

impl Enforcement {
    /// A gateway that judges in this way.
    pub fn start(way: Way) -> anyhow::Result<Self> {
        // What starts it waits on runtimes of its own.
        block_in_place(|| Self::start_all(way))
    }

    fn start_all(way: Way) -> anyhow::Result<Self> {
        let (postgres, redis) = (PostgresServer::start()?, RedisServer::start()?);
        let url = postgres.url(&postgres.empty_database()?);
        let site = Site::initialised(&[("CA__DATABASE__URL", &url), ("CA__REDIS__URL", &redis.url())])?;
        let mut replica = site.replica()?;
        replica.set("CA__REDIS__URL", &redis.url());
        let world = World::of(site.serve()?, &[])?;
        let other = replica.serve()?;
        let (nginx, sidecar) = match way {
            Way::Lists => {
                // nginx does not start without its lists.
                once(&world, &[], &[])?.ended_with(0)?;
                let nginx = world.nginx("mtls-crl.conf")?;
                let speaking = speaking(&world);
                let speaking: Vec<&str> = speaking.iter().map(String::as_str).collect();
                let sidecar = start(&world, &speaking, &world.nginx_reload())?;
                world.gateway_has_spoken(&sidecar)?;
                (nginx, Some(sidecar))
            }
            Way::Ocsp => (world.nginx("mtls-ocsp.conf")?, None),
        };
        Ok(Self { sidecar, nginx, world, other, redis, postgres, way })
    }

    /// The replicas: the one that the gateway asks, and the one through which certificates are revoked.
    pub fn replicas(&self) -> [&Stack; 2] {
        [&self.world.stack, &self.other]
    }

    /// The same, to be looked at as processes.
    pub fn processes(&mut self) -> [&mut Process; 2] {
        [self.world.stack.process(), self.other.process()]
    }

    /// The Redis that they share.
    pub fn redis(&mut self) -> &mut RedisServer {
        &mut self.redis
    }

    /// Their database.
    pub fn postgres(&mut self) -> &mut PostgresServer {
        &mut self.postgres
    }

    /// Starts asking OCSP, at both replicas and so often a second, about certificates that stay in force.
    pub async fn load(&self, rate: u32) -> anyhow::Result<StatusLoad> {
        let administrator = self.other.administrator()?;
        let mut asked = Vec::with_capacity(IN_FORCE);
        for number in 0..IN_FORCE {
            let name = format!("in-force-{number}.example.com");
            let (certificate, _) = administrator.enrol("client", &name).await?;
            asked.push(Arc::new(Asked::new(&name, &Subject::of(&certificate)?)));
        }
        StatusLoad::start(&self.replicas(), rate, asked)
    }

    /// Revokes `times` certificates one after another, at different places of a second, under `rate` questions a second.
    pub async fn run(&mut self, times: usize, rate: u32) -> anyhow::Result<Figures> {
        let load = self.load(rate).await?;
        let (mut took, mut acknowledged, mut unheard) = ([Vec::new(), Vec::new()], Vec::new(), 0);
        for number in 0..times {
            if load.has_failed() {
                break;
            }
            let revoked = self.revoke(number, &load).await;
            let revoked = revoked.with_context(|| format!("revocation {number} of {times}, {}", self.said()))?;
            for (all, one) in took.iter_mut().zip(revoked.refused_after) {
                all.push(one);
            }
            acknowledged.push(revoked.acknowledged);
            unheard += revoked.unheard;
        }
        let seen = load.finish().await?;
        let [new_sessions, resumed_sessions] = took.map(Percentiles::of);
        Ok(Figures { new_sessions, resumed_sessions, acknowledged: Percentiles::of(acknowledged), unheard, seen })
    }

    /// One certificate: let in, revoked, refused.
    async fn revoke(&self, number: usize, load: &StatusLoad) -> anyhow::Result<Revoked> {
        let administrator = self.other.administrator()?;
        let name = format!("number-{number}.example.com");
        let (certificate, identity) = administrator.enrol("client", &name).await?;
        let asked = Arc::new(Asked::new(&name, &Subject::of(&certificate)?));
        load.add(Arc::clone(&asked));
        let address = format!("127.0.0.1:{}", self.world.port);
        let root = self.world.stack.root_pem()?;
        let mut clients = [true, false].map(|resumes| Caller::new(&address, &root, &identity, resumes));
        for client in &mut clients {
            client.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?.is_let_in().await?;
        }
        // At another place of a second each time.
        sleep(Duration::from_millis(number as u64 * 37 % 1_000)).await;
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for (place, client) in clients.into_iter().enumerate() {
            let mut client = client?;
            calling.spawn(async move { (place, client.until_refused(began).await) });
        }
        administrator.revoke(&certificate.id, "keyCompromise").await?;
        asked.is_revoked();
        let mut revoked = Revoked { acknowledged: began.elapsed(), ..Revoked::default() };
        while let Some(ended) = calling.join_next().await {
            let (place, refused) = ended.context("a client panicked")?;
            let (after, unheard) = refused?;
            // The first of the two resumes.
            revoked.refused_after[1 - place] = after;
            revoked.unheard += unheard;
        }
        Ok(revoked)
    }

    /// What gateway and sidecar said last, for whoever looks for a cause.
    fn said(&self) -> String {
        let last = |process: &Process| {
            let lines = process.lines();
            lines[lines.len().saturating_sub(20)..].join("\n")
        };
        let sidecar = self.sidecar.as_ref().map(last).unwrap_or_default();
        format!("{:?}; nginx said:\n{}\nthe sidecar said:\n{sidecar}", self.way, last(&self.nginx.0))
    }
}

#[derive(Default)]
struct Revoked {
    acknowledged: Duration,
    refused_after: [Duration; 2],
    unheard: usize,
}

/// A client of the gateway.
struct Caller {
    address: String,
    /// In TLS 1.2 and 1.3.
    configurations: [Arc<ClientConfig>; 2],
    /// What configurations are made of anew for each call; `None` for one that offers the sessions it has.
    anew: Option<(String, Identity)>,
    turn: usize,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    LetIn,
    Refused,
    /// No connection, or one that broke.
    Unheard,
}

impl Caller {
    fn new(address: &str, root: &str, identity: &Identity, resumes: bool) -> anyhow::Result<Self> {
        let anew = (!resumes).then(|| (root.to_owned(), identity.clone()));
        Ok(Self { address: address.to_owned(), configurations: configurations(root, identity)?, anew, turn: 0 })
    }

    /// Waits until it is let in, in both versions: a client that nginx never knew to be good proves nothing when it is refused.
    async fn is_let_in(&mut self) -> anyhow::Result<()> {
        let mut versions = [false; 2];
        let began = Instant::now();
        while versions != [true; 2] {
            let reply = self.call().await?;
            versions[self.turn % 2] |= reply == Reply::LetIn;
            ensure!(began.elapsed() < GIVES_UP, "a client in force is not let in, in TLS 1.2 and 1.3: {versions:?}");
        }
        Ok(())
    }

    /// Calls until it is refused for good: since when, from `began`, and how many calls were neither.
    async fn until_refused(&mut self, began: Instant) -> anyhow::Result<(Duration, usize)> {
        let (mut first, mut unheard) = (None, 0);
        loop {
            let reply = self.call().await?;
            let now = Instant::now();
            match reply {
                Reply::LetIn => first = None,
                Reply::Refused => {
                    let since = *first.get_or_insert(now);
                    if now - since >= REFUSED_FOR {
                        return Ok((since - began, unheard));
                    }
                }
                Reply::Unheard => unheard += 1,
            }
            ensure!(now - began < GIVES_UP, "still let in {GIVES_UP:?} after the revocation");
            sleep(PAUSE).await;
        }
    }

    /// One call, in the other version than the last.
    async fn call(&mut self) -> anyhow::Result<Reply> {
        self.turn += 1;
        if let Some((root, identity)) = &self.anew {
            self.configurations = configurations(root, identity)?;
        }
        call(&self.address, Arc::clone(&self.configurations[self.turn % 2])).await
    }
}

fn configurations(root: &str, identity: &Identity) -> anyhow::Result<[Arc<ClientConfig>; 2]> {
    let of = |version| tls_config_of(root, Some(identity), version).map(Arc::new);
    Ok([of(&[&TLS12])?, of(&[&TLS13])?])
}

async fn call(address: &str, configuration: Arc<ClientConfig>) -> anyhow::Result<Reply> {
    let name = ServerName::try_from(NAME).context("a server name")?;
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(configuration).connect(name, stream).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // nginx ends without close_notify when it likes to; what it said counts.
        let _ = stream.read_to_end(&mut answer).await;
        std::io::Result::Ok(answer)
    };
    let answer = match timeout(CALL, exchange).await {
        Err(_) => bail!("the gateway did not answer within {CALL:?}"),
        Ok(Err(_)) => return Ok(Reply::Unheard),
        Ok(Ok(answer)) => String::from_utf8_lossy(&answer).into_owned(),
    };
    match answer.split(' ').nth(1) {
        Some("200") if answer.contains("\r\n\r\nhello ") => Ok(Reply::LetIn),
        Some("400") if answer.contains("The SSL certificate error") => Ok(Reply::Refused),
        None => Ok(Reply::Unheard),
        Some(_) => bail!("the gateway said something else: {answer}"),
    }
}
