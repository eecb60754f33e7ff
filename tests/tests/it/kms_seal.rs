//! Keys sealed by AWS KMS: one question a start, what a refusal says, and the way from a passphrase to KMS and back.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::record::audit_events;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::tools::openssl;
use ca_test_doubles::{Fault, KeySpec, KeyState, KmsDouble};
use serde_json::json;

const PASSPHRASE: &str = "CA__SEAL__PASSPHRASE";
const KEY: &str = "CA__SEAL__KEY";

/// A KMS with one symmetric key.
struct Kms {
    double: KmsDouble,
    arn: String,
}

impl Kms {
    fn start() -> anyhow::Result<Self> {
        let double = KmsDouble::start()?;
        let arn = double.create_key(KeySpec::SymmetricDefault);
        Ok(Self { double, arn })
    }

    fn key(&self) -> String {
        format!("kms:{}", self.arn)
    }

    /// How often it was asked to open something.
    fn opened(&self) -> usize {
        self.double.count("Decrypt").0
    }

    /// An empty site whose programs can ask it; sealed by a passphrase until [`Self::seals`].
    fn site(&self) -> anyhow::Result<Site> {
        let mut site = Site::empty(&[
            ("CA__AWS__ENDPOINT_URL", &self.double.endpoint_url()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("PATH", "/usr/bin:/bin"),
        ])?;
        site.set("HOME", "/nonexistent");
        Ok(site)
    }

    fn seals(&self, site: &mut Site) {
        site.unset(PASSPHRASE);
        site.set(KEY, &self.key());
    }

    /// A site that it seals, with its hierarchy.
    fn initialised(&self) -> anyhow::Result<Site> {
        let mut site = self.site()?;
        self.seals(&mut site);
        done(&site, &["init"])?;
        Ok(site)
    }
}

fn done(site: &Site, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(succeeded, "{arguments:?}: {said}");
    Ok(said)
}

fn refused(site: &Site, arguments: &[&str], hints: &[&str]) -> anyhow::Result<()> {
    let (succeeded, said) = site.run(arguments)?;
    for hint in hints {
        ensure!(!succeeded && said.contains(hint), "{hint}: {said}");
    }
    Ok(())
}

/// Issues, revokes, asks; and what was revoked before is so still.
async fn is_whole(stack: &Stack, before: &mut Vec<Subject>) -> anyhow::Result<()> {
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", &format!("sealed-{}.example.test", before.len())).await?;
    let subject = Subject::of(&certificate)?;
    let public = stack.public()?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    administrator.revoke(&certificate.id, "superseded").await?;
    before.push(subject);
    for subject in before {
        ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    }
    Ok(())
}

/// The root's key opens, for its ceremony and by OpenSSL with `password`.
fn root_opens(site: &Site, password: &str) -> anyhow::Result<()> {
    Terminal::local_at(site)?.done(&["authority", "publish-crl", "root"])?;
    let file = site.data_folder().join("root/root.key").display().to_string();
    openssl(["pkey", "-in", &file, "-passin", &format!("pass:{password}"), "-noout"], site.work_folder())?;
    Ok(())
}

/// The password beside the root's key, opened as `docs/aws.md` says.
fn password_by_hand(kms: &Kms, site: &Site) -> anyhow::Result<String> {
    let file = std::fs::read_to_string(site.data_folder().join("root/root.key.password"))?;
    let wrapped = file.lines().find_map(|line| line.strip_prefix("password = \"")?.strip_suffix('"'));
    let opened = kms.double.ask(
        "Decrypt",
        json!({
            "KeyId": kms.arn,
            "CiphertextBlob": wrapped.context("a password")?,
            "EncryptionContext": { "cartorio-ca": "root-key" },
        }),
    );
    let opened = opened.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let octets = BASE64_STANDARD.decode(opened["Plaintext"].as_str().context("a text")?)?;
    Ok(String::from_utf8(octets)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_asks_kms_once_and_the_root_s_key_opens_by_a_password_that_kms_wraps() -> anyhow::Result<()> {
    let kms = Kms::start()?;
    let site = kms.initialised()?;
    ensure!(kms.opened() == 0 && kms.double.count("Encrypt").0 == 2, "{:?}", kms.double.asked());
    ensure!(!site.data_folder().join("seal.passphrase").exists(), "no passphrase is made");
    let mut before = Vec::new();
    let mut stack = site.serve()?;
    for start in 1..=3 {
        is_whole(&stack, &mut before).await?;
        ensure!(kms.opened() == start, "{} questions in {start} starts", kms.opened());
        stack = tokio::task::block_in_place(|| stack.stop())?.serve()?;
    }
    let site = tokio::task::block_in_place(|| stack.stop())?;
    tokio::task::block_in_place(|| root_opens(&site, &password_by_hand(&kms, &site)?))?;
    // Moved away, the key takes its password along, and both come back.
    let away = site.work_folder().join("away.key");
    let terminal = Terminal::local_at(&site)?;
    terminal.done(&["authority", "export-root-key", "--out", &away.display().to_string()])?;
    let folder = site.data_folder().join("root");
    ensure!(std::fs::read_dir(&folder)?.count() == 0, "something is left in {}", folder.display());
    for end in ["", ".password"] {
        std::fs::rename(format!("{}{end}", away.display()), folder.join(format!("root.key{end}")))?;
    }
    tokio::task::block_in_place(|| root_opens(&site, &password_by_hand(&kms, &site)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_role_asks_for_the_responders_key_alone() -> anyhow::Result<()> {
    let kms = Kms::start()?;
    let mut site = kms.site()?;
    kms.seals(&mut site);
    site.set("CA__SEAL__RESPONDERS__KEY", &kms.key());
    done(&site, &["init"])?;
    let stack = site.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "status.example.test").await?;
    ensure!(kms.opened() == 2, "one question for each seal");
    let mut site = tokio::task::block_in_place(|| stack.stop())?;
    // It is not even told of the other one.
    site.unset(KEY);
    let stack = site.serve_with(&["--role", "status"])?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    ensure!(kms.opened() == 3, "{}", kms.opened());
    Ok(())
}

#[test]
fn a_start_that_kms_refuses_says_what_helps_and_one_that_must_wait_waits() -> anyhow::Result<()> {
    let kms = Kms::start()?;
    let mut site = kms.initialised()?;
    kms.double.set_state(&kms.arn, KeyState::Disabled);
    refused(
        &site,
        &["serve"],
        &["the keys of authorities do not open", "DisabledException", "aws kms enable-key --key-id"],
    )?;
    kms.double.set_state(&kms.arn, KeyState::PendingDeletion);
    refused(&site, &["serve"], &["KMSInvalidStateException", "aws kms cancel-key-deletion"])?;
    kms.double.set_state(&kms.arn, KeyState::Enabled);
    kms.double.deny("Decrypt");
    refused(
        &site,
        &["serve"],
        &["AccessDeniedException", "kms:Decrypt", "`cartorio-ca` = `authorities`", "docs/aws.md"],
    )?;
    kms.double.allow("Decrypt");
    kms.double.set_credentials_expired(true);
    refused(&site, &["serve"], &["the credentials of this host are wrong or have expired"])?;
    kms.double.set_credentials_expired(false);
    let secret = site.unset("AWS_SECRET_ACCESS_KEY");
    let id = site.unset("AWS_ACCESS_KEY_ID");
    refused(&site, &["serve"], &["see that the host has credentials"])?;
    site.set("AWS_SECRET_ACCESS_KEY", &secret);
    site.set("AWS_ACCESS_KEY_ID", &id);
    let other = kms.double.create_key(KeySpec::SymmetricDefault);
    site.set(KEY, &format!("kms:{other}"));
    refused(&site, &["serve"], &[&format!("sealed by {}", kms.key()), "ca-server reseal"])?;
    site.set(KEY, "kms:alias/ca");
    refused(&site, &["check-config"], &["`CA__SEAL__KEY`", "not the ARN of a KMS key"])?;
    site.set(PASSPHRASE, "a passphrase of the end-to-end tests");
    site.set(KEY, &kms.key());
    refused(&site, &["check-config"], &["both it and `CA__SEAL__PASSPHRASE` are set"])?;
    site.unset(PASSPHRASE);
    done(&site, &["check-config"])?;
    // What passes is waited for.
    kms.double.fail("Decrypt", [Fault::Refuse(400, "ThrottlingException"), Fault::Refuse(500, "KMSInternalException")]);
    site.serve()?.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_passphrase_to_kms_to_a_rotated_key_to_another_key_and_back() -> anyhow::Result<()> {
    const WORDS: &str = "a passphrase of the end-to-end tests";
    let kms = Kms::start()?;
    let mut site = kms.site()?;
    done(&site, &["init"])?;
    let file = site.work_folder().join("seal.passphrase");
    std::fs::write(&file, WORDS)?;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let file = file.display().to_string();
    let mut before = Vec::new();
    tokio::task::block_in_place(|| root_opens(&site, WORDS))?;

    // To KMS. What is configured does not open before it was moved, and nothing is moved by who cannot open it.
    kms.seals(&mut site);
    refused(&site, &["serve"], &["sealed by a passphrase", "ca-server reseal"])?;
    refused(&site, &["reseal"], &["root.key.password is missing", "--from-passphrase-file"])?;
    let said = done(&site, &["reseal", "--from-passphrase-file", &file])?;
    ensure!(said.contains("the keys of authorities, personal data, responders") && said.contains("root.key"), "{said}");
    let asked = kms.opened();
    let stack = site.serve()?;
    is_whole(&stack, &mut before).await?;
    ensure!(kms.opened() == asked + 1);
    let administrator = stack.administrator()?;
    eventually(PATIENCE, "the move is in the audit chain", || async {
        let events = audit_events(&administrator).await?;
        Ok(events.iter().any(|event| event.action == "keys-resealed").then_some(()))
    })
    .await?;
    let mut site = tokio::task::block_in_place(|| stack.stop())?;
    tokio::task::block_in_place(|| root_opens(&site, &password_by_hand(&kms, &site)?))?;

    // Anew, after the key was rotated; then under another key, and the first one is of no use any more.
    kms.double.ask("RotateKeyOnDemand", json!({ "KeyId": kms.arn })).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    done(&site, &["reseal"])?;
    let other = kms.double.create_key(KeySpec::SymmetricDefault);
    site.set(KEY, &format!("kms:{other}"));
    refused(&site, &["reseal"], &["--from"])?;
    done(&site, &["reseal", "--from", &kms.key()])?;
    kms.double.set_state(&kms.arn, KeyState::PendingDeletion);
    let stack = site.serve()?;
    is_whole(&stack, &mut before).await?;
    let mut site = tokio::task::block_in_place(|| stack.stop())?;

    // Back to the passphrase, without a look at KMS from then on.
    site.unset(KEY);
    site.set(PASSPHRASE, WORDS);
    refused(&site, &["serve"], &[&format!("sealed by kms:{other}"), "ca-server reseal"])?;
    done(&site, &["reseal", "--from", &format!("kms:{other}")])?;
    kms.double.set_state(&other, KeyState::PendingDeletion);
    let asked = kms.opened();
    tokio::task::block_in_place(|| root_opens(&site, WORDS))?;
    ensure!(!site.data_folder().join("root/root.key.password").exists(), "what wrapped it is gone");
    let stack = site.serve()?;
    is_whole(&stack, &mut before).await?;
    ensure!(kms.opened() == asked);
    Ok(())
}
