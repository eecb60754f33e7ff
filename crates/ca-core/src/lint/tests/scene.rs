//! A faultless certificate in pieces, to be spoiled and put together again.

use const_oid::ObjectIdentifier;

use super::super::{Finding, LintContext, LintedTbs, check, check_received};
use crate::hierarchy::{
    Authority, Owner, SigningKey, by_service, document_constraints, name, profile, request, subject, tls_constraints,
};
use crate::key::{KeyType, PublicKey};
use crate::policy;
use crate::profile::Profile;
use crate::tbs::extension::id;
use crate::tbs::{self, TbsDer, TbsView};
use crate::template::{Issuer, IssuerFacts};
use crate::tlv::{self, tag};

/// A faultless TBSCertificate in pieces, with what it is held against.
pub(super) struct Scene {
    pub(super) version: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) algorithm: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) times: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) after_key: Vec<u8>,
    pub(super) extensions: Vec<(ObjectIdentifier, bool, Vec<u8>)>,
    pub(super) explicit_false: bool,
    pub(super) facts: Option<IssuerFacts>,
    pub(super) profile: Profile,
    pub(super) key: PublicKey,
}

impl Scene {
    pub(super) fn of(tbs: &TbsDer, facts: Option<IssuerFacts>, profile: Profile, key: PublicKey) -> Self {
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

    pub(super) fn leaf_of(authority: &Authority, profile_name: &str, names: &[&str], profile: Profile) -> Self {
        let key = SigningKey::of(Owner::Holder, KeyType::P256);
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let holder = subject(&format!("CN={profile_name}"));
        let granted =
            policy::evaluate(&profile, &request(key.public(), &holder, &names), &by_service()).expect("granted");
        let tbs = tbs::encode(&authority.template(granted)).expect("encoded");
        Self::of(&tbs, Some(authority.facts.clone()), profile, key.public().clone())
    }

    pub(super) fn server() -> Self {
        Self::leaf_of(&tls(), "server", &["dns:api.example.org", "ip:192.0.2.7"], profile("server"))
    }

    pub(super) fn stapling_server() -> Self {
        let text = hierarchy_text("server").replace("must_staple = false", "must_staple = true");
        let profile = Profile::from_toml(&text).expect("a sound profile");
        Self::leaf_of(&tls(), "server", &["dns:api.example.org"], profile)
    }

    pub(super) fn responder() -> Self {
        Self::leaf_of(&tls(), "ocsp-responder", &[], profile("ocsp-responder"))
    }

    pub(super) fn document() -> Self {
        let root = Authority::root(KeyType::P256);
        let document = Authority::below(&root, KeyType::P256, "document", &document_constraints());
        Self::leaf_of(&document, "document", &["email:maria@example.org"], profile("document"))
    }

    pub(super) fn subordinate() -> Self {
        let root = Authority::root(KeyType::P256);
        let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
        let tbs = TbsDer::from_bytes(tls.certificate.tbs_der().to_vec());
        Self::of(&tbs, Some(root.facts), profile("subordinate"), tls.key.public().clone())
    }

    pub(super) fn root() -> Self {
        let root = Authority::root(KeyType::P256);
        let tbs = TbsDer::from_bytes(root.certificate.tbs_der().to_vec());
        Self::of(&tbs, None, profile("root"), root.key.public().clone())
    }

    /// Spoils it.
    pub(super) fn with(mut self, spoil: impl FnOnce(&mut Self)) -> Self {
        spoil(&mut self);
        self
    }

    pub(super) fn facts(&mut self) -> &mut IssuerFacts {
        self.facts.as_mut().expect("not of a root")
    }

    /// Changes the profile it is held against.
    pub(super) fn hold_against(&mut self, name: &str, from: &str, to: &str) {
        let text = hierarchy_text(name);
        assert!(text.contains(from), "{from}");
        self.profile = Profile::from_toml(&text.replace(from, to)).expect("a sound profile");
    }

    pub(super) fn remove(&mut self, oid: ObjectIdentifier) {
        self.extensions.retain(|extension| extension.0 != oid);
    }

    pub(super) fn set(&mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) {
        self.remove(oid);
        self.extensions.push((oid, critical, value.to_vec()));
    }

    pub(super) fn set_critical(&mut self, oid: ObjectIdentifier, critical: bool) {
        self.extensions.iter_mut().find(|extension| extension.0 == oid).expect("it is there").1 = critical;
    }

    pub(super) fn set_purposes(&mut self, purposes: &[ObjectIdentifier]) {
        let list: Vec<u8> = purposes.iter().flat_map(|oid| value(tag::OBJECT_IDENTIFIER, oid.as_bytes())).collect();
        self.set(id::EXTENDED_KEY_USAGE, false, &value(tag::SEQUENCE, &list));
    }

    pub(super) fn set_times(&mut self, not_before: (u8, &str), not_after: (u8, &str)) {
        self.times =
            [value(not_before.0, not_before.1.as_bytes()), value(not_after.0, not_after.1.as_bytes())].concat();
    }

    pub(super) fn der(&self) -> Vec<u8> {
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

    pub(super) fn issuer(&self) -> Issuer<'_> {
        let own = self.key.key_type().signature_algorithm();
        self.facts.as_ref().map_or(Issuer::Itself(own), Issuer::Authority)
    }

    pub(super) fn lint(&self) -> Result<LintedTbs, Vec<Finding>> {
        let issuer = self.issuer();
        check(TbsDer::from_bytes(self.der()), &LintContext { issuer, public_key: &self.key, profile: &self.profile })
    }

    /// As what another issuer made: the rules that it breaks.
    pub(super) fn lint_received(&self) -> Vec<&'static str> {
        let context = LintContext { issuer: self.issuer(), public_key: &self.key, profile: &self.profile };
        let findings = check_received(&self.der(), &context).err().unwrap_or_default();
        findings.into_iter().map(|finding| finding.rule).collect()
    }
}

pub(super) fn tls() -> Authority {
    Authority::below(&Authority::root(KeyType::P256), KeyType::P256, "tls", &tls_constraints())
}

pub(super) fn hierarchy_text(name: &str) -> &'static str {
    crate::profile::built_in().iter().find(|profile| profile.name == name).expect("built in").text
}

pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::append(&mut der, tag, content);
    der
}

pub(super) fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// A DistributionPoint or AccessDescription location: `[6]` and a URL.
pub(super) fn url(text: &str) -> Vec<u8> {
    value(tag::context(6), text.as_bytes())
}

pub(super) fn distribution_points(names: &[u8]) -> Vec<u8> {
    let full_name = value(tag::context_constructed(0), &value(tag::context_constructed(0), names));
    value(tag::SEQUENCE, &value(tag::SEQUENCE, &full_name))
}

pub(super) fn access(method: &str, location: &[u8]) -> Vec<u8> {
    let description = [value(tag::OBJECT_IDENTIFIER, oid(method).as_bytes()), location.to_vec()].concat();
    value(tag::SEQUENCE, &value(tag::SEQUENCE, &description))
}

pub(super) fn policies(list: &[&[u8]]) -> Vec<u8> {
    let informations: Vec<u8> = list.iter().flat_map(|content| value(tag::SEQUENCE, content)).collect();
    value(tag::SEQUENCE, &informations)
}

pub(super) fn attribute(oid_text: &str, string_tag: u8, text: &[u8]) -> Vec<u8> {
    let pair = [value(tag::OBJECT_IDENTIFIER, oid(oid_text).as_bytes()), value(string_tag, text)].concat();
    value(tag::SEQUENCE, &value(0x31, &value(tag::SEQUENCE, &pair)))
}

pub(super) const OCSP: &str = "1.3.6.1.5.5.7.48.1";
pub(super) const UTF8: u8 = 0x0c;
