//! An OCSP response as `verify` gets it from a responder that it does not trust yet.
#![no_main]

use ca_core::ocsp::ParsedResponse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = ParsedResponse::from_der(data);
});
