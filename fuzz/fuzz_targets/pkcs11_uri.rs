//! The name of a key in a token, as configuration and the record have it.
#![no_main]

use ca_core::pkcs11_uri::Pkcs11Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(uri) = text.parse::<Pkcs11Uri>() else { return };
    let written = uri.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&uri), "a URI survives being written");
    // A label may read `pin-value`; no attribute may be one.
    let (path, query) = written.split_once('?').unwrap_or((&written, ""));
    let path = path.strip_prefix("pkcs11:").unwrap_or(path);
    let mut attributes = path.split(';').chain(query.split('&'));
    assert!(written.is_ascii() && attributes.all(|attribute| !attribute.starts_with("pin-value=")), "{written}");
    let identity = uri.identity();
    assert!(identity.is_in_same_token(&uri) && !identity.to_string().contains('?'), "the path alone names the key");
});
