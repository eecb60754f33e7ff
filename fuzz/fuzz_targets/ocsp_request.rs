//! An OCSP request as a stranger sends it: the body of a POST, or the path of a GET.
#![no_main]

use ca_core::ocsp::{decode_get_path, encode_get_path, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(parsed) = request::parse(data) {
        let again = request::parse(&request::encode(&parsed.certificates, None)).expect("what we write we can read");
        assert_eq!(again.certificates, parsed.certificates, "CertIDs are kept byte for byte");
        assert_eq!(decode_get_path(&encode_get_path(data)).as_deref(), Ok(data), "a request survives the path of a GET");
    }
    if let Ok(path) = std::str::from_utf8(data)
        && let Ok(der) = decode_get_path(path)
    {
        let _ = request::parse(&der);
    }
});
