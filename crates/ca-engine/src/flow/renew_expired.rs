//! The successor of a certificate that has ended, for its holder: by a proof that the old key signs over this one request, never by mutual
//! TLS. Off, unless the profile says for how long (`[renewal] after_expiry`, a week at the most).
//!
//! Who asks is nobody until the proof was verified against the certificate on record, so until then nothing is told of the record.

use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::name::GeneralName;
use ca_core::principal::Principal;
use ca_core::renewal_proof::{NONCE_LIFETIME, NonceFault, RenewalProof, SoundNonce, check_nonce, make_nonce};
use ca_core::time::{Lifetime, Timestamp};

use super::issuance::Issued;
use super::query::{CertificateName, certificate_resource, permit, resolve};
use super::renew::{RenewRequest, issue_successor, refuse_revoked, too_late};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::Action;
use crate::port::store::StoredCertificate;

/// A nonce for one proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalNonce {
    /// Its text.
    pub text: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// A request for the successor of a certificate that has ended.
#[derive(Clone, Debug)]
pub struct ExpiredRenewRequest {
    /// Which certificate.
    pub certificate: CertificateName,
    /// The new key.
    pub csr: ParsedCsr,
    /// The proof, a JWS in the compact serialization.
    pub proof: String,
    /// The path that the request came to, which the proof is to name.
    pub path: String,
    /// The idempotency key, as the caller chose it.
    pub idempotency_key: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Makes a nonce. Nothing of it is kept, so that whoever asks for many fills no record.
pub async fn renewal_nonce(engine: &Engine) -> Result<RenewalNonce, FlowError> {
    engine.check_anchor()?;
    if !engine.profiles().values().any(|profile| profile.renewal().after_expiry > Lifetime::ZERO) {
        return Err(switched_off());
    }
    let expires_at = engine.now().plus(NONCE_LIFETIME);
    let text = make_nonce(&nonce_key(engine).await?, engine.random()?, expires_at);
    Ok(RenewalNonce { text, expires_at })
}

/// Renews a certificate that has ended.
pub async fn renew_expired(engine: &Engine, request: ExpiredRenewRequest) -> Result<Issued, FlowError> {
    engine.check_anchor()?;
    let now = engine.now();
    // 1. What the proof says of itself, without a look at the record.
    let unproved = |message: String| FlowError::new(FlowErrorKind::InvalidCredential, message);
    let proof = RenewalProof::parse(&request.proof).map_err(|fault| unproved(fault.to_string()))?;
    let nonce = sound_nonce(engine, &proof, now).await?;
    proof.check_age(now).map_err(|fault| unproved(fault.to_string()))?;
    check_url(&proof, &request.path, &engine.settings().api_names)?;
    if !proof.is_over(request.csr.der()) {
        return Err(unproved(
            "the proof was made for another signing request: `csr_sha256` is not its SHA-256".to_owned(),
        ));
    }
    // 2. The key of which certificate: the one on record, octet for octet. Whether one is on record is not told.
    let shown = Certificate::from_der(proof.certificate())
        .map_err(|error| unproved(format!("the first certificate in `x5c` cannot be read: {error}")))?;
    proof.verify(shown.public_key()).map_err(|fault| unproved(fault.to_string()))?;
    let predecessor = on_record(engine, &request.certificate, &shown).await?;
    let principal = Principal::ExpiredHolder { id: predecessor.id };
    // 3. May it be renewed so, by today's profile and policy?
    permit(engine, &principal, Action::RenewExpiredCertificate, certificate_resource(engine, &predecessor))?;
    renewable(engine, &predecessor, now).await?;
    // 4. Once for each nonce. After everything that costs nothing to refuse, and before anything is made.
    if !engine.store().use_nonce(nonce.sha256, nonce.expires_at, now).await? {
        return Err(bad_nonce("the nonce was used before; ask for another one"));
    }
    // 5. As every renewal goes on.
    let ExpiredRenewRequest { certificate, csr, idempotency_key, request_id, .. } = request;
    let renewal = RenewRequest { certificate, csr: Some(csr), validity: None, idempotency_key, request_id };
    issue_successor(engine, &principal, &predecessor, &renewal).await
}

/// The setting on record that has the key of nonces, the same for every replica. A nonce proves nothing but that it was asked for lately:
/// the key needs no seal.
const NONCE_KEY: &str = "renewal-nonce-key";

async fn nonce_key(engine: &Engine) -> Result<[u8; 32], FlowError> {
    for _ in 0..2 {
        if let Some(key) = engine.store().setting(NONCE_KEY).await? {
            return key.try_into().map_err(|_| FlowError::internal(format!("setting {NONCE_KEY}: not 32 octets")));
        }
        let made: [u8; 32] = engine.random()?;
        if engine.store().set_setting(NONCE_KEY, None, &made).await? {
            return Ok(made);
        }
        // Another replica was faster: its key is there.
    }
    Err(FlowError::new(FlowErrorKind::Unavailable, "the record changes at this moment; try again").retry_after(1))
}

async fn sound_nonce(engine: &Engine, proof: &RenewalProof, now: Timestamp) -> Result<SoundNonce, FlowError> {
    check_nonce(&nonce_key(engine).await?, proof.nonce(), now).map_err(|fault| match fault {
        NonceFault::NotOurs => bad_nonce("the nonce is none that this service made; ask for one"),
        NonceFault::Expired => bad_nonce("the nonce is older than five minutes; ask for another one"),
    })
}

fn bad_nonce(message: &str) -> FlowError {
    FlowError::new(FlowErrorKind::BadNonce, message)
}

fn switched_off() -> FlowError {
    let message = "no profile lets its certificates be renewed after their end; ask for a new one";
    FlowError::new(FlowErrorKind::AccessDenied, message)
}

/// RFC 8555 §6.4: a proof is good where it was meant for. The port is left out: a balancer in front may have another.
fn check_url(proof: &RenewalProof, path: &str, api_names: &[GeneralName]) -> Result<(), FlowError> {
    let is_meant = split_url(proof.url()).is_some_and(|(host, named)| {
        named == path
            && (api_names.is_empty() || api_names.iter().any(|name| name.value_text().eq_ignore_ascii_case(host)))
    });
    if is_meant {
        return Ok(());
    }
    let message = format!("`url` in the proof must be the URL of this request: https, a name of the API, and {path}");
    Err(FlowError::new(FlowErrorKind::InvalidCredential, message))
}

/// Host and path of an https URL that has neither user, query nor fragment.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    if path.contains(['?', '#']) || authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
    (is_port && !host.is_empty()).then_some((host, path))
}

/// The certificate on record, if it is the one that was shown. Whatever is wrong, it is said in the same words.
async fn on_record(
    engine: &Engine,
    name: &CertificateName,
    shown: &Certificate,
) -> Result<StoredCertificate, FlowError> {
    let unknown = || {
        let message = "the certificate in `x5c` is not the one in the path, or is not on record";
        FlowError::new(FlowErrorKind::InvalidCredential, message)
    };
    match resolve(engine, name).await {
        Ok(stored) if stored.der == shown.der() => Ok(stored),
        Ok(_) => Err(unknown()),
        Err(error)
            if matches!(
                error.kind,
                FlowErrorKind::NotFound | FlowErrorKind::Removed | FlowErrorKind::AmbiguousSerial
            ) =>
        {
            Err(unknown())
        }
        Err(error) => Err(error),
    }
}

/// Ended, not longer ago than the profile says, and neither revoked, held nor with a blocked key. That it has no live successor is seen to when
/// the successor is reserved.
async fn renewable(engine: &Engine, certificate: &StoredCertificate, now: Timestamp) -> Result<(), FlowError> {
    let not_after = certificate.validity.not_after;
    let after_expiry =
        engine.profiles().get(&certificate.profile).map_or(Lifetime::ZERO, |profile| profile.renewal().after_expiry);
    if after_expiry == Lifetime::ZERO {
        let message = format!(
            "certificates of profile `{}` are not renewed after their end by their holders; ask for a new one",
            certificate.profile
        );
        return Err(FlowError::new(FlowErrorKind::RenewalTooLate, message));
    }
    if now <= not_after {
        let message = format!("the certificate is valid until {not_after}: renew it by mutual TLS");
        return Err(FlowError::new(FlowErrorKind::RenewalTooEarly, message));
    }
    if not_after.plus(after_expiry) < now {
        return Err(too_late(certificate));
    }
    refuse_revoked(certificate)?;
    if engine.store().is_key_blocked(&certificate.spki_sha256).await? {
        let message =
            "the key of the certificate was reported as compromised and is blocked for ever; ask for a new one";
        return Err(FlowError::new(FlowErrorKind::KeyBlocked, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::split_url;

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        for (url, parts) in [
            ("https://ca.example.org/v1/x", Some(("ca.example.org", "/v1/x"))),
            ("https://ca.example.org:8443/v1/x", Some(("ca.example.org", "/v1/x"))),
            ("https://[2001:db8::1]:8443/v1/x", Some(("2001:db8::1", "/v1/x"))),
            ("http://ca.example.org/v1/x", None),
            ("https://ca.example.org", None),
            ("https:///v1/x", None),
            ("https://a@ca.example.org/v1/x", None),
            ("https://ca.example.org:/v1/x", None),
            ("https://ca.example.org:x/v1/x", None),
            ("https://ca.example.org/v1/x?y", None),
            ("https://ca.example.org/v1/x#y", None),
            ("https://[2001:db8::1/v1/x", None),
            ("", None),
        ] {
            assert_eq!(split_url(url), parts, "{url}");
        }
    }
}
