//! Every rule fires on what breaks it: certificates are taken apart, spoiled and put together again, so that nothing is
//! left to the encoder, the policy or the template to prevent.

use std::collections::BTreeSet;

use const_oid::ObjectIdentifier;

use super::catalogue::{self, STRICT_DER};
use super::*;
use crate::hierarchy::{
    Authority, Owner, SigningKey, by_service, document_constraints, name, now, profile, request, subject,
    tls_constraints,
};
use crate::key::KeyType;
use crate::name::{NameConstraints, Subtree};
use crate::policy;
use crate::tbs::extension::id;
use crate::tbs::{self, TbsView};
use crate::template::IssuerFacts;
use crate::tlv::{self, tag};

/// A faultless TBSCertificate in pieces, with what it is held against.
struct Scene {
    version: Vec<u8>,
    serial: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    times: Vec<u8>,
    subject: Vec<u8>,
    public_key: Vec<u8>,
    after_key: Vec<u8>,
    extensions: Vec<(ObjectIdentifier, bool, Vec<u8>)>,
    explicit_false: bool,
    facts: Option<IssuerFacts>,
    profile: Profile,
    key: PublicKey,
}

impl Scene {
    fn of(tbs: &TbsDer, facts: Option<IssuerFacts>, profile: Profile, key: PublicKey) -> Self {
        let view = TbsView::read(tbs.as_bytes()).expect("our own DER");
        let times = [view.not_before.whole, view.not_after.whole].concat();
        let extensions = view.extensions.iter().map(|extension| {
            let oid = extension.object_identifier().expect("our own extension");
            (oid, extension.critical, extension.value.to_vec())
        });
        Self {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: view.serial.to_vec(),
            algorithm: view.signature_algorithm.to_vec(),
            issuer: view.issuer.to_vec(),
            times,
            subject: view.subject.to_vec(),
            public_key: view.public_key.to_vec(),
            after_key: Vec::new(),
            extensions: extensions.collect(),
            explicit_false: false,
            facts,
            profile,
            key,
        }
    }

    fn leaf_of(authority: &Authority, profile_name: &str, names: &[&str], profile: Profile) -> Self {
        let key = SigningKey::of(Owner::Holder, KeyType::P256);
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let holder = subject(&format!("CN={profile_name}"));
        let granted =
            policy::evaluate(&profile, &request(key.public(), &holder, &names), &by_service()).expect("granted");
        let tbs = tbs::encode(&authority.template(granted)).expect("encoded");
        Self::of(&tbs, Some(authority.facts.clone()), profile, key.public().clone())
    }

    fn server() -> Self {
        Self::leaf_of(&tls(), "server", &["dns:api.example.org", "ip:192.0.2.7"], profile("server"))
    }

    fn stapling_server() -> Self {
        let text = hierarchy_text("server").replace("must_staple = false", "must_staple = true");
        let profile = Profile::from_toml(&text).expect("a sound profile");
        Self::leaf_of(&tls(), "server", &["dns:api.example.org"], profile)
    }

    fn responder() -> Self {
        Self::leaf_of(&tls(), "ocsp-responder", &[], profile("ocsp-responder"))
    }

    fn document() -> Self {
        let root = Authority::root(KeyType::P256);
        let document = Authority::below(&root, KeyType::P256, "document", &document_constraints());
        Self::leaf_of(&document, "document", &["email:maria@example.org"], profile("document"))
    }

    fn subordinate() -> Self {
        let root = Authority::root(KeyType::P256);
        let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
        let tbs = TbsDer::from_bytes(tls.certificate.tbs_der().to_vec());
        Self::of(&tbs, Some(root.facts), profile("subordinate"), tls.key.public().clone())
    }

    fn root() -> Self {
        let root = Authority::root(KeyType::P256);
        let tbs = TbsDer::from_bytes(root.certificate.tbs_der().to_vec());
        Self::of(&tbs, None, profile("root"), root.key.public().clone())
    }

    /// Spoils it.
    fn with(mut self, spoil: impl FnOnce(&mut Self)) -> Self {
        spoil(&mut self);
        self
    }

    fn facts(&mut self) -> &mut IssuerFacts {
        self.facts.as_mut().expect("not of a root")
    }

    /// Changes the profile it is held against.
    fn hold_against(&mut self, name: &str, from: &str, to: &str) {
        let text = hierarchy_text(name);
        assert!(text.contains(from), "{from}");
        self.profile = Profile::from_toml(&text.replace(from, to)).expect("a sound profile");
    }

    fn remove(&mut self, oid: ObjectIdentifier) {
        self.extensions.retain(|extension| extension.0 != oid);
    }

    fn set(&mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) {
        self.remove(oid);
        self.extensions.push((oid, critical, value.to_vec()));
    }

    fn set_critical(&mut self, oid: ObjectIdentifier, critical: bool) {
        self.extensions.iter_mut().find(|extension| extension.0 == oid).expect("it is there").1 = critical;
    }

    fn set_purposes(&mut self, purposes: &[ObjectIdentifier]) {
        let list: Vec<u8> = purposes.iter().flat_map(|oid| value(tag::OBJECT_IDENTIFIER, oid.as_bytes())).collect();
        self.set(id::EXTENDED_KEY_USAGE, false, &value(tag::SEQUENCE, &list));
    }

    fn set_times(&mut self, not_before: (u8, &str), not_after: (u8, &str)) {
        self.times =
            [value(not_before.0, not_before.1.as_bytes()), value(not_after.0, not_after.1.as_bytes())].concat();
    }

    fn der(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (index, (oid, critical, content)) in self.extensions.iter().enumerate() {
            let mut fields = value(tag::OBJECT_IDENTIFIER, oid.as_bytes());
            if *critical {
                fields.extend(value(tag::BOOLEAN, &[0xff]));
            } else if self.explicit_false && index == 0 {
                fields.extend(value(tag::BOOLEAN, &[0]));
            }
            fields.extend(value(tag::OCTET_STRING, content));
            extensions.extend(value(tag::SEQUENCE, &fields));
        }
        let extensions = value(tag::context_constructed(3), &value(tag::SEQUENCE, &extensions));
        let serial = value(tag::INTEGER, &self.serial);
        let validity = value(tag::SEQUENCE, &self.times);
        let fields: [&[u8]; 9] = [
            &self.version,
            &serial,
            &self.algorithm,
            &self.issuer,
            &validity,
            &self.subject,
            &self.public_key,
            &self.after_key,
            &extensions,
        ];
        value(tag::SEQUENCE, &fields.concat())
    }

    fn lint(&self) -> Result<LintedTbs, Vec<Finding>> {
        let issuer = self.facts.as_ref().map_or(Issuer::Itself, Issuer::Authority);
        check(TbsDer::from_bytes(self.der()), &LintContext { issuer, public_key: &self.key, profile: &self.profile })
    }
}

fn tls() -> Authority {
    Authority::below(&Authority::root(KeyType::P256), KeyType::P256, "tls", &tls_constraints())
}

fn hierarchy_text(name: &str) -> &'static str {
    crate::profile::built_in().iter().find(|profile| profile.name == name).expect("built in").text
}

fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::append(&mut der, tag, content);
    der
}

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// A DistributionPoint or AccessDescription location: `[6]` and a URL.
fn url(text: &str) -> Vec<u8> {
    value(tag::context(6), text.as_bytes())
}

fn distribution_points(names: &[u8]) -> Vec<u8> {
    let full_name = value(tag::context_constructed(0), &value(tag::context_constructed(0), names));
    value(tag::SEQUENCE, &value(tag::SEQUENCE, &full_name))
}

fn access(method: &str, location: &[u8]) -> Vec<u8> {
    let description = [value(tag::OBJECT_IDENTIFIER, oid(method).as_bytes()), location.to_vec()].concat();
    value(tag::SEQUENCE, &value(tag::SEQUENCE, &description))
}

fn policies(list: &[&[u8]]) -> Vec<u8> {
    let informations: Vec<u8> = list.iter().flat_map(|content| value(tag::SEQUENCE, content)).collect();
    value(tag::SEQUENCE, &informations)
}

fn attribute(oid_text: &str, string_tag: u8, text: &[u8]) -> Vec<u8> {
    let pair = [value(tag::OBJECT_IDENTIFIER, oid(oid_text).as_bytes()), value(string_tag, text)].concat();
    value(tag::SEQUENCE, &value(0x31, &value(tag::SEQUENCE, &pair)))
}

const OCSP: &str = "1.3.6.1.5.5.7.48.1";
const UTF8: u8 = 0x0c;

/// What breaks each rule of the basic fields.
fn spoiled_fields() -> Vec<(&'static str, Scene)> {
    let server = || Scene::server();
    vec![
        (STRICT_DER, server().with(|scene| scene.after_key = value(tag::NULL, &[]))),
        ("version_is_3", server().with(|scene| scene.version.clear())),
        ("version_is_3", server().with(|scene| scene.version[4] = 1)),
        ("serial_is_positive", server().with(|scene| scene.serial = vec![0])),
        ("serial_is_positive", server().with(|scene| scene.serial = vec![0xff; 16])),
        ("serial_is_positive", server().with(|scene| scene.serial.insert(0, 0))),
        ("serial_has_at_most_20_octets", server().with(|scene| scene.serial = vec![0x40; 21])),
        ("serial_has_64_bits", server().with(|scene| scene.serial = vec![0x40; 7])),
        (
            "signature_algorithm_is_the_issuers",
            server().with(|scene| scene.algorithm = SignatureAlgorithm::EcdsaSha384.identifier_der().to_vec()),
        ),
        (
            "validity_is_in_whole_seconds_utc",
            server().with(|scene| scene.set_times((0x18, "20261119235500.5Z"), (0x17, "261220000000Z"))),
        ),
        (
            "validity_is_in_whole_seconds_utc",
            server().with(|scene| scene.set_times((0x17, "261119235500+0000"), (0x17, "261220000000Z"))),
        ),
        (
            "validity_is_utc_time_through_2049",
            server().with(|scene| scene.set_times((0x18, "20261119235500Z"), (0x17, "261220000000Z"))),
        ),
        (
            "validity_is_in_order",
            server().with(|scene| scene.set_times((0x17, "261220000000Z"), (0x17, "261119235500Z"))),
        ),
        (
            "public_key_is_the_accepted_one",
            server().with(|scene| {
                scene.public_key = SigningKey::of(Owner::Root, KeyType::P256).public().spki_der().to_vec();
            }),
        ),
        ("unique_identifiers_are_absent", server().with(|scene| scene.after_key = value(tag::context(1), &[0, 0xaa]))),
        (
            "another_parser_reads_the_same",
            server().with(|scene| scene.subject = value(tag::SEQUENCE, &value(tag::INTEGER, &[1]))),
        ),
    ]
}

/// What breaks each rule of names.
fn spoiled_names() -> Vec<(&'static str, Scene)> {
    let server = || Scene::server();
    let two = [value(tag::context(2), b"api.example.org"), value(tag::context(2), b"api.example.org")].concat();
    vec![
        (
            "subject_is_a_distinguished_name",
            server().with(|scene| scene.subject = value(tag::SEQUENCE, &value(tag::INTEGER, &[1]))),
        ),
        (
            "subject_attributes_keep_their_types_and_bounds",
            server().with(|scene| scene.subject = attribute("2.5.4.3", UTF8, &[b'a'; 65])),
        ),
        (
            // TeletexString.
            "subject_attributes_keep_their_types_and_bounds",
            server().with(|scene| scene.subject = attribute("2.5.4.3", 0x14, b"api.example.org")),
        ),
        ("subject_of_authority_is_not_empty", Scene::subordinate().with(|scene| scene.subject = vec![0x30, 0])),
        (
            "subject_is_not_a_tools_default",
            server().with(|scene| scene.subject = attribute("2.5.4.3", UTF8, b"rcgen self signed cert")),
        ),
        (
            "subject_is_not_a_tools_default",
            server().with(|scene| scene.subject = attribute("2.5.4.10", UTF8, b"Internet Widgits Pty Ltd")),
        ),
        (
            "somebody_is_named",
            server().with(|scene| {
                scene.subject = vec![0x30, 0];
                scene.remove(id::SUBJECT_ALT_NAME);
            }),
        ),
        (
            "names_are_critical_exactly_when_subject_is_empty",
            server().with(|scene| scene.set_critical(id::SUBJECT_ALT_NAME, true)),
        ),
        ("names_are_critical_exactly_when_subject_is_empty", server().with(|scene| scene.subject = vec![0x30, 0])),
        ("names_are_not_an_empty_list", server().with(|scene| scene.set(id::SUBJECT_ALT_NAME, false, &[0x30, 0]))),
        (
            "names_are_not_repeated",
            server().with(|scene| scene.set(id::SUBJECT_ALT_NAME, false, &value(tag::SEQUENCE, &two))),
        ),
    ]
}

/// What breaks each rule of extensions.
fn spoiled_extensions() -> Vec<(&'static str, Scene)> {
    let server = || Scene::server();
    let policy_oid = value(tag::OBJECT_IDENTIFIER, oid("1.2.3").as_bytes());
    let qualified = [policy_oid.clone(), value(tag::SEQUENCE, &value(tag::SEQUENCE, &policy_oid))].concat();
    let constraints = NameConstraints {
        permitted: vec![Subtree::parse("dns:example.org").expect("a subtree")],
        excluded: Vec::new(),
    };
    let constraints = constraints.to_der().expect("not empty");
    vec![
        ("extensions_are_known", server().with(|scene| scene.set(oid("1.2.3.4"), false, &[5, 0]))),
        ("extensions_are_not_repeated", server().with(|scene| scene.extensions.push(scene.extensions[0].clone()))),
        ("extension_defaults_are_left_out", server().with(|scene| scene.explicit_false = true)),
        (
            "extension_values_are_der_of_their_type",
            server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 0, 0x80])),
        ),
        (
            "extension_values_are_der_of_their_type",
            server().with(|scene| scene.set(id::SUBJECT_ALT_NAME, false, &[0x30, 3, 0x82, 1, b'_'])),
        ),
        ("constraining_extensions_are_critical", server().with(|scene| scene.set_critical(id::KEY_USAGE, false))),
        (
            "constraining_extensions_are_critical",
            Scene::subordinate().with(|scene| scene.set_critical(id::BASIC_CONSTRAINTS, false)),
        ),
        (
            "constraining_extensions_are_critical",
            Scene::subordinate().with(|scene| scene.set(id::NAME_CONSTRAINTS, false, &constraints)),
        ),
        (
            "informing_extensions_are_not_critical",
            server().with(|scene| scene.set_critical(id::AUTHORITY_INFO_ACCESS, true)),
        ),
        (
            "informing_extensions_are_not_critical",
            Scene::responder().with(|scene| scene.set_critical(id::OCSP_NO_CHECK, true)),
        ),
        (
            "subject_key_identifier_is_sha1_of_key",
            server().with(|scene| scene.set(id::SUBJECT_KEY_IDENTIFIER, false, &value(tag::OCTET_STRING, &[7; 20]))),
        ),
        ("subject_key_identifier_is_sha1_of_key", Scene::root().with(|scene| scene.remove(id::SUBJECT_KEY_IDENTIFIER))),
        ("authority_key_identifier_is_the_issuers", server().with(|scene| scene.remove(id::AUTHORITY_KEY_IDENTIFIER))),
        ("authority_key_identifier_is_the_issuers", server().with(|scene| scene.facts().key_identifier[0] ^= 1)),
        (
            "authority_key_identifier_is_the_issuers",
            Scene::root().with(|scene| {
                let identifier = value(tag::SEQUENCE, &value(tag::context(0), &[7; 20]));
                scene.set(id::AUTHORITY_KEY_IDENTIFIER, false, &identifier);
            }),
        ),
        (
            "authority_key_identifier_is_the_issuers",
            server().with(|scene| {
                let key = scene.facts().key_identifier.clone();
                let fields = [value(tag::context(0), &key), value(tag::context(2), &[1])].concat();
                scene.set(id::AUTHORITY_KEY_IDENTIFIER, false, &value(tag::SEQUENCE, &fields));
            }),
        ),
        ("basic_constraints_agree_with_profile", server().with(|scene| scene.remove(id::BASIC_CONSTRAINTS))),
        (
            "basic_constraints_agree_with_profile",
            server().with(|scene| scene.set(id::BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff])),
        ),
        (
            "basic_constraints_agree_with_profile",
            Scene::subordinate().with(|scene| scene.set(id::BASIC_CONSTRAINTS, true, &[0x30, 0])),
        ),
        (
            "path_length_is_an_authoritys",
            server().with(|scene| scene.set(id::BASIC_CONSTRAINTS, true, &[0x30, 3, 2, 1, 0])),
        ),
        (
            "name_constraints_are_an_authoritys",
            server().with(|scene| scene.set(id::NAME_CONSTRAINTS, true, &constraints)),
        ),
        (
            "name_constraints_are_not_empty",
            Scene::subordinate().with(|scene| scene.set(id::NAME_CONSTRAINTS, true, &[0x30, 0])),
        ),
        (
            "policies_are_listed_once",
            server().with(|scene| {
                scene.set(id::CERTIFICATE_POLICIES, false, &policies(&[&policy_oid, &policy_oid]));
            }),
        ),
        ("policies_are_listed_once", server().with(|scene| scene.set(id::CERTIFICATE_POLICIES, false, &[0x30, 0]))),
        (
            "policies_have_no_qualifiers",
            server().with(|scene| scene.set(id::CERTIFICATE_POLICIES, false, &policies(&[&qualified]))),
        ),
        (
            "crl_distribution_points_are_http",
            server().with(|scene| {
                scene.set(id::CRL_DISTRIBUTION_POINTS, false, &distribution_points(&url("https://example.org/a.crl")));
            }),
        ),
        (
            "crl_distribution_points_are_http",
            server().with(|scene| {
                let host_name = value(tag::context(2), b"example.org");
                scene.set(id::CRL_DISTRIBUTION_POINTS, false, &distribution_points(&host_name));
            }),
        ),
        (
            "crl_distribution_points_are_http",
            server().with(|scene| scene.set(id::CRL_DISTRIBUTION_POINTS, false, &[0x30, 0])),
        ),
        (
            "authority_information_is_http",
            server().with(|scene| {
                scene.set(id::AUTHORITY_INFO_ACCESS, false, &access(OCSP, &url("ldap://example.org/")));
            }),
        ),
        (
            "authority_information_is_http",
            server().with(|scene| {
                scene.set(id::AUTHORITY_INFO_ACCESS, false, &access(OCSP, &url("http://example.org/a b")));
            }),
        ),
        (
            "authority_information_is_http",
            server().with(|scene| {
                scene.set(id::AUTHORITY_INFO_ACCESS, false, &access("1.2.3", &url("http://example.org/")));
            }),
        ),
        (
            "responder_points_at_no_status_service",
            Scene::responder().with(|scene| {
                scene.set(id::AUTHORITY_INFO_ACCESS, false, &access(OCSP, &url("http://example.org/ocsp")));
            }),
        ),
        (
            "tls_feature_is_status_request_with_responder",
            Scene::stapling_server().with(|scene| scene.set(id::TLS_FEATURE, false, &[0x30, 3, 2, 1, 17])),
        ),
        (
            "tls_feature_is_status_request_with_responder",
            Scene::stapling_server().with(|scene| scene.remove(id::AUTHORITY_INFO_ACCESS)),
        ),
    ]
}

/// What breaks each rule of usage.
fn spoiled_usages() -> Vec<(&'static str, Scene)> {
    let server = || Scene::server();
    let [server_auth, any, time_stamping, ocsp_signing] =
        ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0", "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"].map(oid);
    vec![
        ("key_usage_is_there", server().with(|scene| scene.remove(id::KEY_USAGE))),
        ("key_usage_is_there", server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 1, 0]))),
        (
            // digitalSignature, keyCertSign
            "key_cert_sign_goes_with_authority",
            server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 2, 0x84])),
        ),
        (
            // cRLSign alone
            "key_cert_sign_goes_with_authority",
            Scene::subordinate().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 1, 2])),
        ),
        ("crl_sign_is_an_authoritys", server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 1, 0x82]))),
        (
            // digitalSignature, keyEncipherment with an elliptic curve key
            "key_usage_fits_key_type",
            server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 5, 0xa0])),
        ),
        (
            // digitalSignature, decipherOnly
            "encipher_only_goes_with_key_agreement",
            server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 3, 7, 0x80, 0x80])),
        ),
        ("purposes_of_end_entity_are_there", server().with(|scene| scene.remove(id::EXTENDED_KEY_USAGE))),
        ("purposes_of_end_entity_are_there", server().with(|scene| scene.set_purposes(&[]))),
        ("purposes_are_listed_once", server().with(|scene| scene.set_purposes(&[server_auth, server_auth]))),
        ("purposes_are_not_any", server().with(|scene| scene.set_purposes(&[any]))),
        (
            "purposes_are_critical_for_time_stamping_alone",
            server().with(|scene| scene.set_critical(id::EXTENDED_KEY_USAGE, true)),
        ),
        ("purposes_are_critical_for_time_stamping_alone", server().with(|scene| scene.set_purposes(&[time_stamping]))),
        (
            "purposes_are_critical_for_time_stamping_alone",
            server().with(|scene| scene.set_purposes(&[server_auth, time_stamping])),
        ),
        (
            // nonRepudiation serves no TLS server
            "purposes_agree_with_key_usage",
            server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 6, 0x40])),
        ),
        (
            // keyAgreement serves no signer of documents
            "purposes_agree_with_key_usage",
            Scene::document().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 3, 8])),
        ),
        ("ocsp_signing_goes_with_no_check", server().with(|scene| scene.set(id::OCSP_NO_CHECK, false, &[5, 0]))),
        ("ocsp_signing_goes_with_no_check", Scene::responder().with(|scene| scene.remove(id::OCSP_NO_CHECK))),
        ("ocsp_signing_is_an_end_entitys", Scene::subordinate().with(|scene| scene.set_purposes(&[ocsp_signing]))),
    ]
}

/// What breaks each rule of the issuer and of the profile.
fn spoiled_agreements() -> Vec<(&'static str, Scene)> {
    let server = || Scene::server();
    let constraints = NameConstraints {
        permitted: vec![Subtree::parse("dns:example.com").expect("a subtree")],
        excluded: Vec::new(),
    };
    let policy_oid = value(tag::OBJECT_IDENTIFIER, oid("1.2.3").as_bytes());
    vec![
        ("issuer_name_is_the_issuers_subject", server().with(|scene| scene.facts().subject = subject("CN=Other"))),
        (
            // The same name to a person, other octets: PrintableString for UTF8String.
            "issuer_name_is_the_issuers_subject",
            Scene::root().with(|scene| scene.issuer = attribute("2.5.4.3", 0x13, b"Test Root CA")),
        ),
        (
            "issuer_name_is_the_issuers_subject",
            Scene::root().with(|scene| {
                scene.issuer = vec![0x30, 0];
                scene.subject = vec![0x30, 0];
            }),
        ),
        ("end_entity_is_not_named_like_its_issuer", server().with(|scene| scene.subject = scene.issuer.clone())),
        ("validity_lies_within_the_issuers", server().with(|scene| scene.facts().validity.not_after = now())),
        ("validity_lies_within_the_issuers", server().with(|scene| scene.facts().validity.not_before = now())),
        ("path_length_is_below_the_issuers", Scene::subordinate().with(|scene| scene.facts().path_length = Some(0))),
        (
            "path_length_is_below_the_issuers",
            Scene::subordinate().with(|scene| {
                scene.facts().path_length = Some(1);
                scene.set(id::BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff]);
            }),
        ),
        (
            "names_obey_the_issuers_constraints",
            server().with(|scene| scene.facts().name_constraints = Some(constraints.clone())),
        ),
        (
            "purposes_are_among_the_issuers",
            server().with(|scene| scene.facts().extended_key_usage = document_constraints().extended_key_usage),
        ),
        (
            "purposes_are_among_the_issuers",
            Scene::subordinate().with(|scene| {
                scene.facts().extended_key_usage = tls_constraints().extended_key_usage;
                scene.remove(id::EXTENDED_KEY_USAGE);
            }),
        ),
        (
            "policies_are_among_the_issuers",
            server().with(|scene| scene.facts().certificate_policies = vec![oid("1.2.3")]),
        ),
        ("key_type_is_the_profiles", server().with(|scene| scene.hold_against("server", "\"p256\", ", ""))),
        (
            "lifetime_is_within_the_profiles",
            server().with(|scene| {
                scene.hold_against("server", "default = \"90d\"\nmaximum = \"398d\"", "default = \"89d\"");
            }),
        ),
        ("key_usage_is_the_profiles", server().with(|scene| scene.set(id::KEY_USAGE, true, &[3, 2, 6, 0xc0]))),
        ("purposes_are_the_profiles", server().with(|scene| scene.set_purposes(&[oid("1.3.6.1.5.5.7.3.1")]))),
        (
            "policies_are_the_profiles",
            server().with(|scene| scene.set(id::CERTIFICATE_POLICIES, false, &policies(&[&policy_oid]))),
        ),
        (
            "path_length_is_the_profiles",
            Scene::subordinate().with(|scene| scene.hold_against("subordinate", "path_length = 0", "path_length = 1")),
        ),
        ("subject_is_the_profiles", server().with(|scene| scene.subject = attribute("2.5.4.12", UTF8, b"Engineer"))),
        (
            "names_are_the_profiles",
            server().with(|scene| {
                let mailbox = value(tag::context(1), b"someone@example.org");
                scene.set(id::SUBJECT_ALT_NAME, false, &value(tag::SEQUENCE, &mailbox));
            }),
        ),
        ("tls_feature_is_the_profiles", Scene::stapling_server().with(|scene| scene.remove(id::TLS_FEATURE))),
    ]
}

#[test]
fn faultless_certificates_break_no_rule() {
    for (kind, scene) in [
        ("server", Scene::server()),
        ("stapling server", Scene::stapling_server()),
        ("responder", Scene::responder()),
        ("document", Scene::document()),
        ("subordinate", Scene::subordinate()),
        ("root", Scene::root()),
    ] {
        assert_eq!(scene.lint().map(|_| ()), Ok(()), "{kind}");
    }
}

#[test]
fn every_rule_fires_on_what_breaks_it() {
    let spoiled = [spoiled_fields(), spoiled_names(), spoiled_extensions(), spoiled_usages(), spoiled_agreements()];
    let mut fired = BTreeSet::new();
    for (index, (rule, scene)) in spoiled.into_iter().flatten().enumerate() {
        let findings = scene.lint().expect_err(rule);
        assert!(findings.iter().any(|finding| finding.rule == rule), "case {index}, {rule}: {findings:?}");
        assert!(findings.iter().all(|finding| !finding.clause.is_empty() && !finding.detail.is_empty()));
        fired.insert(rule);
    }
    let known: BTreeSet<&str> = catalogue::all().map(|rule| rule.name).chain([STRICT_DER]).collect();
    assert_eq!(fired, known, "every rule has a case");
}

#[test]
fn rules_have_names_of_their_own() {
    let names: Vec<&str> = catalogue::all().map(|rule| rule.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn a_signature_of_another_key_makes_no_certificate() {
    let scene = Scene::server();
    let issuer = scene.facts.clone().expect("of an authority").public_key;
    let stranger = SigningKey::of(Owner::Holder, KeyType::P256);
    let linted = scene.lint().expect("faultless");
    let signature = stranger.sign(&linted);
    assert!(matches!(linted.into_certificate(&signature, &issuer), Err(AssembleError::Signature(_))));
}

#[test]
fn a_signature_by_another_algorithm_makes_no_certificate() {
    let scene = Scene::server();
    let issuer = scene.facts.clone().expect("of an authority").public_key;
    let linted = scene.lint().expect("faultless");
    let other = SigningKey::of(Owner::Authority, KeyType::P384);
    let signature = other.sign(&linted);
    assert_eq!(
        linted.into_certificate(&signature, &issuer),
        Err(AssembleError::OtherAlgorithm {
            expected: SignatureAlgorithm::EcdsaSha256,
            found: SignatureAlgorithm::EcdsaSha384
        })
    );
}

#[test]
fn what_is_signed_is_what_was_linted() {
    let scene = Scene::server();
    let linted = scene.lint().expect("faultless");
    assert_eq!(linted.der(), scene.der());
    assert_eq!(linted.to_be_signed(), scene.der());
    assert_eq!(linted.sha256(), hash::sha256(&scene.der()));
}

#[test]
fn no_octets_make_it_panic() {
    let scene = Scene::server();
    let der = scene.der();
    for position in 0..der.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut spoiled = der.clone();
            spoiled[position] ^= change;
            let issuer = scene.facts.as_ref().map_or(Issuer::Itself, Issuer::Authority);
            let context = LintContext { issuer, public_key: &scene.key, profile: &scene.profile };
            // The serial, the lifetime and the names within the profile may be others without breaking a rule.
            if let Ok(linted) = check(TbsDer::from_bytes(spoiled), &context) {
                assert_eq!(linted.der().len(), der.len());
            }
        }
        assert!(check_truncated(&scene, &der[..position]), "{position}");
    }
}

fn check_truncated(scene: &Scene, der: &[u8]) -> bool {
    let issuer = scene.facts.as_ref().map_or(Issuer::Itself, Issuer::Authority);
    let context = LintContext { issuer, public_key: &scene.key, profile: &scene.profile };
    check(TbsDer::from_bytes(der.to_vec()), &context).is_err_and(|findings| findings[0].rule == STRICT_DER)
}
