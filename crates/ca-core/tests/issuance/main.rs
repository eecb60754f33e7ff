//! Every profile with every key type, issued through the public functions with real keys, and judged by the chain rules.
//!
//! The certificates are written below the target directory, where other linters and verifiers (openssl, GnuTLS, pkilint)
//! can be let loose on them.

mod hierarchy;

use std::path::Path;

use ca_core::certificate::Certificate;
use ca_core::chain;
use ca_core::key::{KeyType, SignatureAlgorithm};
use ca_core::name::{GeneralName, NameConstraints, Subtree};
use ca_core::policy::{AuthorityConstraints, CertificateRequest};
use ca_core::profile::{self, Profile};
use ca_core::time::Lifetime;
use hierarchy::{
    Authority, Owner, SigningKey, document_constraints, name, now, profile, request, subject, tls_constraints,
};

/// A chain, leaf first, and its name.
struct Issued {
    name: String,
    profile: Profile,
    chain: Vec<Certificate>,
}

fn leaf_names(profile: &str) -> Vec<GeneralName> {
    let texts: &[&str] = match profile {
        "server" => &["dns:api.example.org", "ip:192.0.2.7", "ip:2001:db8::7", "uri:https://api.example.org/"],
        "client" => &[
            "dns:cliente.example.org",
            "email:cliente@example.org",
            "uri:https://client.example.org/1",
            "upn:cliente@example.org",
        ],
        "document" => &["email:maria@example.org"],
        "api-server" => &["dns:pki.example.org", "ip:127.0.0.1"],
        "operator" => &["email:admin@example.org"],
        _ => &[],
    };
    texts.iter().map(|text| name(text)).collect()
}

fn issue(authority: &Authority, parents: &[&Authority], profile_name: &str, key_type: KeyType) -> Issued {
    let profile = profile(profile_name);
    let key = SigningKey::of(Owner::Holder, key_type);
    let names = leaf_names(profile_name);
    let holder = subject(&format!("CN={profile_name} of {key_type},O=Test,C=BR"));
    let holder = if profile_name == "api-server" { subject("CN=localhost") } else { holder };
    let leaf = authority.issue(&profile, &request(key.public(), &holder, &names));
    let mut chain = vec![leaf, authority.certificate.clone()];
    chain.extend(parents.iter().map(|parent| parent.certificate.clone()));
    Issued { name: format!("{profile_name}.{key_type}"), profile, chain }
}

fn everything() -> Vec<Issued> {
    let mut issued = Vec::new();
    for key_type in KeyType::ALL {
        let root = Authority::root(key_type);
        let tls = Authority::below(&root, key_type, "tls", &tls_constraints());
        let document = Authority::below(&root, key_type, "document", &document_constraints());
        for profile_name in ["server", "client", "operator", "api-server", "ocsp-responder"] {
            issued.push(issue(&tls, &[&root], profile_name, key_type));
        }
        issued.push(issue(&document, &[&root], "document", key_type));
        let of_root = issue(&root, &[], "ocsp-responder", key_type);
        issued.push(Issued { name: format!("root-{}", of_root.name), ..of_root });
    }
    for (name, algorithm) in SignatureAlgorithm::OF_RSA.into_iter().filter(|(_, algorithm)| algorithm.is_rsa_pss()) {
        issued.extend(signed_by_pss(name, algorithm));
    }
    issued
}

/// Chains whose authorities sign by PSS; the keys of all stay rsaEncryption.
fn signed_by_pss(name: &str, algorithm: SignatureAlgorithm) -> Vec<Issued> {
    let root = Authority::root_signing_by(SigningKey::of(Owner::Root, KeyType::Rsa3072).by_pss(algorithm));
    let below = |id, constraints: &AuthorityConstraints| {
        let key = SigningKey::of(Owner::Authority, KeyType::Rsa2048).by_pss(algorithm);
        Authority::below_signing_by(&root, key, id, constraints)
    };
    let (tls, document) = (below("tls", &tls_constraints()), below("document", &document_constraints()));
    let issued = [
        issue(&tls, &[&root], "server", KeyType::P256),
        issue(&tls, &[&root], "ocsp-responder", KeyType::P256),
        issue(&document, &[&root], "document", KeyType::Rsa2048),
    ];
    for certificate in issued.iter().flat_map(|issued| &issued.chain) {
        assert_eq!(certificate.signature_algorithm(), algorithm);
    }
    issued.map(|issued| Issued { name: format!("{name}.{}", issued.name), ..issued }).into()
}

#[test]
fn every_profile_with_every_key_type_makes_a_chain_that_holds() {
    for Issued { name, profile, chain } in everything() {
        for purpose in profile.extended_key_usage() {
            let findings = chain::validate(&chain, now(), Some(*purpose));
            assert!(findings.is_empty(), "{name} for {purpose}: {findings:?}");
        }
        write(&name, &chain);
    }
}

fn write(name: &str, chain: &[Certificate]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("issuance");
    std::fs::create_dir_all(&folder).expect("a folder below target");
    let text: String = chain.iter().map(Certificate::to_pem).collect();
    std::fs::write(folder.join(format!("{name}.pem")), text).expect("a file below target");
}

/// Name constraints and must-staple, which no shipped profile has, in chains that others can judge.
#[test]
fn constrained_and_stapling_chains_hold() {
    let root = Authority::root(KeyType::P256);
    let subtrees = |texts: &[&str]| texts.iter().map(|text| Subtree::parse(text).expect(text)).collect();
    let constraints = AuthorityConstraints {
        name_constraints: NameConstraints {
            permitted: subtrees(&["dns:example.org", "ip:192.0.2.0/24", "ip:2001:db8::/32", "uri:.example.org"]),
            excluded: subtrees(&["dns:secret.example.org"]),
        },
        ..tls_constraints()
    };
    let tls = Authority::below(&root, KeyType::P256, "tls", &constraints);
    let constrained = issue(&tls, &[&root], "server", KeyType::P256);
    assert_eq!(chain::validate(&constrained.chain, now(), None), []);
    write("constrained", &constrained.chain);

    let server = profile::built_in().iter().find(|profile| profile.name == "server").expect("built in").text;
    let stapling = Profile::from_toml(&server.replace("must_staple = false", "must_staple = true")).expect("sound");
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let leaf = tls.issue(&stapling, &request(key.public(), &subject("CN=api.example.org"), &leaf_names("server")));
    assert!(leaf.must_staple());
    write("must-staple", &[leaf, tls.certificate.clone(), root.certificate.clone()]);
}

#[test]
fn a_subject_alone_or_a_name_alone_is_enough() {
    let root = Authority::root(KeyType::P256);
    let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let names = leaf_names("server");
    let nobody = ca_core::name::DistinguishedName::empty();
    let leaf = tls.issue(&profile("server"), &request(key.public(), &nobody, &names));
    assert!(leaf.subject().is_empty());
    write("empty-subject", &[leaf, tls.certificate.clone(), root.certificate.clone()]);
}

#[test]
fn lifetimes_are_what_was_asked_for() {
    let root = Authority::root(KeyType::P256);
    let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let names = leaf_names("server");
    let holder = subject("CN=api.example.org");
    let asked =
        CertificateRequest { validity: Some(Lifetime::from_seconds(3600)), ..request(key.public(), &holder, &names) };
    let leaf = tls.issue(&profile("server"), &asked);
    assert_eq!(leaf.validity().not_after.since(leaf.validity().not_before), Lifetime::from_seconds(3600 + 300));
}
