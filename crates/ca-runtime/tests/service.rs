//! A whole service in a folder, opened as the programs open it, and looked at with openssl, which must be installed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use ca_core::id::AuthorityId;
use ca_core::principal::{Principal, Role};
use ca_engine::error::FlowErrorKind;
use ca_engine::flow::sequence_audit::verify_chain;
use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::config::Config;
use ca_runtime::hierarchy::{InitError, Progress};
use ca_runtime::key_export::ExportError;
use ca_runtime::local::{Local, LocalError, open_local};
use ca_runtime::lock::LockError;
use ca_runtime::open::SealSourceFault;
use ca_runtime::open::{OpenError, Purpose, Runtime};
use ca_runtime::root_key::RootKeyError;
use ca_runtime::seal::{Passphrase, PassphraseError, SealError};

/// Small keys: the default ones take seconds each.
fn environment() -> Vec<(String, String)> {
    [
        ("CA__AUTHORITY__ROOT__KEY", "software:p256"),
        ("CA__AUTHORITY__DOCUMENT__KEY", "software:p384"),
        ("CA__PUBLIC__BASE_URL", "http://pki.example.org"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

struct Folder {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("pki");
    Folder { _parent: parent, path }
}

impl Folder {
    async fn open(&self) -> Local {
        open_local(&self.path, &environment(), &|_| {}).await.expect("opens")
    }

    fn config(&self) -> Config {
        Config::load_folder(&self.path, &environment()).expect("no fault")
    }

    async fn refused(&self, purpose: Purpose) -> OpenError {
        Runtime::open(self.config(), purpose).await.map(|_| ()).expect_err("refused")
    }
}

fn id(text: &str) -> AuthorityId {
    text.parse().expect("an authority id")
}

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed")
}

/// What openssl prints, when it succeeds.
fn openssl_says(folder: &Path, arguments: &[&str]) -> String {
    let output = openssl(folder, arguments);
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn write_certificate(folder: &Path, name: &str, der: &[u8]) {
    fs::write(folder.join(name), ca_core::pem::encode("CERTIFICATE", der)).expect("written");
}

#[tokio::test]
async fn first_use_makes_a_hierarchy_that_openssl_accepts() {
    let folder = folder();
    let told = Mutex::new(Vec::new());
    let tell = |progress: Progress| told.lock().expect("not poisoned").push(format!("{progress:?}"));
    let Local { runtime, made } = open_local(&folder.path, &environment(), &tell).await.expect("made");
    assert_eq!(made, [id("root"), id("tls"), id("document")]);
    assert_eq!(told.lock().expect("not poisoned").len(), 6);

    for (file, mode) in
        [("config.toml", 0o600), ("ca.db", 0o600), ("seal.passphrase", 0o600), ("root/root.key", 0o600), ("", 0o700)]
    {
        let found = fs::metadata(folder.path.join(file)).expect(file).mode() & 0o7777;
        assert_eq!(found, mode, "{file}");
    }
    let hierarchy = runtime.engine.hierarchy();
    for authority in hierarchy.authorities() {
        write_certificate(&folder.path, &format!("{}.pem", authority.id()), authority.certificate().der());
        let crl = folder.path.join(format!("crl/{}.crl", authority.id()));
        let text = openssl_says(
            &folder.path,
            &["crl", "-inform", "DER", "-in", &crl.display().to_string(), "-noout", "-crlnumber"],
        );
        assert!(text.starts_with("crlNumber=0x"), "{text}");
        let responder = hierarchy.responder(authority.id(), runtime.engine.now()).expect("a responder");
        write_certificate(&folder.path, &format!("{}-responder.pem", authority.id()), responder.certificate_der());
    }
    for arguments in [
        &["verify", "-x509_strict", "-CAfile", "root.pem", "tls.pem", "document.pem"][..],
        &["verify", "-x509_strict", "-CAfile", "root.pem", "root-responder.pem"],
        &["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "tls.pem", "tls-responder.pem"],
        &["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "document.pem", "document-responder.pem"],
    ] {
        openssl_says(&folder.path, arguments);
    }
    assert!(!runtime.engine.authority(&id("root")).expect("there").can_sign(), "its key has left the memory");
    assert!(runtime.engine.authority(&id("tls")).expect("there").can_sign());
}

#[tokio::test]
async fn openssl_opens_the_root_s_key_with_the_seal_s_passphrase() {
    let folder = folder();
    let runtime = folder.open().await.runtime;
    let root = runtime.engine.authority(&id("root")).expect("there");
    write_certificate(&folder.path, "root.pem", root.certificate().der());
    let of_key =
        openssl_says(&folder.path, &["pkey", "-in", "root/root.key", "-passin", "file:seal.passphrase", "-pubout"]);
    let of_certificate = openssl_says(&folder.path, &["x509", "-in", "root.pem", "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate);
    assert!(
        !openssl(&folder.path, &["pkey", "-in", "root/root.key", "-passin", "pass:battery staple"]).status.success()
    );
}

#[tokio::test]
async fn later_uses_find_everything_and_make_nothing() {
    let folder = folder();
    let first = folder.open().await;
    let before = first.runtime.engine.authority(&id("tls")).expect("there").certificate().der().to_vec();
    first.runtime.settle().await.expect("settles");
    let report = verify_chain(&first.runtime.engine, |_| {}).await.expect("a chain");
    assert!(report.fault.is_none() && report.pending == 0 && report.events > 6, "{report:?}");
    first.runtime.close().await;
    drop(first);

    let again = folder.open().await;
    assert!(again.made.is_empty());
    assert_eq!(again.runtime.engine.authority(&id("tls")).expect("there").certificate().der(), before);
    let status = folder.config().status;
    assert_eq!(again.runtime.config.status, status);
}

#[tokio::test]
async fn one_at_a_time_and_the_other_is_named() {
    let folder = folder();
    let _local = folder.open().await;
    for purpose in [Purpose::Serve, Purpose::Job, Purpose::Administer, Purpose::Initialise] {
        let error = folder.refused(purpose).await;
        assert!(matches!(error, OpenError::Lock(LockError::Held { .. })), "{error}");
        assert!(error.to_string().contains("ca-cli --local, process"), "{error}");
    }
}

#[tokio::test]
async fn one_server_with_jobs_beside_it() {
    let folder = folder();
    drop(folder.open().await);
    let _server = Runtime::open(folder.config(), Purpose::Serve).await.expect("opens");
    let _job = Runtime::open(folder.config(), Purpose::Job).await.expect("opens");
    for purpose in [Purpose::Develop, Purpose::ServeStatus] {
        let error = folder.refused(purpose).await;
        assert!(error.to_string().contains("ca-server serve, process"), "{error}");
    }
    let error = open_local(&folder.path, &environment(), &|_| {}).await.map(|_| ()).expect_err("held");
    assert!(matches!(error, LocalError::Open(OpenError::Lock(_))), "{error}");
}

#[tokio::test]
async fn servers_make_no_keys() {
    let folder = folder();
    let error = folder.refused(Purpose::Serve).await;
    assert!(matches!(error, OpenError::Database(_)), "{error}");
    assert!(error.to_string().contains("ca-server init"), "{error}");
    assert!(!folder.path.join("seal.passphrase").exists());
    // An operator who runs `init` gives the passphrase.
    let error = folder.refused(Purpose::Initialise).await;
    assert!(
        matches!(error, OpenError::SealSource(SealSourceFault::Passphrase(PassphraseError::Missing { .. }))),
        "{error}"
    );
    let error = folder.refused(Purpose::Serve).await;
    assert!(
        matches!(error, OpenError::SealSource(SealSourceFault::Passphrase(PassphraseError::Missing { .. }))),
        "{error}"
    );
    fs::write(folder.path.join("seal.passphrase"), "correct horse\n").expect("written");
    let error = folder.refused(Purpose::Serve).await;
    assert!(matches!(error, OpenError::Seal(SealError::NotInitialised)), "{error}");
    let runtime = Runtime::open(folder.config(), Purpose::Initialise).await.expect("opens");
    assert_eq!(runtime.init_hierarchy(&|_| {}).await.expect("made").len(), 3);
}

#[tokio::test]
async fn a_lost_or_wrong_passphrase_is_said_to_be_so() {
    let folder = folder();
    drop(folder.open().await);
    let file = folder.path.join("seal.passphrase");
    let right = fs::read(&file).expect("there");
    fs::write(&file, "battery staple\n").expect("written");
    let error = folder.refused(Purpose::Local).await;
    assert!(matches!(error, OpenError::Seal(SealError::WrongPassphrase { .. })), "{error}");
    assert!(error.to_string().contains("seal.passphrase"), "{error}");
    // Never another one in the place of one that is missing.
    fs::remove_file(&file).expect("removed");
    let error = folder.refused(Purpose::Local).await;
    assert!(
        matches!(error, OpenError::SealSource(SealSourceFault::Passphrase(PassphraseError::Missing { .. }))),
        "{error}"
    );
    fs::write(&file, right).expect("written");
    drop(folder.open().await);
}

#[tokio::test]
async fn the_status_role_holds_no_authority_s_key() {
    let folder = folder();
    let mut environment = environment();
    environment.push(("CA__SEAL__RESPONDERS__PASSPHRASE".to_owned(), "battery staple".to_owned()));
    drop(open_local(&folder.path, &environment, &|_| {}).await.expect("made"));
    // What a status host is given: the database and the responders' passphrase.
    fs::remove_file(folder.path.join("seal.passphrase")).expect("removed");
    let config = Config::load_folder(&folder.path, &environment).expect("no fault");
    let status = Runtime::open(config, Purpose::ServeStatus).await.expect("opens");
    for authority in status.engine.hierarchy().authorities() {
        assert!(!authority.can_sign(), "{}", authority.id());
        assert!(status.engine.hierarchy().responder(authority.id(), status.engine.now()).is_some());
    }
    assert!(matches!(status.refresh_root().await, Err(InitError::NoRootKey)));
}

#[tokio::test]
async fn the_first_administrator_gets_a_role_and_what_the_command_line_needs() {
    let folder = folder();
    let runtime = folder.open().await.runtime;
    let url = api_url(&runtime.config);
    assert_eq!(url, "https://localhost:8443");
    let made =
        runtime.make_first_administrator(AdministratorKey::MadeHere, &url).await.expect("made").expect("the first");
    let roles = runtime.engine.store().roles(made.certificate).await.expect("a store");
    assert_eq!(roles, [Role::Administrator]);
    assert_eq!(runtime.make_first_administrator(AdministratorKey::MadeHere, &url).await.expect("no fault"), None);

    let admin = folder.path.join("admin");
    assert_eq!(fs::metadata(admin.join("admin.key")).expect("there").mode() & 0o7777, 0o600);
    openssl_says(
        &admin,
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            "ca.crt",
            "-untrusted",
            "admin.crt",
            "admin.crt",
        ],
    );
    let of_key = openssl_says(&admin, &["pkey", "-in", "admin.key", "-pubout"]);
    assert_eq!(of_key, openssl_says(&admin, &["x509", "-in", "admin.crt", "-noout", "-pubkey"]));
    let settings: toml::Table = fs::read_to_string(made.settings_file).expect("there").parse().expect("TOML");
    let text = |key: &str| settings[key].as_str().expect(key).to_owned();
    assert_eq!(["url", "root", "certificate", "key"].map(text), [url.as_str(), "ca.crt", "admin.crt", "admin.key"]);
}

#[tokio::test]
async fn a_reset_leaves_one_administrator_who_may_bring_a_csr() {
    let folder = folder();
    let runtime = folder.open().await.runtime;
    let first =
        runtime.make_first_administrator(AdministratorKey::MadeHere, "https://ca").await.expect("made").expect("first");
    openssl_says(
        &folder.path,
        &["req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "mine.key", "-subj", "/CN=Ana", "-out", "mine.csr"],
    );
    let csr = fs::read_to_string(folder.path.join("mine.csr")).expect("there");
    fs::remove_file(folder.path.join("admin/admin.key")).expect("removed");
    let second = runtime.reset_administrator(AdministratorKey::OfCsr(&csr), "https://ca").await.expect("reset");
    assert!(!folder.path.join("admin/admin.key").exists(), "their key is theirs");
    let store = runtime.engine.store();
    assert!(store.roles(first.certificate).await.expect("a store").is_empty());
    assert_eq!(store.roles(second.certificate).await.expect("a store"), [Role::Administrator]);
    let subject = openssl_says(&folder.path, &["x509", "-in", "admin/admin.crt", "-noout", "-subject"]);
    assert!(subject.contains("Ana"), "{subject}");
    let error =
        runtime.reset_administrator(AdministratorKey::OfCsr("nonsense"), "https://ca").await.expect_err("no CSR");
    assert!(error.to_string().contains("CSR"), "{error}");
}

#[tokio::test]
async fn an_exported_key_opens_with_openssl_and_is_on_the_audit_record() {
    let folder = folder();
    let runtime = folder.open().await.runtime;
    let passphrase = Passphrase::new("correct horse", "the test".to_owned()).expect("long enough");
    let pem = runtime.export_key(&Principal::LocalOperator, &id("tls"), &passphrase).await.expect("exported");
    fs::write(folder.path.join("tls.key"), pem.as_bytes()).expect("written");
    let tls = runtime.engine.authority(&id("tls")).expect("there");
    write_certificate(&folder.path, "tls.pem", tls.certificate().der());
    let of_key = openssl_says(&folder.path, &["pkey", "-in", "tls.key", "-passin", "pass:correct horse", "-pubout"]);
    assert_eq!(of_key, openssl_says(&folder.path, &["x509", "-in", "tls.pem", "-noout", "-pubkey"]));
    let scheme = openssl_says(&folder.path, &["asn1parse", "-in", "tls.key"]);
    for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", ":0927C0"] {
        assert!(scheme.contains(part), "{part}: {scheme}");
    }

    let refused = runtime.export_key(&Principal::Anonymous, &id("tls"), &passphrase).await.map(|_| ());
    assert!(matches!(refused, Err(ExportError::Flow(error)) if error.kind == FlowErrorKind::AuthenticationRequired));
    let refused = runtime.export_key(&Principal::LocalOperator, &id("root"), &passphrase).await.map(|_| ());
    assert!(matches!(refused, Err(ExportError::InAFile { .. })));

    runtime.settle().await.expect("settles");
    let filter =
        ca_engine::port::store::EventFilter { action: Some("authority-key-exported".to_owned()), ..Default::default() };
    assert_eq!(runtime.engine.store().events_after(0, &filter, 10).await.expect("a store").len(), 1);
}

#[tokio::test]
async fn the_root_s_key_moves_away_and_comes_back_for_its_ceremony() {
    let folder = folder();
    let runtime = folder.open().await.runtime;
    let stick = folder.path.with_file_name("stick.key");
    runtime.export_root_key(&Principal::LocalOperator, &stick).await.expect("moved");
    assert!(!folder.path.join("root/root.key").exists());
    openssl_says(
        &folder.path,
        &["pkey", "-in", &stick.display().to_string(), "-passin", "file:seal.passphrase", "-noout"],
    );
    let error = runtime.refresh_root().await.expect_err("offline");
    assert!(matches!(error, InitError::RootKey(RootKeyError::Offline { .. })), "{error}");
    drop(runtime);
    let runtime = folder.open().await.runtime;
    assert!(runtime.engine.authority(&id("tls")).expect("there").can_sign(), "nothing else needs it");

    fs::rename(&stick, folder.path.join("root/root.key")).expect("put back");
    runtime.refresh_root().await.expect("a ceremony");
    let crl = runtime.engine.store().published_crl(&id("root")).await.expect("a store").expect("there");
    assert_eq!(crl.intent.number, 2);
    assert!(!runtime.engine.authority(&id("root")).expect("there").can_sign());
}

#[tokio::test]
async fn an_interrupted_set_up_is_finished_with_its_root() {
    let folder = folder();
    // Interrupted after the root's key was made: the file is there, the record is empty.
    let runtime = Runtime::open(folder.config(), Purpose::Local).await.expect("opens");
    runtime.close().await;
    drop(runtime);
    let first = folder.open().await;
    let key = fs::read(folder.path.join("root/root.key")).expect("there");
    drop(first);
    for file in ["ca.db", "ca.db-wal", "ca.db-shm"] {
        if folder.path.join(file).exists() {
            fs::remove_file(folder.path.join(file)).expect("removed");
        }
    }
    let again = folder.open().await;
    assert_eq!(again.made.len(), 3);
    assert_eq!(fs::read(folder.path.join("root/root.key")).expect("there"), key);
}

#[tokio::test]
async fn a_folder_that_others_may_write_is_refused() {
    let folder = folder();
    drop(folder.open().await);
    fs::set_permissions(&folder.path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    let error = folder.refused(Purpose::Serve).await;
    assert!(error.to_string().contains("others may write"), "{error}");
}

#[tokio::test]
async fn development_issues_for_a_week_at_most() {
    let folder = folder();
    let config = folder.config().for_development("/here".into()).expect("loopback");
    let runtime = Runtime::open(config, Purpose::Develop).await.expect("opens");
    let server = &runtime.engine.profiles()[&"server".parse().expect("a name")];
    assert_eq!(server.maximum_validity(), ca_runtime::profiles::DEVELOPMENT_LIMIT);
}
