//! Name constraints against OpenSSL's encoding, RFC 5280's examples and arbitrary octets.

use proptest::prelude::*;

use super::*;

/// `testdata/README.md` says how this was made.
const OPENSSL_CONSTRAINTS: &[u8] = include_bytes!("../testdata/name-constraints-openssl.der");

fn subtree(text: &str) -> Subtree {
    Subtree::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn constraints(permitted: &[&str], excluded: &[&str]) -> NameConstraints {
    let read = |texts: &[&str]| texts.iter().map(|text| subtree(text)).collect();
    NameConstraints { permitted: read(permitted), excluded: read(excluded) }
}

fn subject(text: &str) -> DistinguishedName {
    DistinguishedName::from_rfc4514(text).expect("a valid name")
}

/// Whether a certificate with these alternative names and no subject would obey.
fn allows(constraints: &NameConstraints, names: &[&str]) -> bool {
    let names: Vec<GeneralName> =
        names.iter().map(|text| GeneralName::parse_typed(text).expect("a valid name")).collect();
    constraints.check(&DistinguishedName::empty(), &names).is_ok()
}

fn everything() -> NameConstraints {
    constraints(
        &["dns:example.org", "email:example.org", "uri:.example.org", "ip:10.0.0.0/8", "dirname:O=Example,C=BR"],
        &["dns:secret.example.org", "email:root@example.org", "ip:2001:db8::/32", "ip:0.0.0.0/0"],
    )
}

#[test]
fn encodes_as_openssl_does() {
    let der = everything().to_der().expect("not empty");
    assert_eq!(hex::encode(&der), hex::encode(OPENSSL_CONSTRAINTS));
    assert_eq!(NameConstraints::from_der(OPENSSL_CONSTRAINTS), Ok(everything()));
    assert_eq!(NameConstraints::default().to_der(), None);
}

#[test]
fn text_gives_the_same_subtree_again() {
    for text in [
        "dns:",
        "dns:example.org",
        "email:",
        "email:ana@example.org",
        "email:example.org",
        "email:.example.org",
        "uri:example.org",
        "uri:.example.org",
        "ip:0.0.0.0/0",
        "ip:10.1.0.0/16",
        "ip:192.0.2.1/32",
        "ip:2001:db8::/32",
        "ip:::/0",
        "dirname:",
        "dirname:O=Example,C=BR",
    ] {
        assert_eq!(subtree(text).to_string(), text);
    }
    assert_eq!(subtree("DNS:Example.ORG"), subtree("dns:example.org"));
    assert_eq!(subtree("ip:192.0.2.1"), subtree("ip:192.0.2.1/32"));
    assert_eq!(subtree("directoryName:C=BR"), subtree("dirname:C=BR"));
}

#[test]
fn refuses_text_that_constrains_nothing_it_could_enforce() {
    for text in [
        "",
        "example.org",
        "dns:.example.org",
        "dns:*.example.org",
        "dns:a b",
        "dns:10.0.0.1",
        "email:a@",
        "email:@example.org",
        "email:*.example.org",
        "uri:",
        "uri:https://example.org",
        "uri:example.org:443",
        "uri:10.0.0.1",
        "ip:",
        "ip:10.0.0.0/33",
        "ip:10.0.0.0/+8",
        "ip:10.0.0.0/",
        "ip:10.0.0.1/8",
        "ip:2001:db8::1/32",
        "ip:::/129",
        "ip:10.0.0.0/255.0.0.0",
        "dirname:x",
        "upn:a@b",
        "rid:1.2.3",
    ] {
        assert!(Subtree::parse(text).is_err(), "{text:?}");
    }
    assert!(Subtree::parse("ip:10.1.2.3/8").expect_err("refused").why.contains("10.0.0.0/8"));
}

#[test]
fn dns_constraints_cover_the_domain_and_what_is_below() {
    let permitted = constraints(&["dns:example.org", "dns:internal"], &[]);
    assert!(allows(&permitted, &["dns:example.org", "dns:a.b.example.org", "dns:*.example.org", "dns:api.internal"]));
    for name in ["dns:badexample.org", "dns:org", "dns:*.org", "dns:example.com", "dns:example.org.evil.com"] {
        assert!(!allows(&permitted, &[name]), "{name}");
    }
    // Other kinds are not constrained.
    assert!(allows(&permitted, &["ip:10.0.0.1", "uri:https://example.com/", "email:a@example.com", "upn:a@b"]));
    assert!(!allows(&constraints(&[], &["dns:"]), &["dns:a"]));
    assert!(allows(&constraints(&["dns:"], &[]), &["dns:a"]));
    let below = NameConstraints {
        permitted: vec![Subtree::Dns(Domain::Below(DnsName::parse("example.org").expect("valid")))],
        excluded: Vec::new(),
    };
    assert!(allows(&below, &["dns:a.example.org"]) && !allows(&below, &["dns:example.org"]));
}

#[test]
fn excluded_subtrees_win_and_wildcards_may_not_touch_them() {
    let both = constraints(&["dns:example.org"], &["dns:secret.example.org"]);
    assert!(allows(&both, &["dns:a.example.org", "dns:*.a.example.org", "dns:secrets.example.org"]));
    for name in ["dns:secret.example.org", "dns:x.secret.example.org", "dns:*.secret.example.org", "dns:*.example.org"]
    {
        assert!(!allows(&both, &[name]), "{name}");
    }
    let deep = constraints(&[], &["dns:a.b.example.org"]);
    assert!(allows(&deep, &["dns:*.example.org"]) && !allows(&deep, &["dns:*.b.example.org"]));
}

#[test]
fn email_constraints_are_mailboxes_hosts_or_domains() {
    let host = constraints(&["email:example.org"], &[]);
    assert!(allows(&host, &["email:a@EXAMPLE.org"]) && !allows(&host, &["email:a@mail.example.org"]));
    let below = constraints(&["email:.example.org"], &[]);
    assert!(allows(&below, &["email:a@mail.example.org"]) && !allows(&below, &["email:a@example.org"]));
    assert!(!allows(&below, &["email:a@badexample.org"]));
    let mailbox = constraints(&["email:ana@example.org"], &[]);
    assert!(allows(&mailbox, &["email:ana@example.org"]) && !allows(&mailbox, &["email:eva@example.org"]));
    assert!(!allows(&mailbox, &["email:Ana@example.org"]), "local parts differ in case");
    assert!(!allows(&constraints(&[], &["email:"]), &["email:a@b"]));
}

#[test]
fn uri_constraints_judge_the_host_alone() {
    let host = constraints(&["uri:host.example.org"], &[]);
    assert!(
        allows(&host, &["uri:https://HOST.example.org:8443/x"]) && !allows(&host, &["uri:https://a.host.example.org/"])
    );
    let below = constraints(&["uri:.example.org"], &[]);
    assert!(allows(&below, &["uri:spiffe://a.b.example.org/x"]) && !allows(&below, &["uri:spiffe://example.org/x"]));
    assert!(!allows(&below, &["uri:https://example.org@evil.com/", "uri:https://evil.com/.example.org"]));
    let excluded = constraints(&[], &["uri:.example.org"]);
    for name in ["uri:urn:a:b", "uri:https://192.0.2.1/", "uri:https://[::1]/"] {
        assert!(!allows(&below, &[name]) && !allows(&excluded, &[name]), "{name} cannot be judged");
    }
}

#[test]
fn ip_constraints_are_networks_of_one_family() {
    let network = constraints(&["ip:10.16.0.0/12", "ip:2001:db8::/33"], &["ip:10.17.0.0/16"]);
    assert!(allows(&network, &["ip:10.16.0.1", "ip:10.31.255.255", "ip:2001:db8::1"]));
    for name in ["ip:10.32.0.0", "ip:10.17.1.1", "ip:2001:db8:8000::1", "ip:::ffff:10.16.0.1"] {
        assert!(!allows(&network, &[name]), "{name}");
    }
    // RFC 5280: the kind is iPAddress, so a permitted IPv4 network leaves no IPv6 address permitted.
    assert!(!allows(&constraints(&["ip:10.0.0.0/8"], &[]), &["ip:::1"]));
    assert!(!allows(&constraints(&[], &["ip:0.0.0.0/0"]), &["ip:1.2.3.4"]));
    assert!(allows(&constraints(&[], &["ip:0.0.0.0/0"]), &["ip:::1"]));
    let too_long = NameConstraints {
        permitted: vec![Subtree::Ip { network: "10.0.0.1".parse().expect("valid"), prefix: 255 }],
        excluded: Vec::new(),
    };
    assert!(allows(&too_long, &["ip:10.0.0.1"]) && !allows(&too_long, &["ip:10.0.0.2"]));
}

#[test]
fn directory_constraints_are_prefixes_of_the_subject_and_of_directory_names() {
    let base = constraints(&["dirname:O=Example,C=BR"], &["dirname:OU=Board,O=Example,C=BR"]);
    let check = |text: &str| base.check(&subject(text), &[]);
    assert_eq!(check("CN=a,O=EXAMPLE,C=BR"), Ok(()));
    assert_eq!(check(""), Ok(()), "an empty subject is no directoryName");
    for text in ["O=Other,C=BR", "C=BR", "CN=a,OU=board,O=Example,C=BR", "C=BR,O=Example"] {
        assert!(check(text).is_err(), "{text}");
    }
    assert!(!allows(&base, &["dirname:CN=a,O=Other,C=BR"]) && allows(&base, &["dirname:CN=a,O=Example,C=BR"]));
    let violations = check("CN=SILVA:11122233396,C=US").expect_err("refused");
    assert!(violations.iter().all(|violation| !violation.to_string().contains("111222")), "{violations:?}");
}

#[test]
fn names_hidden_in_the_subject_are_judged() {
    let email = constraints(&["email:example.org"], &[]);
    assert!(email.check(&subject("emailAddress=a@example.com,CN=a"), &[]).is_err());
    assert!(email.check(&subject("emailAddress=a@example.org,CN=a"), &[]).is_ok());
    assert!(email.check(&subject("emailAddress=nobody,CN=a"), &[]).is_err());
    let dns = constraints(&["dns:example.org"], &[]);
    assert!(dns.check(&subject("emailAddress=nobody,CN=a"), &[]).is_ok());
    assert!(dns.check(&subject("CN=evil.com"), &[]).is_err());
    assert!(dns.check(&subject("CN=a.example.org"), &[]).is_ok());
    assert!(dns.check(&subject("CN=cliente"), &[]).is_ok());
    assert!(dns.check(&subject("CN=evil.com"), &[GeneralName::parse("a.example.org").expect("valid")]).is_ok());
}

#[test]
fn tells_every_violation() {
    let both = constraints(&["dns:example.org", "ip:10.0.0.0/8"], &["dns:com"]);
    let names =
        ["dns:a.com", "ip:192.0.2.1", "dns:a.example.org"].map(|text| GeneralName::parse_typed(text).expect("valid"));
    let violations = both.check(&DistinguishedName::empty(), &names).expect_err("refused");
    let name = "dns:a.com".to_owned();
    assert_eq!(
        violations,
        [
            ConstraintViolation::NotPermitted { name: name.clone(), permitted: "dns:example.org".to_owned() },
            ConstraintViolation::Excluded { name, excluded: "dns:com".to_owned() },
            ConstraintViolation::NotPermitted {
                name: "ip:192.0.2.1".to_owned(),
                permitted: "ip:10.0.0.0/8".to_owned()
            },
        ]
    );
}

#[test]
fn refuses_der_that_could_not_be_enforced() {
    for (hex_der, why) in [
        ("", "nothing"),
        ("3000", "no constraint"),
        ("3002 a000", "an empty list"),
        ("3007 a005 3003 820161 00", "trailing octet"),
        ("300a a108 3006 8201618001 00", "trailing octets in a subtree"),
        ("300a a008 3006 820161 800100", "a minimum of 0, which DER leaves out"),
        ("300a a008 3006 820161 810101", "a maximum"),
        ("300c a10a 3008 a006 0601 2a a001 00", "an otherName"),
        ("3008 a006 3004 8802 2a03", "a registeredID"),
        ("3007 a005 3003 860131", "a URI constraint that is a number"),
        ("3006 a004 3002 8600", "an empty URI constraint"),
        ("300a a008 3006 8704 0a000000", "an address without mask"),
        ("300e a00c 300a 8708 0a000000ff00ff00", "a mask with a hole"),
        ("3009 a007 3005 8203612a62", "a wildcard"),
        ("300e a105 3003 820161 a005 3003 820162", "excluded before permitted"),
    ] {
        let der = hex::decode(hex_der.replace(' ', "")).expect("hexadecimal");
        assert!(NameConstraints::from_der(&der).is_err(), "{why}");
    }
    let leading_dot = hex::decode("300f a00d 300b 8209 2e6578616d706c65 2e".replace(' ', "")).expect("hexadecimal");
    assert!(NameConstraints::from_der(&leading_dot).is_err(), "a dot at the end");
    let below = NameConstraints::from_der(&hex::decode("3008a006300482022e61").expect("hexadecimal"));
    assert_eq!(below.map(|read| read.permitted[0].to_string()), Ok("dns:.a".to_owned()));
}

proptest! {
    #[test]
    fn mutated_constraints_never_panic_and_are_written_as_read(position in 0..OPENSSL_CONSTRAINTS.len(), octet: u8) {
        let mut der = OPENSSL_CONSTRAINTS.to_vec();
        der[position] = octet;
        if let Ok(constraints) = NameConstraints::from_der(&der) {
            let written = constraints.to_der().expect("not empty");
            prop_assert_eq!(NameConstraints::from_der(&written), Ok(constraints));
        }
    }

    #[test]
    fn arbitrary_octets_and_text_never_panic(
        der in proptest::collection::vec(any::<u8>(), 0..80),
        text in "(dns|ip|email|uri|dirname|):\\PC{0,20}",
    ) {
        let _ = NameConstraints::from_der(&der);
        if let Ok(subtree) = Subtree::parse(&text) {
            prop_assert_eq!(Subtree::parse(&subtree.to_string()), Ok(subtree));
        }
    }

    #[test]
    fn networks_contain_exactly_the_addresses_with_their_prefix(address: u32, other: u32, prefix in 0_u8..=32) {
        let network = first_address(IpAddr::V4(address.into()), prefix);
        let constraints = NameConstraints { permitted: vec![Subtree::Ip { network, prefix }], excluded: Vec::new() };
        let name = GeneralName::Ip(IpAddr::V4(other.into()));
        let same_prefix = (0..prefix).all(|bit| address >> (31 - bit) & 1 == other >> (31 - bit) & 1);
        prop_assert_eq!(constraints.check(&DistinguishedName::empty(), &[name]).is_ok(), same_prefix);
    }
}
