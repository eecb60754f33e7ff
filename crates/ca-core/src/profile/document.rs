//! The TOML of a profile, key by key. The rules that hold between keys are those of `consistency`.
//!
//! Every fault is collected; a [`Profile`] exists only when there was none.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use toml::Table;

use super::attribute::attribute_type;
use super::consistency;
use super::reader::{ProfileFault, ProfileFaults, Reader};
use super::rules::{
    CommonNameRule, Count, DirectoryRule, DnsRule, DomainRule, EmailRule, IpNetwork, IpRule, NameRules, OtherNameRule,
    RegisteredIdRule, RenewalRules, Retention, StatusUrlRules, SubjectRules, UriRule, ValidityRules,
};
use super::{Profile, ProfileKind};
use crate::id::ProfileName;
use crate::key::KeyType;
use crate::name::{DistinguishedName, DnsName};
use crate::oid;
use crate::time::Lifetime;
use crate::usage::{ExtendedKeyUsage, KeyUsage};

impl Profile {
    /// Reads a profile. Unknown keys are faults, and every fault is told, each with the path of its key.
    pub fn from_toml(text: &str) -> Result<Self, ProfileFaults> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            ProfileFaults(vec![ProfileFault { path: String::new(), message: format!("not TOML: {error}") }])
        })?;
        let mut faults = Vec::new();
        let profile = read(Reader::new(table, String::new(), &mut faults));
        match profile {
            Some(profile) if faults.is_empty() => Ok(profile),
            _ => Err(ProfileFaults(faults)),
        }
    }
}

/// The most names a certificate may have: past this a certificate is larger than TLS stacks take in one record.
const MAXIMUM_NAMES: usize = 1000;
/// The most attributes a subject may have.
const MAXIMUM_ATTRIBUTES: usize = 32;

fn read(mut reader: Reader<'_>) -> Option<Profile> {
    let name: Option<ProfileName> = if reader.has("name") {
        reader.parsed("name")
    } else {
        reader.fault("name", "is missing; a profile has a name");
        None
    };
    let kind = kind(&mut reader);
    let authority = reader.parsed("authority");
    let internal = reader.boolean("internal", false);
    let personal_data = reader.boolean("personal_data", false);
    let must_staple = reader.boolean("must_staple", false);
    let key_types: Vec<KeyType> = reader.list("key_types", |text| text.parse().map_err(display));
    let key_usage: Vec<KeyUsage> = reader.list("key_usage", |text| text.parse().map_err(display));
    let extended_key_usage: Vec<ExtendedKeyUsage> =
        reader.list("extended_key_usage", |text| text.parse().map_err(display));
    let certificate_policies = reader.list("certificate_policies", object_identifier);
    let path_length = path_length(&mut reader);
    let validity = validity(&mut reader);
    let subject = subject(&mut reader);
    let names = names(&mut reader);
    let renewal = renewal(&mut reader);
    let status_urls = status_urls(&mut reader);
    let retention = retention(&mut reader);
    let mut profile = Profile {
        // Stand-ins where a fault was recorded: the caller then discards the profile.
        name: name.or_else(|| "unnamed".parse().ok())?,
        kind,
        authority,
        internal,
        personal_data,
        must_staple,
        key_types,
        key_usage: key_usage.into_iter().collect(),
        extended_key_usage,
        certificate_policies,
        path_length,
        validity,
        subject,
        names,
        renewal,
        status_urls,
        retention: retention.unwrap_or(Retention::AsConfigured),
    };
    if retention.is_none() && is_evidence(&profile) {
        profile.retention = Retention::Forever;
    }
    consistency::check(&profile, &mut reader);
    reader.finish(&[
        "name",
        "kind",
        "authority",
        "internal",
        "personal_data",
        "must_staple",
        "key_types",
        "key_usage",
        "extended_key_usage",
        "certificate_policies",
        "path_length",
        "validity",
        "subject",
        "names",
        "renewal",
        "status_urls",
        "retain",
    ]);
    Some(profile)
}

/// Whether what its keys sign is held against its certificates long after their end: signed documents, and all that authorities and
/// responders have signed.
fn is_evidence(profile: &Profile) -> bool {
    profile.kind != ProfileKind::Leaf
        || profile.key_usage.contains(KeyUsage::NonRepudiation)
        || profile.extended_key_usage.contains(&ExtendedKeyUsage::DOCUMENT_SIGNING)
}

/// What the profile says; `None` when it says nothing.
fn retention(reader: &mut Reader<'_>) -> Option<Retention> {
    let text = reader.string("retain")?;
    match (text.as_str(), text.parse()) {
        ("forever", _) => Some(Retention::Forever),
        (_, Ok(Lifetime::ZERO)) => {
            reader.fault("retain", "is zero; give a length of time like 3650d, or `forever`");
            None
        }
        (_, Ok(lifetime)) => Some(Retention::AtLeast(lifetime)),
        (_, Err(_)) => {
            reader.fault("retain", format!("`{text}` is neither `forever` nor a length of time like 3650d"));
            None
        }
    }
}

fn kind(reader: &mut Reader<'_>) -> ProfileKind {
    match reader.string("kind").as_deref() {
        None | Some("leaf") => ProfileKind::Leaf,
        Some("ocsp-responder") => ProfileKind::OcspResponder,
        Some("subordinate") => ProfileKind::Subordinate,
        Some("root") => ProfileKind::Root,
        Some(other) => {
            let message = format!("`{other}` is not a kind; they are leaf, ocsp-responder, subordinate and root");
            reader.fault("kind", message);
            ProfileKind::Leaf
        }
    }
}

fn path_length(reader: &mut Reader<'_>) -> Option<u8> {
    let length = reader.integer("path_length")?;
    u8::try_from(length)
        .map_err(|_| reader.fault("path_length", format!("is {length}; give a number from 0 to 255")))
        .ok()
}

fn validity(reader: &mut Reader<'_>) -> ValidityRules {
    let nothing = ValidityRules { default: Lifetime::ZERO, maximum: Lifetime::ZERO };
    if !reader.has("validity") {
        reader.fault("validity", "is missing; say [validity] default = \"90d\" and maximum = \"398d\"");
        return nothing;
    }
    let Some(mut section) = reader.section("validity") else { return nothing };
    let default_given = section.has("default");
    let default = section.lifetime("default");
    if !default_given {
        section.fault("default", "is missing; give a length of time like 90d");
    }
    let maximum = section.lifetime("maximum").or(default);
    if default == Some(Lifetime::ZERO) {
        section.fault("default", "is zero; a certificate lives at least a second");
    }
    if maximum < default {
        section.fault("maximum", "is shorter than the default");
    }
    section.finish(&["default", "maximum"]);
    ValidityRules { default: default.unwrap_or(Lifetime::ZERO), maximum: maximum.unwrap_or(Lifetime::ZERO) }
}

fn subject(reader: &mut Reader<'_>) -> SubjectRules {
    let mut rules = SubjectRules {
        from_csr: true,
        required: Vec::new(),
        optional: vec![oid::COMMON_NAME],
        fixed: None,
        common_name: CommonNameRule::Any,
        maximum_attributes: MAXIMUM_ATTRIBUTES,
    };
    let Some(mut section) = reader.section("subject") else { return rules };
    rules.from_csr = section.boolean("from_csr", true);
    rules.required = section.list("required", attribute);
    if section.has("optional") {
        rules.optional = section.list("optional", attribute);
    }
    rules.fixed = section.string("fixed").and_then(|text| {
        let name = DistinguishedName::from_rfc4514(&text);
        name.map_err(|error| section.fault("fixed", error.to_string())).ok().filter(|name| !name.is_empty())
    });
    rules.common_name = match section.string("common_name").as_deref() {
        None | Some("any") => CommonNameRule::Any,
        Some("one-of-names") => CommonNameRule::OneOfNames,
        Some(other) => {
            section.fault("common_name", format!("`{other}` is not a rule; they are any and one-of-names"));
            CommonNameRule::Any
        }
    };
    rules.maximum_attributes = section.count("maximum_attributes", MAXIMUM_ATTRIBUTES, 0, MAXIMUM_ATTRIBUTES);
    section.finish(&["from_csr", "required", "optional", "fixed", "common_name", "maximum_attributes"]);
    rules
}

fn names(reader: &mut Reader<'_>) -> NameRules {
    let Some(mut section) = reader.section("names") else { return NameRules::default() };
    let rules = NameRules {
        from_csr: section.boolean("from_csr", true),
        required: section.boolean("required", false),
        maximum: section.count("maximum", 100, 1, MAXIMUM_NAMES),
        dns: section.section("dns").map(dns),
        ip: section.section("ip").map(ip),
        email: section.section("email").map(email),
        uri: section.section("uri").map(uri),
        other: section.section("other").map(other),
        directory: section.section("directory").map(|mut rule| {
            let count = count(&mut rule);
            rule.finish(&["required", "maximum"]);
            DirectoryRule { count }
        }),
        registered_id: section.section("registered_id").map(|mut rule| {
            let count = count(&mut rule);
            rule.finish(&["required", "maximum"]);
            RegisteredIdRule { count }
        }),
    };
    section.finish(&[
        "from_csr",
        "required",
        "maximum",
        "dns",
        "ip",
        "email",
        "uri",
        "other",
        "directory",
        "registered_id",
    ]);
    rules
}

fn count(section: &mut Reader<'_>) -> Count {
    let least = usize::from(section.boolean("required", false));
    least..=section.count("maximum", MAXIMUM_NAMES, 1, MAXIMUM_NAMES)
}

fn dns(mut section: Reader<'_>) -> DnsRule {
    let rule = DnsRule {
        count: count(&mut section),
        wildcards: section.boolean("wildcards", false),
        single_labels: section.boolean("single_labels", true),
        within: section.list("within", domain),
    };
    section.finish(&["required", "maximum", "wildcards", "single_labels", "within"]);
    rule
}

fn ip(mut section: Reader<'_>) -> IpRule {
    let rule = IpRule { count: count(&mut section), within: section.list("within", network) };
    section.finish(&["required", "maximum", "within"]);
    rule
}

fn email(mut section: Reader<'_>) -> EmailRule {
    let rule = EmailRule { count: count(&mut section), within: section.list("within", domain) };
    section.finish(&["required", "maximum", "within"]);
    rule
}

fn uri(mut section: Reader<'_>) -> UriRule {
    let rule = UriRule {
        count: count(&mut section),
        schemes: section.list("schemes", scheme),
        within: section.list("within", domain),
    };
    section.finish(&["required", "maximum", "schemes", "within"]);
    rule
}

fn other(mut section: Reader<'_>) -> OtherNameRule {
    let type_id = |text: &str| match text {
        "upn" => Ok(oid::USER_PRINCIPAL_NAME),
        "icp-brasil" => Ok(oid::ICP_BRASIL_OTHER_NAMES),
        dotted => object_identifier(dotted),
    };
    let rule = OtherNameRule { count: count(&mut section), types: section.list("types", type_id) };
    section.finish(&["required", "maximum", "types"]);
    rule
}

fn renewal(reader: &mut Reader<'_>) -> RenewalRules {
    let mut rules = RenewalRules { from: 0.5, until: Lifetime::ZERO, after_expiry: Lifetime::ZERO };
    let Some(mut section) = reader.section("renewal") else { return rules };
    if let Some(from) = section.number("from") {
        if (0.0..=1.0).contains(&from) {
            rules.from = from;
        } else {
            section
                .fault("from", format!("is {from}; give a part of the lifetime from 0.0 (at once) to 1.0 (its end)"));
        }
    }
    rules.until = section.lifetime("until").unwrap_or(Lifetime::ZERO);
    rules.after_expiry = section.lifetime("after_expiry").unwrap_or(Lifetime::ZERO);
    if rules.after_expiry > RenewalRules::LONGEST_AFTER_EXPIRY {
        section.fault("after_expiry", format!("is {}; give at most 7d", rules.after_expiry));
    }
    section.finish(&["from", "until", "after_expiry"]);
    rules
}

fn status_urls(reader: &mut Reader<'_>) -> StatusUrlRules {
    let Some(mut section) = reader.section("status_urls") else {
        return StatusUrlRules { crl: true, ocsp: true, ca_issuers: true };
    };
    let rules = StatusUrlRules {
        crl: section.boolean("crl", true),
        ocsp: section.boolean("ocsp", true),
        ca_issuers: section.boolean("ca_issuers", true),
    };
    section.finish(&["crl", "ocsp", "ca_issuers"]);
    rules
}

fn display(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn object_identifier(text: &str) -> Result<ObjectIdentifier, String> {
    let wrong = || format!("`{text}` is not an object identifier; write numbers and dots, like 2.5.29.32.0");
    let oid = oid::from_dotted(text).ok_or_else(wrong)?;
    // An arc of 2^31 or more is refused by widespread readers (Go before 1.22, GnuTLS past 2^64).
    if oid.arcs().any(|arc| arc > i32::MAX as u32) { Err(wrong()) } else { Ok(oid) }
}

fn attribute(text: &str) -> Result<ObjectIdentifier, String> {
    attribute_type(text)
        .ok_or_else(|| format!("`{text}` is not an attribute; write CN, O, OU, C, ST, L … or an object identifier"))
}

fn domain(text: &str) -> Result<DomainRule, String> {
    let (below, bare) = match text.strip_prefix('.') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let name = DnsName::parse(bare).map_err(display)?;
    if name.is_wildcard() {
        return Err(format!("`{text}` has a wildcard; write `{bare}` without it, subdomains are included"));
    }
    Ok(if below { DomainRule::Below(name) } else { DomainRule::AtOrBelow(name) })
}

fn network(text: &str) -> Result<IpNetwork, String> {
    let wrong = || format!("`{text}` is not a network; write an address and a prefix, like 10.0.0.0/8 or fd00::/8");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    if prefix > if address.is_ipv4() { 32 } else { 128 } {
        return Err(wrong());
    }
    Ok(IpNetwork { address, prefix })
}

fn scheme(text: &str) -> Result<String, String> {
    // RFC 3986 §3.1: a letter, then letters, digits, `+`, `-` and `.`.
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if starts && bytes.all(goes_on) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a scheme; write it in lower case and without `:`, like https or spiffe"))
    }
}
