//! The templates by name: what each puts into a certificate, and whether the API may say more.

use super::extension::{self, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT};
use super::request::arguments;
use crate::json_protocol::AwsError;

const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";

/// A template of an end entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The uses of the key as bits of the first octet; `None` leaves them to the API.
    pub(super) key_usage: Option<u8>,
    /// The purposes; none leaves them to the API.
    pub(super) purposes: &'static [&'static str],
    pub(super) critical_purposes: bool,
    pub(super) critical_basic_constraints: bool,
    /// Whether what the request says beside its CSR is honoured. Where it is not, it is ignored in silence.
    pub(super) api_passthrough: bool,
}

impl Template {
    /// The template of an ARN; the one of end entities where there is none.
    pub(super) fn of(arn: Option<&str>) -> Result<Self, AwsError> {
        let arn = arn.unwrap_or("arn:aws:acm-pca:::template/EndEntityCertificate/V1");
        let name = arn.strip_prefix("arn:aws:acm-pca:::template/").and_then(|rest| rest.strip_suffix("/V1"));
        let known = name.and_then(Self::by_name);
        known.ok_or_else(|| arguments(format!("the double has no template {arn}")))
    }

    fn by_name(name: &str) -> Option<Self> {
        let (family, api_passthrough) = match name.strip_suffix("_APIPassthrough") {
            Some(family) => (family, true),
            None => (name, false),
        };
        let of = |key_usage, purposes, critical_purposes| Self {
            key_usage,
            purposes,
            critical_purposes,
            critical_basic_constraints: false,
            api_passthrough,
        };
        let tls = Some(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT);
        Some(match family {
            "EndEntityCertificate" => of(tls, &[SERVER_AUTH, CLIENT_AUTH], false),
            "EndEntityClientAuthCertificate" => of(tls, &[CLIENT_AUTH], false),
            "EndEntityServerAuthCertificate" => of(tls, &[SERVER_AUTH], false),
            "CodeSigningCertificate" => of(Some(DIGITAL_SIGNATURE), &[CODE_SIGNING], true),
            "OCSPSigningCertificate" => of(Some(DIGITAL_SIGNATURE), &[OCSP_SIGNING], true),
            // Blank ones are there with a passthrough only.
            "BlankEndEntityCertificate" if api_passthrough => of(None, &[], false),
            "BlankEndEntityCertificate_CriticalBasicConstraints" if api_passthrough => {
                Self { critical_basic_constraints: true, ..of(None, &[], false) }
            }
            _ => return None,
        })
    }

    /// What the template itself says of key usage and purposes.
    pub(super) fn extensions(&self) -> Result<Vec<extension::Extension>, AwsError> {
        let mut extensions = Vec::new();
        extensions.extend(self.key_usage.map(|bits| extension::key_usage(u16::from(bits) << 8)));
        if !self.purposes.is_empty() {
            extensions.push(extension::purposes(self.purposes, self.critical_purposes)?);
        }
        Ok(extensions)
    }
}
