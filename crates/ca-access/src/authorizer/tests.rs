//! Every kind of principal against every action on every resource, as one table; tokens' names; what fails is denied.

use ca_core::id::{AuthorityId, CertificateId, ManagedCertificateId, ProfileName, TokenId};
use ca_core::name::GeneralName;
use ca_core::principal::{Principal, Role, TokenBinding};
use ca_core::serial::Serial;
use ca_engine::port::authorizer::{Action, Resource};

use super::*;
use crate::vocabulary::ASKED;

const OWN: CertificateId = CertificateId::from_bytes([1; 16]);
const OTHER: CertificateId = CertificateId::from_bytes([2; 16]);

fn shipped() -> CedarAuthorizer {
    CedarAuthorizer::shipped().expect("the shipped texts are faultless")
}

fn holder(roles: &[Role]) -> Principal {
    Principal::Certificate {
        id: OWN,
        authority: "tls".parse().expect("an authority id"),
        serial: Serial::from_random([1; 16]),
        roles: roles.to_vec(),
    }
}

fn token(profile: &str, names: &[&str], common_name: Option<&str>) -> Principal {
    Principal::EnrolmentToken {
        id: TokenId::from_bytes([3; 16]),
        binding: TokenBinding {
            profile: profile.parse().expect("a profile name"),
            names: general_names(names),
            common_name: common_name.map(str::to_owned),
        },
    }
}

fn general_names(names: &[&str]) -> Vec<GeneralName> {
    names.iter().map(|name| GeneralName::parse(name).expect("a name")).collect()
}

/// Asks for a certificate.
fn ask(
    authorizer: &CedarAuthorizer,
    principal: &Principal,
    profile: &str,
    names: &[&str],
    common_names: &[&str],
) -> bool {
    let name: ProfileName = profile.parse().expect("a profile name");
    let common_names: Vec<String> = common_names.iter().map(|&name| name.to_owned()).collect();
    let internal = ["root", "subordinate", "ocsp-responder", "api-server", "operator"].contains(&profile);
    let names = general_names(names);
    let resource = Resource::Profile { name: &name, internal, common_names: &common_names, names: &names };
    authorizer.decide(&Question { principal, action: Action::IssueCertificate, resource }).is_allowed()
}

/// The columns of the table. A letter in a row allows that principal: `.` denies.
fn principals() -> [(char, Principal); 11] {
    [
        ('a', holder(&[Role::Administrator])),
        ('l', Principal::LocalOperator),
        ('j', Principal::Job("responder")),
        ('r', holder(&[Role::Registrar])),
        ('u', holder(&[Role::Auditor])),
        ('b', holder(&[Role::Auditor, Role::Registrar])),
        ('w', holder(&[Role::Worker])),
        ('h', holder(&[])),
        ('t', token("server", &["dns:api.example.com"], None)),
        ('n', Principal::Anonymous),
        ('x', Principal::ExpiredHolder { id: OWN }),
    ]
}

/// Who may do what to what; compare with the columns of [`principals`].
const TABLE: [(Action, &str, &str); 69] = [
    (Action::IssueCertificate, "profile server", "aljr.b..t.."),
    (Action::IssueCertificate, "profile client", "aljr.b....."),
    (Action::IssueCertificate, "profile operator", "alj........"),
    (Action::RenewCertificate, "own, open", "aljrubwh..."),
    (Action::RenewCertificate, "own, early", "aljr.b....."),
    (Action::RenewCertificate, "own operator, open", "aljrubwh..."),
    (Action::RenewCertificate, "own operator, early", "aljr.b....."),
    (Action::RenewCertificate, "other, open", "aljr.b....."),
    (Action::RenewCertificate, "other, early", "aljr.b....."),
    (Action::RenewCertificate, "other operator, open", "alj........"),
    (Action::RenewExpiredCertificate, "own, open", "..........x"),
    (Action::RenewExpiredCertificate, "own operator, open", "..........."),
    (Action::RenewExpiredCertificate, "other, open", "..........."),
    (Action::RenewExpiredCertificate, "service", "..........."),
    (Action::RevokeCertificate, "own, early", "al.rubwh..."),
    (Action::RevokeCertificate, "own operator, early", "al.rubwh..."),
    (Action::RevokeCertificate, "other, open", "al.r.b....."),
    (Action::RevokeCertificate, "other operator, open", "al........."),
    (Action::BulkRevoke, "service", "al.r.b....."),
    (Action::ListBulkRevocations, "service", "aljrub....."),
    (Action::ReleaseCertificate, "own, open", "al.r.b....."),
    (Action::ReleaseCertificate, "own operator, open", "al.r.b....."),
    (Action::ReleaseCertificate, "other, open", "al.r.b....."),
    (Action::ReleaseCertificate, "other operator, open", "al........."),
    (Action::ReadCertificate, "own, early", "aljrubwh..."),
    (Action::ReadCertificate, "own operator, early", "aljrubwh..."),
    (Action::ReadCertificate, "other, open", "aljrub....."),
    (Action::ReadCertificate, "other operator, open", "aljrub....."),
    (Action::ListCertificates, "service", "aljrub....."),
    (Action::ReadAuthority, "authority", "aljrubwht.."),
    (Action::ReadAuthority, "service", "aljrubwht.."),
    (Action::ReadProfile, "profile server", "aljrubwht.."),
    (Action::ReadProfile, "profile operator", "aljrubwht.."),
    (Action::ReadProfile, "service", "aljrubwht.."),
    (Action::CreateToken, "service", "al.r.b....."),
    (Action::DeleteToken, "token", "al.r.b....."),
    (Action::ListTokens, "service", "aljrub....."),
    (Action::ReadAudit, "service", "alj.ub....."),
    (Action::ExportKey, "authority", "al........."),
    (Action::ListOutbox, "service", "alj.ub....."),
    (Action::ReplayDelivery, "service", "al........."),
    (Action::MoveRenewalWindows, "service", "al........."),
    (Action::ListRenewalWindows, "service", "aljrub....."),
    (Action::ListGateways, "service", "aljrub....."),
    (Action::ReportGateway, "gateway, certified", "al.rubwh..."),
    (Action::ReportGateway, "gateway", "..........."),
    (Action::RemoveGateway, "service", "al........."),
    (Action::RemoveGateway, "gateway", "..........."),
    (Action::ReadManaged, "managed", "aljrub....."),
    (Action::ListManaged, "service", "aljrub....."),
    (Action::ManageCertificate, "managed", "al.r.b....."),
    (Action::DeliverManaged, "service", "al....w...."),
    // What makes no sense is denied to everybody.
    (Action::ManageCertificate, "service", "..........."),
    (Action::ListManaged, "managed", "..........."),
    (Action::IssueCertificate, "service", "..........."),
    (Action::IssueCertificate, "own, open", "..........."),
    (Action::RenewCertificate, "service", "..........."),
    (Action::RevokeCertificate, "authority", "..........."),
    (Action::BulkRevoke, "own, open", "..........."),
    (Action::ListBulkRevocations, "authority", "..........."),
    (Action::ListCertificates, "own, open", "..........."),
    (Action::DeleteToken, "service", "..........."),
    (Action::ReadAudit, "authority", "..........."),
    (Action::ExportKey, "service", "..........."),
    (Action::ReplayDelivery, "authority", "..........."),
    (Action::MoveRenewalWindows, "authority", "..........."),
    (Action::ReportGateway, "service", "..........."),
    (Action::DeliverManaged, "other, open", "..........."),
    (Action::ListGateways, "gateway", "..........."),
];

/// What the words of the table's second column stand for.
struct Things {
    authority: AuthorityId,
    server: ProfileName,
    names: Vec<GeneralName>,
    profiles: Vec<ProfileName>,
}

impl Things {
    fn new() -> Self {
        let profile = |name: &str| name.parse().expect("a profile name");
        Self {
            authority: "tls".parse().expect("an authority id"),
            server: profile("server"),
            names: general_names(&["dns:api.example.com"]),
            profiles: ["server", "client", "operator"].map(profile).to_vec(),
        }
    }

    fn named(&self, words: &str) -> Resource<'_> {
        match words {
            "service" => return Resource::Service,
            "authority" => return Resource::Authority(&self.authority),
            "gateway" => return Resource::Gateway { id: "gw.example.com", certified: false },
            "gateway, certified" => return Resource::Gateway { id: "gw.example.com", certified: true },
            "managed" => {
                let id = ManagedCertificateId::from_bytes([9; 16]);
                return Resource::Managed { id, name: "web", profile: &self.server, owner: "local" };
            }
            "token" => return Resource::Token(TokenId::from_bytes([9; 16])),
            _ => {}
        }
        if let Some(wanted) = words.strip_prefix("profile ") {
            let name = self.profiles.iter().find(|name| name.as_str() == wanted).expect("a profile of the table");
            return Resource::Profile { name, internal: wanted == "operator", common_names: &[], names: &self.names };
        }
        Resource::Certificate {
            id: if words.starts_with("own") { OWN } else { OTHER },
            authority: &self.authority,
            profile: &self.server,
            internal: words.contains("operator"),
            owner: "local",
            renewal_open: words.ends_with("open"),
        }
    }
}

#[test]
fn everybody_may_do_what_the_table_says_and_nothing_more() {
    let authorizer = shipped();
    let things = Things::new();
    for (action, words, expected) in TABLE {
        let row: String = principals()
            .iter()
            .map(|(letter, principal)| {
                let question = Question { principal, action, resource: things.named(words) };
                if authorizer.decide(&question).is_allowed() { *letter } else { '.' }
            })
            .collect();
        assert_eq!(row, expected, "{} of {words}", action.as_str());
    }
}

#[test]
fn the_table_has_every_question_that_is_asked() {
    let things = Things::new();
    for (action, kinds) in ASKED {
        for kind in kinds {
            let asked = TABLE
                .iter()
                .any(|(tabled, words, _)| *tabled == action && ResourceKind::of(&things.named(words)) == Some(*kind));
            assert!(asked, "{} of {kind:?} is missing", action.as_str());
        }
    }
    let actions: Vec<_> = ASKED.iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, Action::ALL);
}

#[test]
fn a_token_asks_for_some_of_its_names_and_no_other() {
    let authorizer = shipped();
    let token = token("server", &["dns:a.example.com", "dns:b.example.com", "ip:192.0.2.1"], Some("web"));
    let ask = |names: &[&str], common_names: &[&str]| ask(&authorizer, &token, "server", names, common_names);
    assert!(ask(&["dns:a.example.com"], &[]));
    assert!(ask(&["dns:b.example.com", "ip:192.0.2.1"], &[]));
    assert!(ask(&["dns:a.example.com", "dns:b.example.com", "ip:192.0.2.1"], &["web"]));
    assert!(ask(&["dns:a.example.com"], &["a.example.com"]), "a common name may be one of its names");
    assert!(ask(&["dns:a.example.com"], &["web", "b.example.com"]));
    assert!(!ask(&[], &[]), "no name at all");
    assert!(!ask(&[], &["web"]), "no alternative name, although it is bound to some");
    assert!(!ask(&["dns:c.example.com"], &[]));
    assert!(!ask(&["dns:a.example.com", "dns:c.example.com"], &[]), "one stranger is enough");
    assert!(!ask(&["uri:https://a.example.com"], &[]));
    assert!(!ask(&["dns:*.example.com"], &[]));
    assert!(!ask(&["dns:a.example.com"], &["c.example.com"]));
    assert!(!ask(&["dns:a.example.com"], &["web", "administrator"]));
}

#[test]
fn a_name_counts_with_its_type() {
    let authorizer = shipped();
    let token = token("client", &["email:maria@example.com"], None);
    assert!(ask(&authorizer, &token, "client", &["email:maria@example.com"], &["maria@example.com"]));
    assert!(!ask(&authorizer, &token, "client", &["upn:maria@example.com"], &[]), "a UPN logs on to machines");
}

#[test]
fn a_token_bound_to_a_common_name_alone_asks_for_that_alone() {
    let authorizer = shipped();
    let token = token("client", &[], Some("cliente"));
    let ask = |names: &[&str], common_names: &[&str]| ask(&authorizer, &token, "client", names, common_names);
    assert!(ask(&[], &["cliente"]));
    assert!(!ask(&[], &[]));
    assert!(!ask(&[], &["Cliente"]));
    assert!(!ask(&[], &["cliente", "another"]));
    assert!(!ask(&["dns:cliente"], &["cliente"]));
    assert!(!self::ask(&authorizer, &token, "document", &[], &["cliente"]), "another profile");
}

#[test]
fn a_token_bound_to_nothing_asks_for_nothing() {
    let authorizer = shipped();
    let token = token("client", &[], None);
    assert!(!ask(&authorizer, &token, "client", &[], &[]));
    assert!(!ask(&authorizer, &token, "client", &[], &["x"]));
    assert!(!ask(&authorizer, &token, "client", &["dns:x.example.com"], &[]));
}

#[test]
fn a_token_asks_for_its_profile_alone_and_never_for_an_internal_one() {
    let authorizer = shipped();
    let names = ["dns:api.example.com"];
    assert!(!ask(&authorizer, &token("server", &names, None), "client", &names, &[]));
    for internal in ["operator", "subordinate", "root", "ocsp-responder", "api-server"] {
        assert!(!ask(&authorizer, &token(internal, &names, None), internal, &names, &[]), "{internal}");
    }
}

#[test]
fn a_role_counts_and_a_name_does_not() {
    let authorizer = shipped();
    let things = Things::new();
    // An id that reads like a role, and a job that is called like one.
    for principal in
        [holder(&[]), Principal::Job("administrator"), token("server", &["dns:administrator"], Some("administrator"))]
    {
        let question =
            Question { principal: &principal, action: Action::ExportKey, resource: things.named("authority") };
        assert!(!authorizer.decide(&question).is_allowed(), "{}", principal.reference());
    }
}

#[test]
fn decisions_name_their_policies_in_order() {
    let authorizer = shipped();
    let things = Things::new();
    let decide = |principal: &Principal, action, words: &str| {
        authorizer.decide(&Question { principal, action, resource: things.named(words) })
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        decide(&holder(&[Role::Registrar, Role::Auditor]), Action::ReadCertificate, "own, open"),
        Decision::Allow {
            policies: names(&[
                "auditor-may-read-everything",
                "holder-may-read-and-revoke-its-own",
                "registrar-may-manage-certificates-and-tokens",
            ])
        }
    );
    assert_eq!(
        decide(&holder(&[Role::Registrar]), Action::IssueCertificate, "profile operator"),
        Decision::Deny { policies: names(&["internal-profiles-are-the-service-s-own"]) }
    );
    assert_eq!(
        decide(&Principal::Anonymous, Action::ReadAuthority, "authority"),
        Decision::Deny { policies: Vec::new() }
    );
}

/// Cedar skips a policy that fails to evaluate. Were it one that forbids, the rest would permit.
#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let overflowing = r#"
        @id("all") permit (principal, action, resource);
        @id("fails") forbid (principal, action == Action::"ReadAudit", resource) when { 9223372036854775807 + 1 == 0 };
    "#;
    let authorizer = CedarAuthorizer::from_texts(overflowing, SHIPPED_SCHEMA).expect("it fits the schema");
    let principal = Principal::LocalOperator;
    let decide = |action| authorizer.decide(&Question { principal: &principal, action, resource: Resource::Service });
    assert!(decide(Action::ListCertificates).is_allowed());
    assert_eq!(decide(Action::ReadAudit), Decision::Deny { policies: Vec::new() });
}

#[test]
fn without_a_policy_everything_is_denied() {
    let authorizer = CedarAuthorizer::from_texts("", SHIPPED_SCHEMA).expect("no rule is a policy too");
    let things = Things::new();
    for (action, words, _) in TABLE {
        for (_, principal) in principals() {
            let question = Question { principal: &principal, action, resource: things.named(words) };
            assert_eq!(authorizer.decide(&question), Decision::Deny { policies: Vec::new() });
        }
    }
}

#[test]
fn a_remembered_decision_is_for_the_same_principal_roles_and_profile() {
    let authorizer = shipped();
    let asks = |principal: &Principal, profile: &str, name: &str| ask(&authorizer, principal, profile, &[name], &[]);
    for _ in 0..2 {
        assert!(asks(&holder(&[Role::Registrar]), "server", "dns:a.example.com"));
        assert!(asks(&holder(&[Role::Registrar]), "server", "dns:b.example.com"));
        assert!(!asks(&holder(&[Role::Registrar]), "operator", "dns:a.example.com"));
        assert!(asks(&holder(&[Role::Administrator]), "operator", "dns:a.example.com"));
        assert!(!asks(&holder(&[]), "server", "dns:a.example.com"));
        // What a token may ask for depends on what it asks for.
        let token = token("server", &["dns:a.example.com"], None);
        assert!(asks(&token, "server", "dns:a.example.com"));
        assert!(!asks(&token, "server", "dns:b.example.com"));
    }
    assert_eq!(authorizer.remembered.len(), 4, "names make no difference, tokens are not remembered");
}

#[test]
fn what_a_policy_reads_of_the_request_is_asked_each_time() {
    for condition in [
        r#"context.names.contains("dns:evil.example.com")"#,
        r#"if resource.internal then true else context["names"].contains("dns:evil.example.com")"#,
    ] {
        let text = format!(
            "{SHIPPED_POLICIES}\n@id(\"no-evil\") forbid (principal, action == Action::\"IssueCertificate\", resource) when {{ {condition} }};"
        );
        let authorizer = CedarAuthorizer::from_texts(&text, SHIPPED_SCHEMA).expect("it fits the schema");
        let registrar = holder(&[Role::Registrar]);
        for (name, is_allowed) in [("dns:good.example.com", true), ("dns:evil.example.com", false)] {
            assert_eq!(ask(&authorizer, &registrar, "server", &[name], &[]), is_allowed, "{condition}: {name}");
        }
        assert_eq!(authorizer.remembered.len(), 0);
    }
}

#[test]
fn memory_is_bounded() {
    let authorizer = shipped();
    let profile: ProfileName = "server".parse().expect("a profile name");
    for number in 0..5_000u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let principal = Principal::Certificate {
            id: CertificateId::from_bytes(id),
            authority: "tls".parse().expect("an authority id"),
            serial: Serial::from_random([1; 16]),
            roles: vec![Role::Registrar],
        };
        let resource = Resource::Profile { name: &profile, internal: false, common_names: &[], names: &[] };
        let question = Question { principal: &principal, action: Action::IssueCertificate, resource };
        assert!(authorizer.decide(&question).is_allowed());
        assert!(authorizer.remembered.len() <= 4_096);
    }
}
