use super::*;

fn paths(own: &[&str], text: &str) -> Vec<String> {
    let own: Vec<String> = own.iter().map(ToString::to_string).collect();
    names(&own, text).paths.into_iter().map(|path| path.join("::")).collect()
}

#[test]
fn reads_paths_in_declarations_and_in_code() {
    assert_eq!(
        paths(&["csr"], "use crate::name::DnsName;\nfn f() -> crate::key::PublicKey { crate::hash::sha256(b\"\") }"),
        ["name::DnsName", "key::PublicKey", "hash::sha256"]
    );
}

#[test]
fn opens_groups_with_renames_and_globs() {
    assert_eq!(
        paths(&["csr"], "use crate::{name::{self, dns::DnsName as Dns, ip}, key::*, time::Timestamp};"),
        ["name", "name::dns::DnsName", "name::ip", "key", "time::Timestamp"]
    );
}

#[test]
fn resolves_super_from_files_and_inline_modules() {
    assert_eq!(paths(&["name", "dns"], "use super::NameError;"), ["name::NameError"]);
    assert_eq!(paths(&["name", "dns"], "use super::super::key::KeyType;"), ["key::KeyType"]);
    assert_eq!(paths(&["key"], "mod inner { use super::super::time::Timestamp; }"), ["time::Timestamp"]);
    assert_eq!(paths(&["key"], "use super::{time, id::Id};"), ["time", "id::Id"]);
}

#[test]
fn reads_into_macros() {
    assert_eq!(paths(&["id"], "macro_rules! m { () => { $crate::time::Timestamp } }"), ["time::Timestamp"]);
}

#[test]
fn leaves_out_comments_and_strings() {
    assert!(
        paths(
            &["id"],
            r##"
            //! [`crate::a`]
            /* crate::b /* nested crate::c */ crate::d */
            const E: &str = "crate::e \" crate::f";
            const G: &str = r#"crate::g "crate::h" "#;
            const I: (char, char, &[u8]) = ('"', '\'', b"crate::i");
            fn j<'a>(text: &'a str) -> &'a str { text } // crate::k
            "##
        )
        .is_empty()
    );
}

#[test]
fn a_quote_character_does_not_begin_a_string() {
    assert_eq!(paths(&["id"], "fn f() { g('\"'); crate::time::now() }"), ["time::now"]);
}

#[test]
fn leaves_out_test_modules_inline_and_in_files() {
    let read = names(
        &["id".to_owned()],
        "#[cfg(test)]\nmod tests { use crate::fake::Store; mod deeper { use crate::a; } }\n\
         #[cfg(test)]\npub(crate) mod golden;\n#[cfg(test)]\nuse crate::b::C;\nuse crate::time::Timestamp;",
    );
    assert_eq!(read.paths, [["time", "Timestamp"]]);
    assert_eq!(read.test_modules, ["golden"]);
}

#[test]
fn code_for_tests_and_something_else_counts() {
    assert_eq!(
        paths(&[], "#[cfg(any(test, feature = \"testkit\"))]\nmod fake { use crate::port::Store; }"),
        ["port::Store"]
    );
}

#[test]
fn an_attribute_reaches_its_own_item_only() {
    assert_eq!(paths(&[], "#[cfg(test)]\nfn f() {}\nmod a { use crate::b::C; }"), ["b::C"]);
}

#[test]
fn keeps_uses_relative_to_the_module_apart() {
    let read = names(&["name".to_owned()], "pub use dns::DnsName;\nuse std::fmt;\nuse self::ip::Address;");
    assert_eq!(read.relative_uses, [["dns", "DnsName"], ["std", "fmt"]]);
    assert_eq!(read.paths, [["name", "ip", "Address"]]);
}
