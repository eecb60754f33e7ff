//! A certificate authority: its key, its certificate, its state, its list.

use anyhow::Context;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::IssuedHere;
use crate::json_protocol::AwsError;

/// An authority to be made.
#[derive(Clone, Debug)]
pub struct AuthorityPlan {
    /// Its common name.
    pub common_name: String,
    /// Its key.
    pub key: KeyAlgorithm,
    /// The ARN of who issues to it; `None` makes a root.
    pub parent: Option<String>,
    /// How many days it lives.
    pub days: i64,
    /// Whether it issues for seven days at the most.
    pub short_lived: bool,
    /// The URL that leaves name as their list; `None` keeps no list.
    pub list_url: Option<String>,
    /// The URL that leaves name as the responder of AWS; `None` where AWS answers for none.
    pub ocsp_url: Option<String>,
    /// Whether AuthorityInfoAccess from the API gets into a certificate. Where it does not, it is dropped in silence.
    pub takes_access: bool,
}

impl AuthorityPlan {
    /// A root of P-256 for ten years, without list and responder.
    pub fn root(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            key: KeyAlgorithm::P256,
            parent: None,
            days: 3_653,
            short_lived: false,
            list_url: None,
            ocsp_url: None,
            takes_access: true,
        }
    }

    /// A subordinate of P-256 for five years, likewise.
    pub fn below(parent: &str, common_name: &str) -> Self {
        Self { parent: Some(parent.to_owned()), days: 1_826, ..Self::root(common_name) }
    }
}

/// The key of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// `EC_prime256v1`
    P256,
    /// `EC_secp384r1`
    P384,
    /// `RSA_2048`
    Rsa2048,
}

impl KeyAlgorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "EC_prime256v1",
            Self::P384 => "EC_secp384r1",
            Self::Rsa2048 => "RSA_2048",
        }
    }

    /// The one algorithm that the double signs with by such a key; AWS has more of the family.
    pub(super) const fn signing_algorithm(self) -> &'static str {
        match self {
            Self::P256 => "SHA256WITHECDSA",
            Self::P384 => "SHA384WITHECDSA",
            Self::Rsa2048 => "SHA256WITHRSA",
        }
    }

    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
        }
    }
}

/// The state of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the state of its name")]
pub enum AuthorityStatus {
    Creating,
    PendingCertificate,
    Active,
    Disabled,
    Expired,
    Failed,
    Deleted,
}

impl AuthorityStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::PendingCertificate => "PENDING_CERTIFICATE",
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
            Self::Deleted => "DELETED",
        }
    }
}

/// A certificate, and how often it is not ready yet.
pub(super) struct Issued {
    pub(super) certificate: IssuedHere,
    pub(super) waits: u32,
    /// When it was asked for.
    pub(super) at: i64,
}

struct Revoked {
    serial: String,
    reason: RevocationReason,
    at: i64,
}

struct List {
    der: Vec<u8>,
    made_at: i64,
}

pub(super) struct PrivateAuthority {
    pub(super) arn: String,
    pub(super) plan: AuthorityPlan,
    pub(super) status: AuthorityStatus,
    pub(super) der: Vec<u8>,
    /// PEM of the certificates above, the issuer's first.
    above: Vec<String>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    params: CertificateParams,
    key: KeyPair,
    pub(super) issued: Vec<Issued>,
    revoked: Vec<Revoked>,
    list: Option<List>,
}

/// How long after a revocation a list is made that has it.
const LIST_LAG: i64 = 30 * 60;
/// How long a list is good for.
const LIST_LIFETIME: i64 = 7 * 86_400;

impl PrivateAuthority {
    pub(super) fn make(number: usize, plan: &AuthorityPlan, parent: Option<&Self>, now: i64) -> anyhow::Result<Self> {
        let key = plan.key.generate()?;
        let (not_before, not_after) = (now - 3_600, now + plan.days * 86_400);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, plan.common_name.clone());
        params.not_before = OffsetDateTime::from_unix_timestamp(not_before)?;
        params.not_after = OffsetDateTime::from_unix_timestamp(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial_octets(&format!("authority {number}"))));
        params.is_ca =
            IsCa::Ca(if parent.is_some() { BasicConstraints::Constrained(0) } else { BasicConstraints::Unconstrained });
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(&key));
        params.use_authority_key_identifier_extension = parent.is_some();
        let certificate = match parent {
            None => params.self_signed(&key)?,
            Some(parent) => params.signed_by(&key, &parent.issuer())?,
        };
        let above = parent.map(|parent| std::iter::once(parent.pem()).chain(parent.above.iter().cloned()).collect());
        Ok(Self {
            arn: format!(
                "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/00000000-0000-4000-8000-{number:012}"
            ),
            plan: plan.clone(),
            status: AuthorityStatus::Active,
            der: certificate.der().to_vec(),
            above: above.unwrap_or_default(),
            not_before,
            not_after,
            params,
            key,
            issued: Vec::new(),
            revoked: Vec::new(),
            list: None,
        })
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn pem(&self) -> String {
        pem(&self.der)
    }

    pub(super) fn issued(&self) -> Vec<IssuedHere> {
        self.issued.iter().map(|issued| issued.certificate.clone()).collect()
    }

    pub(super) fn make_ready(&mut self) {
        for issued in &mut self.issued {
            issued.waits = 0;
        }
    }

    /// The state at an instant: what has ended, has.
    pub(super) fn status_at(&self, now: i64) -> AuthorityStatus {
        if self.status == AuthorityStatus::Active && now > self.not_after {
            AuthorityStatus::Expired
        } else {
            self.status
        }
    }

    pub(super) fn describe(&self, now: i64) -> Value {
        let list = self.plan.list_url.as_ref();
        let mut lists = json!({ "Enabled": list.is_some(), "ExpirationInDays": LIST_LIFETIME / 86_400 });
        if let Some(host) = list.and_then(|url| url.strip_prefix("http://")?.split('/').next()) {
            lists["CustomCname"] = host.into();
            lists["S3BucketName"] = "lists-of-an-authority".into();
            lists["CrlType"] = "COMPLETE".into();
        }
        json!({ "CertificateAuthority": {
            "Arn": self.arn,
            "Status": self.status_at(now).name(),
            "Type": if self.plan.parent.is_some() { "SUBORDINATE" } else { "ROOT" },
            "UsageMode": if self.plan.short_lived { "SHORT_LIVED_CERTIFICATE" } else { "GENERAL_PURPOSE" },
            "NotBefore": self.not_before,
            "NotAfter": self.not_after,
            "CertificateAuthorityConfiguration": {
                "KeyAlgorithm": self.plan.key.name(),
                "SigningAlgorithm": self.plan.key.signing_algorithm(),
                "Subject": { "CommonName": self.plan.common_name },
            },
            "RevocationConfiguration": {
                "CrlConfiguration": lists,
                "OcspConfiguration": { "Enabled": self.plan.ocsp_url.is_some() },
            },
        }})
    }

    pub(super) fn own_certificate(&self) -> Result<Value, AwsError> {
        if matches!(self.status, AuthorityStatus::Creating | AuthorityStatus::PendingCertificate) {
            return Err(AwsError::new("InvalidStateException", format!("it is {}", self.status.name())));
        }
        let mut answer = json!({ "Certificate": self.pem() });
        if !self.above.is_empty() {
            answer["CertificateChain"] = self.above.join("\n").into();
        }
        Ok(answer)
    }

    /// Gives out a certificate that is ready.
    pub(super) fn hand_out(&mut self, arn: &str) -> Result<Value, AwsError> {
        let chain: Vec<String> = std::iter::once(self.pem()).chain(self.above.iter().cloned()).collect();
        let issued = self
            .issued
            .iter_mut()
            .find(|issued| issued.certificate.arn == arn)
            .ok_or_else(|| AwsError::new("ResourceNotFoundException", format!("there is no certificate {arn}")))?;
        if issued.waits > 0 {
            issued.waits -= 1;
            return Err(AwsError::new("RequestInProgressException", "the certificate is being made"));
        }
        Ok(json!({ "Certificate": pem(&issued.certificate.der), "CertificateChain": chain.join("\n") }))
    }

    pub(super) fn revoke(&mut self, serial: &str, reason: &str, now: i64) -> Result<(), AwsError> {
        if self.status_at(now) != AuthorityStatus::Active && self.status != AuthorityStatus::Disabled {
            return Err(AwsError::new("InvalidStateException", format!("it is {}", self.status.name())));
        }
        let reason_code = match reason {
            "UNSPECIFIED" => RevocationReason::Unspecified,
            "KEY_COMPROMISE" => RevocationReason::KeyCompromise,
            "CERTIFICATE_AUTHORITY_COMPROMISE" => RevocationReason::CaCompromise,
            "AFFILIATION_CHANGED" => RevocationReason::AffiliationChanged,
            "SUPERSEDED" => RevocationReason::Superseded,
            "CESSATION_OF_OPERATION" => RevocationReason::CessationOfOperation,
            "PRIVILEGE_WITHDRAWN" => RevocationReason::PrivilegeWithdrawn,
            "A_A_COMPROMISE" => RevocationReason::AaCompromise,
            other => return Err(AwsError::new("ValidationException", format!("{other} is no RevocationReason"))),
        };
        let serial = serial.replace(':', "").to_lowercase();
        let issued = self.issued.iter_mut().find(|issued| issued.certificate.serial == serial).ok_or_else(|| {
            AwsError::new("ResourceNotFoundException", format!("there is no certificate of serial {serial}"))
        })?;
        if issued.certificate.revoked.is_some() {
            return Err(AwsError::new("RequestAlreadyProcessedException", "it is revoked already"));
        }
        issued.certificate.revoked = Some(reason.to_owned());
        self.revoked.push(Revoked { serial, reason: reason_code, at: now });
        Ok(())
    }

    /// The list in the bucket: made anew some time after a revocation, and before the old one ends.
    pub(super) fn list(&mut self, now: i64) -> anyhow::Result<Option<Vec<u8>>> {
        if self.plan.list_url.is_none() {
            return Ok(None);
        }
        let is_listed = |revoked: &&Revoked| revoked.at + LIST_LAG <= now;
        let is_due = self.list.as_ref().is_none_or(|list| {
            now >= list.made_at + LIST_LIFETIME / 2
                || self.revoked.iter().filter(is_listed).any(|revoked| revoked.at + LIST_LAG > list.made_at)
        });
        if is_due {
            let time = |at| OffsetDateTime::from_unix_timestamp(at).context("a time that can be told");
            let entry = |revoked: &Revoked| {
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&hex::decode(&revoked.serial)?),
                    revocation_time: time(revoked.at)?,
                    reason_code: Some(revoked.reason).filter(|reason| *reason != RevocationReason::Unspecified),
                    invalidity_date: None,
                })
            };
            let params = CertificateRevocationListParams {
                this_update: time(now)?,
                next_update: time(now + LIST_LIFETIME)?,
                // AWS counts milliseconds.
                crl_number: SerialNumber::from_slice(&(now * 1_000).to_be_bytes()[2..]),
                issuing_distribution_point: None,
                revoked_certs: self.revoked.iter().filter(is_listed).map(entry).collect::<anyhow::Result<_>>()?,
                key_identifier_method: self.params.key_identifier_method.clone(),
            };
            let der = params.signed_by(&self.issuer())?.der().to_vec();
            self.list = Some(List { der, made_at: now });
        }
        Ok(self.list.as_ref().map(|list| list.der.clone()))
    }
}

/// SHA-1 of the public key (RFC 5280 §4.2.1.2, method 1).
pub(super) fn key_identifier(key: &impl rcgen::PublicKeyData) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()).as_ref().to_vec()
}

/// Sixteen octets that look random and are the same in every run.
pub(super) fn serial_octets(seed: &str) -> Vec<u8> {
    let mut octets = digest(&SHA256, seed.as_bytes()).as_ref()[..16].to_vec();
    octets[0] = octets[0] & 0x7f | 0x10;
    octets
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|from| &text[from..text.len().min(from + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
