//! The proof that a stranger sends to renew a certificate that has ended: a JWS in the compact serialization.
#![no_main]

use ca_core::key::PublicKey;
use ca_core::renewal_proof::RenewalProof;
use ca_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(proof) = RenewalProof::parse(text) {
        let _ = proof.check_age(Timestamp::from_unix_seconds(1_795_176_000));
        // The certificate is as strange as the rest; a key that could be read from it is used.
        if let Ok(certificate) = ca_core::certificate::Certificate::from_der(proof.certificate()) {
            let key: &PublicKey = certificate.public_key();
            let _ = proof.verify(key);
        }
    }
});
