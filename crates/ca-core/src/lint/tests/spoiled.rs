//! What breaks each rule: the name of the rule, and a certificate that breaks it.

use super::scene::{OCSP, Scene, UTF8, access, attribute, distribution_points, oid, policies, url, value};
use crate::hierarchy::{Owner, SigningKey, document_constraints, now, subject, tls_constraints};
use crate::key::{KeyType, SignatureAlgorithm};
use crate::lint::catalogue::STRICT_DER;
use crate::name::{NameConstraints, Subtree};
use crate::tbs::extension::id;
use crate::tlv::tag;

/// What breaks each rule of the basic fields.
pub(super) fn fields() -> Vec<(&'static str, Scene)> {
    let server = Scene::server;
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
pub(super) fn names() -> Vec<(&'static str, Scene)> {
    let server = Scene::server;
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
pub(super) fn extensions() -> Vec<(&'static str, Scene)> {
    let server = Scene::server;
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
pub(super) fn usages() -> Vec<(&'static str, Scene)> {
    let server = Scene::server;
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
pub(super) fn agreements() -> Vec<(&'static str, Scene)> {
    let server = Scene::server;
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
