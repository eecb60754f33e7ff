//! Subject alternative names.

use ca_api::certificate::{SubjectAlternativeName, SubjectAlternativeNameType};
use ca_core::name::{GeneralName, NameError};

/// Names, in their order.
pub fn names(names: &[GeneralName]) -> Vec<SubjectAlternativeName> {
    names.iter().map(|name| SubjectAlternativeName { kind: name_type(name), value: name.value_text() }).collect()
}

/// Reads a name; the error says what is wrong with its value.
pub fn read_name(name: &SubjectAlternativeName) -> Result<GeneralName, NameError> {
    GeneralName::from_type_and_value(type_text(name.kind), &name.value)
}

fn name_type(name: &GeneralName) -> SubjectAlternativeNameType {
    match name {
        GeneralName::Dns(_) => SubjectAlternativeNameType::Dns,
        GeneralName::Ip(_) => SubjectAlternativeNameType::Ip,
        GeneralName::Uri(_) => SubjectAlternativeNameType::Uri,
        GeneralName::Email(_) => SubjectAlternativeNameType::Email,
        GeneralName::Other { .. } if name.as_user_principal_name().is_some() => SubjectAlternativeNameType::Upn,
        GeneralName::Other { .. } => SubjectAlternativeNameType::OtherName,
        GeneralName::Directory(_) => SubjectAlternativeNameType::DirectoryName,
        GeneralName::RegisteredId(_) => SubjectAlternativeNameType::RegisteredId,
    }
}

const fn type_text(kind: SubjectAlternativeNameType) -> &'static str {
    match kind {
        SubjectAlternativeNameType::Dns => "dns",
        SubjectAlternativeNameType::Ip => "ip",
        SubjectAlternativeNameType::Uri => "uri",
        SubjectAlternativeNameType::Email => "email",
        SubjectAlternativeNameType::Upn => "upn",
        SubjectAlternativeNameType::OtherName => "otherName",
        SubjectAlternativeNameType::DirectoryName => "directoryName",
        SubjectAlternativeNameType::RegisteredId => "registeredID",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "dns:api.example.com",
            "ip:192.0.2.1",
            "email:ana@example.com",
            "uri:spiffe://example.org/web",
            "upn:ana@corp.example.com",
            "otherName:2.16.76.1.3.1=text",
            "directoryName:CN=Ana,O=Example",
            "registeredID:1.2.3.4",
        ] {
            let (kind, value) = text.split_once(':').expect("a type and a value");
            let name = GeneralName::from_type_and_value(kind, value).expect("a name");
            let shown = names(std::slice::from_ref(&name)).pop().expect("one name");
            assert_eq!(type_text(shown.kind), kind);
            assert_eq!(read_name(&shown), Ok(name));
        }
    }
}
