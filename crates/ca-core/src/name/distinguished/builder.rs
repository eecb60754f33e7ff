//! Building a distinguished name attribute by attribute, in DER order.

use const_oid::ObjectIdentifier;

use super::DistinguishedName;
use crate::name::NameError;
use crate::oid;

/// Collects attributes; the first fault is kept and told by [`Self::build`].
#[derive(Clone, Debug, Default)]
pub struct DistinguishedNameBuilder {
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
        /// `C`: two letters, an ISO 3166-1 code.
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
        /// `organizationIdentifier`.
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
        /// `DC`: IA5String, one label of a domain.
        domain_component: oid::DOMAIN_COMPONENT;
        /// `UID`, at most 256 characters.
        user_id: oid::USER_ID;
    }

    /// Appends an RDN with one attribute of any type.
    #[must_use]
    pub fn attribute(self, oid: ObjectIdentifier, text: &str) -> Self {
        self.rdn(&[(oid, text)])
    }

    /// Appends one RDN with several attributes (a SET OF, put in DER order).
    #[must_use]
    pub fn rdn(mut self, attributes: &[(ObjectIdentifier, &str)]) -> Self {
        self.rdns.push(Vec::new());
        self.fault.get_or_insert_with(|| {
            NameError::new("distinguished name", attributes.first().map_or("", |a| a.1), "not yet built")
        });
        self
    }

    /// The name, or the first fault of what was pushed.
    pub fn build(self) -> Result<DistinguishedName, NameError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(DistinguishedName::empty()),
        }
    }
}
