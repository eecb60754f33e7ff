//! PKCS#12 (RFC 7292): key, certificate and chain in one file under a password, as browsers, Java and Windows import them.

use ca_core::certificate::Certificate;
use p12_keystore::{EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKeyChain};
use secrecy::{ExposeSecret, SecretString};

use crate::exit::Failure;
use crate::key::PrivateKey;

/// Rounds of the key derivation, for encryption and MAC alike: whoever has the file may try passwords on either.
const ITERATIONS: u32 = 600_000;

/// Makes the file: AES-256 by PBES2, MAC by HMAC-SHA-256. `name` is what programs list it as. Takes some tenths of a second
/// of CPU: keep it off the async threads.
pub(crate) fn encode(
    name: &str,
    key: &PrivateKey,
    certificates: &[Certificate],
    password: &SecretString,
) -> Result<Vec<u8>, Failure> {
    let failed = |error: p12_keystore::error::Error| Failure::Failed(format!("the PKCS#12 file: {error}"));
    if password.expose_secret().is_empty() {
        return Err(Failure::Usage("the password of the PKCS#12 file must not be empty".to_owned()));
    }
    let chain = certificates
        .iter()
        .map(|certificate| p12_keystore::Certificate::from_der(certificate.der()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let private_key = p12_keystore::PrivateKey::from_der(&key.to_pkcs8().map_err(Failure::failed)?).map_err(failed)?;
    // RFC 7292 leaves localKeyId free; everybody takes a hash that leads from the key to its certificate.
    let local_key_id = certificates.first().map(Certificate::fingerprint_sha256).unwrap_or_default();
    let mut store = KeyStore::new();
    store
        .add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(&local_key_id[..20], private_key, chain)));
    store
        .writer(password.expose_secret())
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use ca_core::key::KeyType;
    use p12_keystore::Pkcs12ImportPolicy;

    use super::*;

    #[test]
    fn is_read_back_with_key_and_chain() {
        let key = PrivateKey::generate(KeyType::P256).expect("made");
        let root = Certificate::from_pem(include_str!("testdata/root.pem")).expect("a certificate");
        let password = SecretString::from("correct horse");
        let file = encode("cliente", &key, std::slice::from_ref(&root), &password).expect("encoded");
        // A stranger's certificate stands for the leaf: the reader under test pairs them by localKeyId alone.
        let store = KeyStore::from_pkcs12(&file, "correct horse", Pkcs12ImportPolicy::Relaxed).expect("read back");
        let (name, chain) = store.private_key_chain().expect("a key");
        assert_eq!(name, "cliente");
        assert_eq!(chain.key().as_der(), key.to_pkcs8().expect("encoded").as_slice());
        assert_eq!(chain.certs()[0].as_der(), root.der());
        assert!(KeyStore::from_pkcs12(&file, "wrong", Pkcs12ImportPolicy::Relaxed).is_err());
    }

    #[test]
    fn the_password_is_never_empty() {
        let key = PrivateKey::generate(KeyType::P256).expect("made");
        assert!(matches!(encode("cliente", &key, &[], &SecretString::from("")), Err(Failure::Usage(_))));
    }
}
