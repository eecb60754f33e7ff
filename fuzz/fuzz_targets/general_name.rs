//! A subject alternative name, as DER and as the text that `--san` takes.
#![no_main]

use ca_core::name::GeneralName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(name) = GeneralName::from_der(data) {
        judge(&name);
    }
    if let Ok(names) = GeneralName::decode_all(data) {
        names.iter().for_each(judge);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = GeneralName::parse(text)
    {
        judge(&name);
    }
});

fn judge(name: &GeneralName) {
    assert_eq!(GeneralName::from_der(&name.to_der()).as_ref(), Ok(name), "a name survives DER");
    let again = GeneralName::from_type_and_value(name.type_name(), &name.value_text());
    assert_eq!(again.as_ref(), Ok(name), "a name survives text");
}
