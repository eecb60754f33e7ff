//! PKCS#12 (RFC 7292): key, certificate and chain in one file under a password, as browsers, Java and Windows import them.

use ca_core::hash::sha256;
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKey, PrivateKeyChain,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Rounds of the key derivation, for encryption and MAC alike: whoever has the file may try passwords on either.
pub const ITERATIONS: u32 = 600_000;

/// What such a file holds.
pub struct Pkcs12Contents {
    /// The private key, PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The DER of the key's certificate and of what is above it, issuer first; empty while the key waits for one.
    pub certificates: Vec<Vec<u8>>,
}

/// Makes the file: AES-256 by PBES2, MAC by HMAC-SHA-256, `iterations` rounds each ([`ITERATIONS`]). `name` is what programs list it as;
/// `key` is PKCS#8 DER, `certificates` DER, that of the key first. Takes some tenths of a second of CPU: keep it off the async threads.
pub fn encode(
    name: &str,
    key: &[u8],
    certificates: &[&[u8]],
    password: &str,
    iterations: u32,
) -> Result<Vec<u8>, Pkcs12Error> {
    let failed = |error: p12_keystore::error::Error| Pkcs12Error::Encoding { detail: error.to_string() };
    if password.is_empty() {
        return Err(Pkcs12Error::EmptyPassword);
    }
    let chain = certificates.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
    let private_key = PrivateKey::from_der(key).map_err(failed)?;
    // RFC 7292 leaves localKeyId free; everybody takes a hash that leads from the key to its certificate.
    let local_key_id = certificates.first().map(|der| sha256(der)).unwrap_or_default();
    let chain = PrivateKeyChain::new(&local_key_id[..20], private_key, chain.map_err(failed)?);
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
    store
        .writer(password)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(iterations)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(iterations)
        .write()
        .map_err(failed)
}

/// Reads a file with one key. As slow as [`encode`].
pub fn decode(file: &[u8], password: &str) -> Result<Pkcs12Contents, Pkcs12Error> {
    let unreadable = |detail: &dyn std::fmt::Display| Pkcs12Error::Unreadable { detail: detail.to_string() };
    let archive = Pkcs12Archive::from_pkcs12(file, password).map_err(|error| unreadable(&error))?;
    let [key] = &archive.keys[..] else { return Err(unreadable(&format!("{} keys", archive.keys.len()))) };
    let is_of_key = |id: &Option<Vec<u8>>| match (&key.local_key_id, id) {
        (Some(of_key), Some(of_certificate)) => of_key.as_ref() == of_certificate.as_slice(),
        _ => false,
    };
    let (own, above): (Vec<_>, Vec<_>) = archive.certs.iter().partition(|bag| is_of_key(&bag.local_key_id));
    if own.len() != archive.certs.len().min(1) {
        return Err(unreadable(&"not one certificate of the key"));
    }
    let certificates = own.into_iter().chain(above).map(|bag| bag.cert.as_der().to_vec()).collect();
    Ok(Pkcs12Contents { key: Zeroizing::new(key.key.as_der().to_vec()), certificates })
}

/// Why a file cannot be made or read. Never holds a part of key or password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Pkcs12Error {
    /// There is no password.
    #[error("the password of the PKCS#12 file must not be empty")]
    EmptyPassword,
    /// It cannot be made.
    #[error("the PKCS#12 file: {detail}")]
    Encoding {
        /// What went wrong.
        detail: String,
    },
    /// Another password, or no such file.
    #[error("no PKCS#12 file that this password opens: {detail}")]
    Unreadable {
        /// What went wrong.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use ca_core::key::KeyType;
    use ca_core::pem;

    use super::*;
    use crate::signer::SoftwareSigner;

    fn certificate(text: &str) -> Vec<u8> {
        pem::decode_all("CERTIFICATE", text).expect("PEM").remove(0)
    }

    /// A stranger's certificate stands for the leaf: certificate and key are paired by localKeyId alone.
    #[test]
    fn is_read_back_with_key_and_chain() {
        let (key, _) = SoftwareSigner::generate(KeyType::P256).expect("made");
        let leaf = certificate(include_str!("../../ca-engine/src/fake/contract/testdata/target/one.crt"));
        let above = certificate(include_str!("../../ca-engine/src/fake/contract/testdata/target/ca.crt"));
        for certificates in [&[][..], &[&leaf[..]][..], &[&leaf[..], &above[..]][..]] {
            let file = encode("cliente", key.as_der(), certificates, "correct horse", 1_000).expect("encoded");
            let read = decode(&file, "correct horse").expect("read back");
            assert_eq!(read.key.as_slice(), key.as_der());
            assert_eq!(read.certificates, certificates);
            assert!(matches!(decode(&file, "wrong"), Err(Pkcs12Error::Unreadable { .. })));
            assert!(matches!(decode(&file[1..], "correct horse"), Err(Pkcs12Error::Unreadable { .. })));
        }
    }

    #[test]
    fn the_password_is_never_empty() {
        let (key, _) = SoftwareSigner::generate(KeyType::P256).expect("made");
        assert_eq!(encode("cliente", key.as_der(), &[], "", 1_000), Err(Pkcs12Error::EmptyPassword));
    }
}
