//! A TBSCertificate laid open for the rules: its fields, and the values of its extensions as far as they can be read.

use const_oid::ObjectIdentifier;

use super::LintContext;
use crate::der_time::read_time;
use crate::extension::Extension;
use crate::key::SignatureAlgorithm;
use crate::name::{DistinguishedName, GeneralName, NameConstraints};
use crate::tbs::TbsView;
use crate::tbs::extension::id;
use crate::tbs::extension_value::{
    self, AccessDescription, AuthorityKeyIdentifier, BasicConstraints, DistributionPoint, PolicyInformation,
};
use crate::template::{Issuer, IssuerFacts};
use crate::time::Validity;
use crate::tlv::{DerError, Reader, tag};
use crate::usage::{ExtendedKeyUsage, KeyUsages};

/// What the rules look at. A value that cannot be read is absent here and told in `unreadable`.
#[derive(Debug)]
pub(super) struct Inspection<'a> {
    pub(super) context: &'a LintContext<'a>,
    /// The issuer's facts; `None` where the certificate signs itself.
    pub(super) issuer: Option<&'a IssuerFacts>,
    /// The algorithm that the issuer's key signs with.
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) view: TbsView<'a>,
    pub(super) subject: Result<DistinguishedName, String>,
    pub(super) validity: Result<Validity, String>,
    pub(super) subject_key_identifier: Option<&'a [u8]>,
    pub(super) authority_key_identifier: Option<AuthorityKeyIdentifier<'a>>,
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) key_usage: Option<KeyUsages>,
    pub(super) extended_key_usage: Option<Vec<ExtendedKeyUsage>>,
    pub(super) certificate_policies: Option<Vec<PolicyInformation>>,
    pub(super) names: Option<Vec<GeneralName>>,
    pub(super) distribution_points: Option<Vec<DistributionPoint<'a>>>,
    pub(super) access_descriptions: Option<Vec<AccessDescription<'a>>>,
    pub(super) tls_features: Option<Vec<u64>>,
    /// The content of id-pkix-ocsp-nocheck's NULL.
    pub(super) ocsp_no_check: Option<()>,
    /// Every extension value that is not the DER of its type.
    pub(super) unreadable: Vec<String>,
}

impl<'a> Inspection<'a> {
    pub(super) fn read(der: &'a [u8], context: &'a LintContext<'a>) -> Result<Self, DerError> {
        let view = TbsView::read(der)?;
        let (issuer, algorithm) = match context.issuer {
            Issuer::Authority(facts) => (Some(facts), facts.signature_algorithm),
            Issuer::Itself(algorithm) => (None, algorithm),
        };
        let mut values = Values { view: &view, unreadable: Vec::new() };
        // Only whether they can be read: no rule asks what they say.
        values.take(&id::NAME_CONSTRAINTS, NameConstraints::from_der);
        Ok(Self {
            context,
            issuer,
            algorithm,
            subject: DistinguishedName::from_der(view.subject).map_err(|error| error.to_string()),
            validity: validity(&view).map_err(|error| error.to_string()),
            subject_key_identifier: values.take(&id::SUBJECT_KEY_IDENTIFIER, extension_value::subject_key_identifier),
            authority_key_identifier: values
                .take(&id::AUTHORITY_KEY_IDENTIFIER, extension_value::authority_key_identifier),
            basic_constraints: values.take(&id::BASIC_CONSTRAINTS, extension_value::basic_constraints),
            key_usage: values.take(&id::KEY_USAGE, extension_value::key_usage),
            extended_key_usage: values.take(&id::EXTENDED_KEY_USAGE, extension_value::extended_key_usage),
            certificate_policies: values.take(&id::CERTIFICATE_POLICIES, extension_value::certificate_policies),
            names: values.take(&id::SUBJECT_ALT_NAME, GeneralName::decode_all),
            distribution_points: values.take(&id::CRL_DISTRIBUTION_POINTS, extension_value::distribution_points),
            access_descriptions: values.take(&id::AUTHORITY_INFO_ACCESS, extension_value::access_descriptions),
            tls_features: values.take(&id::TLS_FEATURE, extension_value::tls_features),
            ocsp_no_check: values.take(&id::OCSP_NO_CHECK, null),
            unreadable: values.unreadable,
            view,
        })
    }

    /// Whether the profile is one of an authority.
    pub(super) fn is_for_authority(&self) -> bool {
        self.context.profile.kind().is_authority()
    }

    /// Whether basicConstraints makes the subject an authority.
    pub(super) fn says_authority(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.authority)
    }

    /// The purposes; none where the extension is absent.
    pub(super) fn purposes(&self) -> &[ExtendedKeyUsage] {
        self.extended_key_usage.as_deref().unwrap_or_default()
    }

    /// The subject alternative names; none where the extension is absent.
    pub(super) fn names(&self) -> &[GeneralName] {
        self.names.as_deref().unwrap_or_default()
    }

    /// The extension of this identifier.
    pub(super) fn extension(&self, identifier: &ObjectIdentifier) -> Option<&Extension<'a>> {
        self.view.extension(identifier)
    }
}

/// Reads extension values and keeps what cannot be read.
struct Values<'v, 'a> {
    view: &'v TbsView<'a>,
    unreadable: Vec<String>,
}

impl<'a> Values<'_, 'a> {
    fn take<T, E: std::fmt::Display>(
        &mut self,
        identifier: &ObjectIdentifier,
        read: impl FnOnce(&'a [u8]) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.view.extension(identifier)?.value;
        read(value).map_err(|error| self.unreadable.push(format!("extension {identifier}: {error}"))).ok()
    }
}

fn validity(view: &TbsView<'_>) -> Result<Validity, DerError> {
    Ok(Validity { not_before: read_time(&view.not_before)?, not_after: read_time(&view.not_after)? })
}

fn null(value: &[u8]) -> Result<(), DerError> {
    let content = Reader::only(value, tag::NULL)?.content;
    if content.is_empty() { Ok(()) } else { Err(DerError::Content { kind: "NULL" }) }
}

/// The DER of a SEQUENCE of nothing.
pub(super) const EMPTY_SEQUENCE: [u8; 2] = [0x30, 0];
