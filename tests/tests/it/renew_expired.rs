//! Renewal after the end, from outside: the proof is made by Python's `cryptography` and put together by hand.

use std::path::Path;

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_api::renewal::RenewalNonce;
use ca_api::route;
use ca_e2e::client::Client;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{Site, Stack, shared};
use ca_e2e::tools::run;
use serde_json::json;

/// Prints a proof: the old key and certificate, the URL, the nonce, the new request.
const MAKE_PROOF: &str = r#"
import base64, hashlib, json, sys, time
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

key_file, certificate_file, csr_file, url, nonce, at, algorithm = sys.argv[1:]
base64url = lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
key = serialization.load_pem_private_key(open(key_file, "rb").read(), None)
certificate = x509.load_pem_x509_certificates(open(certificate_file, "rb").read())[0]
csr = x509.load_pem_x509_csr(open(csr_file, "rb").read()).public_bytes(serialization.Encoding.DER)
x5c = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
header = {"typ": "JOSE", "alg": algorithm, "url": url, "nonce": nonce, "x5c": x5c}
payload = {"iat": int(at), "csr_sha256": base64url(hashlib.sha256(csr).digest())}
message = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
r, s = utils.decode_dss_signature(key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
print(message + "." + base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big")))
"#;

const SERVER: &str = include_str!("../../../policies/profiles/server.toml");

/// A service whose servers may renew within a day of the end, and whose clock is set.
struct Scene {
    stack: Stack,
    clock: FakeClock,
}

impl Scene {
    fn new() -> anyhow::Result<Self> {
        let mut site = Site::empty(&[])?;
        let allowed = SERVER.replace("until = \"0s\"", "until = \"0s\"\nafter_expiry = \"1d\"");
        ensure!(allowed != SERVER, "the shipped profile has no such line");
        let policies = site.work_folder().join("policies");
        std::fs::create_dir_all(policies.join("profiles"))?;
        std::fs::write(policies.join("profiles/server.toml"), allowed)?;
        site.set("CA__POLICIES__DIR", &policies.display().to_string());
        let (succeeded, said) = site.run(&["init"])?;
        ensure!(succeeded, "{said}");
        let clock = FakeClock::of(&mut site)?;
        Ok(Self { stack: site.serve()?, clock })
    }

    async fn nonce(&self) -> anyhow::Result<String> {
        let nonce = self.stack.anonymous()?.post(route::RENEWAL_NONCE, &json!({})).await?.expect(200)?;
        Ok(nonce.json::<RenewalNonce>()?.nonce)
    }

    /// A proof for a request of a new key, made at this instant.
    fn proof(&self, old: &Old, csr: &str, nonce: &str, algorithm: &str, at: i64) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let (key, certificate) = (file("key", &old.key.to_pem())?, file("certificate", &old.certificate.certificate)?);
        let (csr, url) = (file("csr", csr)?, format!("{}{}", self.stack.api_url(), path(&old.certificate)));
        let at = at.to_string();
        let arguments = ["-W", "ignore", "-c", MAKE_PROOF, &key, &certificate, &csr, &url, nonce, &at, algorithm];
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = tests.parent().unwrap_or(tests).join("target/test-tools/venv/bin/python");
        let said = run(python.to_str().context("UTF-8")?, arguments, folder.path())?;
        ensure!(said.succeeded, "{}", said.all());
        Ok(said.text().trim().to_owned())
    }
}

struct Old {
    certificate: Certificate,
    key: SubjectKey,
}

impl Old {
    async fn issued(administrator: &Client, host: &str) -> anyhow::Result<Self> {
        let key = SubjectKey::generate()?;
        let mut body = request("server", key.csr(host, &[host])?);
        body.validity = Some("4m".to_owned());
        Ok(Self { certificate: administrator.issue(&body).await?, key })
    }
}

fn path(certificate: &Certificate) -> String {
    route::CERTIFICATE_RENEW_EXPIRED.replace("{certificate}", &certificate.id)
}

fn now() -> anyhow::Result<i64> {
    #[expect(clippy::disallowed_methods, reason = "what a client dates its proof by")]
    let now = std::time::SystemTime::now();
    Ok(i64::try_from(now.duration_since(std::time::UNIX_EPOCH)?.as_secs())?)
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_renewed_by_a_proof_that_others_made() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let host = "ended.example.test";
    let old = Old::issued(&scene.stack.administrator()?, host).await?;
    let new = SubjectKey::generate()?;
    let csr = new.csr(host, &[host])?;
    let anonymous = scene.stack.anonymous()?;
    let (anonymous, path, csr_pem) = (&anonymous, &path(&old.certificate), csr.as_str());
    let ask = |proof: String| async move { anonymous.post(path, &json!({ "csr": csr_pem, "proof": proof })).await };
    // It is still in force.
    let proof = scene.proof(&old, &csr, &scene.nonce().await?, "ES256", now()?)?;
    ask(proof).await?.expect_problem(ProblemType::RenewalTooEarly)?;
    // An hour later it is not.
    scene.clock.set("+1h")?;
    let later = now()? + 3_600;
    let nonce = scene.nonce().await?;
    let early = scene.proof(&old, &csr, &nonce, "ES256", later - 400)?;
    let refused = ask(early).await?.expect_problem(ProblemType::InvalidCredential)?;
    ensure!(refused.detail.contains("five minutes"), "{}", refused.detail);
    for algorithm in ["none", "HS256"] {
        let refused = ask(scene.proof(&old, &csr, &nonce, algorithm, later)?).await?;
        let problem = refused.expect_problem(ProblemType::InvalidCredential)?;
        ensure!(problem.detail.contains("ES256"), "{}", problem.detail);
    }
    let thief = Old { certificate: old.certificate.clone(), key: SubjectKey::generate()? };
    let refused = ask(scene.proof(&thief, &csr, &nonce, "ES256", later)?).await?;
    refused.expect_problem(ProblemType::InvalidCredential)?;
    let invented = scene.proof(&old, &csr, "AAAA", "ES256", later)?;
    ask(invented).await?.expect_problem(ProblemType::BadNonce)?;
    let proof = scene.proof(&old, &csr, &nonce, "ES256", later)?;
    let successor: Certificate = ask(proof.clone()).await?.expect(201)?.json()?;
    ensure!(successor.renews.as_ref() == Some(&old.certificate.id), "{successor:?}");
    ensure!(successor.subject_alternative_names == old.certificate.subject_alternative_names, "{successor:?}");
    ask(proof).await?.expect_problem(ProblemType::BadNonce)?;
    Ok(())
}

#[tokio::test]
async fn as_shipped_nothing_is_renewed_after_its_end() -> anyhow::Result<()> {
    let refused = shared()?.anonymous()?.post(route::RENEWAL_NONCE, &json!({})).await?;
    let problem = refused.expect_problem(ProblemType::AccessDenied)?;
    ensure!(problem.detail.contains("no profile lets"), "{}", problem.detail);
    Ok(())
}
