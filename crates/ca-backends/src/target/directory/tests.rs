//! The contract of targets, and what only files can do wrong: being cut off at every step, and being edited by hand.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_engine::fake::contract::certificate_target::{Material, TargetUnderTest, check_certificate_target};
use futures::FutureExt;
use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("app");
    (folder, link)
}

async fn current(target: &DirectoryTarget) -> Option<HeldCertificate> {
    target.look(TargetPlace::Current).await.expect("what is there can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    check_certificate_target(|| async {
        let (folder, link) = folder();
        let folder = Arc::new(folder);
        TargetUnderTest {
            target: Arc::new(DirectoryTarget::new(link.clone())),
            another: Arc::new(move || {
                let _kept = folder.clone();
                let another: Arc<dyn CertificateTarget> = Arc::new(DirectoryTarget::new(link.clone()));
                async move { another }.boxed()
            }),
        }
    })
    .await;
}

/// Before and after everything that changes the disk: whatever was done, readers have one whole version, and beginning again ends
/// well.
#[tokio::test]
async fn cut_off_anywhere_readers_have_a_whole_version_and_beginning_again_ends_well() {
    let mut steps = 0;
    for step in 1.. {
        let (_folder, link) = folder();
        let (first, second) = (Material::one(1), Material::two(2));
        first.rotate(&DirectoryTarget::new(link.clone())).await.expect("the first");
        let dying = DirectoryTarget { link: link.clone(), faults: Faults::cut_off_at(step) };
        let done = second.rotate(&dying).await;
        let alive = DirectoryTarget::new(link.clone());
        let there = current(&alive).await;
        assert!(there == Some(first.held()) || there == Some(second.held()), "step {step}: {there:?}");
        if done.is_ok() {
            break;
        }
        steps = step;
        // As whoever comes next goes on: what is current already is not begun again.
        if there != Some(second.held()) {
            if let Some(staged) = alive.staged().await.expect("can be read") {
                assert!([&first.staged, &second.staged].contains(&&staged), "step {step}");
            }
            second.rotate(&alive).await.expect("begun again");
        } else {
            alive.promote(second.staged.rotation).await.expect("promoted again");
        }
        assert_eq!(current(&alive).await, Some(second.held()), "step {step}");
        let previous = alive.look(TargetPlace::Previous).await.expect("can be read");
        assert_eq!(previous, Some(first.held()), "step {step}");
        assert_eq!(alive.staged().await, Ok(None), "step {step}");
        let versions = fs::read_dir(link.with_file_name(".app.versions")).expect("versions").count();
        assert_eq!(versions, 2, "step {step}: no key is kept that nobody needs");
    }
    assert!(steps > 20, "every step was cut off: {steps}");
}

#[tokio::test]
async fn files_keep_the_mode_of_those_before_and_a_key_is_private_at_first() {
    let (_folder, link) = folder();
    let target = DirectoryTarget::new(link.clone());
    Material::one(1).rotate(&target).await.expect("rotates");
    let mode = |name: &str| fs::metadata(link.join(name)).expect("a file").mode() & 0o777;
    assert_eq!((mode("key.pem"), mode("certificate.pem"), mode("fullchain.pem")), (0o600, 0o644, 0o644));
    fs::set_permissions(link.join("key.pem"), Permissions::from_mode(0o640)).expect("set");
    fs::set_permissions(link.join("chain.pem"), Permissions::from_mode(0o444)).expect("set");
    Material::two(2).rotate(&target).await.expect("rotates");
    assert_eq!((mode("key.pem"), mode("chain.pem"), mode("certificate.pem")), (0o640, 0o444, 0o644));
}

#[tokio::test]
async fn files_are_pem_that_others_read() {
    let (_folder, link) = folder();
    let material = Material::one(1);
    material.rotate(&DirectoryTarget::new(link.clone())).await.expect("rotates");
    let read = |name: &str| fs::read_to_string(link.join(name)).expect("a file");
    assert_eq!(read("fullchain.pem"), format!("{}{}", read("certificate.pem"), read("chain.pem")));
    let certificate = Certificate::from_pem(&read("certificate.pem")).expect("a certificate");
    assert_eq!(certificate.der(), material.certificate);
    assert!(read("key.pem").starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[tokio::test]
async fn what_somebody_edited_is_told_and_the_next_rotation_puts_it_right() {
    for (name, text) in [
        ("key.pem", "nonsense"),
        ("key.pem", include_str!("../../../../ca-engine/src/fake/contract/testdata/target/two.csr")),
        ("certificate.pem", "nonsense"),
        ("chain.pem", "nonsense"),
        ("fullchain.pem", "nonsense"),
    ] {
        let (_folder, link) = folder();
        let target = DirectoryTarget::new(link.clone());
        Material::one(1).rotate(&target).await.expect("rotates");
        fs::write(link.join(name), text).expect("edited");
        let seen = target.look(TargetPlace::Current).await;
        let Err(TargetError::Foreign { detail }) = seen else { panic!("{name}: {seen:?}") };
        assert!(detail.contains(name) && detail.contains("somebody changed it"), "{detail}");
        let next = Material::two(2);
        next.rotate(&target).await.expect("rotates");
        assert_eq!(current(&target).await, Some(next.held()));
    }
}

#[tokio::test]
async fn nothing_of_somebody_else_is_replaced() {
    let (folder, link) = folder();
    let target = DirectoryTarget::new(link.clone());
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    type Put = fn(&Path, &Path);
    let put: [(&str, Put); 3] = [
        ("a folder", |link, _| fs::create_dir(link).expect("a folder")),
        ("a file", |link, _| fs::write(link, "mine").expect("a file")),
        ("a link", |link, elsewhere| symlink(elsewhere, link).expect("a link")),
    ];
    for (what, put) in put {
        put(&link, &elsewhere);
        let done = Material::one(1).rotate(&target).await;
        let Err(TargetError::Foreign { detail }) = done else { panic!("{what}: {done:?}") };
        assert!(detail.contains("move it away"), "{detail}");
        let kind = link.symlink_metadata().expect("still there").file_type();
        if kind.is_dir() { fs::remove_dir(&link) } else { fs::remove_file(&link) }.expect("it was left alone");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused() {
    for path in ["/nonexistent/folder/app", "/", "/tmp/.hidden"] {
        let done = DirectoryTarget::new(path.into()).look(TargetPlace::Current).await;
        assert!(matches!(done, Err(TargetError::Refused { .. })), "{path}: {done:?}");
    }
}
