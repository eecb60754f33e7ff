//! Managed certificates from end to end, with moto's Secrets Manager and a server that reads its certificate from there; and what is told when
//! AWS does not do as asked.

use std::sync::Arc;

use anyhow::{Context, ensure};
use ca_api::managed::ManagedCertificate;
use ca_api::page::Page;
use ca_api::revocation::RevocationReason;
use ca_api::{
    audit::AuditEvent,
    certificate::{Certificate, CertificateStatus},
    route,
};
use ca_core::certificate::Certificate as Parsed;
use ca_e2e::client::{Client, eventually, send, tls_config_of};
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site, Stack};
use ca_test_doubles::{Fault, SecretsManagerDouble};
use ca_test_services::MotoServer;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SECRET: &str = "tls/www";
const KEY: &str = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001";
const NAME: &str = "www.managed.example";

/// moto believes every signature; it finds the service by the scope.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261127/sa-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0";

/// Settings of a service with Secrets Manager; credentials as an ECS task or a shell hands them to the SDK.
fn settings(endpoint_url: &str) -> [(&str, &str); 6] {
    [
        ("CA__AWS__SECRETS_MANAGER__REGION", "sa-east-1"),
        ("CA__AWS__SECRETS_MANAGER__ENDPOINT_URL", endpoint_url),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("PATH", "/usr/bin:/bin"),
    ]
}

fn definition(name: &str, secret: &str, more: &Value) -> Value {
    let mut definition = json!({
        "name": name, "profile": "server", "subject_alternative_names": [format!("dns:{NAME}")],
        "target": {"kind": "secrets-manager", "secret": secret, "create": true},
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    definition
}

async fn add(stack: &Stack, definition: &Value) -> anyhow::Result<ManagedCertificate> {
    stack.administrator()?.post(route::MANAGED_CERTIFICATES, definition).await?.expect(201)?.json()
}

async fn read(client: &Client, name: &str) -> anyhow::Result<ManagedCertificate> {
    client.get(&format!("{}/{name}", route::MANAGED_CERTIFICATES)).await?.expect(200)?.json()
}

/// Waits until what is current is another than this.
async fn rotated(stack: &Stack, name: &str, before: Option<&str>) -> anyhow::Result<String> {
    let client = stack.administrator()?;
    eventually(PATIENCE, "another certificate is current", || async {
        let current = read(&client, name).await?.current.map(|current| current.certificate);
        Ok(current.filter(|current| Some(current.as_str()) != before))
    })
    .await
}

async fn certificate(stack: &Stack, id: &str) -> anyhow::Result<Certificate> {
    stack.administrator()?.get(&format!("{}/{id}", route::CERTIFICATES)).await?.expect(200)?.json()
}

/// What readers of a secret get, by the API that applications call.
async fn secret(endpoint_url: &str, name: &str) -> anyhow::Result<Value> {
    let request = Client::plain(endpoint_url)?
        .request(Method::POST, "/")
        .header("X-Amz-Target", "secretsmanager.GetSecretValue")
        .header(CONTENT_TYPE, "application/x-amz-json-1.1")
        .header(AUTHORIZATION, SIGNED)
        // AWS gives this stage where none is named; moto, then, what was its version before a stage was moved.
        .body(json!({ "SecretId": name, "VersionStage": "AWSCURRENT" }).to_string());
    let answer: Value = send(request).await?.expect(200)?.json()?;
    Ok(serde_json::from_str(answer["SecretString"].as_str().context("no text")?)?)
}

/// What a server presents that takes key and certificate from the secret, to a client that trusts the root and asks for the name.
async fn presented(root_pem: &str, secret: &Value) -> anyhow::Result<Vec<u8>> {
    let text = |member: &str| secret[member].as_str().map(str::to_owned).context("no such member");
    let chain = format!("{}{}", text("certificate")?, text("chain")?);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(text("private_key")?.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async {
        let (stream, _) = listener.accept().await?;
        anyhow::Ok(TlsAcceptor::from(Arc::new(server)).accept(stream).await?)
    };
    let connector = TlsConnector::from(Arc::new(tls_config_of(root_pem, None, rustls::DEFAULT_VERSIONS)?));
    let asking = async {
        let stream = TcpStream::connect(address).await?;
        anyhow::Ok(connector.connect(ServerName::try_from(NAME)?, stream).await?)
    };
    let (_served, asked) = tokio::try_join!(serving, asking)?;
    let shown = asked.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
    Ok(shown.to_vec())
}

async fn audited(stack: &Stack, action: &str, count: usize) -> anyhow::Result<Vec<AuditEvent>> {
    let client = stack.administrator()?;
    eventually(PATIENCE, "the audit tells of it", || async {
        let page: Page<AuditEvent> =
            client.get(&format!("{}?limit=1000&action={action}", route::AUDIT)).await?.expect(200)?.json()?;
        Ok((page.items.len() >= count).then_some(page.items))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_in_ten_minutes_is_found_rotated_and_served_and_the_old_one_revoked() -> anyhow::Result<()> {
    let moto = MotoServer::start()?;
    let endpoint_url = moto.endpoint_url();
    // A clock of one's own cannot differ from that of a database of others.
    let mut site = Site::empty(&[&settings(&endpoint_url)[..], &[EMBEDDED]].concat())?;
    let clock = FakeClock::of(&mut site)?;
    clock.set("-12m")?;
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(succeeded, "{said}");
    let stack = site.serve()?;
    let root_pem = stack.root_pem()?;
    let wanted = json!({"validity": "20m", "renew_before": "1/2", "revoke_superseded_after": "5m"});
    add(&stack, &definition("www", SECRET, &wanted)).await?;
    let first = rotated(&stack, "www", None).await?;
    let before = secret(&endpoint_url, SECRET).await?;
    ensure!(before["serial"] == certificate(&stack, &first).await?.serial.as_str(), "{before}");
    // Ten minutes are left, or less: nobody asks for it.
    clock.set("+0")?;
    let second = rotated(&stack, "www", Some(&first)).await?;
    let after = secret(&endpoint_url, SECRET).await?;
    ensure!(after["private_key"] != before["private_key"], "the key is new");
    let shown = Parsed::from_der(&presented(&root_pem, &after).await?)?;
    ensure!(shown.serial().to_string() == certificate(&stack, &second).await?.serial, "the new one is served");
    ensure!(certificate(&stack, &first).await?.status == CertificateStatus::Active, "while the overlap lasts");
    clock.set("+6m")?;
    eventually(PATIENCE, "the old one is revoked", || async {
        let revocation = certificate(&stack, &first).await?.revocation;
        Ok(revocation.filter(|revocation| revocation.reason == RevocationReason::Superseded).map(drop))
    })
    .await?;
    let events = audited(&stack, "certificate-rotated", 2).await?;
    let of = |event: &AuditEvent, member: &str| event.details.get(member).cloned().unwrap_or_default();
    ensure!(events.iter().any(|event| of(event, "certificate") == second && of(event, "superseded") == first));
    ensure!(events.iter().all(|event| of(event, "target") == format!("secret {SECRET}")), "{events:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_is_told_with_the_fix_and_holds_up_no_other() -> anyhow::Result<()> {
    let double = SecretsManagerDouble::start()?;
    let stack = Site::initialised(&settings(&double.endpoint_url()))?.serve()?;
    // There is no such secret, and it is not to be made.
    let absent = json!({"target": {"kind": "secrets-manager", "secret": "tls/absent"}});
    add(&stack, &definition("absent", "", &absent)).await?;
    add(&stack, &definition("good", "tls/good", &json!({}))).await?;
    rotated(&stack, "good", None).await?;
    let client = stack.administrator()?;
    let failure = failure_of(&client, "absent").await?;
    ensure!(
        failure.contains("there is no secret tls/absent") && failure.contains("let the definition make it"),
        "{failure}"
    );
    let events = audited(&stack, "rotation-failed", 1).await?;
    ensure!(events[0].details.get("name").is_some_and(|name| name == "absent"), "{events:?}");
    // A right that is taken away, a key of KMS that nobody knows; both are given, and all is well.
    double.deny("PutSecretValue");
    add(&stack, &definition("denied", "tls/denied", &json!({}))).await?;
    let failure = failure_of(&client, "denied").await?;
    ensure!(failure.contains("secretsmanager:PutSecretValue"), "{failure}");
    double.allow("PutSecretValue");
    ask(&client, "denied").await?;
    rotated(&stack, "denied", None).await?;
    let keyed = json!({"target": {"kind": "secrets-manager", "secret": "tls/keyed", "create": true, "kms_key": KEY}});
    add(&stack, &definition("keyed", "", &keyed)).await?;
    let failure = failure_of(&client, "keyed").await?;
    ensure!(failure.contains("KMS") || failure.contains("key"), "{failure}");
    double.know_key(KEY);
    ask(&client, "keyed").await?;
    rotated(&stack, "keyed", None).await?;
    // Somebody writes into a secret by hand: it is left alone, and told.
    let own = json!({"SecretId": "tls/good", "ClientRequestToken": "f".repeat(32), "SecretString": "mine"});
    double.ask("PutSecretValue", own).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ask(&client, "good").await?;
    let failure = failure_of(&client, "good").await?;
    ensure!(failure.contains("somebody else wrote it"), "{failure}");
    ensure!(double.text("tls/good", "AWSCURRENT").as_deref() == Some("mine"), "it was left alone");
    let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
    ensure!(metrics.contains("ca_managed_failures_total{urgency=\"notice\"}"), "{metrics}");
    Ok(())
}

/// The last failure, once there is one.
async fn failure_of(client: &Client, name: &str) -> anyhow::Result<String> {
    eventually(PATIENCE, "a failure is on record", || async {
        Ok(read(client, name).await?.last_failure.map(|failure| failure.detail))
    })
    .await
}

/// Asks that it be rotated at once.
async fn ask(client: &Client, name: &str) -> anyhow::Result<()> {
    client.post(&format!("{}/{name}/rotate", route::MANAGED_CERTIFICATES), &json!({})).await?;
    Ok(())
}

/// Each call of AWS at some step of some rotation is never answered, done or not, when the service dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_in_the_middle_of_ten_rotations_goes_on_with_the_same_ones() -> anyhow::Result<()> {
    const MANAGED: usize = 10;
    const STEPS: [&str; 3] = ["CreateSecret", "PutSecretValue", "UpdateSecretVersionStage"];
    let double = SecretsManagerDouble::start()?;
    let stack = Site::initialised(&settings(&double.endpoint_url()))?.serve()?;
    for operation in STEPS {
        for served in [1, 5] {
            double.fail_later(operation, served, [Fault::Silence, Fault::SilenceAfterwards]);
        }
    }
    for number in 0..MANAGED {
        add(&stack, &definition(&format!("app-{number}"), &format!("tls/app-{number}"), &json!({}))).await?;
    }
    eventually(PATIENCE, "some are delivered, and some stand still", || async {
        Ok((double.count("UpdateSecretVersionStage").0 > 2).then_some(()))
    })
    .await?;
    let site = stack.kill();
    double.mend();
    let stack = site.serve()?;
    let client = stack.administrator()?;
    for number in 0..MANAGED {
        let current = rotated(&stack, &format!("app-{number}"), None).await?;
        let text = double.text(&format!("tls/app-{number}"), "AWSCURRENT").context("no value")?;
        let value: Value = serde_json::from_str(&text)?;
        ensure!(value["serial"] == certificate(&stack, &current).await?.serial.as_str(), "{number}");
        presented(&stack.root_pem()?, &value).await.with_context(|| format!("app-{number} is no pair"))?;
    }
    let page: Page<Certificate> =
        client.get(&format!("{}?profile=server&limit=1000", route::CERTIFICATES)).await?.expect(200)?.json()?;
    ensure!(page.items.len() == MANAGED, "{} were issued for {MANAGED}", page.items.len());
    Ok(())
}
