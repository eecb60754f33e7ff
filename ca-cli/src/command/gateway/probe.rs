//! Asks the gateway itself, by handshakes at its own port: which lists has it loaded, does it resume a session of before, and
//! does it refuse a certificate that is revoked? What it answers here is what it does to others.

use std::sync::Arc;
use std::time::Duration;

use ca_core::certificate::Certificate;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, HandshakeKind, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::place::GENERATION_PATH;
use crate::exit::Failure;
use crate::settings::IdentityFiles;
use crate::tls;

/// Where to ask, and as whom.
#[derive(Clone, Debug)]
pub(super) struct ProbeSettings {
    /// The gateway's port on this host, `HOST:PORT`.
    pub(super) address: String,
    /// The name in the gateway's certificate.
    pub(super) name: String,
    /// A certificate that the gateway must refuse.
    pub(super) revoked: Option<IdentityFiles>,
}

/// Clients of the gateway, one for each version of TLS. Each keeps the sessions that it was given and offers them again.
pub(super) struct Probe {
    settings: ProbeSettings,
    name: ServerName<'static>,
    clients: Vec<Arc<ClientConfig>>,
    revoked: Vec<Arc<ClientConfig>>,
}

/// What a handshake came to.
enum Answer {
    /// It was let in, and told which lists are loaded.
    Loaded(String),
    /// It was refused.
    Refused(String),
    /// The gateway does not speak this version of TLS.
    OtherVersion,
    /// A session of before was resumed.
    Resumed,
}

impl Probe {
    /// Gets ready. `identity` must be one that the gateway lets in.
    pub(super) fn new(
        settings: ProbeSettings,
        roots: &[Certificate],
        identity: &IdentityFiles,
    ) -> Result<Self, Failure> {
        let name = ServerName::try_from(settings.name.clone())
            .map_err(|_| Failure::Usage(format!("`{}` is no name of a server; set probe_name", settings.name)))?;
        let clients = |identity: &IdentityFiles| -> Result<Vec<_>, Failure> {
            VERSIONS.iter().map(|version| tls::client_of(version, roots, identity).map(Arc::new)).collect()
        };
        let revoked = settings.revoked.as_ref().map(clients).transpose()?.unwrap_or_default();
        Ok(Self { clients: clients(identity)?, name, revoked, settings })
    }

    /// Fails unless the gateway has loaded `generation`: for so long as workers of before may still answer, whatever is offered.
    pub(super) async fn enforces(&self, generation: &str) -> Result<(), String> {
        match tokio::time::timeout(LONGEST, self.insist(generation)).await {
            Ok(enforced) => enforced,
            Err(_) => Err(format!(
                "the gateway at {} did not show within {} s that it has loaded the lists in place",
                self.settings.address,
                LONGEST.as_secs()
            )),
        }
    }

    async fn insist(&self, generation: &str) -> Result<(), String> {
        let mut right = 0;
        for _ in 0..ATTEMPTS {
            match self.ask().await {
                Ok(loaded) if loaded == generation => right += 1,
                Err(Wrong::Lasting(text)) => return Err(text),
                Ok(_) | Err(Wrong::Passing(_)) => right = 0,
            }
            if right >= IN_A_ROW {
                return self.refuses_the_revoked().await;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        // Asked once more, for what is told.
        match self.ask().await {
            Ok(loaded) if loaded == generation => self.refuses_the_revoked().await,
            Ok(loaded) => Err(format!(
                "the gateway at {} runs by the lists {loaded}, and {generation} are in place",
                self.settings.address
            )),
            Err(Wrong::Lasting(text) | Wrong::Passing(text)) => Err(text),
        }
    }

    /// Which lists are loaded, as every version of TLS that the gateway speaks tells.
    async fn ask(&self) -> Result<String, Wrong> {
        let address = &self.settings.address;
        let mut loaded: Option<String> = None;
        for client in &self.clients {
            match self.call(client).await.map_err(Wrong::Passing)? {
                Answer::OtherVersion => {}
                Answer::Refused(text) => {
                    return Err(Wrong::Passing(format!("the gateway at {address} refuses the probe: {text}")));
                }
                Answer::Resumed => {
                    return Err(Wrong::Lasting(format!(
                        "the gateway at {address} resumed a session of before, so a revoked client may go on with its own: \
                         set `ssl_session_cache off; ssl_session_tickets off;` (HAProxy: `tune.ssl.cachesize 0`, \
                         `no-tls-tickets`)"
                    )));
                }
                Answer::Loaded(one) => match &loaded {
                    Some(other) if *other != one => {
                        return Err(Wrong::Passing(format!("workers of the gateway at {address} differ")));
                    }
                    _ => loaded = Some(one),
                },
            }
        }
        loaded.ok_or_else(|| Wrong::Passing(format!("the gateway at {address} speaks neither TLS 1.2 nor 1.3")))
    }

    async fn refuses_the_revoked(&self) -> Result<(), String> {
        for client in &self.revoked {
            if let Answer::Loaded(_) | Answer::Resumed = self.call(client).await? {
                return Err(format!(
                    "the gateway at {} let the revoked certificate of the probe in",
                    self.settings.address
                ));
            }
        }
        Ok(())
    }

    /// One handshake and one request.
    async fn call(&self, client: &Arc<ClientConfig>) -> Result<Answer, String> {
        let address = &self.settings.address;
        match tokio::time::timeout(PATIENCE, self.exchange(client)).await {
            Ok(answer) => answer.map_err(|error| format!("the gateway at {address}: {error}")),
            Err(_) => Err(format!("the gateway at {address} did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn exchange(&self, client: &Arc<ClientConfig>) -> std::io::Result<Answer> {
        let stream = TcpStream::connect(&self.settings.address).await?;
        let mut stream = match TlsConnector::from(Arc::clone(client)).connect(self.name.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => return refusal(error),
        };
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            return Ok(Answer::Resumed);
        }
        let request =
            format!("GET {GENERATION_PATH} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.settings.name);
        let mut answer = Vec::new();
        let read = async {
            stream.write_all(request.as_bytes()).await?;
            (&mut stream).take(LONGEST_ANSWER).read_to_end(&mut answer).await
        };
        // In TLS 1.3 the refusal comes after the client's side of the handshake. A gateway may also close without a farewell.
        if let Err(error) = read.await
            && answer.is_empty()
        {
            return refusal(error);
        }
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        match (status, body.trim()) {
            ("200", body) if body.len() == 64 && body.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
                Ok(Answer::Loaded(body.to_owned()))
            }
            ("200", _) => Err(std::io::Error::other(format!("{GENERATION_PATH} is not what generation_file has"))),
            ("404", _) => Err(std::io::Error::other(format!(
                "{GENERATION_PATH} is not there: include generation_file in its configuration"
            ))),
            (status, _) => Ok(Answer::Refused(format!("it answers {status}"))),
        }
    }
}

/// What stands between the gateway and a statement.
enum Wrong {
    /// It stays so until somebody changes the configuration.
    Lasting(String),
    /// It may be over in a moment: workers of before are on their way out.
    Passing(String),
}

/// A handshake that broke off: by whose will?
fn refusal(error: std::io::Error) -> std::io::Result<Answer> {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_)) => {
            Ok(Answer::OtherVersion)
        }
        Some(rustls::Error::AlertReceived(alert)) => Ok(Answer::Refused(format!("{alert:?}"))),
        _ => Err(error),
    }
}

/// Both versions: each resumes by means of its own.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
/// How long one handshake and its answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// nginx lets workers of before go on for 100 ms, and then they stop listening.
const BETWEEN: Duration = Duration::from_millis(50);
const IN_A_ROW: u32 = 5;
const ATTEMPTS: u32 = 60;
/// Meanwhile no lists are fetched.
const LONGEST: Duration = Duration::from_secs(8);
const LONGEST_ANSWER: u64 = 64 << 10;
