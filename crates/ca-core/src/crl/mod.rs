//! Certificate revocation lists (RFC 5280 §5): what one says, its streamed encoding, its lint, and reading those of
//! others.
//!
//! [`CrlBundle`] is what a gateway judges by. [`CrlWriter`] takes entries one at a time and hands out the DER in pieces;
//! [`CrlLint`] alone, through which all of these pass once more, makes a [`LintedCrl`], which can be signed. Neither holds a list.
//! Where entries come from, where pieces lie meanwhile, which number is next and where lists go is the engine's business.

mod bundle;
mod entry;
mod lint;
mod outline;
mod parse;
mod scope;
mod tbs_stream;
mod tbs_view;
mod writer;

pub use bundle::{
    AuthorityMark, BundleFault, BundleScope, BundledList, CLOCK_SKEW, CrlBundle, ListFault, ListMark, ScopeError,
    authority_mark,
};
pub use entry::{CrlEntry, EntryReason};
pub use lint::{CrlContext, CrlLint, PreviousCrl};
pub use outline::CrlOutline;
pub use parse::{CrlParseError, CrlSignatureError, ParsedCrl};
pub use scope::{ListName, ListNameError, PartialScope};
pub use writer::{CrlError, CrlTbs, CrlWriter, PIECE};

use const_oid::ObjectIdentifier;

use crate::hash::MessageDigest;
use crate::key::SignatureAlgorithm;
use crate::name::{DistinguishedName, Uri};
use crate::signing::{Envelope, Message, Signable, Signature, sealed};
use crate::time::Timestamp;

/// The PEM label of a CRL (RFC 7468 §6).
pub const PEM_LABEL: &str = "X509 CRL";

/// Everything a CRL says besides its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlTemplate {
    /// The subject of the authority, byte for byte.
    pub issuer: DistinguishedName,
    /// The authority's subjectKeyIdentifier (§5.2.1).
    pub authority_key_identifier: Vec<u8>,
    /// What the list will be signed with.
    pub signature_algorithm: SignatureAlgorithm,
    /// When the list is made; a fraction of a second is cut off.
    pub this_update: Timestamp,
    /// When the next one comes at the latest; required of us although ASN.1 makes it optional (§5.1.2.5).
    pub next_update: Timestamp,
    /// CRLNumber (§5.2.3); complete lists and deltas of one scope share the sequence.
    pub number: u64,
    /// The number of the complete list that a delta starts from (§5.2.4); `None` makes a complete list.
    pub base_number: Option<u64>,
    /// The scope, where it is not all certificates of the issuer (§5.2.5).
    pub issuing_distribution_point: Option<IssuingDistributionPoint>,
    /// Where the newest delta for this complete list is (§5.2.6).
    pub freshest_crl: Option<Uri>,
    /// Revoked certificates that expired at or after this instant are kept on the list (X.509 §9.5.2.8).
    pub expired_certs_on_crl: Option<Timestamp>,
}

/// The scope of a list that does not cover every certificate of its issuer (RFC 5280 §5.2.5). Always critical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuingDistributionPoint {
    /// The URI that the certificates in the scope carry as their distribution point.
    pub uri: Uri,
    /// The list covers end-entity certificates only.
    pub only_user: bool,
    /// The list covers CA certificates only. Not together with `only_user`.
    pub only_ca: bool,
}

/// A CRL that [`CrlLint`] found faultless: ready to be signed. It stands for the octets that passed, and does not hold them;
/// except of one that is to be signed by Ed25519, which no digest can stand for.
#[derive(Clone)]
pub struct LintedCrl {
    to_be_signed: ToBeSigned,
    sha256: [u8; 32],
    octets: usize,
    entries: u64,
    signature_algorithm: SignatureAlgorithm,
}

#[derive(Clone)]
enum ToBeSigned {
    Whole(Vec<u8>),
    Digest(MessageDigest),
}

impl LintedCrl {
    /// How many entries the list has.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many octets its TBSCertList has.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// SHA-256 of its TBSCertList: what is put on record before it is signed.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The algorithm named inside, with which it is to be signed.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// What comes before and after the TBSCertList in the CertificateList. `signature` is not verified here: the flow does that
    /// against the authority's key, as for every signature that a signer hands it. Its algorithm must be the one named inside
    /// the list (§5.1.1.2).
    pub fn envelope(&self, signature: &Signature) -> Result<Envelope, CrlError> {
        if signature.algorithm != self.signature_algorithm {
            return Err(CrlError::OtherAlgorithm { named: self.signature_algorithm, signed: signature.algorithm });
        }
        Ok(Envelope::of(self.octets, signature))
    }
}

impl Signable for LintedCrl {
    fn message(&self) -> Message<'_> {
        match &self.to_be_signed {
            ToBeSigned::Whole(octets) => Message::Whole(octets),
            ToBeSigned::Digest(digest) => Message::Digest(digest),
        }
    }
}

impl sealed::Sealed for LintedCrl {}

impl std::fmt::Debug for LintedCrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LintedCrl({} entries, {} octets)", self.entries, self.octets)
    }
}

const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const DELTA_CRL_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const FRESHEST_CRL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.46");
const EXPIRED_CERTS_ON_CRL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.60");

const CRL_REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");

#[cfg(test)]
mod tests;
