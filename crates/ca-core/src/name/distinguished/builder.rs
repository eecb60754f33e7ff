//! Building a distinguished name attribute by attribute, in DER order.

use const_oid::ObjectIdentifier;

use super::{DistinguishedName, KIND, attribute};
use crate::name::NameError;
use crate::oid;
use crate::tlv::{self, tag};

/// Collects attributes; the first fault is kept and told by [`Self::build`].
///
/// Values are limited and encoded as RFC 5280 appendix A.1 asks: `C` and `serialNumber` as PrintableString, `DC` and
/// `emailAddress` as IA5String, all others as UTF8String.
#[derive(Clone, Debug, Default)]
pub struct DistinguishedNameBuilder {
    /// The DER of each RelativeDistinguishedName.
    rdns: Vec<Vec<u8>>,
    fault: Option<NameError>,
}

/// One method per attribute type: a single-valued RDN each, appended in DER order.
macro_rules! attribute_methods {
    ($($(#[$doc:meta])* $method:ident: $oid:path;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $method(self, text: &str) -> Self {
            self.attribute($oid, text)
        })*
    };
}

impl DistinguishedNameBuilder {
    attribute_methods! {
        /// `C`: two capital letters, an ISO 3166-1 code.
        country: oid::COUNTRY;
        /// `ST`, at most 128 characters.
        state_or_province: oid::STATE_OR_PROVINCE;
        /// `L`, at most 128 characters.
        locality: oid::LOCALITY;
        /// `STREET`, at most 128 characters.
        street_address: oid::STREET_ADDRESS;
        /// `O`, at most 64 characters.
        organization: oid::ORGANIZATION;
        /// `OU`, at most 64 characters.
        organizational_unit: oid::ORGANIZATIONAL_UNIT;
        /// `organizationIdentifier`, at most 256 characters.
        organization_identifier: oid::ORGANIZATION_IDENTIFIER;
        /// `CN`, at most 64 characters.
        common_name: oid::COMMON_NAME;
        /// `SN`, the surname.
        surname: oid::SURNAME;
        /// `GN`.
        given_name: oid::GIVEN_NAME;
        /// `title`, at most 64 characters.
        title: oid::TITLE;
        /// `serialNumber` of the subject (never of the certificate): PrintableString, at most 64 characters.
        serial_number: oid::SERIAL_NUMBER;
        /// `emailAddress`: IA5String, at most 255 characters.
        email_address: oid::EMAIL_ADDRESS;
        /// `DC`: IA5String, one label of a domain, at most 63 characters.
        domain_component: oid::DOMAIN_COMPONENT;
        /// `UID`, at most 256 characters.
        user_id: oid::USER_ID;
    }

    /// Appends an RDN with one attribute of any type; values of types we do not know have at most 1,024 characters.
    #[must_use]
    pub fn attribute(self, oid: ObjectIdentifier, text: &str) -> Self {
        self.rdn(&[(oid, text)])
    }

    /// Appends one RDN with several attributes of different types; the SET OF is put in DER order.
    #[must_use]
    pub fn rdn(mut self, attributes: &[(ObjectIdentifier, &str)]) -> Self {
        let encoded: Result<Vec<_>, NameError> = attributes
            .iter()
            .map(|(oid, text)| match attribute::encode(*oid, text) {
                Ok(value) => Ok((*oid, value)),
                // The value is not quoted: it may be personal data (ICP-Brasil writes the CPF into the CN).
                Err(why) => Err(NameError::new(KIND, &attribute::label(*oid), why)),
            })
            .collect();
        match encoded {
            Ok(attributes) => self.rdn_of_values(attributes),
            Err(fault) => {
                self.fault.get_or_insert(fault);
                self
            }
        }
    }

    /// Appends one RDN of values that are DER already and were checked.
    pub(super) fn rdn_of_values(mut self, attributes: Vec<(ObjectIdentifier, Vec<u8>)>) -> Self {
        if attributes.is_empty() {
            self.fault.get_or_insert_with(|| NameError::new(KIND, "an RDN", "it has no attribute"));
            return self;
        }
        for (position, (oid, _)) in attributes.iter().enumerate() {
            // X.501 §9.3: an RDN has at most one value of each attribute type.
            if attributes[..position].iter().any(|(earlier, _)| earlier == oid) {
                let fault = || {
                    NameError::new(KIND, &attribute::label(*oid), "it stands twice in one RDN; separate the two by `,`")
                };
                self.fault.get_or_insert_with(fault);
                return self;
            }
        }
        let mut encoded: Vec<Vec<u8>> = attributes
            .into_iter()
            .map(|(oid, value)| {
                let mut content = tlv::element(tag::OBJECT_IDENTIFIER, oid.as_bytes());
                content.extend_from_slice(&value);
                tlv::element(tag::SEQUENCE, &content)
            })
            .collect();
        // X.690 §11.6: the components of a SET OF are in ascending order of their encodings.
        encoded.sort();
        self.rdns.push(tlv::element(tag::SET, &encoded.concat()));
        self
    }

    /// The name, or the first fault of what was pushed.
    pub fn build(self) -> Result<DistinguishedName, NameError> {
        match self.fault {
            Some(fault) => Err(fault),
            // Read back, so that the limit of length is kept and one function decides what a name is.
            None => DistinguishedName::from_der(&tlv::element(tag::SEQUENCE, &self.rdns.concat())),
        }
    }
}
