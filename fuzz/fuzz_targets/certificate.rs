//! A certificate as `verify` and TLS get it from others: DER, or PEM that holds a chain.
#![no_main]

use ca_core::certificate::Certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.der(), data, "a certificate is kept byte for byte");
        assert_eq!(Certificate::from_pem(&certificate.to_pem()).map(|again| again.der().to_vec()), Ok(data.to_vec()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Certificate::all_from_pem(text);
    }
});
