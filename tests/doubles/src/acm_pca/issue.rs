//! IssueCertificate: what of template, API, CSR and configuration gets into a certificate.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa,
    KeyIdMethod, SerialNumber,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::IssuedHere;
use super::authority::{AuthorityStatus, Issued, PrivateAuthority, key_identifier, serial_octets};
use super::extension::{self, Extension, tlv};
use super::request::{arguments, items, octets, optional_text, text};
use super::template::Template;
use crate::json_protocol::AwsError;

/// How long a token keeps a second call from making a second certificate.
const TOKEN_LIFETIME: i64 = 300;

impl PrivateAuthority {
    pub(super) fn issue(&mut self, body: &Value, now: i64, waits: u32) -> Result<Value, AwsError> {
        if self.status_at(now) != AuthorityStatus::Active {
            return Err(AwsError::new("InvalidStateException", "the certificate authority is not ACTIVE"));
        }
        let token = optional_text(body, "IdempotencyToken")?;
        if token.is_some_and(|token| token.is_empty() || token.len() > 36) {
            return Err(AwsError::new("ValidationException", "IdempotencyToken has 1 to 36 characters"));
        }
        if let Some(earlier) = token.and_then(|token| self.issued_with(token, now)) {
            return Ok(json!({ "CertificateArn": earlier.certificate.arn }));
        }
        let algorithm = text(body, "SigningAlgorithm")?;
        if algorithm != self.plan.key.signing_algorithm() {
            return Err(arguments(format!("the double does not sign with {algorithm} here")));
        }
        let template = Template::of(optional_text(body, "TemplateArn")?)?;
        let mut csr = read_csr(&octets(body, "Csr")?)?;
        let (not_before, not_after) = self.validity(body, now)?;
        let serial = serial_octets(&format!("{} {}", self.arn, self.issued.len()));
        self.fill(&mut csr, &template, &body["ApiPassthrough"])?;
        let key_id = key_identifier(&csr.public_key);
        let params = &mut csr.params;
        params.not_before = time(not_before)?;
        params.not_after = time(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let skid = Extension::new("2.5.29.14", false, tlv(0x04, &key_id));
        params.custom_extensions.push(custom(&skid)?);
        let signed = csr.signed_by(&self.issuer()).map_err(|error| arguments(error.to_string()))?;
        let serial = hex::encode(serial);
        let arn = format!("{}/certificate/{serial}", self.arn);
        let certificate = IssuedHere {
            arn: arn.clone(),
            serial,
            token: token.map(str::to_owned),
            der: signed.der().to_vec(),
            revoked: None,
        };
        self.issued.push(Issued { certificate, waits, at: now });
        Ok(json!({ "CertificateArn": arn }))
    }

    fn issued_with(&self, token: &str, now: i64) -> Option<&Issued> {
        self.issued
            .iter()
            .rev()
            .find(|issued| issued.certificate.token.as_deref() == Some(token) && now < issued.at + TOKEN_LIFETIME)
    }

    /// From when to when.
    fn validity(&self, body: &Value, now: i64) -> Result<(i64, i64), AwsError> {
        let moment = |validity: &Value| -> Result<(String, i64), AwsError> {
            let value = validity["Value"].as_i64();
            let value = value.ok_or_else(|| AwsError::new("ValidationException", "Validity has no Value"))?;
            Ok((text(validity, "Type")?.to_owned(), value))
        };
        let not_after = match moment(&body["Validity"])? {
            (kind, at) if kind == "ABSOLUTE" => at,
            (kind, days) if kind == "DAYS" && days > 0 => now + days * 86_400,
            (kind, value) => return Err(arguments(format!("the double has no validity of {value} {kind}"))),
        };
        let not_before = match &body["ValidityNotBefore"] {
            Value::Null => now - 3_600,
            validity => match moment(validity)? {
                (kind, at) if kind == "ABSOLUTE" => at,
                (kind, _) => return Err(arguments(format!("ValidityNotBefore is ABSOLUTE, not {kind}"))),
            },
        };
        if not_after <= not_before || not_after <= now {
            return Err(AwsError::new("ValidationException", "the certificate would end before it begins"));
        }
        if not_after > self.not_after {
            let message =
                format!("the certificate would end at {not_after}, after its authority at {}", self.not_after);
            return Err(AwsError::new("ValidationException", message));
        }
        if self.plan.short_lived && not_after - now > 7 * 86_400 {
            return Err(AwsError::new("ValidationException", "a short-lived certificate lives seven days at the most"));
        }
        Ok((not_before, not_after))
    }

    /// Template over API over CSR over configuration.
    fn fill(
        &self,
        csr: &mut CertificateSigningRequestParams,
        template: &Template,
        passthrough: &Value,
    ) -> Result<(), AwsError> {
        let nothing = Value::Null;
        let passthrough = if template.api_passthrough { passthrough } else { &nothing };
        let params = &mut csr.params;
        if passthrough["Subject"].is_object() {
            params.distinguished_name = subject(&passthrough["Subject"])?;
        }
        let without_subject = params.distinguished_name.iter().next().is_none();
        let mut extensions = template.extensions()?;
        extensions.push(extension::end_entity(template.critical_basic_constraints));
        for mut asked in extension::asked_for(&passthrough["Extensions"])? {
            let is_taken = extensions.iter().any(|ours| ours.oid == asked.oid);
            let is_dropped = asked.oid == extension::ACCESS && !self.plan.takes_access;
            if asked.oid == extension::ALTERNATIVE_NAMES {
                params.subject_alt_names.clear();
                asked.critical = without_subject;
            }
            if !is_taken && !is_dropped {
                extensions.push(asked);
            }
        }
        if without_subject && params.subject_alt_names.is_empty() && !has(&extensions, extension::ALTERNATIVE_NAMES) {
            return Err(AwsError::new("MalformedCSRException", "there is neither a subject nor a name"));
        }
        if let Some(url) = self.plan.list_url.as_ref().filter(|_| !has(&extensions, extension::DISTRIBUTION_POINTS)) {
            extensions.push(extension::distribution_point(url));
        }
        if let Some(url) = self.plan.ocsp_url.as_ref().filter(|_| !has(&extensions, extension::ACCESS)) {
            extensions.push(extension::ocsp_access(url)?);
        }
        params.is_ca = IsCa::NoCa;
        params.key_usages.clear();
        params.extended_key_usages.clear();
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(Vec::new());
        params.custom_extensions = extensions.iter().map(custom).collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn has(extensions: &[Extension], oid: &str) -> bool {
    extensions.iter().any(|extension| extension.oid == oid)
}

/// The CSR, its signature checked. Of what it asks for beside names and subject nothing is taken over.
fn read_csr(octets: &[u8]) -> Result<CertificateSigningRequestParams, AwsError> {
    let malformed = |why: &dyn std::fmt::Display| AwsError::new("MalformedCSRException", why.to_string());
    let text = std::str::from_utf8(octets).map_err(|error| malformed(&error))?;
    let mut csr = CertificateSigningRequestParams::from_pem(text).map_err(|error| malformed(&error))?;
    let CertificateParams { distinguished_name, subject_alt_names, .. } = csr.params;
    csr.params = CertificateParams::default();
    csr.params.distinguished_name = distinguished_name;
    csr.params.subject_alt_names = subject_alt_names;
    Ok(csr)
}

/// A subject of custom attributes, in their order; the common name alone of the others, which have an order of AWS's own.
fn subject(asked: &Value) -> Result<DistinguishedName, AwsError> {
    let mut name = DistinguishedName::new();
    let custom = items(asked, "CustomAttributes");
    for attribute in custom {
        let oid = extension::arcs(text(attribute, "ObjectIdentifier")?)?;
        let value = text(attribute, "Value")?;
        let printable = || value.try_into().map(DnValue::PrintableString);
        // countryName is a PrintableString by X.520.
        let value = if oid == [2, 5, 4, 6] { printable() } else { Ok(DnValue::Utf8String(value.to_owned())) };
        let kind = DnType::from_oid(&oid);
        if name.get(&kind).is_some() {
            return Err(arguments("the double has no subject with two attributes of a kind"));
        }
        name.push(kind, value.map_err(|error| arguments(format!("countryName: {error}")))?);
    }
    for (member, value) in asked.as_object().into_iter().flatten() {
        match (member.as_str(), value.as_str()) {
            ("CustomAttributes", _) => {}
            (_, Some(_)) if !custom.is_empty() => {
                return Err(arguments("CustomAttributes cannot be combined with standard attributes"));
            }
            ("CommonName", Some(text)) => name.push(DnType::CommonName, text),
            _ => return Err(arguments(format!("the double has no attribute {member}"))),
        }
    }
    Ok(name)
}

fn custom(extension: &Extension) -> Result<CustomExtension, AwsError> {
    let mut custom = CustomExtension::from_oid_content(&extension.arcs()?, extension.value.clone());
    custom.set_criticality(extension.critical);
    Ok(custom)
}

fn time(at: i64) -> Result<OffsetDateTime, AwsError> {
    OffsetDateTime::from_unix_timestamp(at).map_err(|error| arguments(error.to_string()))
}
