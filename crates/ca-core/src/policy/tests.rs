//! Requests that break a rule of their profile are refused for that rule, all at once, and pointed at.

use super::*;
use crate::hierarchy::{Owner, SigningKey, by_service, name, profile, subject};
use crate::key::KeyType;

/// A request in pieces.
struct Asked {
    profile: Profile,
    key: PublicKey,
    csr: Option<ParsedCsr>,
    subject: Option<DistinguishedName>,
    names: Option<Vec<GeneralName>>,
    validity: Option<Lifetime>,
    constraints: Option<AuthorityConstraints>,
    reserved: Vec<GeneralName>,
    origin: Origin,
}

impl Asked {
    /// A faultless request of this profile.
    fn of(name_of_profile: &str) -> Self {
        let names: &[&str] = match name_of_profile {
            "server" | "api-server" => &["dns:api.example.org"],
            "client" | "document" => &["email:maria@example.org"],
            _ => &[],
        };
        Self {
            profile: profile(name_of_profile),
            key: SigningKey::of(Owner::Holder, KeyType::P256).public().clone(),
            csr: None,
            subject: Some(subject("CN=api.example.org")),
            names: Some(names.iter().map(|text| name(text)).collect()),
            validity: None,
            constraints: None,
            reserved: Vec::new(),
            origin: Origin::Api,
        }
    }

    /// A server's, under the shipped profile with some text replaced.
    fn under(from: &str, to: &str) -> Self {
        let text = crate::profile::built_in().iter().find(|profile| profile.name == "server").expect("built in").text;
        assert!(text.contains(from), "{from}");
        let profile = Profile::from_toml(&text.replace(from, to)).unwrap_or_else(|faults| panic!("{faults}"));
        Self { profile, ..Self::of("server") }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn names(self, texts: &[&str]) -> Self {
        self.with(|asked| asked.names = Some(texts.iter().map(|text| name(text)).collect()))
    }

    fn subject(self, text: &str) -> Self {
        self.with(|asked| asked.subject = Some(subject(text)))
    }

    fn evaluate(&self) -> Result<Granted, Vec<Violation>> {
        let request = CertificateRequest {
            public_key: &self.key,
            csr: self.csr.as_ref(),
            subject: self.subject.as_ref(),
            names: self.names.as_deref(),
            validity: self.validity,
            constraints: self.constraints.as_ref(),
        };
        let surroundings = Surroundings { origin: self.origin, reserved_names: &self.reserved };
        evaluate(&self.profile, &request, &surroundings)
    }

    /// The violations' codes and pointers.
    fn broken(&self) -> Vec<(&'static str, String)> {
        let violations = self.evaluate().expect_err("refused");
        assert!(violations.iter().all(|violation| !violation.message.is_empty()));
        violations.into_iter().map(|violation| (violation.code.as_str(), violation.pointer)).collect()
    }

    fn assert_broken(&self, code: &str, pointer: &str) {
        let broken = self.broken();
        assert!(broken.len() == 1 && broken[0].0 == code && broken[0].1 == pointer, "{code} {pointer}: {broken:?}");
    }

    fn assert_granted(&self) -> Granted {
        self.evaluate().unwrap_or_else(|violations| panic!("{violations:?}"))
    }
}

/// What `openssl req` made: CN and two DNS names, key P-256.
fn csr() -> ParsedCsr {
    ParsedCsr::from_pem(include_str!("testdata/request.pem")).expect("made by openssl")
}

fn of_csr(profile: &str) -> Asked {
    let csr = csr();
    Asked::of(profile).with(|asked| {
        asked.key = csr.public_key().clone();
        asked.csr = Some(csr);
        asked.subject = None;
        asked.names = None;
    })
}

#[test]
fn faultless_requests_are_granted() {
    for profile in ["server", "client", "document"] {
        Asked::of(profile).assert_granted();
    }
    for profile in ["operator", "api-server", "ocsp-responder", "subordinate", "root"] {
        Asked::of(profile).with(|asked| asked.origin = Origin::Service).assert_granted();
    }
}

#[test]
fn what_is_foreseen_is_what_is_granted_once_there_is_a_key() {
    for asked in [
        Asked::of("server"),
        Asked::of("client"),
        Asked::of("document"),
        Asked::of("operator"),
        Asked::under("\"p256\", ", ""),
        Asked::of("server").names(&["dns:*.example.org", "dns:*.example.org"]).subject("O=Example"),
        Asked::of("server").names(&[]).with(|asked| asked.subject = None),
        Asked::of("server").with(|asked| asked.validity = Some(Lifetime::from_days(9_999))),
        Asked::of("server").with(|asked| asked.reserved = vec![name("dns:api.example.org")]),
    ] {
        let names = asked.names.clone().unwrap_or_default();
        let planned = PlannedRequest {
            key_type: asked.key.key_type(),
            subject: asked.subject.as_ref(),
            names: &names,
            validity: asked.validity,
        };
        let surroundings = Surroundings { origin: asked.origin, reserved_names: &asked.reserved };
        match (foresee(&asked.profile, &planned, &surroundings), asked.evaluate()) {
            (Ok(foreseen), Ok(granted)) => {
                assert_eq!((&foreseen.subject, foreseen.lifetime), (granted.subject(), granted.lifetime));
            }
            (Err(foreseen), Err(violations)) => {
                let told = |violations: &[Violation]| -> Vec<_> {
                    violations.iter().map(|violation| (violation.code, violation.message.clone())).collect()
                };
                assert_eq!(told(&foreseen), told(&violations));
            }
            (foreseen, evaluated) => panic!("{foreseen:?}, {evaluated:?}"),
        }
    }
}

#[test]
fn internal_profiles_are_not_for_the_asking() {
    for profile in ["operator", "api-server", "ocsp-responder", "subordinate", "root"] {
        Asked::of(profile).assert_broken("profile-internal", "/profile");
    }
}

#[test]
fn keys_of_other_types_are_refused() {
    Asked::under("\"p256\", ", "").assert_broken("key-type-not-allowed", "/csr");
}

#[test]
fn the_key_is_the_one_whose_possession_was_proved() {
    of_csr("server")
        .with(|asked| asked.key = SigningKey::of(Owner::Root, KeyType::P256).public().clone())
        .assert_broken("key-not-of-csr", "/csr");
}

#[test]
fn subject_and_names_come_from_the_csr_where_the_request_has_none() {
    let granted = of_csr("server").assert_granted();
    assert_eq!(granted.subject().common_names(), ["csr.example.org"]);
    assert_eq!(granted.names(), [name("dns:csr.example.org"), name("dns:www.csr.example.org")]);
}

#[test]
fn the_request_stands_before_the_csr() {
    let granted = of_csr("server")
        .with(|asked| {
            asked.subject = Some(subject("CN=other"));
            asked.names = Some(vec![name("dns:other.example.org")]);
        })
        .assert_granted();
    assert_eq!(granted.subject().common_names(), ["other"]);
    assert_eq!(granted.names(), [name("dns:other.example.org")]);
}

#[test]
fn the_csr_is_not_asked_where_the_profile_says_so() {
    let text = "[subject]\nfrom_csr = true";
    let asked = of_csr("server");
    let other = Asked::under(text, "[subject]\nfrom_csr = false");
    let granted = Asked { profile: other.profile, ..asked }.assert_granted();
    assert!(granted.subject().is_empty());
    let asked = of_csr("server");
    let other = Asked::under("[names]\nfrom_csr = true", "[names]\nfrom_csr = false");
    Asked { profile: other.profile, ..asked }.assert_broken("name-missing", "/subject_alternative_names");
}

#[test]
fn violations_of_the_csr_point_at_it() {
    let asked = of_csr("server");
    let other = Asked::under("# within = [\"example.org\", \".internal\"]", "within = [\"example.com\"]");
    let broken = Asked { profile: other.profile, ..asked }.broken();
    assert_eq!(broken, [("name-not-within", "/csr".to_owned()), ("name-not-within", "/csr".to_owned())]);
}

#[test]
fn an_empty_list_of_names_is_a_wish_not_a_gap() {
    of_csr("server")
        .with(|asked| asked.names = Some(Vec::new()))
        .assert_broken("name-missing", "/subject_alternative_names");
}

#[test]
fn attributes_that_are_not_listed_are_refused() {
    Asked::of("server").subject("CN=x,title=Engineer").assert_broken("subject-attribute-not-allowed", "/subject");
    Asked::of("document").subject("O=Example").assert_broken("subject-attribute-missing", "/subject");
    let many = vec!["OU=a"; 33].join(",");
    Asked::of("server").subject(&many).assert_broken("subject-too-large", "/subject");
}

#[test]
fn fixed_attributes_stand_in_front_and_are_not_for_the_asker() {
    let fixed =
        || Asked::under("optional = [\"CN\", \"O\", \"OU\",", "fixed = \"OU=Web,O=Example\"\noptional = [\"CN\",");
    let granted = fixed().assert_granted();
    assert_eq!(granted.subject().to_rfc4514(), "CN=api.example.org,OU=Web,O=Example");
    fixed().subject("CN=x,O=Mine").assert_broken("subject-attribute-fixed", "/subject");
    // A renewal's subject has them already.
    let again = fixed().with(|asked| asked.subject = Some(granted.subject().clone())).assert_granted();
    assert_eq!(again.subject(), granted.subject());
    // Nobody asked: the fixed attributes alone are the subject.
    let alone = fixed().with(|asked| asked.subject = None).assert_granted();
    assert_eq!(alone.subject().to_rfc4514(), "OU=Web,O=Example");
}

#[test]
fn a_common_name_may_have_to_be_one_of_the_names() {
    let strict = || Asked::under("common_name = \"any\"", "common_name = \"one-of-names\"");
    strict().assert_granted();
    strict().subject("CN=API.example.org").assert_granted();
    strict().subject("CN=192.0.2.1").names(&["ip:192.0.2.1"]).assert_granted();
    strict().subject("CN=www.example.org").assert_broken("common-name-not-a-name", "/subject");
}

#[test]
fn somebody_is_named() {
    let asked = Asked::of("operator").with(|asked| {
        asked.origin = Origin::Service;
        asked.subject = Some(DistinguishedName::empty());
    });
    let broken = asked.broken();
    assert!(broken.contains(&("subject-missing", String::new())), "{broken:?}");
}

#[test]
fn names_of_kinds_without_a_rule_are_refused() {
    for (profile, text) in [
        ("server", "email:someone@example.org"),
        ("server", "upn:someone@example.org"),
        ("server", "dirname:CN=x"),
        ("document", "ip:192.0.2.1"),
        ("client", "rid:1.2.3"),
    ] {
        let first = Asked::of(profile).names.unwrap_or_default();
        let asked = Asked::of(profile).with(|asked| {
            asked.names = Some(first.into_iter().chain([name(text)]).collect());
        });
        asked.assert_broken("name-kind-not-allowed", "/subject_alternative_names/1");
    }
    let refused = Asked::of("server").names(&["email:someone@example.org"]).evaluate().expect_err("a wrong kind");
    assert!(refused[0].message.ends_with("it takes dns, ip, uri"), "{}", refused[0]);
}

#[test]
fn wildcards_and_single_labels_take_a_profile_that_allows_them() {
    Asked::of("server").names(&["dns:*.example.org", "dns:localhost"]).assert_granted();
    Asked::of("client")
        .names(&["dns:*.example.org"])
        .assert_broken("wildcard-not-allowed", "/subject_alternative_names/0");
    Asked::under("single_labels = true", "single_labels = false")
        .names(&["dns:api.example.org", "dns:localhost"])
        .assert_broken("single-label-not-allowed", "/subject_alternative_names/1");
}

#[test]
fn names_lie_within_what_the_profile_lists() {
    let domains =
        || Asked::under("# within = [\"example.org\", \".internal\"]", "within = [\"example.org\", \".internal\"]");
    domains().names(&["dns:example.org", "dns:*.a.example.org", "dns:x.internal"]).assert_granted();
    domains().names(&["dns:internal"]).assert_broken("name-not-within", "/subject_alternative_names/0");
    let networks =
        || Asked::under("# within = [\"10.0.0.0/8\", \"fd00::/8\"]", "within = [\"10.0.0.0/8\", \"fd00::/8\"]");
    networks().names(&["ip:10.1.2.3", "ip:fd00::1"]).assert_granted();
    networks().names(&["ip:192.0.2.1"]).assert_broken("name-not-within", "/subject_alternative_names/0");
    Asked::of("server").names(&["uri:spiffe://example.org/api"]).assert_granted();
    Asked::of("server")
        .names(&["uri:ldap://example.org/"])
        .assert_broken("uri-scheme-not-allowed", "/subject_alternative_names/0");
    Asked::of("document").names(&["otherName:2.16.76.1.3.1=UTF8:x"]).assert_granted();
    Asked::of("client")
        .names(&["otherName:2.16.76.1.3.1=UTF8:x"])
        .assert_broken("name-not-within", "/subject_alternative_names/0");
}

#[test]
fn numbers_of_names_are_limited() {
    Asked::under("wildcards = true", "wildcards = true\nmaximum = 1")
        .names(&["dns:a.example.org", "dns:b.example.org"])
        .assert_broken("too-many-names", "/subject_alternative_names");
    Asked::under("[names.ip]", "[names.ip]\nrequired = true")
        .assert_broken("name-missing", "/subject_alternative_names");
    Asked::under("maximum = 100", "maximum = 1")
        .names(&["dns:a.example.org", "ip:192.0.2.1"])
        .assert_broken("too-many-names", "/subject_alternative_names");
    Asked::of("server")
        .names(&["dns:a.example.org", "dns:A.example.org"])
        .assert_broken("name-duplicate", "/subject_alternative_names/1");
}

#[test]
fn the_services_own_names_are_not_for_servers() {
    let reserving = |profile: &str| {
        Asked::of(profile).with(|asked| asked.reserved = vec![name("dns:ca.example.org"), name("ip:192.0.2.9")])
    };
    reserving("server").names(&["dns:ca.example.org"]).assert_broken("name-reserved", "/subject_alternative_names/0");
    reserving("server").names(&["dns:*.example.org"]).assert_broken("name-reserved", "/subject_alternative_names/0");
    reserving("server").names(&["ip:192.0.2.9"]).assert_broken("name-reserved", "/subject_alternative_names/0");
    reserving("server").subject("CN=CA.example.org").assert_broken("name-reserved", "/subject");
    reserving("server").names(&["dns:*.a.example.org", "dns:a.example.org"]).assert_granted();
    // A client or signer cannot stand in for the service.
    reserving("client").names(&["dns:ca.example.org"]).assert_granted();
    reserving("api-server")
        .names(&["dns:ca.example.org"])
        .with(|asked| asked.origin = Origin::Service)
        .assert_granted();
}

#[test]
fn lifetimes_lie_between_a_second_and_the_maximum() {
    let lasting = |text: &str| Asked::of("server").with(|asked| asked.validity = Some(text.parse().expect(text)));
    lasting("1s").assert_granted();
    lasting("398d").assert_granted();
    lasting("0d").assert_broken("validity-zero", "/validity");
    lasting("399d").assert_broken("validity-too-long", "/validity");
}

#[test]
fn constraints_are_for_subordinate_authorities() {
    let confined = |purposes: Vec<ExtendedKeyUsage>| AuthorityConstraints {
        extended_key_usage: purposes,
        name_constraints: NameConstraints::default(),
    };
    let asked = |profile: &str, constraints: AuthorityConstraints| {
        Asked::of(profile).with(|asked| {
            asked.origin = Origin::Service;
            asked.constraints = Some(constraints);
        })
    };
    let granted = asked("subordinate", confined(vec![ExtendedKeyUsage::SERVER_AUTH])).assert_granted();
    assert_eq!(granted.extended_key_usage, [ExtendedKeyUsage::SERVER_AUTH]);
    asked("server", confined(Vec::new())).assert_broken("constraints-not-allowed", "/profile");
    asked("subordinate", confined(vec![ExtendedKeyUsage::OCSP_SIGNING]))
        .assert_broken("constraints-not-allowed", "/profile");
}

#[test]
fn usages_that_the_key_cannot_have_are_left_out() {
    let text = "key_usage = [\"digitalSignature\", \"keyEncipherment\"]";
    let asked = Asked::under("key_usage = [\"digitalSignature\"]", text);
    assert_eq!(asked.assert_granted().key_usage.to_string(), "digitalSignature");
    let rsa = asked.with(|asked| asked.key = SigningKey::of(Owner::Holder, KeyType::Rsa2048).public().clone());
    assert_eq!(rsa.assert_granted().key_usage.to_string(), "digitalSignature, keyEncipherment");
}

#[test]
fn every_violation_is_told_at_once() {
    let asked = Asked::under("\"p256\", ", "")
        .subject("CN=x,title=Engineer")
        .names(&["dns:a.example.org", "email:a@example.org", "dns:a.example.org"])
        .with(|asked| asked.validity = Some(Lifetime::from_days(4000)));
    let codes: Vec<&str> = asked.broken().into_iter().map(|(code, _)| code).collect();
    assert_eq!(
        codes,
        [
            "key-type-not-allowed",
            "subject-attribute-not-allowed",
            "name-kind-not-allowed",
            "name-duplicate",
            "validity-too-long"
        ]
    );
    assert_eq!(by_service().reserved_names, []);
}
