//! Over SoftHSM, which others wrote. A module is initialised once in a process and told by the environment where its tokens are, so
//! every test runs in a process of its own, with a folder of tokens of its own.

mod faults;
mod keys;
mod outage;

use std::path::PathBuf;
use std::process::Command;

use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_core::signing::{Message, Signable as _};
use ca_engine::fake::contract::signer::message;
use ca_engine::port::signer::{Signer as _, SignerError};
use ca_test_services::SoftHsm;

use super::{ModulePlace, PinSource, Pkcs11Signer, Pkcs11Tokens, TokenSettings};

/// Tells a process which test it is to run.
const ALONE: &str = "CARTORIO_TEST_ALONE";

/// Runs a test again in a process of its own, or, when this is that process, its body.
#[expect(clippy::disallowed_methods, reason = "a test that starts itself anew is told so by the environment")]
fn alone<F: Future<Output = ()>>(test: &str, body: impl FnOnce(SoftHsm) -> F) {
    if let Some(folder) = std::env::var_os(ALONE) {
        let hsm = SoftHsm::in_folder(PathBuf::from(folder));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        return runtime.block_on(body(hsm));
    }
    let hsm = SoftHsm::with_token("hsm").expect("a token");
    let path = format!("signer::pkcs11::tests::{test}");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &path, "--nocapture"])
        .env(ALONE, hsm.folder())
        .env(SoftHsm::VARIABLE, hsm.configuration())
        .output()
        .expect("this program again");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    // A name that is spelled wrong would run no test, and fail none.
    assert!(output.status.success() && said.contains("1 passed"), "{path}: {said}{failed}");
}

fn uri(text: &str) -> Pkcs11Uri {
    text.parse().expect(text)
}

fn settings(hsm: &SoftHsm) -> TokenSettings {
    TokenSettings {
        configured_as: "pkcs11.hsm".to_owned(),
        module: ModulePlace::File(PathBuf::from(SoftHsm::MODULE)),
        module_arguments: None,
        pin: PinSource::File(hsm.pin_file()),
        sessions: 2,
    }
}

/// Signs a message and judges the signature.
async fn sign(signer: &Pkcs11Signer, message: &[u8]) -> Result<(), SignerError> {
    let signature = signer.sign_message(Message::Whole(message)).await?;
    assert_eq!(signature.algorithm, signer.algorithm());
    signer.public_key().verify(signature.algorithm, message, &signature.octets).expect("its own signature");
    Ok(())
}

/// What an error says, after it was told apart.
fn refusal(error: SignerError) -> String {
    match error {
        SignerError::Refused { detail } => detail,
        other => panic!("not refused: {other}"),
    }
}

fn absence(error: SignerError) -> String {
    match error {
        SignerError::Unavailable { detail } => detail,
        other => panic!("not unavailable: {other}"),
    }
}

/// A key of another type than any that a test makes in a token, and one of the same.
fn key_of(key_type: KeyType) -> ca_core::key::PublicKey {
    let (_, signer) = crate::signer::SoftwareSigner::generate(key_type).expect("a key");
    signer.public_key().clone()
}
