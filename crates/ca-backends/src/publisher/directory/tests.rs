//! The contract of publishers, and what only files can do wrong.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use ca_core::crl::{CrlContext, CrlLint, CrlTemplate, CrlWriter};
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::signing::Envelope;
use ca_core::time::Timestamp;
use ca_engine::fake::contract::publisher::{PublisherUnderTest, check_publisher};
use ca_engine::port::signer::Signer;

use super::*;
use crate::signer::SoftwareSigner;

fn tls() -> ListName {
    "tls.crl".parse().expect("the name of a list")
}

/// A signed empty list.
pub(in crate::publisher) async fn list(number: u64) -> ListOctets {
    let (_, signer) = SoftwareSigner::generate(KeyType::P256).expect("a key");
    let issuer = DistinguishedName::from_rfc4514("CN=Example CA").expect("a name");
    let key_identifier = signer.public_key().key_identifier();
    let template = CrlTemplate {
        issuer: issuer.clone(),
        authority_key_identifier: key_identifier.to_vec(),
        signature_algorithm: signer.algorithm(),
        this_update: Timestamp::from_unix_seconds(1_800_000_000),
        next_update: Timestamp::from_unix_seconds(1_800_604_800),
        number,
        base_number: None,
        issuing_distribution_point: None,
        freshest_crl: None,
        expired_certs_on_crl: None,
    };
    let context = CrlContext {
        issuer: &issuer,
        key_identifier: &key_identifier,
        signature_algorithm: signer.algorithm(),
        previous: None,
    };
    let tbs = CrlWriter::new(template).expect("a template").finish().expect("a list");
    let to_be_signed = [tbs.before, tbs.after].concat();
    let mut lint = CrlLint::new(context);
    lint.update(&to_be_signed);
    let linted = lint.finish().expect("faultless");
    let signature = signer.sign(&linted).await.expect("signs");
    let Envelope { before, after } = linted.envelope(&signature).expect("the algorithm named inside");
    [before, to_be_signed, after].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    check_publisher(|| async {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let publisher = DirectoryPublisher::new(folder.path().to_path_buf());
        let reader = publisher.clone();
        PublisherUnderTest {
            publisher: Arc::new(publisher),
            read: Arc::new(move |list| {
                let (path, _keep) = (reader.path(&list), Arc::clone(&folder));
                Box::pin(async move { fs::read(path).ok() })
            }),
        }
    })
    .await;
}

#[tokio::test]
async fn puts_a_list_in_the_place_of_what_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let publisher = DirectoryPublisher::new(folder.path().to_path_buf());
    let path = publisher.path(&tls());
    let list = list(3).await;
    let der = list.to_vec().expect("in memory");
    for damaged in [&b""[..], b"not a list", &der[..der.len() / 2]] {
        fs::write(&path, damaged).expect("written");
        publisher.publish_crl(&tls(), 3, &list).await.expect("published");
        assert_eq!(fs::read(&path).expect("there"), der);
    }
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn replaces_a_link_and_writes_nothing_through_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let publisher = DirectoryPublisher::new(folder.path().to_path_buf());
    let target = folder.path().join("target");
    fs::write(&target, "precious").expect("written");
    symlink(&target, publisher.path(&tls())).expect("linked");
    publisher.publish_crl(&tls(), 1, &list(1).await).await.expect("published");
    assert_eq!(fs::read(&target).expect("there"), b"precious");
}

#[tokio::test]
async fn publishers_of_several_processes_never_turn_a_list_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tasks = Vec::new();
    for number in [7, 2, 9, 1, 8, 3, 6, 4, 5] {
        // A publisher each, as in a process each: all they share is the folder.
        let publisher = DirectoryPublisher::new(folder.path().to_path_buf());
        tasks.push(tokio::spawn(async move { publisher.publish_crl(&tls(), number, &list(number).await).await }));
    }
    for task in tasks {
        task.await.expect("no panic").expect("published");
    }
    let path = DirectoryPublisher::new(folder.path().to_path_buf()).path(&tls());
    assert_eq!(number_in_place(&path).expect("readable"), Some(9));
}

#[tokio::test]
async fn says_which_file_could_not_be_written() {
    let publisher = DirectoryPublisher::new(PathBuf::from("/absent"));
    let error = publisher.publish_crl(&tls(), 1, &list(1).await).await.expect_err("no folder");
    assert!(error.to_string().contains("/absent/tls.crl"), "{error}");
}

#[test]
fn a_file_is_compared_to_its_last_octet() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    assert!(!is_file_of(&path, b"").expect("no file has nothing"));
    for length in [0, 1, 65_536, 200_000] {
        let octets: Vec<u8> = (0..length).map(|number: u32| number.to_le_bytes()[0]).collect();
        fs::write(&path, &octets).expect("written");
        assert!(is_file_of(&path, &octets).expect("read"));
        assert!(!is_file_of(&path, &[&octets[..], b"x"].concat()).expect("read"), "longer");
        if let Some((last, before)) = octets.split_last() {
            assert!(!is_file_of(&path, before).expect("read"), "shorter");
            assert!(!is_file_of(&path, &[before, &[last ^ 1]].concat()).expect("read"), "another end");
        }
    }
}
