//! A profile as an operator writes it.
#![no_main]

use ca_core::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Profile::from_toml(text) {
        Ok(profile) => {
            assert!(!profile.key_types().is_empty(), "a profile takes some key");
            assert!(profile.default_validity() <= profile.maximum_validity(), "the default is within what may be asked for");
        }
        Err(faults) => assert!(!faults.to_string().is_empty(), "a refusal says why"),
    }
});
