//! What an audit event tells of a person: nothing but a commitment. The text it commits to lies encrypted beside the event, and
//! can be erased.

use ca_core::audit::commitment;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::template::CertificateTemplate;
use serde_json::json;

use crate::engine::Engine;
use crate::port::entropy::EntropyUnavailable;

/// The detail of an event that holds the commitment, in lower-case hexadecimal.
pub(super) const DETAIL: &str = "personal_data_commitment";

/// Subject and names as they are certified, and the salt of the commitment to them.
pub(super) struct AuditText {
    salt: [u8; 32],
    /// JSON with keys in alphabetical order and without blanks: the octets that are hashed.
    text: String,
}

/// The text of a certificate to come.
pub(super) fn of(engine: &Engine, template: &CertificateTemplate) -> Result<AuditText, EntropyUnavailable> {
    of_names(engine, template.subject(), template.names())
}

/// The text of whoever is so named.
pub(super) fn of_names(
    engine: &Engine,
    subject: &DistinguishedName,
    names: &[GeneralName],
) -> Result<AuditText, EntropyUnavailable> {
    let names: Vec<String> = names.iter().map(typed).collect();
    // Two keys only, written in their order: whether maps of serde_json are sorted depends on the features that others turn on.
    let text = format!("{{\"names\":{},\"subject\":{}}}", json!(names), json!(subject.to_rfc4514()));
    Ok(AuditText { salt: engine.random()?, text })
}

fn typed(name: &GeneralName) -> String {
    format!("{}:{}", name.type_name(), name.value_text())
}

impl AuditText {
    pub(super) fn commitment(&self) -> [u8; 32] {
        commitment(&self.salt, self.text.as_bytes())
    }

    /// What is kept, to be shown to an auditor: `{"salt": …, "text": …}`.
    pub(super) fn to_record(&self) -> Vec<u8> {
        json!({ "salt": hex::encode(self.salt), "text": self.text }).to_string().into_bytes()
    }
}
