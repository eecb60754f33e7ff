//! A hierarchy with real keys, for tests: signs what the crate under test encoded and linted.
//!
//! Everything goes the way of production (evaluate, build, encode, lint, sign, verify, compare), through public functions
//! only. Shared by the crate's unit tests and by its integration tests, hence the paths that begin with `ca_core`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use ca_core::certificate::Certificate;
use ca_core::hash;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::lint::{self, LintContext, LintedTbs};
use ca_core::name::{DistinguishedName, GeneralName, NameConstraints};
use ca_core::pem;
use ca_core::policy::{self, AuthorityConstraints, CertificateRequest, Granted, Origin, Surroundings};
use ca_core::profile::{self, Profile};
use ca_core::serial::Serial;
use ca_core::signing::{Message, Signable, Signature};
use ca_core::tbs::{self, TbsDer};
use ca_core::template::{self, CertificateTemplate, Endpoints, Issuer, IssuerFacts, SerialChoice};
use ca_core::time::{Lifetime, Timestamp};
use ca_core::usage::ExtendedKeyUsage;

/// Whose key: each has one of every type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Root,
    Authority,
    Holder,
}

/// A private key of `keys/`.
pub(crate) struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
}

enum KeyPair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

macro_rules! key_files {
    ($owner:literal) => {
        [
            (KeyType::Rsa2048, include_str!(concat!("keys/", $owner, ".rsa2048.pem"))),
            (KeyType::Rsa3072, include_str!(concat!("keys/", $owner, ".rsa3072.pem"))),
            (KeyType::Rsa4096, include_str!(concat!("keys/", $owner, ".rsa4096.pem"))),
            (KeyType::P256, include_str!(concat!("keys/", $owner, ".p256.pem"))),
            (KeyType::P384, include_str!(concat!("keys/", $owner, ".p384.pem"))),
            (KeyType::P521, include_str!(concat!("keys/", $owner, ".p521.pem"))),
            (KeyType::Ed25519, include_str!(concat!("keys/", $owner, ".ed25519.pem"))),
        ]
    };
}

impl SigningKey {
    pub(crate) fn of(owner: Owner, key_type: KeyType) -> Self {
        let files = match owner {
            Owner::Root => key_files!("root"),
            Owner::Authority => key_files!("authority"),
            Owner::Holder => key_files!("holder"),
        };
        let text = files.iter().find(|(file_type, _)| *file_type == key_type).expect("one of every type").1;
        let pkcs8 = pem::decode_all("PRIVATE KEY", text).expect("made by openssl").remove(0);
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).expect("made by openssl");
        let pair = match key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                KeyPair::Rsa(RsaKeyPair::from_pkcs8(&pkcs8).expect("made by openssl"))
            }
            KeyType::P256 => KeyPair::Ecdsa(ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)),
            KeyType::P384 => KeyPair::Ecdsa(ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)),
            KeyType::P521 => KeyPair::Ecdsa(ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING)),
            KeyType::Ed25519 => KeyPair::Ed25519(Ed25519KeyPair::from_pkcs8(&pkcs8).expect("made by openssl")),
        };
        let public = PublicKey::from_spki_der(&spki(&pair)).expect("a sound key");
        let algorithm = key_type.signature_algorithm();
        Self { pair, public, algorithm }
    }

    /// The same key, which signs by RSASSA-PSS.
    pub(crate) fn by_pss(self, algorithm: SignatureAlgorithm) -> Self {
        assert!(algorithm.is_rsa_pss() && algorithm.fits(self.public.key_type()));
        Self { algorithm, ..self }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    #[expect(clippy::disallowed_methods, reason = "ECDSA and PSS draw from the library's own generator in tests")]
    pub(crate) fn sign(&self, message: &dyn Signable) -> Signature {
        let Message::Whole(message) = message.message() else { panic!("a certificate is signed whole") };
        let random = SystemRandom::new();
        let octets = match &self.pair {
            KeyPair::Rsa(pair) => {
                let mut octets = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    SignatureAlgorithm::RsaPssSha256 => &signature::RSA_PSS_SHA256,
                    SignatureAlgorithm::RsaPssSha384 => &signature::RSA_PSS_SHA384,
                    SignatureAlgorithm::RsaPssSha512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, message, &mut octets).expect("an RSA key signs");
                octets
            }
            KeyPair::Ecdsa(pair) => pair.sign(&random, message).expect("an ECDSA key signs").as_ref().to_vec(),
            KeyPair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        Signature { algorithm: self.algorithm, octets }
    }
}

fn spki(pair: &KeyPair) -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let der: PublicKeyX509Der<'_> = match pair {
        KeyPair::Rsa(pair) => pair.public_key().as_der(),
        KeyPair::Ecdsa(pair) => pair.public_key().as_der(),
        KeyPair::Ed25519(pair) => pair.public_key().as_der(),
    }
    .expect("a public key has DER");
    der.as_ref().to_vec()
}

/// A built-in profile.
pub(crate) fn profile(name: &str) -> Profile {
    let built_in = profile::built_in().iter().find(|profile| profile.name == name).expect("a built-in profile");
    built_in.profile().expect("built-in profiles are sound")
}

/// 2026-11-20T00:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_795_132_800)
}

/// A serial that tells where it was used.
pub(crate) fn serial(number: u8) -> SerialChoice {
    SerialChoice::Ours(Serial::from_random([number; 16]))
}

/// A serial of its own for every key and subject, and always the same for the same.
fn serial_of(granted: &Granted) -> SerialChoice {
    let hash = hash::sha256(&[granted.public_key().spki_der(), granted.subject().as_der()].concat());
    SerialChoice::Ours(Serial::from_random(hash[..16].try_into().expect("16 octets")))
}

pub(crate) fn endpoints(authority: &str) -> Endpoints {
    Endpoints {
        crl: Some(format!("http://pki.example.org/crl/{authority}.crl")),
        ocsp: Some("http://pki.example.org/ocsp".to_owned()),
        ca_issuers: Some(format!("http://pki.example.org/ca/{authority}.crt")),
    }
}

/// A request for `key`, asking for what the profile's defaults are.
pub(crate) fn request<'a>(
    key: &'a PublicKey,
    subject: &'a DistinguishedName,
    names: &'a [GeneralName],
) -> CertificateRequest<'a> {
    CertificateRequest {
        public_key: key,
        csr: None,
        subject: Some(subject),
        names: Some(names),
        validity: None,
        constraints: None,
    }
}

/// What a flow of the service asks.
pub(crate) fn by_service() -> Surroundings<'static> {
    Surroundings { origin: Origin::Service, reserved_names: &[] }
}

pub(crate) fn subject(text: &str) -> DistinguishedName {
    DistinguishedName::from_rfc4514(text).expect(text)
}

pub(crate) fn name(text: &str) -> GeneralName {
    GeneralName::parse(text).expect(text)
}

/// An authority that issues.
pub(crate) struct Authority {
    pub(crate) key: SigningKey,
    pub(crate) certificate: Certificate,
    pub(crate) facts: IssuerFacts,
    pub(crate) endpoints: Endpoints,
}

impl Authority {
    /// A root whose key is of this type, as `init` makes one.
    pub(crate) fn root(key_type: KeyType) -> Self {
        Self::root_signing_by(SigningKey::of(Owner::Root, key_type))
    }

    /// The same with a key that signs by an algorithm of choice.
    pub(crate) fn root_signing_by(key: SigningKey) -> Self {
        let profile = profile("root");
        let root_subject = subject("CN=Test Root CA,O=Test,C=BR");
        let granted = policy::evaluate(&profile, &request(key.public(), &root_subject, &[]), &by_service());
        let template = template::build(
            granted.expect("granted"),
            Issuer::Itself(key.algorithm),
            &Endpoints::default(),
            serial(1),
            now().minus(Lifetime::from_days(1)),
        );
        let certificate = finish(&template.expect("built"), Issuer::Itself(key.algorithm), &profile, &key);
        Self::over(key, certificate, "root")
    }

    /// An authority below a root.
    pub(crate) fn below(parent: &Self, key_type: KeyType, id: &str, constraints: &AuthorityConstraints) -> Self {
        Self::below_signing_by(parent, SigningKey::of(Owner::Authority, key_type), id, constraints)
    }

    /// The same with a key that signs by an algorithm of choice.
    pub(crate) fn below_signing_by(
        parent: &Self,
        key: SigningKey,
        id: &str,
        constraints: &AuthorityConstraints,
    ) -> Self {
        let profile = profile("subordinate");
        let authority_subject = subject(&format!("CN=Test {id} CA,O=Test,C=BR"));
        let asked =
            CertificateRequest { constraints: Some(constraints), ..request(key.public(), &authority_subject, &[]) };
        let granted = policy::evaluate(&profile, &asked, &by_service()).expect("granted");
        let (issuer, serial) = (Issuer::Authority(&parent.facts), serial_of(&granted));
        let instant = now().minus(Lifetime::from_seconds(3600));
        let template = template::build(granted, issuer, &parent.endpoints, serial, instant).expect("built");
        let certificate = finish(&template, issuer, &profile, &parent.key);
        Self::over(key, certificate, id)
    }

    fn over(key: SigningKey, certificate: Certificate, id: &str) -> Self {
        let facts = IssuerFacts::from_certificate(&certificate).expect("an authority").signing_by(key.algorithm);
        Self { key, certificate, facts, endpoints: endpoints(id) }
    }

    /// The template of what was granted.
    pub(crate) fn template(&self, granted: Granted) -> CertificateTemplate {
        let (issuer, serial) = (Issuer::Authority(&self.facts), serial_of(&granted));
        template::build(granted, issuer, &self.endpoints, serial, now()).expect("built")
    }

    /// Issues what is asked for.
    pub(crate) fn issue(&self, profile: &Profile, asked: &CertificateRequest<'_>) -> Certificate {
        let granted = policy::evaluate(profile, asked, &by_service()).expect("granted");
        finish(&self.template(granted), Issuer::Authority(&self.facts), profile, &self.key)
    }
}

/// The purposes of the authority `tls`.
pub(crate) fn tls_constraints() -> AuthorityConstraints {
    AuthorityConstraints {
        extended_key_usage: vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH],
        name_constraints: NameConstraints::default(),
    }
}

/// The purposes of the authority `document`.
pub(crate) fn document_constraints() -> AuthorityConstraints {
    AuthorityConstraints {
        extended_key_usage: vec![ExtendedKeyUsage::DOCUMENT_SIGNING, ExtendedKeyUsage::EMAIL_PROTECTION],
        name_constraints: NameConstraints::default(),
    }
}

/// Encodes and lints.
pub(crate) fn lint(tbs: TbsDer, issuer: Issuer<'_>, profile: &Profile, key: &PublicKey) -> LintedTbs {
    match lint::check(tbs, &LintContext { issuer, public_key: key, profile }) {
        Ok(linted) => linted,
        Err(findings) => panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn finish(template: &CertificateTemplate, issuer: Issuer<'_>, profile: &Profile, key: &SigningKey) -> Certificate {
    let tbs = tbs::encode(template).expect("encoded");
    let linted = lint(tbs, issuer, profile, template.public_key());
    let signature = key.sign(&linted);
    let der = linted.into_certificate(&signature, key.public()).expect("the signature verifies");
    let certificate = Certificate::from_der(der.as_bytes()).expect("our own certificate");
    certificate.check_against(template).expect("what was meant");
    certificate
}
