//! Shipped profiles are sound, and every fault of a broken one is told with the path of its key.

use proptest::prelude::*;

use super::*;
use crate::oid;

/// The smallest profile there is.
const SMALL: &str = r#"
name = "device"
key_types = ["p256"]
key_usage = ["digitalSignature"]
extended_key_usage = ["clientAuth"]
[validity]
default = "90d"
"#;

fn faults(text: &str) -> Vec<(String, String)> {
    let faults = Profile::from_toml(text).expect_err("a broken profile").0;
    faults.into_iter().map(|fault| (fault.path, fault.message)).collect()
}

fn paths(text: &str) -> Vec<String> {
    faults(text).into_iter().map(|(path, _)| path).collect()
}

fn built(name: &str) -> Profile {
    built_in().iter().find(|profile| profile.name == name).expect(name).profile().expect(name)
}

#[test]
fn built_in_profiles_are_sound_and_bear_their_files_names() {
    for built_in in built_in() {
        let profile = built_in.profile().unwrap_or_else(|faults| panic!("{}: {faults}", built_in.name));
        assert_eq!(profile.name().as_str(), built_in.name);
    }
}

#[test]
fn built_in_profiles_live_as_long_as_the_design_says() {
    for (name, days) in [
        ("root", 7305),
        ("subordinate", 1826),
        ("server", 90),
        ("client", 365),
        ("document", 1095),
        ("operator", 90),
        ("api-server", 30),
        ("ocsp-responder", 7),
    ] {
        assert_eq!(built(name).default_validity(), Lifetime::from_days(days), "{name}");
    }
}

#[test]
fn only_the_shipped_profiles_can_be_asked_for() {
    let open: Vec<&str> =
        built_in().iter().filter(|text| !built(text.name).is_internal()).map(|text| text.name).collect();
    assert_eq!(open, ["server", "client", "document"]);
}

#[test]
fn every_shipped_leaf_has_a_policy_of_its_own() {
    let mut seen = Vec::new();
    for built_in in built_in() {
        let profile = built(built_in.name);
        if profile.kind() != ProfileKind::Leaf {
            continue;
        }
        let [policy] = profile.certificate_policies() else { panic!("{}: one policy", built_in.name) };
        assert!(!seen.contains(policy), "{}", built_in.name);
        // Four octets of base 128 are what every known decoder takes.
        assert!(policy.arcs().all(|arc| arc < 1 << 28), "{}", built_in.name);
        seen.push(*policy);
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn holders_of_server_certificates_can_renew_by_mtls() {
    let purposes = built("server").extended_key_usage().to_vec();
    assert_eq!(purposes, [ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH]);
}

#[test]
fn documents_are_signed_for_poppler_and_nss_too() {
    let document = built("document");
    assert_eq!(document.extended_key_usage(), [ExtendedKeyUsage::DOCUMENT_SIGNING, ExtendedKeyUsage::EMAIL_PROTECTION]);
    assert!(document.has_personal_data());
}

#[test]
fn a_small_profile_takes_defaults() {
    let profile = Profile::from_toml(SMALL).expect("sound");
    assert_eq!(profile.kind(), ProfileKind::Leaf);
    assert_eq!(profile.maximum_validity(), Lifetime::from_days(90));
    assert_eq!(profile.default_key_type(), KeyType::P256);
    assert_eq!(profile.subject().optional, [oid::COMMON_NAME]);
    assert!(!profile.names().allows_any());
    assert_eq!(*profile.renewal(), RenewalRules { from: 0.5, until: Lifetime::ZERO, after_expiry: Lifetime::ZERO });
    assert_eq!(*profile.status_urls(), StatusUrlRules { crl: true, ocsp: true, ca_issuers: true });
    assert_eq!(profile.authority(), None);
}

#[test]
fn every_fault_is_told_with_its_path() {
    let text = r#"
name = "Device!"
kind = "leave"
internal = "no"
key_types = ["p256", "rsa1024", 7, "p256"]
key_usage = ["digitalSignature", "signing"]
extended_key_usage = ["clientAuth", "clientauth"]
certificate_policies = ["2.5.29.32.0", "x", "2.25.4294967295"]
colour = "red"
[validity]
default = "90"
[subject]
required = ["CN", "Shoe Size"]
fixed = "=x"
common_name = "some"
maximum_attributes = 99
[names]
maximum = 0
[names.dns]
wildcards = 1
within = ["*.example.org", "exa mple"]
[names.ip]
within = ["10.0.0.0/33", "10.0.0.0"]
[names.uri]
schemes = ["https:"]
[names.postal]
[renewal]
from = 2
until = "soon"
[status_urls]
delta = true
"#;
    let mut told = paths(text);
    told.sort();
    let mut expected = vec![
        "name",
        "kind",
        "internal",
        "key_types[1]",
        "key_types[2]",
        "key_types[3]",
        "key_usage[1]",
        "extended_key_usage[1]",
        "certificate_policies[1]",
        "certificate_policies[2]",
        "colour",
        "validity.default",
        "subject.required[1]",
        "subject.fixed",
        "subject.common_name",
        "subject.maximum_attributes",
        "names.maximum",
        "names.dns.wildcards",
        "names.dns.within[0]",
        "names.dns.within[1]",
        "names.ip.within[0]",
        "names.ip.within[1]",
        "names.uri.schemes[0]",
        "names.postal",
        "renewal.from",
        "renewal.until",
        "status_urls.delta",
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn messages_say_what_would_be_right() {
    let told = faults(&SMALL.replace("\"90d\"", "\"90\""));
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("90d, 12h"), "{}", told[0].1);
    let told = faults(&format!("color = 1\n{SMALL}"));
    assert!(told[0].1.contains("known here are name, kind"), "{}", told[0].1);
    let text = Profile::from_toml("name = ").expect_err("no TOML").to_string();
    assert!(text.starts_with("not TOML"), "{text}");
}

#[test]
fn keys_that_contradict_each_other_are_faults() {
    for (from, to, path) in [
        ("[\"p256\"]", "[]", "key_types"),
        ("[\"digitalSignature\"]", "[]", "key_usage"),
        ("[\"digitalSignature\"]", "[\"keyEncipherment\"]", "key_usage"),
        ("[\"digitalSignature\"]", "[\"digitalSignature\", \"keyCertSign\"]", "key_usage"),
        ("[\"digitalSignature\"]", "[\"digitalSignature\", \"cRLSign\"]", "key_usage"),
        ("[\"digitalSignature\"]", "[\"digitalSignature\", \"encipherOnly\"]", "key_usage"),
        ("[\"clientAuth\"]", "[]", "extended_key_usage"),
        ("[\"clientAuth\"]", "[\"OCSPSigning\"]", "extended_key_usage"),
        ("[\"clientAuth\"]", "[\"anyExtendedKeyUsage\"]", "extended_key_usage"),
        ("[validity]", "path_length = 0\n[validity]", "path_length"),
        ("[validity]", "[names]\nrequired = true\n[validity]", "names.required"),
        ("[validity]", "[subject]\nfixed = \"CN=x\"\n[validity]", "subject.fixed"),
        ("[validity]", "must_staple = true\n[status_urls]\nocsp = false\n[validity]", "must_staple"),
        ("\"90d\"", "\"0s\"", "validity.default"),
        ("\"90d\"", "\"90d\"\nmaximum = \"30d\"", "validity.maximum"),
        ("name = \"device\"", "", "name"),
    ] {
        assert_eq!(paths(&SMALL.replace(from, to)), [path], "{to}");
    }
}

#[test]
fn authorities_and_responders_are_held_to_their_kind() {
    let root = built_in().iter().find(|profile| profile.name == "root").expect("built in").text;
    assert_eq!(paths(&root.replace("required = [\"CN\"]", "")), ["subject.required"]);
    assert_eq!(paths(&root.replace("\"keyCertSign\", ", "")), ["key_usage"]);
    assert_eq!(paths(&root.replace("[validity]", "must_staple = true\n[validity]")), ["must_staple", "must_staple"]);
    let purpose = "extended_key_usage = [\"serverAuth\"]\n[validity]";
    assert_eq!(paths(&root.replace("[validity]", purpose)), ["extended_key_usage"]);
    let responder = built_in().iter().find(|profile| profile.name == "ocsp-responder").expect("built in").text;
    assert_eq!(paths(&responder.replace("ocsp = false", "ocsp = true")), ["status_urls"]);
    assert_eq!(paths(&responder.replace("\"OCSPSigning\"", "\"OCSPSigning\", \"clientAuth\"")), ["extended_key_usage"]);
}

#[test]
fn a_limit_cuts_lifetimes_short() {
    let week = Lifetime::from_days(7);
    let profile = built("server").with_maximum_validity(week);
    assert_eq!((profile.default_validity(), profile.maximum_validity()), (week, week));
    let responder = built("ocsp-responder").with_maximum_validity(Lifetime::from_days(400));
    assert_eq!(responder, built("ocsp-responder"));
}

#[test]
fn domains_admit_what_lies_in_them() {
    let domain = |text: &str| crate::name::DnsName::parse(text).expect(text);
    let at_or_below = DomainRule::AtOrBelow(domain("example.org"));
    let below = DomainRule::Below(domain("example.org"));
    for (host, at_or_below_admits, below_admits) in [
        ("example.org", true, false),
        ("api.example.org", true, true),
        ("*.example.org", true, true),
        ("a.b.example.org", true, true),
        ("badexample.org", false, false),
        (".example.org", false, false),
        ("example.org.evil", false, false),
        ("org", false, false),
    ] {
        assert_eq!(at_or_below.admits(host), at_or_below_admits, "{host}");
        assert_eq!(below.admits(host), below_admits, "{host}");
    }
}

#[test]
fn networks_contain_their_own_family_only() {
    let network = |address: &str, prefix| IpNetwork { address: address.parse().expect(address), prefix };
    let contains = |network: IpNetwork, address: &str| network.contains(address.parse().expect(address));
    assert!(contains(network("10.0.0.0", 8), "10.255.0.1"));
    assert!(!contains(network("10.0.0.0", 8), "11.0.0.1"));
    assert!(!contains(network("0.0.0.0", 0), "::1"));
    assert!(contains(network("0.0.0.0", 0), "255.1.2.3"));
    assert!(contains(network("fd00::", 8), "fd12::1"));
    assert!(contains(network("::", 0), "fd12::1"));
    assert!(!contains(network("192.0.2.1", 32), "192.0.2.2"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = Profile::from_toml(&text);
    }

    #[test]
    fn no_value_makes_it_panic(key in "[a-z_]{1,20}(\\.[a-z_]{1,12})?", value in "(true|-?[0-9]{1,19}|\"\\PC{0,20}\"|\\[\\]|\\{\\})") {
        let _ = Profile::from_toml(&format!("{key} = {value}\n{SMALL}"));
    }
}

#[test]
fn certificates_stay_as_configured_unless_they_are_evidence_or_the_profile_says_so() {
    let retention = |more: &str| {
        let text = SMALL.replace("[validity]", &format!("{more}\n[validity]"));
        Profile::from_toml(&text).expect("a profile").retention()
    };
    assert_eq!(retention(""), Retention::AsConfigured);
    assert_eq!(retention("retain = \"3650d\""), Retention::AtLeast(Lifetime::from_days(3650)));
    assert_eq!(retention("retain = \"forever\""), Retention::Forever);
    for (name, expected) in [
        ("server", Retention::AsConfigured),
        ("operator", Retention::AsConfigured),
        ("document", Retention::Forever),
        ("ocsp-responder", Retention::Forever),
        ("subordinate", Retention::Forever),
        ("root", Retention::Forever),
    ] {
        assert_eq!(built(name).retention(), expected, "{name}");
    }
    let signs = |usage: &str| SMALL.replace("[\"digitalSignature\"]", usage);
    let of = |text: String| Profile::from_toml(&text).expect("a profile").retention();
    assert_eq!(of(signs("[\"digitalSignature\", \"nonRepudiation\"]")), Retention::Forever, "it signs documents");
    for value in ["\"0s\"", "\"ever\"", "\"\"", "400"] {
        let text = SMALL.replace("[validity]", &format!("retain = {value}\n[validity]"));
        assert_eq!(paths(&text), ["retain"], "{value}");
    }
}
