//! What certificates are found by.

use std::collections::BTreeSet;

use ca_core::name::{DistinguishedName, GeneralName};

/// What a certificate is found by, in lower case.
pub(crate) struct SearchTerms {
    /// Its alternative and common names, none twice.
    pub(crate) names: BTreeSet<String>,
    /// Its whole subject as RFC 4514 text.
    pub(crate) subject: String,
}

impl SearchTerms {
    /// The terms of a subject and alternative names.
    pub(crate) fn of(subject: &DistinguishedName, names: &[GeneralName]) -> Self {
        let alternative_names = names.iter().map(GeneralName::value_text);
        let names = alternative_names.chain(subject.common_names()).map(|name| name.to_lowercase()).collect();
        Self { names, subject: subject.to_rfc4514().to_lowercase() }
    }
}
