//! An order in the words of IssueCertificate: a template of AWS that says nothing by itself, and everything that is wanted through
//! the API. What no such call can say is refused before anything is sent.

use aws_sdk_acmpca::error::BuildError;
use aws_sdk_acmpca::types::{
    ApiPassthrough, Asn1Subject, CustomAttribute, CustomExtension, ExtendedKeyUsage as Purpose,
    ExtendedKeyUsageType as PurposeType, Extensions, GeneralName as Name, KeyUsage as Usages, OtherName,
    PolicyInformation, SigningAlgorithm, Validity, ValidityPeriodType,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ca_core::certificate::AskedFor;
use ca_core::csr::ParsedCsr;
use ca_core::key::SignatureAlgorithm;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::pem;
use ca_core::time::Timestamp;
use ca_core::usage::{ExtendedKeyUsage, KeyUsage};
use ca_engine::port::certificate_issuer::{IssuerError, IssuerOrder, OrderPurpose};

/// For end entities: basicConstraints, critical, and else what the API says.
const END_ENTITY: &str = "BlankEndEntityCertificate_CriticalBasicConstraints_APIPassthrough";
/// For OCSP responders: digitalSignature, OCSPSigning (critical), and what the API says besides.
const RESPONDER: &str = "OCSPSigningCertificate_APIPassthrough";

/// Extensions that AWS makes by itself, from the two keys and the template.
const MADE_BY_AWS: [&str; 3] = ["2.5.29.14", "2.5.29.19", "2.5.29.35"];
const KEY_USAGE: &str = "2.5.29.15";
const ALTERNATIVE_NAMES: &str = "2.5.29.17";
const POLICIES: &str = "2.5.29.32";
const PURPOSES: &str = "2.5.29.37";

/// The most octets of an extension's value in base64, of a name's value, and the most of each kind, as the API has them.
const LONGEST_VALUE: usize = 4_096;
const LONGEST_TEXT: usize = 256;
const MOST_NAMES: usize = 150;
const MOST_POLICIES: usize = 20;

/// What IssueCertificate is called with, the authority and the token apart.
#[derive(Clone, Debug)]
pub(super) struct Wording {
    pub(super) template_arn: String,
    /// PEM.
    pub(super) csr: Vec<u8>,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) passthrough: ApiPassthrough,
    pub(super) not_before: Validity,
    pub(super) not_after: Validity,
}

/// The template of end entities in a partition.
pub(super) fn end_entity(partition: &str) -> String {
    template_arn(partition, END_ENTITY)
}

/// A validity that any authority may grant.
pub(super) fn a_day() -> Result<Validity, BuildError> {
    Validity::builder().r#type(ValidityPeriodType::Days).value(1).build()
}

fn template_arn(partition: &str, template: &str) -> String {
    format!("arn:{partition}:acm-pca:::template/{template}/V1")
}

/// Words an order for an authority of this partition; what AWS would not do, or not as it is wanted, is refused with the reason.
pub(super) fn word(partition: &str, order: &IssuerOrder<'_>) -> Result<Wording, IssuerError> {
    let asked = order.asked_for;
    let template = match order.purpose {
        OrderPurpose::EndEntity => END_ENTITY,
        OrderPurpose::OcspResponder => RESPONDER,
    };
    if asked.is_authority() {
        return Err(refused(
            "certificates of authorities are signed by a ceremony of AWS's own, not through this service",
        ));
    }
    let csr =
        ParsedCsr::from_der(order.csr).map_err(|error| refused(format!("the request cannot be read: {error}")))?;
    refuse_what_aws_copies(&csr, asked)?;
    let validity = asked.validity();
    let passthrough = ApiPassthrough::builder()
        .set_subject(subject(asked.subject())?)
        .extensions(extensions(asked, template == RESPONDER)?)
        .build();
    Ok(Wording {
        template_arn: template_arn(partition, template),
        csr: pem::encode("CERTIFICATE REQUEST", order.csr).into_bytes(),
        algorithm: algorithm(asked.signature_algorithm())?,
        passthrough,
        not_before: at(validity.not_before)?,
        not_after: at(validity.not_after)?,
    })
}

/// AWS takes subject and names from the CSR where the API names none: what is to have none could get some.
fn refuse_what_aws_copies(csr: &ParsedCsr, asked: &AskedFor) -> Result<(), IssuerError> {
    if asked.subject().is_empty() && !csr.subject().is_empty() {
        return Err(refused(
            "the certificate is to have no subject, and AWS would take that of the CSR: send a CSR without one, or ask for a common name",
        ));
    }
    if asked.names().is_empty() && !csr.subject_alternative_names().is_empty() {
        return Err(refused(
            "the certificate is to have no subject alternative names, and AWS would take those of the CSR: send a CSR without any",
        ));
    }
    Ok(())
}

/// Attribute by attribute, in order: the named members of the API have an order of their own.
fn subject(name: &DistinguishedName) -> Result<Option<Asn1Subject>, IssuerError> {
    let mut subject = Asn1Subject::builder();
    let mut last = None;
    for attribute in name.attributes() {
        if last == Some(attribute.rdn) {
            return Err(refused(
                "AWS makes no subject with a part that has several values; write them as parts of their own",
            ));
        }
        last = Some(attribute.rdn);
        let text = attribute.text.ok_or_else(|| refused(format!("{} in the subject is no text", attribute.oid)))?;
        // Counted as AWS does: characters.
        if text.is_empty() || text.chars().count() > LONGEST_TEXT {
            return Err(refused(format!(
                "{} in the subject has no or more than {LONGEST_TEXT} characters",
                attribute.oid
            )));
        }
        let custom = CustomAttribute::builder().object_identifier(attribute.oid.to_string()).value(text);
        subject = subject.custom_attributes(custom.build().map_err(incomplete)?);
    }
    Ok((!name.is_empty()).then(|| subject.build()))
}

fn extensions(asked: &AskedFor, by_template: bool) -> Result<Extensions, IssuerError> {
    let mut extensions = Extensions::builder();
    for extension in asked.encoded_extensions() {
        match extension.identifier.as_str() {
            identifier if MADE_BY_AWS.contains(&identifier) => {}
            // Where the template has its own, the API is not heard.
            KEY_USAGE | PURPOSES if by_template => {}
            KEY_USAGE => extensions = extensions.set_key_usage(asked.key_usage().map(usages)),
            PURPOSES => {
                let purposes = asked.extended_key_usage().iter().map(purpose).collect();
                extensions = extensions.set_extended_key_usage(Some(purposes));
            }
            ALTERNATIVE_NAMES => {
                if asked.names().len() > MOST_NAMES {
                    return Err(refused(format!("AWS takes {MOST_NAMES} subject alternative names at most")));
                }
                let names = asked.names().iter().map(name).collect::<Result<_, _>>()?;
                extensions = extensions.set_subject_alternative_names(Some(names));
            }
            POLICIES => {
                if asked.certificate_policies().len() > MOST_POLICIES {
                    return Err(refused(format!("AWS takes {MOST_POLICIES} certificate policies at most")));
                }
                let policy = |oid: &_| PolicyInformation::builder().cert_policy_id(ToString::to_string(oid)).build();
                let policies = asked.certificate_policies().iter().map(policy).collect::<Result<_, _>>();
                extensions = extensions.set_certificate_policies(Some(policies.map_err(incomplete)?));
            }
            identifier => {
                let value = BASE64_STANDARD.encode(&extension.value);
                if value.len() > LONGEST_VALUE {
                    return Err(refused(format!("extension {identifier} is longer than AWS takes it")));
                }
                let custom = CustomExtension::builder().object_identifier(identifier).value(value);
                let custom = custom.set_critical(extension.critical.then_some(true)).build().map_err(incomplete)?;
                extensions = extensions.custom_extensions(custom);
            }
        }
    }
    Ok(extensions.build())
}

fn usages(asked: ca_core::usage::KeyUsages) -> Usages {
    Usages::builder()
        .digital_signature(asked.contains(KeyUsage::DigitalSignature))
        .non_repudiation(asked.contains(KeyUsage::NonRepudiation))
        .key_encipherment(asked.contains(KeyUsage::KeyEncipherment))
        .data_encipherment(asked.contains(KeyUsage::DataEncipherment))
        .key_agreement(asked.contains(KeyUsage::KeyAgreement))
        .key_cert_sign(asked.contains(KeyUsage::KeyCertSign))
        .crl_sign(asked.contains(KeyUsage::CrlSign))
        .encipher_only(asked.contains(KeyUsage::EncipherOnly))
        .decipher_only(asked.contains(KeyUsage::DecipherOnly))
        .build()
}

/// By AWS's name for those of RFC 5280. What AWS calls DOCUMENT_SIGNING is older than the purpose of RFC 9336, which goes by its
/// identifier.
fn purpose(asked: &ExtendedKeyUsage) -> Purpose {
    let known = match *asked {
        ExtendedKeyUsage::SERVER_AUTH => Some(PurposeType::ServerAuth),
        ExtendedKeyUsage::CLIENT_AUTH => Some(PurposeType::ClientAuth),
        ExtendedKeyUsage::CODE_SIGNING => Some(PurposeType::CodeSigning),
        ExtendedKeyUsage::EMAIL_PROTECTION => Some(PurposeType::EmailProtection),
        ExtendedKeyUsage::TIME_STAMPING => Some(PurposeType::TimeStamping),
        ExtendedKeyUsage::OCSP_SIGNING => Some(PurposeType::OcspSigning),
        _ => None,
    };
    match known {
        Some(known) => Purpose::builder().extended_key_usage_type(known).build(),
        None => Purpose::builder().extended_key_usage_object_identifier(asked.0.to_string()).build(),
    }
}

fn name(asked: &GeneralName) -> Result<Name, IssuerError> {
    let text = |text: String| match text.chars().count() {
        0..=LONGEST_TEXT => Ok(text),
        _ => Err(refused(format!("a subject alternative name has more than {LONGEST_TEXT} characters"))),
    };
    let builder = Name::builder();
    Ok(match asked {
        GeneralName::Dns(name) => builder.dns_name(text(name.to_string())?),
        GeneralName::Ip(address) => builder.ip_address(address.to_string()),
        GeneralName::Uri(uri) => builder.uniform_resource_identifier(text(uri.to_string())?),
        GeneralName::Email(address) => builder.rfc822_name(text(address.to_string())?),
        GeneralName::RegisteredId(oid) => builder.registered_id(oid.to_string()),
        GeneralName::Directory(name) => builder.set_directory_name(subject(name)?),
        GeneralName::Other { type_id, value } => {
            let other = OtherName::builder().type_id(type_id.to_string()).value(text(utf8_of(value)?.to_owned())?);
            builder.other_name(other.build().map_err(incomplete)?)
        }
    }
    .build())
}

/// The text of a UTF8String in DER: AWS makes otherNames of this type only.
fn utf8_of(der: &[u8]) -> Result<&str, IssuerError> {
    let content = match der {
        [0x0c, length, content @ ..] if *length < 0x80 && usize::from(*length) == content.len() => content,
        [0x0c, 0x81, length, content @ ..] if usize::from(*length) == content.len() => content,
        _ => return Err(refused("AWS makes otherNames of UTF8Strings only")),
    };
    std::str::from_utf8(content).map_err(|_| refused("an otherName is no UTF-8"))
}

fn algorithm(asked: SignatureAlgorithm) -> Result<SigningAlgorithm, IssuerError> {
    match asked {
        SignatureAlgorithm::RsaSha256 => Ok(SigningAlgorithm::Sha256Withrsa),
        SignatureAlgorithm::RsaSha384 => Ok(SigningAlgorithm::Sha384Withrsa),
        SignatureAlgorithm::RsaSha512 => Ok(SigningAlgorithm::Sha512Withrsa),
        SignatureAlgorithm::EcdsaSha256 => Ok(SigningAlgorithm::Sha256Withecdsa),
        SignatureAlgorithm::EcdsaSha384 => Ok(SigningAlgorithm::Sha384Withecdsa),
        SignatureAlgorithm::EcdsaSha512 => Ok(SigningAlgorithm::Sha512Withecdsa),
        SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPssSha384 | SignatureAlgorithm::RsaPssSha512 => {
            Err(refused("AWS Private CA signs by PKCS#1 v1.5 only; leave `signature` out"))
        }
        SignatureAlgorithm::Ed25519 => Err(refused("AWS Private CA has no Ed25519")),
    }
}

fn at(moment: Timestamp) -> Result<Validity, IssuerError> {
    let validity = Validity::builder().r#type(ValidityPeriodType::Absolute).value(moment.unix_seconds());
    validity.build().map_err(incomplete)
}

fn refused(detail: impl Into<String>) -> IssuerError {
    IssuerError::Refused { detail: detail.into() }
}

/// The SDK's builders want to hear what is always said here.
fn incomplete(error: BuildError) -> IssuerError {
    refused(format!("the call cannot be worded: {error}"))
}

#[cfg(test)]
mod tests;
