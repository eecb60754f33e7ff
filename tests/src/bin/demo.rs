//! The demo: a hierarchy, two certificates, mutual TLS, a revocation, and what it changes. `make demo`.
//!
//! Nothing is staged: the service is the built `ca-server`, the gateway and its client are rustls, and every step is checked
//! before it is told. The first that fails ends the demo with its reason and a non-zero status.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_core::revocation::RevocationReason;
use ca_e2e::client::{Client, eventually};
use ca_e2e::gateway::{Gateway, call};
use ca_e2e::identity::Identity;
use ca_e2e::programs::programs;
use ca_e2e::stack::{Site, Stack};
use ca_e2e::status::Subject;

/// A name that nobody has (RFC 6761 §6.4); the gateway is reached by address.
const GATEWAY: &str = "gateway.example.test";

/// How soon a revocation is to be seen everywhere on a machine that has other work.
const AGREEMENT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the process cannot start its threads")
        .and_then(|runtime| runtime.block_on(show()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn show() -> anyhow::Result<()> {
    println!("Building ca-server and ca-cli (the first time this takes minutes) …");
    programs()?;
    let clock = Clock::start();

    clock.title("1. A hierarchy: a root and two authorities below it");
    let site = Site::empty(&[]).context("no place for the demo")?;
    make_hierarchy(&clock, &site)?;

    clock.title("2. The service");
    let mut stack = site.serve().context("ca-server did not start")?;
    check_service(&clock, &stack).await?;

    clock.title("3. Two certificates over HTTPS: the keys are made here and never travel");
    let administrator = stack.administrator()?;
    let (_, gateway_identity) = issue(&clock, &administrator, "server", GATEWAY).await?;
    let (client, client_identity) = issue(&clock, &administrator, "client", "cliente").await?;

    clock.title("4. Mutual TLS at a gateway that reads the service's CRLs");
    let root = stack.root_pem()?;
    let mut gateway = Gateway::start(&gateway_identity, &root, stack.public()?).await.context("the gateway")?;
    let welcome = call(gateway.address(), GATEWAY, &root, Some(&client_identity)).await;
    let welcome = welcome.context("the client should be let in")?;
    clock.tell(&format!("with its certificate the client is let in; the gateway says: \"{welcome}\""));
    let refusal = refused(&gateway, &root, None).await.context("without a certificate")?;
    clock.tell(&format!("without one it is refused: {refusal}"));

    clock.title("5. The client's key is lost: its certificate is revoked");
    let subject = Subject::of(&client)?;
    let public = stack.public()?;
    let before = subject.ask_ocsp(&public).await?;
    ensure!(before == CertStatus::Good, "OCSP should say good before the revocation, not {before:?}");
    clock.tell("before: OCSP says good");
    let lists = gateway.lists();
    administrator.revoke(&client.id, RevocationReason::KeyCompromise.as_str()).await?;
    clock.tell("revoked, for keyCompromise: the key can never be certified again");

    clock.title("6. Everybody learns of it");
    let revoked_at = Clock::start();
    tell_status(&clock, &subject, &public, &client.authority, &revoked_at).await?;
    gateway.wait_for_lists_after(&lists).await?;
    let refusal = refused(&gateway, &root, Some(&client_identity)).await.context("with the revoked certificate")?;
    clock.tell(&format!("the gateway refuses the handshake: {refusal}"));

    clock.title("7. The end");
    drop(gateway);
    let status = stack.process().stop(ca_e2e::stack::PATIENCE).context("ca-server did not stop")?;
    ensure!(status.success(), "ca-server ended with {status}");
    let folder = stack.work_folder().to_owned();
    drop(stack);
    ensure!(!folder.exists(), "{} was left behind", folder.display());
    clock.tell("the service has stopped, and its folder is gone");
    println!("\nAll of it took {}.", clock.elapsed());
    println!("Next: target/debug/ca-server dev, or target/debug/ca-cli --local ./pki issue client NAME");
    Ok(())
}

fn make_hierarchy(clock: &Clock, site: &Site) -> anyhow::Result<()> {
    clock.tell(&format!("everything lies in {} and goes when the demo ends", site.work_folder().display()));
    clock.tell("keys are P-256, to be quick; without configuration the root's is RSA 4096");
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(succeeded, "`ca-server init`:\n{said}");
    for line in said.lines().filter(|line| line.starts_with("authority") || line.starts_with("root:")) {
        clock.tell(line);
    }
    let fingerprint = said.lines().find_map(|line| line.trim().strip_prefix("SHA-256 ")).unwrap_or_default();
    ensure!(fingerprint.len() == 64, "`ca-server init` did not tell the root's fingerprint:\n{said}");
    clock.tell(&format!("SHA-256 of the root: {fingerprint}"));
    Ok(())
}

async fn check_service(clock: &Clock, stack: &Stack) -> anyhow::Result<()> {
    clock.tell(&format!("HTTPS API at {}", stack.api_url()));
    clock.tell(&format!("OCSP, CRL and certificates at {}", stack.public_url()));
    stack.public()?.get(route::READY).await?.expect(200).context("it should be ready")?;
    let nobody = stack.anonymous()?.get(route::CERTIFICATES).await?;
    let problem = nobody.expect_problem(ProblemType::AuthenticationRequired)?;
    clock.tell(&format!("whoever asks it without a proof of who they are gets {}: {}", problem.status, problem.detail));
    Ok(())
}

async fn issue(
    clock: &Clock,
    administrator: &Client,
    profile: &str,
    name: &str,
) -> anyhow::Result<(ca_api::certificate::Certificate, Identity)> {
    let (certificate, identity) = administrator.enrol(profile, name).await.context("no certificate was issued")?;
    clock.tell(&format!(
        "{profile}: {} by `{}`, serial {}, until {}",
        certificate.subject, certificate.authority, certificate.serial, certificate.not_after
    ));
    Ok((certificate, identity))
}

async fn tell_status(
    clock: &Clock,
    subject: &Subject,
    public: &Client,
    authority: &str,
    revoked_at: &Clock,
) -> anyhow::Result<()> {
    let status = subject.ask_ocsp(public).await?;
    let CertStatus::Revoked { at, reason: Some(RevocationReason::KeyCompromise) } = status else {
        bail!("OCSP should say revoked for keyCompromise, not {status:?}");
    };
    clock.tell(&format!("OCSP says revoked at {}, keyCompromise, after {}", at.to_rfc3339(), revoked_at.elapsed()));
    let path = format!("/crl/{authority}.crl");
    eventually(AGREEMENT, "the CRL lists the revoked certificate", || async {
        let list = public.get(&path).await?.expect(200)?;
        Ok(subject.is_listed(&list.body)?.then_some(()))
    })
    .await?;
    clock.tell(&format!("the CRL at {path} lists it, after {}", revoked_at.elapsed()));
    Ok(())
}

/// Why the gateway refused a handshake; fails if it did not, or for another reason than its judgement.
async fn refused(gateway: &Gateway, root: &str, identity: Option<&Identity>) -> anyhow::Result<String> {
    let Err(error) = call(gateway.address(), GATEWAY, root, identity).await else { bail!("the gateway let it in") };
    let alert = if identity.is_some() { "CertificateRevoked" } else { "CertificateRequired" };
    let why = format!("{error:#}");
    ensure!(why.contains(alert), "refused, but not with the alert {alert}: {why}");
    Ok(format!("TLS alert {alert}"))
}

/// Tells what happens, and when.
struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the demo tells how long its steps take")]
    fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the demo tells how long its steps take")]
    fn elapsed(&self) -> String {
        let now = Instant::now();
        format!("{:.2} s", now.duration_since(self.0).as_secs_f64())
    }

    fn title(&self, text: &str) {
        println!("\n{text}");
    }

    fn tell(&self, text: &str) {
        println!("  [{:>7}] {text}", self.elapsed());
    }
}
