//! The values of a certificate's extensions, read strictly (RFC 5280 §4.2). What is legal beyond the syntax is a lint's
//! business.

use const_oid::ObjectIdentifier;

use crate::tlv::{self, DerError, Reader, tag};
use crate::usage::{ExtendedKeyUsage, KeyUsage, KeyUsages};

/// BasicConstraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) authority: bool,
    pub(crate) path_length: Option<u64>,
}

/// AuthorityKeyIdentifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuthorityKeyIdentifier<'a> {
    pub(crate) key_identifier: Option<&'a [u8]>,
    /// Whether authorityCertIssuer or authorityCertSerialNumber is there.
    pub(crate) issuer_and_serial: bool,
}

/// One PolicyInformation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyInformation {
    pub(crate) policy: ObjectIdentifier,
    pub(crate) qualified: bool,
}

/// One DistributionPoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DistributionPoint<'a> {
    /// The uniformResourceIdentifiers of its fullName.
    pub(crate) urls: Vec<&'a str>,
    /// Whether it says more: other kinds of names, reasons, or another CRL issuer.
    pub(crate) more: bool,
}

/// One AccessDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccessDescription<'a> {
    pub(crate) method: ObjectIdentifier,
    /// The location, where it is a uniformResourceIdentifier.
    pub(crate) url: Option<&'a str>,
}

/// SubjectKeyIdentifier.
pub(crate) fn subject_key_identifier(value: &[u8]) -> Result<&[u8], DerError> {
    Ok(Reader::only(value, tag::OCTET_STRING)?.content)
}

pub(crate) fn authority_key_identifier(value: &[u8]) -> Result<AuthorityKeyIdentifier<'_>, DerError> {
    let mut fields = Reader::only(value, tag::SEQUENCE)?.reader();
    let key_identifier = fields.optional(tag::context(0))?.map(|element| element.content);
    let issuer = fields.optional(tag::context_constructed(1))?;
    let serial = fields.optional(tag::context(2))?;
    fields.finish()?;
    Ok(AuthorityKeyIdentifier { key_identifier, issuer_and_serial: issuer.is_some() || serial.is_some() })
}

pub(crate) fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, DerError> {
    let mut fields = Reader::only(value, tag::SEQUENCE)?.reader();
    let authority = match fields.optional(tag::BOOLEAN)?.map(|element| element.content) {
        None => false,
        Some([0xff]) => true,
        // DER leaves the default FALSE out (X.690 §11.5) and writes TRUE as 0xff (§11.1).
        Some(_) => return Err(DerError::Content { kind: "BOOLEAN" }),
    };
    let path_length = match fields.optional(tag::INTEGER)? {
        Some(length) => Some(tlv::small_unsigned(length.content)?),
        None => None,
    };
    fields.finish()?;
    Ok(BasicConstraints { authority, path_length })
}

pub(crate) fn key_usage(value: &[u8]) -> Result<KeyUsages, DerError> {
    let invalid = DerError::Content { kind: "BIT STRING" };
    let content = Reader::only(value, tag::BIT_STRING)?.content;
    let (&unused, octets) = content.split_first().ok_or(invalid)?;
    let Some((last, _)) = octets.split_last() else {
        return if unused == 0 { Ok(KeyUsages::EMPTY) } else { Err(invalid) };
    };
    // X.690 §11.2.2: named bits without trailing zeros, so the last used bit is set; nine bits are named.
    if unused > 7 || last.trailing_zeros() != u32::from(unused) || octets.len() > 2 {
        return Err(invalid);
    }
    if octets.len() == 2 && *last != 0x80 {
        return Err(invalid);
    }
    Ok(KeyUsage::ALL.into_iter().filter(|usage| bit_is_set(octets, *usage as usize)).collect())
}

fn bit_is_set(octets: &[u8], bit: usize) -> bool {
    octets.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
}

pub(crate) fn extended_key_usage(value: &[u8]) -> Result<Vec<ExtendedKeyUsage>, DerError> {
    let mut list = Reader::only(value, tag::SEQUENCE)?.reader();
    let mut purposes = Vec::new();
    while !list.is_empty() {
        purposes.push(ExtendedKeyUsage(object_identifier(&mut list)?));
    }
    Ok(purposes)
}

pub(crate) fn certificate_policies(value: &[u8]) -> Result<Vec<PolicyInformation>, DerError> {
    let mut list = Reader::only(value, tag::SEQUENCE)?.reader();
    let mut policies = Vec::new();
    while !list.is_empty() {
        let mut information = list.take(tag::SEQUENCE)?.reader();
        let policy = object_identifier(&mut information)?;
        let qualified = information.optional(tag::SEQUENCE)?.is_some();
        information.finish()?;
        policies.push(PolicyInformation { policy, qualified });
    }
    Ok(policies)
}

pub(crate) fn distribution_points(value: &[u8]) -> Result<Vec<DistributionPoint<'_>>, DerError> {
    let mut list = Reader::only(value, tag::SEQUENCE)?.reader();
    let mut points = Vec::new();
    while !list.is_empty() {
        let mut fields = list.take(tag::SEQUENCE)?.reader();
        let mut point = DistributionPoint { urls: Vec::new(), more: false };
        if let Some(name) = fields.optional(tag::context_constructed(0))? {
            let mut choice = name.reader();
            match choice.optional(tag::context_constructed(0))? {
                Some(full_name) => {
                    let mut names = full_name.reader();
                    while !names.is_empty() {
                        match url(&mut names)? {
                            Some(url) => point.urls.push(url),
                            None => point.more = true,
                        }
                    }
                }
                None => {
                    choice.any()?;
                    point.more = true;
                }
            }
            choice.finish()?;
        }
        let reasons = fields.optional(tag::context(1))?;
        let crl_issuer = fields.optional(tag::context_constructed(2))?;
        fields.finish()?;
        point.more |= reasons.is_some() || crl_issuer.is_some();
        points.push(point);
    }
    Ok(points)
}

pub(crate) fn access_descriptions(value: &[u8]) -> Result<Vec<AccessDescription<'_>>, DerError> {
    let mut list = Reader::only(value, tag::SEQUENCE)?.reader();
    let mut descriptions = Vec::new();
    while !list.is_empty() {
        let mut fields = list.take(tag::SEQUENCE)?.reader();
        let method = object_identifier(&mut fields)?;
        let url = url(&mut fields)?;
        fields.finish()?;
        descriptions.push(AccessDescription { method, url });
    }
    Ok(descriptions)
}

/// TLSFeatures (RFC 7633 §4).
pub(crate) fn tls_features(value: &[u8]) -> Result<Vec<u64>, DerError> {
    let mut list = Reader::only(value, tag::SEQUENCE)?.reader();
    let mut features = Vec::new();
    while !list.is_empty() {
        features.push(tlv::small_unsigned(list.take(tag::INTEGER)?.content)?);
    }
    Ok(features)
}

/// The next GeneralName, where it is a uniformResourceIdentifier (`[6] IA5String`).
fn url<'a>(names: &mut Reader<'a>) -> Result<Option<&'a str>, DerError> {
    let name = names.any()?;
    if name.tag != tag::context(6) {
        return Ok(None);
    }
    let text = str::from_utf8(name.content).ok().filter(|text| text.is_ascii());
    text.map(Some).ok_or(DerError::Content { kind: "IA5String" })
}

fn object_identifier(reader: &mut Reader<'_>) -> Result<ObjectIdentifier, DerError> {
    let content = reader.take(tag::OBJECT_IDENTIFIER)?.content;
    ObjectIdentifier::from_bytes(content).map_err(|_| DerError::Content { kind: "OBJECT IDENTIFIER" })
}
