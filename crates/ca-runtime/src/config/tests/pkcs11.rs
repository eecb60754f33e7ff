//! Keys in tokens, and the ways to them.

use std::path::{Path, PathBuf};

use ca_backends::signer::pkcs11::{ModulePlace, PinSource};
use ca_core::key::KeyType;

use super::{check, check_with, faults};
use crate::config::{Config, KeyPlan};

const TLS: &str = "[authority.tls]\nkey = \"pkcs11:token=My%20HSM;object=tls-ca\"\n";

fn token_of(config: &Config) -> ca_backends::signer::pkcs11::TokenSettings {
    let KeyPlan::Token { uri, .. } = &config.authorities.tls.key else { panic!("{:?}", config.authorities.tls.key) };
    config.pkcs11.settings_of(uri).expect("judged when it was read")
}

#[test]
fn a_table_says_how_a_token_is_reached() {
    let config = check(&format!(
        "data_dir = \"/srv/ca\"\n{TLS}key_type = \"p384\"\n[pkcs11.hsm-1]\ntoken = \"My HSM\"\nmodule = \"/opt/hsm/lib.so\"\n\
         module_arguments = \"connector=http://127.0.0.1:12345\"\npin_file = \"hsm.pin\"\nsessions = 16"
    ))
    .expect("no fault");
    let KeyPlan::Token { uri, make } = &config.authorities.tls.key else { panic!("not in a token") };
    assert_eq!((uri.to_string().as_str(), *make), ("pkcs11:token=My%20HSM;object=tls-ca", Some(KeyType::P384)));
    let token = token_of(&config);
    assert_eq!(token.configured_as, "pkcs11.hsm-1");
    assert_eq!(token.module, ModulePlace::File(PathBuf::from("/opt/hsm/lib.so")));
    assert_eq!(token.module_arguments.as_deref(), Some("connector=http://127.0.0.1:12345"));
    assert_eq!(token.pin, PinSource::File(Path::new("/srv/ca/hsm.pin").to_path_buf()));
    assert_eq!(token.sessions, 16);
}

#[test]
fn a_uri_says_it_where_no_table_does_and_the_environment_gives_the_pin() {
    let with_query =
        "[authority.tls]\nkey = \"pkcs11:token=hsm;object=k?module-name=softhsm2&pin-source=file:/etc/pin\"\n";
    let token = token_of(&check(with_query).expect("no fault"));
    assert_eq!(token.module, ModulePlace::Named { folder: None, name: "softhsm2".to_owned() });
    assert_eq!((token.pin, token.sessions), (PinSource::File(PathBuf::from("/etc/pin")), 4));
    // A key in the same token, of which the URI says nothing.
    let two = format!("{with_query}[authority.document]\nkey = \"pkcs11:token=hsm;object=document\"\n");
    check(&two).expect("what one says holds for both");
    let config = check_with(with_query, &[("CA__PKCS11__HSM__PIN", "s3cr3t"), ("CA__PKCS11__HSM__SESSIONS", "2")]);
    let config = config.expect("a table's name is the token's label when it says none");
    let token = token_of(&config);
    let PinSource::Environment { variable, pin } = &token.pin else { panic!("{:?}", token.pin) };
    assert_eq!((variable.as_str(), pin.as_str(), token.sessions), ("CA__PKCS11__HSM__PIN", "s3cr3t", 2));
    assert_eq!(token.module, ModulePlace::Named { folder: None, name: "softhsm2".to_owned() });
    assert!(!format!("{config:?}").contains("s3cr3t"), "no PIN is shown");
}

#[test]
fn what_would_not_work_or_tell_a_pin_is_refused() {
    let module = "[pkcs11.hsm]\ntoken = \"My HSM\"\nmodule = \"softhsm2\"\n";
    for (text, key, part) in [
        (TLS.to_owned(), "`authority.tls.key`", "`module`"),
        ("[authority.tls]\nkey = \"pkcs11:object=k\"".to_owned(), "`authority.tls.key`", "which token"),
        (
            "[authority.tls]\nkey = \"pkcs11:token=a;object=k?pin-value=s3cr3t\"".to_owned(),
            "`authority.tls.key`",
            "PIN",
        ),
        ("[authority.tls]\nkey = \"pkcs11:token=a;pin=s3cr3t\"".to_owned(), "`authority.tls.key`", "`pin`"),
        (
            "[authority.tls]\nkey = \"software:p256\"\nkey_type = \"p384\"".to_owned(),
            "`authority.tls.key_type`",
            "token",
        ),
        (format!("{TLS}key_type = \"p1\"\n{module}"), "`authority.tls.key_type`", "not a key type"),
        (format!("{TLS}{module}pin = \"s3cr3t\""), "`pkcs11.hsm.pin`", "`pkcs11.hsm.pin_file`"),
        (format!("{TLS}{module}sessions = 0"), "`pkcs11.hsm.sessions`", "from 1 to 64"),
        (format!("{TLS}{module}[pkcs11.b]\ntoken = \"My HSM\""), "`pkcs11.hsm.token`", "one table"),
        (
            format!("{TLS}[authority.document]\nkey = \"pkcs11:object=tls-ca;token=My%20HSM?module-name=a\"\n{module}"),
            "`authority.document.key`",
            "the same key as `authority.tls.key`",
        ),
        ("[pkcs11.hsm]\nmodule = \"lib/hsm.so\"".to_owned(), "`pkcs11.hsm.module`", "absolute path"),
        ("[pkcs11.HSM]\nmodule = \"a\"".to_owned(), "`pkcs11.HSM.token`", "lower-case"),
        ("[pkcs11.hsm]\nmodule = \"a\"\nslot = 1".to_owned(), "`pkcs11.hsm.slot`", "unknown key"),
    ] {
        let found = faults(&text, &[]);
        assert!(found.iter().any(|fault| fault.starts_with(key) && fault.contains(part)), "{text}: {found:?}");
        assert!(!found.join("\n").contains("s3cr3t"), "{found:?}");
    }
    let both = faults(&format!("{TLS}{module}pin_file = \"x\""), &[("CA__PKCS11__HSM__PIN", "s3cr3t")]);
    assert!(both.iter().any(|fault| fault.contains("both")) && !both.join("").contains("s3cr3t"), "{both:?}");
}
