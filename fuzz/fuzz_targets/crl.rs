//! A certificate revocation list as `verify` gets it: DER, or PEM that holds several.
#![no_main]

use ca_core::crl::ParsedCrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(crl) = ParsedCrl::from_der(data.to_vec()) {
        assert_eq!(crl.as_der(), data, "a list is kept byte for byte");
        assert!(crl.entries().count() as u64 <= crl.entry_count(), "nothing is read that was not counted");
        if let Some(entry) = crl.entries().last() {
            assert!(crl.find(&entry.serial).is_some(), "an entry can be found by its serial");
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ParsedCrl::all_from_pem(text);
    }
});
