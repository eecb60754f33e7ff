//! The contract of targets over a PKCS#12 file, being cut off at every step, and passphrases.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use ca_engine::fake::contract::certificate_target::{Material, TargetUnderTest, check_certificate_target};
use futures::FutureExt;
use tempfile::TempDir;

use super::*;

struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("passphrase"), "correct horse\nanother line\n").expect("written");
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("app.p12")
    }

    /// Of so few rounds that tests do not wait for them.
    fn target(&self) -> Pkcs12Target {
        let target = Pkcs12Target::new(self.file(), self.folder.path().join("passphrase"));
        Pkcs12Target { iterations: 1_000, ..target }
    }
}

async fn current(target: &Pkcs12Target) -> Option<HeldCertificate> {
    target.look(TargetPlace::Current).await.expect("what is there can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    check_certificate_target(|| async {
        let case = Arc::new(Case::new());
        TargetUnderTest {
            target: Arc::new(case.target()),
            another: Arc::new(move || {
                let another: Arc<dyn CertificateTarget> = Arc::new(case.target());
                async move { another }.boxed()
            }),
        }
    })
    .await;
}

#[tokio::test]
async fn cut_off_anywhere_readers_have_a_whole_file_and_beginning_again_ends_well() {
    let mut steps = 0;
    for step in 1.. {
        let case = Case::new();
        let (first, second) = (Material::one(1), Material::two(2));
        let alive = case.target();
        first.rotate(&alive).await.expect("the first");
        let dying = Pkcs12Target { faults: Faults::cut_off_at(step), ..case.target() };
        let done = second.rotate(&dying).await;
        let there = current(&alive).await;
        assert!(there == Some(first.held()) || there == Some(second.held()), "step {step}: {there:?}");
        if done.is_ok() {
            break;
        }
        steps = step;
        if there != Some(second.held()) {
            second.rotate(&alive).await.expect("begun again");
        } else {
            alive.promote(second.staged.rotation).await.expect("promoted again");
        }
        assert_eq!(current(&alive).await, Some(second.held()), "step {step}");
        assert_eq!(alive.look(TargetPlace::Previous).await, Ok(Some(first.held())), "step {step}");
        let versions = fs::read_dir(case.folder.path().join(".app.p12.versions")).expect("versions").count();
        assert_eq!(versions, 2, "step {step}: no key is kept that nobody needs");
    }
    assert!(steps > 15, "every step was cut off: {steps}");
}

#[tokio::test]
async fn the_file_keeps_its_mode_and_is_private_at_first() {
    let case = Case::new();
    let target = case.target();
    Material::one(1).rotate(&target).await.expect("rotates");
    let mode = || fs::metadata(case.file()).expect("a file").mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(case.file(), Permissions::from_mode(0o640)).expect("set");
    Material::two(2).rotate(&target).await.expect("rotates");
    assert_eq!(mode(), 0o640);
}

#[tokio::test]
async fn a_key_never_lies_there_in_clear() {
    let case = Case::new();
    let material = Material::one(1);
    let target = case.target();
    target.stage(&material.staged, &material.key).await.expect("staged");
    let folder = case.folder.path().join(".app.p12.versions").join(material.staged.rotation.to_string());
    // The last octets of a P-256 key are its public point and the scalar before it: some of them are enough to know it by.
    let part = &material.key.as_pkcs8()[40..60];
    for entry in fs::read_dir(folder).expect("a version") {
        let octets = fs::read(entry.expect("a file").path()).expect("read");
        assert!(!octets.windows(part.len()).any(|window| window == part));
    }
}

#[tokio::test]
async fn another_passphrase_is_told_with_what_would_help() {
    let case = Case::new();
    let target = case.target();
    let first = Material::one(1);
    first.rotate(&target).await.expect("rotates");
    let passphrase = case.folder.path().join("passphrase");
    fs::write(&passphrase, "another\n").expect("written");
    let seen = target.look(TargetPlace::Current).await;
    let Err(TargetError::Foreign { detail }) = seen else { panic!("{seen:?}") };
    assert!(detail.contains("move app.p12 away and rotate"), "{detail}");
    assert!(!detail.contains("correct horse"), "{detail}");
    // As it says.
    fs::remove_file(case.file()).expect("moved away");
    let next = Material::two(2);
    next.rotate(&target).await.expect("rotates");
    assert_eq!(current(&target).await, Some(next.held()));
}

#[tokio::test]
async fn without_a_passphrase_nothing_is_written() {
    for text in [None, Some(""), Some("\nsecond line")] {
        let case = Case::new();
        let path = case.folder.path().join("passphrase");
        match text {
            None => fs::remove_file(&path),
            Some(text) => fs::write(&path, text),
        }
        .expect("done");
        let done = Material::one(1).rotate(&case.target()).await;
        let Err(TargetError::Refused { detail }) = done else { panic!("{text:?}: {done:?}") };
        assert!(detail.contains("its first line is the passphrase"), "{detail}");
        assert!(!case.folder.path().join(".app.p12.versions").exists());
    }
}

#[tokio::test]
async fn nothing_of_somebody_else_is_replaced() {
    let case = Case::new();
    let (file, elsewhere) = (case.file(), case.folder.path().join("passphrase"));
    type Put = fn(&Path, &Path);
    let put: [(&str, Put); 3] = [
        ("a folder", |file, _| fs::create_dir(file).expect("a folder")),
        ("a file", |file, _| fs::write(file, "mine").expect("a file")),
        ("a link", |file, elsewhere| symlink(elsewhere, file).expect("a link")),
    ];
    for (what, put) in put {
        put(&file, &elsewhere);
        let done = Material::one(1).rotate(&case.target()).await;
        let Err(TargetError::Foreign { detail }) = done else { panic!("{what}: {done:?}") };
        assert!(detail.contains("move it away"), "{detail}");
        let kind = file.symlink_metadata().expect("still there").file_type();
        if kind.is_dir() { fs::remove_dir(&file) } else { fs::remove_file(&file) }.expect("it was left alone");
    }
}
