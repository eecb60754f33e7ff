//! `ca-cli worker`: certificates brought where the service does not reach, by a process that has its API and nothing else of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_e2e::cli::Terminal;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::Identity;
use ca_e2e::process::Process;
use ca_e2e::programs::programs;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::tools::{openssl, run};
use ca_test_services::MotoServer;
use serde_json::{Value, json};

/// A worker's host: its identity, and the folder that it may write.
struct Host {
    terminal: Terminal,
    environment: Vec<(String, String)>,
}

impl Host {
    /// Has a certificate; the role too, unless it is to do without.
    async fn new(stack: &Stack, name: &str, has_role: bool) -> anyhow::Result<Self> {
        let (certificate, identity) = stack.administrator()?.enrol("client", name).await?;
        if has_role {
            let (succeeded, said) = stack.run(&["admin", "grant", "worker", &certificate.id])?;
            ensure!(succeeded, "{said}");
        }
        Self::of(stack, &identity)
    }

    fn of(stack: &Stack, identity: &Identity) -> anyhow::Result<Self> {
        let mut terminal = Terminal::new()?;
        terminal.write("worker.crt", identity.chain_pem())?;
        terminal.write("worker.key", identity.key_pem())?;
        terminal.write("root.pem", &stack.root_pem()?)?;
        std::fs::create_dir(terminal.path("tls"))?;
        let path = |file: &str| terminal.path(file).display().to_string();
        let environment = [
            ("CA_URL", stack.api_url()),
            ("CA_ROOT", path("root.pem")),
            ("CA_CERT", path("worker.crt")),
            ("CA_KEY", path("worker.key")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        for (name, value) in &environment {
            terminal.set(name, value);
        }
        Ok(Self { terminal, environment: environment.to_vec() })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.terminal.path("tls").join(file)
    }

    /// Where a definition wants a folder.
    fn directory(&self, file: &str) -> Value {
        json!({"kind": "directory", "path": self.path(file)})
    }

    /// The arguments of a worker of this host.
    fn arguments<'a>(&self, more: &[&'a str]) -> Vec<String> {
        let folder = self.terminal.path("tls").display().to_string();
        let own = ["worker", "--directory", &folder].map(str::to_owned);
        own.into_iter().chain(more.iter().map(|part: &&'a str| (*part).to_owned())).collect()
    }

    /// One round to its end: what it says in JSON.
    fn once(&self) -> anyhow::Result<Value> {
        let arguments = self.arguments(&["--once"]);
        self.terminal.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A worker that goes on until it is stopped.
    fn start(&self, more: &[&str]) -> anyhow::Result<Process> {
        let arguments = self.arguments(&[&["--interval", "1s"], more].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Process::start(&programs()?.cli, &arguments, environment, self.terminal.folder())
    }

    /// That a folder has a key, its certificate and what is above it, in force and below the root of the service.
    fn check_folder(&self, name: &str) -> anyhow::Result<()> {
        let folder = self.path(name);
        let root = self.terminal.path("root.pem").display().to_string();
        openssl(["verify", "-CAfile", &root, "-untrusted", "chain.pem", "certificate.pem"], &folder)?;
        let of_certificate = openssl(["x509", "-in", "certificate.pem", "-noout", "-pubkey"], &folder)?.text();
        let of_key = openssl(["pkey", "-in", "key.pem", "-pubout"], &folder)?.text();
        ensure!(of_certificate == of_key, "{name}: key and certificate are no pair");
        Ok(())
    }
}

/// Has a worker bring a certificate for servers of this name somewhere.
async fn define(client: &Client, name: &str, target: Value, more: Value) -> anyhow::Result<()> {
    let mut body = json!({
        "name": name,
        "profile": "server",
        "subject_alternative_names": [format!("dns:{name}.example.com")],
        "delivered_by": "worker",
        "target": target,
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    client.post("/v1/managed-certificates", &body).await?.expect(201)?;
    Ok(())
}

/// Every certificate of this name, whoever asked for it.
async fn certificates(client: &Client, name: &str) -> anyhow::Result<Vec<Certificate>> {
    let body = json!({"name": format!("{name}.example.com")});
    let page: ca_api::page::Page<Certificate> =
        client.post("/v1/certificates/search", &body).await?.expect(200)?.json()?;
    Ok(page.items)
}

async fn managed(client: &Client, name: &str) -> anyhow::Result<Value> {
    client.get(&format!("/v1/managed-certificates/{name}")).await?.expect(200)?.json()
}

/// Waits until a name is there; what made it is killed at once. It may have come further by then, which is as good.
fn wait_for_name(path: &Path) -> anyhow::Result<()> {
    let patience = tokio::time::Instant::now() + PATIENCE;
    while path.symlink_metadata().is_err() {
        ensure!(tokio::time::Instant::now() < patience, "{} never came", path.display());
        std::thread::yield_now();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_brings_what_is_due_into_folders_and_pkcs12_files_and_may_do_nothing_else() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let host = Host::new(&stack, "worker-1", true).await?;
    std::fs::write(host.path("passphrase"), "correct horse\n")?;
    define(&administrator, "web", host.directory("web"), json!({})).await?;
    let pkcs12 = json!({"kind": "pkcs12", "path": host.path("app.p12"), "passphrase_file": host.path("passphrase")});
    define(&administrator, "app", pkcs12, json!({"key_type": "p384"})).await?;
    define(&administrator, "elsewhere", json!({"kind": "directory", "path": "/etc/ssh/web"}), json!({})).await?;

    // 1. What is below its folder is brought; the rest is another's.
    let round = host.once()?;
    ensure!(round["rotated"].as_array().map(Vec::len) == Some(2) && round["failed"] == json!([]), "{round}");
    host.check_folder("web")?;
    let tls = host.terminal.path("tls");
    let password = ["-passin", "pass:correct horse", "-nodes"];
    let text = openssl([&["pkcs12", "-in", "app.p12"], &password[..]].concat(), &tls)?.text();
    ensure!(text.contains("BEGIN PRIVATE KEY") && text.matches("BEGIN CERTIFICATE").count() == 2, "{text}");
    let arguments = ["-list", "-v", "-keystore", "app.p12", "-storetype", "PKCS12", "-storepass", "correct horse"];
    let said = run("keytool", arguments, &tls)?;
    ensure!(said.succeeded && said.text().contains("PrivateKeyEntry"), "{}", said.all());
    ensure!(said.text().contains("chain length: 2") && said.text().contains("Alias name: app"), "{}", said.text());
    ensure!(!Path::new("/etc/ssh/web").exists());

    // 2. The record knows it, and nothing is due again.
    for name in ["web", "app"] {
        let on_record = managed(&administrator, name).await?;
        let issued = certificates(&administrator, name).await?;
        ensure!(issued.len() == 1 && on_record["current"]["certificate"] == json!(issued[0].id), "{on_record}");
        ensure!(on_record["rotation"].is_null() && on_record["failures"] == json!(0), "{on_record}");
    }
    ensure!(host.once()?["rotated"] == json!([]), "nothing is due");
    ensure!(managed(&administrator, "elsewhere").await?["rotation"].is_null(), "it was not even begun");

    // 3. It may do nothing else, and nobody without the role may do this.
    for arguments in [&["list"][..], &["audit", "list"], &["issue", "server", "stolen.example.com"]] {
        host.terminal.refused(1, arguments, &["not"])?;
    }
    let nobody = Host::new(&stack, "nobody", false).await?;
    let arguments = nobody.arguments(&["--once"]);
    nobody.terminal.refused(1, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &["not"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_on_record_with_what_helps_and_is_brought_once_it_is_put_right() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let host = Host::new(&stack, "worker-1", true).await?;
    std::fs::write(host.path("web"), "somebody's file")?;
    define(&administrator, "web", host.directory("web"), json!({})).await?;
    define(&administrator, "app", host.directory("app"), json!({})).await?;
    let arguments = host.arguments(&["--once"]);
    let outcome = host.terminal.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?.ended_with(1)?;
    ensure!(outcome.output.contains("move it away"), "{}", outcome.output);
    host.check_folder("app").context("the others go on")?;
    let on_record = managed(&administrator, "web").await?;
    ensure!(on_record["failures"] == json!(1), "{on_record}");
    let detail = on_record["last_failure"]["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("move it away"), "{on_record}");
    ensure!(certificates(&administrator, "web").await?.is_empty(), "nothing is issued that has no place");
    // Put right, and asked for at once instead of after the pause.
    std::fs::remove_file(host.path("web"))?;
    administrator.post("/v1/managed-certificates/web/rotate", &json!({})).await?.expect(202)?;
    ensure!(host.once()?["failed"] == json!([]));
    host.check_folder("web")?;
    ensure!(managed(&administrator, "web").await?["failures"] == json!(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once_make_one_certificate() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let host = Host::new(&stack, "worker-1", true).await?;
    let names = ["a", "b", "c"];
    for name in names {
        define(&administrator, name, host.directory(name), json!({})).await?;
    }
    // The same host and identity: as two that were started by mistake.
    let mut workers = [host.start(&[])?, host.start(&[])?];
    for name in names {
        eventually(PATIENCE, "it is current", || async {
            Ok((!managed(&administrator, name).await?["current"].is_null()).then_some(()))
        })
        .await?;
        host.check_folder(name)?;
        ensure!(certificates(&administrator, name).await?.len() == 1, "{name}");
    }
    for worker in &mut workers {
        let status = worker.stop(PATIENCE)?;
        ensure!(status.success(), "{status}: {:?}", worker.lines());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_gone_on_with_and_no_certificate_is_made_twice() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let host = Host::new(&stack, "worker-1", true).await?;
    // Once its key is there, and once it is current.
    for (name, sign) in [("a", ".a.pending"), ("b", "b")] {
        define(&administrator, name, host.directory(name), json!({})).await?;
        let mut worker = host.start(&["--only", name])?;
        wait_for_name(&host.path(sign))?;
        worker.kill();
    }
    let mut worker = host.start(&[])?;
    for name in ["a", "b"] {
        eventually(PATIENCE, "another goes on", || async {
            Ok((!managed(&administrator, name).await?["current"].is_null()).then_some(()))
        })
        .await?;
        host.check_folder(name)?;
        ensure!(certificates(&administrator, name).await?.len() == 1, "{name}");
        ensure!(host.path(&format!(".{name}.pending")).symlink_metadata().is_err(), "{name}: no key waits");
    }
    ensure!(worker.stop(PATIENCE)?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_away_for_longer_than_a_certificate_lasts_is_waited_for() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let host = Host::new(&stack, "worker-1", true).await?;
    define(&administrator, "short", host.directory("short"), json!({"validity": "10s"})).await?;
    let mut worker = host.start(&["--at-once", "1"])?;
    worker.wait_for_line("short was rotated", PATIENCE)?;
    let site: Site = stack.stop()?;
    worker.wait_for_line("it is asked again and again", PATIENCE)?;
    // Until it has ended, whichever it was.
    let certificate = std::fs::read(host.path("short/certificate.pem"))?;
    eventually(PATIENCE, "it ends", || async {
        let arguments = ["x509", "-in", "short/certificate.pem", "-noout", "-checkend", "0"];
        let said = run("openssl", arguments, &host.terminal.path("tls"))?;
        Ok((!said.succeeded).then_some(()))
    })
    .await?;
    ensure!(std::fs::read(host.path("short/certificate.pem"))? == certificate, "the last good one stays");
    let stack = site.serve()?;
    worker.wait_for_line("the service answers again", PATIENCE)?;
    eventually(PATIENCE, "it is rotated", || async {
        Ok((std::fs::read(host.path("short/certificate.pem"))? != certificate).then_some(()))
    })
    .await?;
    ensure!(worker.stop(PATIENCE)?.success());
    drop(stack);
    Ok(())
}

/// What a secret of moto holds.
async fn secret_value(moto: &MotoServer, secret: &str) -> anyhow::Result<Value> {
    let client = Client::plain(&moto.endpoint_url())?;
    let answer = client
        .request(reqwest::Method::POST, "/")
        .header("X-Amz-Target", "secretsmanager.GetSecretValue")
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("Authorization", SIGNED)
        // AWS gives this stage where none is named; moto, then, what was its version before a stage was moved.
        .body(json!({"SecretId": secret, "VersionStage": "AWSCURRENT"}).to_string())
        .send()
        .await?;
    let value: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
    let text = value["SecretString"].as_str().context("a secret has text")?;
    serde_json::from_str(text).context("the secret holds JSON")
}

/// moto believes every signature.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261127/sa-east-1/secretsmanager/aws4_request, SignedHeaders=host, \
     Signature=0";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_brings_what_is_due_into_secrets() -> anyhow::Result<()> {
    let moto = MotoServer::start()?;
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let mut host = Host::new(&stack, "worker-1", true).await?;
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        host.terminal.set(name, value);
    }
    let secret = |name: &str| json!({"kind": "secrets-manager", "secret": name, "create": true});
    define(&administrator, "web", secret("tls/web"), json!({})).await?;
    define(&administrator, "other", secret("other/web"), json!({})).await?;
    let url = moto.endpoint_url();
    let arguments = ["worker", "--secret", "tls/", "--aws-region", "sa-east-1", "--aws-endpoint-url", &url, "--once"];
    let round: Value = host.terminal.json(&arguments)?;
    ensure!(round["rotated"][0]["name"] == json!("web") && round["rotated"][1].is_null(), "{round}");
    let value = secret_value(&moto, "tls/web").await?;
    let folder = host.terminal.path("tls");
    for (member, file) in [("certificate", "certificate.pem"), ("chain", "chain.pem"), ("private_key", "key.pem")] {
        std::fs::create_dir_all(folder.join("read"))?;
        std::fs::write(folder.join("read").join(file), value[member].as_str().context(member)?)?;
    }
    host.check_folder("read")?;
    ensure!(managed(&administrator, "other").await?["current"].is_null(), "its secret is not this worker's");
    Ok(())
}

/// What is shipped starts what is there.
#[test]
fn the_unit_and_the_task_that_are_shipped_are_read_by_the_program() -> anyhow::Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let unit = std::fs::read_to_string(deploy.join("systemd/ca-cli-worker.service"))?;
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/ca-cli ")).context("no ExecStart")?;
    let task: Value = serde_json::from_str(&std::fs::read_to_string(deploy.join("ecs/worker-task.json"))?)?;
    let command = task["containerDefinitions"][0]["command"].as_array().context("no command")?;
    let command: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
    let role: Value = serde_json::from_str(&std::fs::read_to_string(deploy.join("ecs/worker-role.json"))?)?;
    ensure!(role["Statement"][0]["Action"].as_array().is_some_and(|actions| actions.len() == 4), "{role}");
    for arguments in [line.split_whitespace().collect::<Vec<_>>(), command] {
        // Nobody is there; wrong flags would be told first, by another status.
        let mut terminal = Terminal::new()?;
        for (name, value) in [("CA_URL", "https://127.0.0.1:1"), ("CA_ROOT", "r"), ("CA_CERT", "c"), ("CA_KEY", "k")] {
            terminal.set(name, value);
        }
        terminal.refused(1, &[&arguments[..], &["--once"]].concat(), &["c: "])?;
    }
    Ok(())
}
