//! What certificates are found by.

use std::collections::BTreeSet;

use ca_core::name::{DistinguishedName, GeneralName};
use ca_engine::port::store::NameQuery;

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

    /// All of them, each with its kind.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u8, &str)> {
        self.names.iter().map(|name| (NAME, name.as_str())).chain([(SUBJECT, self.subject.as_str())])
    }
}

/// What is looked for, as the kind and the text of a term.
pub(crate) fn term_of(query: &NameQuery) -> (u8, String) {
    match query {
        NameQuery::AnyName(name) => (NAME, name.to_lowercase()),
        NameQuery::Subject(subject) => (SUBJECT, subject.to_lowercase()),
    }
}

/// A term that is a subject alternative name or a common name.
pub(crate) const NAME: u8 = 0;
/// A term that is a whole subject.
pub(crate) const SUBJECT: u8 = 1;
