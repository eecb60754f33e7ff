//! A distinguished name, as DER and as an RFC 4514 string.
#![no_main]

use ca_core::name::DistinguishedName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(name) = DistinguishedName::from_der(data) {
        assert_eq!(name.as_der(), data, "a name is kept byte for byte");
        let text = name.to_exact_rfc4514();
        let again = DistinguishedName::from_rfc4514(&text).expect("the exact text can be read");
        assert_eq!(again.as_der(), data, "the exact text gives the same octets: {text}");
        judge(&name);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = DistinguishedName::from_rfc4514(text)
    {
        let again = DistinguishedName::from_der(name.as_der()).expect("what was built can be read");
        assert_eq!(again, name);
        judge(&name);
    }
});

fn judge(name: &DistinguishedName) {
    assert!(name.matches(name), "a name is the same as itself");
    assert!(name.is_within(name), "a name is within itself");
    assert!(name.is_within(&DistinguishedName::empty()), "every name is within the empty one");
    let _ = name.attribute_faults();
    let readable = name.to_rfc4514();
    assert_eq!(readable.is_empty(), name.is_empty(), "only the empty name is written as nothing");
}
