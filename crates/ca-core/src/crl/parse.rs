//! CRLs of any issuer, read: for reconciliation with what was published, and for whoever verifies a certificate.

use std::ops::Range;

use thiserror::Error;

use super::tbs_view::{EntryView, EntryViews, ScopeView, TbsView};
use super::{
    AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, CrlEntry, DELTA_CRL_INDICATOR, EXPIRED_CERTS_ON_CRL, EntryReason,
    FRESHEST_CRL, ISSUING_DISTRIBUTION_POINT, PEM_LABEL,
};
use crate::der_time::read_time;
use crate::extension::{Extension, find};
use crate::key::{PublicKey, SignatureAlgorithm, SignatureInvalid, UnsupportedSignature};
use crate::name::{DistinguishedName, NameError};
use crate::pem::{self, PemError};
use crate::serial::Serial;
use crate::time::Timestamp;
use crate::tlv::{self, DerError, Reader, tag};

/// A CRL that was read whole, its entries included; its signature is verified by [`ParsedCrl::verify`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct ParsedCrl {
    der: Vec<u8>,
    to_be_signed: Range<usize>,
    revoked: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: Vec<u8>,
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    number: Option<Vec<u8>>,
    base_number: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
    scope: Option<CrlScope>,
    entries: u64,
}

/// The part of an issuer's certificates that a list covers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CrlScope {
    only_user: bool,
    only_ca: bool,
    uri: Option<String>,
}

impl ParsedCrl {
    /// Reads a CertificateList, v1 or v2. Every entry is walked once. Refused are lists with critical extensions that
    /// are not understood (RFC 5280 §5.2: such a list must not be used), indirect ones and those for some reasons only.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CrlParseError> {
        let mut fields = Reader::only(&der, tag::SEQUENCE)?.reader();
        let to_be_signed = fields.take(tag::SEQUENCE)?.whole;
        let signature_algorithm = fields.take(tag::SEQUENCE)?.whole;
        let signature = tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
        fields.finish()?;

        let view = TbsView::read(to_be_signed)?;
        // §5.1.1.2: the algorithm outside MUST be the one that is signed over.
        if view.head.signature_algorithm != signature_algorithm {
            return Err(CrlParseError::AlgorithmsDiffer);
        }
        refuse_unknown_critical(&view)?;
        let integer = |identifier| -> Result<Option<Vec<u8>>, DerError> {
            let Some(extension) = find(&view.extensions, identifier) else { return Ok(None) };
            let content = Reader::only(extension.value, tag::INTEGER)?.content;
            Ok(Some(tlv::unsigned(content)?.to_vec()))
        };
        let mut entries = 0;
        for entry in view.entries() {
            let entry = entry?;
            // Not in shortest form, a serial would be on the list and yet never be found there.
            tlv::integer(entry.serial)?;
            if let Some(extension) = entry.unusual.filter(|extension| extension.critical) {
                return Err(CrlParseError::UnknownCriticalExtension { identifier: extension.identifier_text() });
            }
            entries += 1;
        }
        let range = |part: &[u8]| tlv::range_within(&der, part);
        Ok(Self {
            to_be_signed: range(to_be_signed),
            revoked: view.revoked.map_or(0..0, range),
            signature: range(signature),
            signature_algorithm: signature_algorithm.to_vec(),
            issuer: DistinguishedName::from_der(view.head.issuer)?,
            this_update: read_time(&view.head.this_update)?,
            next_update: view.head.next_update.as_ref().map(read_time).transpose()?,
            number: integer(&CRL_NUMBER)?,
            base_number: integer(&DELTA_CRL_INDICATOR)?,
            authority_key_identifier: read_key_identifier(&view)?,
            scope: read_scope(&view)?,
            entries,
            der,
        })
    }

    /// Reads every `X509 CRL` block of a PEM text.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CrlParseError> {
        pem::decode_all(PEM_LABEL, text)?.into_iter().map(Self::from_der).collect()
    }

    /// The whole DER, as given.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The DER of the TBSCertList.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.der[self.to_be_signed.clone()]
    }

    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// When it was made.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When the next one comes at the latest, if it says so.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// Its number; `None` when it has none, or one of 2^64 and more (see [`ParsedCrl::number_octets`]).
    pub fn number(&self) -> Option<u64> {
        self.number.as_deref().and_then(tlv::magnitude_to_u64)
    }

    /// Its number, big-endian and without leading zeros, however long.
    pub fn number_octets(&self) -> Option<&[u8]> {
        self.number.as_deref()
    }

    /// Whether it is a delta, which says nothing of what an older list holds.
    pub fn is_delta(&self) -> bool {
        self.base_number.is_some()
    }

    /// The keyIdentifier of the key that signed it, if it says so.
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.authority_key_identifier.as_deref()
    }

    /// The URI of its distribution point, when it covers a part of the issuer's certificates only.
    pub fn distribution_point(&self) -> Option<&str> {
        self.scope.as_ref()?.uri.as_deref()
    }

    /// Whether it covers certificates of this kind, as far as its flags say. A list with a
    /// [`ParsedCrl::distribution_point`] covers only certificates that name the same one.
    pub fn covers(&self, is_ca: bool) -> bool {
        self.scope.as_ref().is_none_or(|scope| if is_ca { !scope.only_user } else { !scope.only_ca })
    }

    /// How many entries it has.
    pub fn entry_count(&self) -> u64 {
        self.entries
    }

    /// Its entries, in order, read as they are asked for. Left out are those whose serial no certificate of ours can
    /// have: zero, negative, or longer than 20 octets. Reason codes that RFC 5280 does not assign are told as no
    /// reason.
    pub fn entries(&self) -> impl Iterator<Item = CrlEntry> + '_ {
        // No error is passed over: `from_der` has walked every entry.
        self.entry_views().filter_map(Result::ok).filter_map(|entry| to_entry(&entry))
    }

    /// The entry of a serial. Walks the list and looks at serials only: some 10 ms for a million entries.
    pub fn find(&self, serial: &Serial) -> Option<CrlEntry> {
        self.entry_views().find_serial(&serial.to_der_content()).and_then(|entry| to_entry(&entry))
    }

    /// By what it is signed.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, UnsupportedSignature> {
        SignatureAlgorithm::from_identifier_der(&self.signature_algorithm)
    }

    /// Verifies the signature with the key of `issuer`, whose name must be the list's (§6.3.3 (f), (g)). Dates are the
    /// caller's to judge.
    pub fn verify(&self, issuer: &DistinguishedName, key: &PublicKey) -> Result<(), CrlSignatureError> {
        if *issuer != self.issuer {
            return Err(CrlSignatureError::OtherIssuer);
        }
        let algorithm = self.signature_algorithm()?;
        Ok(key.verify(algorithm, self.to_be_signed(), &self.der[self.signature.clone()])?)
    }

    fn entry_views(&self) -> EntryViews<'_> {
        EntryViews::new(&self.der[self.revoked.clone()])
    }
}

impl std::fmt::Debug for ParsedCrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParsedCrl")
            .field("issuer", &self.issuer)
            .field("number", &self.number.as_deref().map(hex::encode))
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// Octets that are no CRL that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CrlParseError {
    /// Not DER of a CertificateList.
    #[error("not a CRL: {0}")]
    Der(#[from] DerError),
    /// Not PEM of one.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// An issuer that is no name.
    #[error("the issuer of the CRL: {0}")]
    Issuer(#[from] NameError),
    /// What is signed names another algorithm than the signature.
    #[error("the CRL names one signature algorithm inside and another outside")]
    AlgorithmsDiffer,
    /// RFC 5280 §5.2, §5.3: must not be used.
    #[error("the CRL has the critical extension {identifier}, which is not understood; it must not be used")]
    UnknownCriticalExtension {
        /// Its identifier.
        identifier: String,
    },
    /// An indirect list, one for some reasons or for attribute certificates, or one without a URI as its name.
    #[error("the CRL covers certificates in a way that is not supported: indirect, or for some reasons only")]
    UnsupportedScope,
}

/// Why a CRL's signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CrlSignatureError {
    /// The list is of another issuer.
    #[error("the CRL was issued under another name than this issuer's")]
    OtherIssuer,
    /// An algorithm that is not verified here.
    #[error("the signature of the CRL: {0}")]
    UnsupportedSignature(#[from] UnsupportedSignature),
    /// The signature is wrong.
    #[error("the CRL: {0}")]
    Invalid(#[from] SignatureInvalid),
}

fn refuse_unknown_critical(view: &TbsView<'_>) -> Result<(), CrlParseError> {
    let known = [
        AUTHORITY_KEY_IDENTIFIER,
        CRL_NUMBER,
        DELTA_CRL_INDICATOR,
        ISSUING_DISTRIBUTION_POINT,
        FRESHEST_CRL,
        EXPIRED_CERTS_ON_CRL,
    ];
    match Extension::unknown_critical(&view.extensions, &known) {
        Some(identifier) => Err(CrlParseError::UnknownCriticalExtension { identifier }),
        None => Ok(()),
    }
}

fn read_key_identifier(view: &TbsView<'_>) -> Result<Option<Vec<u8>>, DerError> {
    let Some(extension) = find(&view.extensions, &AUTHORITY_KEY_IDENTIFIER) else { return Ok(None) };
    let mut fields = Reader::only(extension.value, tag::SEQUENCE)?.reader();
    Ok(fields.optional(tag::context(0))?.map(|identifier| identifier.content.to_vec()))
}

fn read_scope(view: &TbsView<'_>) -> Result<Option<CrlScope>, CrlParseError> {
    let Some(extension) = find(&view.extensions, &ISSUING_DISTRIBUTION_POINT) else { return Ok(None) };
    let scope = ScopeView::read(extension.value)?;
    if scope.other {
        return Err(CrlParseError::UnsupportedScope);
    }
    let uri = scope.uri.map(|uri| String::from_utf8_lossy(uri).into_owned());
    Ok(Some(CrlScope { only_user: scope.only_user, only_ca: scope.only_ca, uri }))
}

fn to_entry(entry: &EntryView<'_>) -> Option<CrlEntry> {
    Some(CrlEntry {
        serial: tlv::serial(entry.serial)?,
        revoked_at: entry.revoked_at,
        reason: entry.reason.and_then(|code| u8::try_from(code).ok()).and_then(EntryReason::from_code),
        invalidity_date: entry.invalidity_date,
    })
}
