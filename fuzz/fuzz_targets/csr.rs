//! A certificate signing request as a stranger sends it: DER, or text that holds PEM.
#![no_main]

use ca_core::csr::ParsedCsr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(csr) = ParsedCsr::from_der(data) {
        assert_eq!(csr.der(), data, "a request is kept byte for byte");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(csr) = ParsedCsr::from_pem(text)
    {
        ParsedCsr::from_der(csr.der()).expect("what was read from PEM can be read from DER");
    }
});
