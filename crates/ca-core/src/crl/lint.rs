//! The lint of a CRL before it is signed: the octets are read again, and every rule is a function that cites its
//! clause.
//!
//! The octets pass in pieces, so a list of any length costs no memory; what is signed afterwards is the digest of the octets that
//! passed here. Nothing is mended.

use super::tbs_stream::{TbsFrame, TbsStream};
use super::tbs_view::{EntryView, HeadView, ScopeView, read_full_name_uri};
use super::{
    AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, DELTA_CRL_INDICATOR, EXPIRED_CERTS_ON_CRL, EntryReason, FRESHEST_CRL,
    ISSUING_DISTRIBUTION_POINT, LintedCrl, ToBeSigned,
};
use crate::der_time::{is_utc_time, read_time};
use crate::extension::{Extension, find};
use crate::hash::{MessageHasher, Sha256};
use crate::key::SignatureAlgorithm;
use crate::lint::Finding;
use crate::name::{DistinguishedName, Uri};
use crate::time::Timestamp;
use crate::tlv::{self, DerError, Element, Reader, tag};

/// What a list must agree with.
#[derive(Clone, Copy, Debug)]
pub struct CrlContext<'a> {
    /// The subject of the authority's certificate.
    pub issuer: &'a DistinguishedName,
    /// Its subjectKeyIdentifier.
    pub key_identifier: &'a [u8],
    /// What its key signs with.
    pub signature_algorithm: SignatureAlgorithm,
    /// The newest list of the same kind and scope on record, where there is one.
    pub previous: Option<PreviousCrl>,
}

/// A list that is on record already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousCrl {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
}

/// Reads a TBSCertList again, piece by piece, and holds it against every rule.
pub struct CrlLint<'a> {
    context: CrlContext<'a>,
    stream: TbsStream,
    entries: EntryCheck,
    /// The first piece that is no DER; nothing is read after it.
    broken: Option<DerError>,
    sha256: Sha256,
    digest: Digest,
    octets: usize,
}

/// What is to be signed of the octets that pass.
enum Digest {
    /// SHA-256, which is taken anyway.
    Sha256,
    Other(MessageHasher),
    /// Ed25519 signs the octets themselves.
    Whole(Vec<u8>),
}

impl<'a> CrlLint<'a> {
    /// Begins with a list that must agree with `context`.
    pub fn new(context: CrlContext<'a>) -> Self {
        let digest = match context.signature_algorithm {
            SignatureAlgorithm::Ed25519 => Digest::Whole(Vec::new()),
            SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256 => Digest::Sha256,
            SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::EcdsaSha384 => Digest::Other(MessageHasher::sha384()),
            SignatureAlgorithm::RsaSha512 | SignatureAlgorithm::EcdsaSha512 => Digest::Other(MessageHasher::sha512()),
        };
        let (stream, entries) = (TbsStream::new(), EntryCheck::default());
        Self { context, stream, entries, broken: None, sha256: Sha256::new(), digest, octets: 0 }
    }

    /// Makes room for so many octets where the list is held until it is signed, and for no more: growing would take twice as much.
    pub fn expecting(mut self, octets: usize) -> Self {
        if let Digest::Whole(whole) = &mut self.digest {
            whole.reserve_exact(octets);
        }
        self
    }

    /// Takes the octets that follow.
    pub fn update(&mut self, octets: &[u8]) {
        self.octets += octets.len();
        self.sha256.update(octets);
        match &mut self.digest {
            Digest::Sha256 => {}
            Digest::Other(hasher) => hasher.update(octets),
            Digest::Whole(whole) => whole.extend_from_slice(octets),
        }
        if self.broken.is_none() {
            self.broken = self.stream.update(octets, &mut |head, entry| self.entries.check(head, entry)).err();
        }
    }

    /// Ends the list. All rules that it breaks are told, each with the first place only.
    pub fn finish(self) -> Result<LintedCrl, Vec<Finding>> {
        let read = match self.broken {
            Some(error) => Err(error),
            None => self.stream.finish(),
        };
        let findings = match read.as_ref().map_err(|error| *error).and_then(Facts::read) {
            Ok(facts) => {
                let mut findings: Vec<Finding> =
                    LIST_RULES.iter().filter_map(|rule| rule(&facts, &self.context)).collect();
                findings.extend(self.entries.finish(facts.base.is_some()));
                findings
            }
            Err(error) => vec![not_der(error)],
        };
        if !findings.is_empty() {
            return Err(findings);
        }
        let to_be_signed = match self.digest {
            Digest::Sha256 => ToBeSigned::Digest(self.sha256.clone().into_message_digest()),
            Digest::Other(hasher) => ToBeSigned::Digest(hasher.finish()),
            Digest::Whole(whole) => ToBeSigned::Whole(whole),
        };
        Ok(LintedCrl {
            to_be_signed,
            sha256: self.sha256.finish(),
            octets: self.octets,
            entries: self.entries.count,
            signature_algorithm: self.context.signature_algorithm,
        })
    }
}

/// What the rules look at.
struct Facts<'a> {
    head: HeadView<'a>,
    /// The length of the content of revokedCertificates, where it is present.
    revoked: Option<usize>,
    extensions: Vec<Extension<'a>>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    /// The base number's content, on a delta.
    base: Option<&'a [u8]>,
    number: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    fn read(frame: &'a TbsFrame) -> Result<Self, DerError> {
        let (head, extensions) = (frame.head()?, frame.extensions()?);
        let this_update = read_time(&head.this_update)?;
        let next_update = head.next_update.as_ref().map(read_time).transpose()?;
        let integer = |extension: Option<&Extension<'a>>| {
            extension.map(|extension| Reader::only(extension.value, tag::INTEGER)).transpose()
        };
        let number = integer(find(&extensions, &CRL_NUMBER))?.map(|element| element.content);
        let base = integer(find(&extensions, &DELTA_CRL_INDICATOR))?.map(|element| element.content);
        Ok(Self { head, revoked: frame.revoked, extensions, this_update, next_update, base, number })
    }
}

type ListRule = fn(&Facts<'_>, &CrlContext<'_>) -> Option<Finding>;
type EntryRule = fn(&EntryView<'_>, &EntryPlace<'_>) -> Option<Finding>;

/// Where an entry stands.
struct EntryPlace<'a> {
    this_update: Timestamp,
    /// The magnitude of the serial before it; empty before the first.
    previous_serial: &'a [u8],
}

const LIST_RULES: &[ListRule] = &[
    version_is_2,
    signature_algorithm_is_the_authority_s,
    issuer_is_the_authority,
    times_are_encoded_as_asked,
    next_update_comes_after_this_update,
    revoked_certificates_is_absent_when_empty,
    extensions_are_known_and_marked_right,
    authority_key_is_identified,
    number_is_there_and_fits,
    list_follows_the_previous_one,
    base_number_is_below_the_number,
    delta_has_no_freshest_crl,
    scope_is_one_that_clients_understand,
    freshest_crl_is_a_uri,
    expired_certificates_date_lies_in_the_past,
];

const ENTRY_RULES: [EntryRule; 7] = [
    serial_is_positive_and_short,
    serials_ascend,
    revocation_date_is_encoded_as_asked,
    revocation_date_is_not_in_the_future,
    reason_is_one_that_a_list_may_carry,
    invalidity_date_is_not_in_the_future,
    entry_extensions_are_known_and_not_empty,
];

/// The place of `reason_is_one_that_a_list_may_carry` among them.
const REASON_RULE: usize = 4;

/// The entries, one after the other.
#[derive(Default)]
struct EntryCheck {
    this_update: Option<Timestamp>,
    previous_serial: Vec<u8>,
    /// By rule, the first that breaks it.
    broken: [Option<Finding>; ENTRY_RULES.len()],
    /// The first that is removed, which only a delta may say; whether it is one stands behind the entries.
    removed: Option<Finding>,
    count: u64,
}

impl EntryCheck {
    fn check(&mut self, head: &HeadView<'_>, entry: &EntryView<'_>) {
        // One that cannot be read is told with the list.
        let this_update = *self.this_update.get_or_insert_with(|| read_time(&head.this_update).unwrap_or(NEVER));
        let place = EntryPlace { this_update, previous_serial: &self.previous_serial };
        for (rule, broken) in ENTRY_RULES.iter().zip(&mut self.broken) {
            if broken.is_none() {
                *broken = rule(entry, &place);
            }
        }
        if self.removed.is_none() {
            self.removed = removes(entry);
        }
        self.previous_serial.clear();
        self.previous_serial.extend_from_slice(tlv::unsigned(entry.serial).unwrap_or_default());
        self.count += 1;
    }

    fn finish(&self, is_delta: bool) -> impl Iterator<Item = Finding> {
        let mut broken = self.broken.clone();
        if let Some(removed) = self.removed.clone().filter(|_| !is_delta) {
            broken[REASON_RULE].get_or_insert(removed);
        }
        broken.into_iter().flatten()
    }
}

/// After every entry, so that none is told to lie after it.
const NEVER: Timestamp = Timestamp::from_unix_seconds(253_402_300_799);

fn not_der(error: DerError) -> Finding {
    Finding { rule: "crl_is_der", clause: "RFC 5280 §5.1", detail: format!("the TBSCertList cannot be read: {error}") }
}

/// `fault` as the finding of a rule; none when nothing is wrong.
fn finding(rule: &'static str, clause: &'static str, fault: Option<String>) -> Option<Finding> {
    fault.map(|detail| Finding { rule, clause, detail })
}

fn version_is_2(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = (facts.head.version != Some(1)).then(|| "the version is not v2".to_owned());
    finding("version_is_2", "RFC 5280 §5.1.2.1", fault)
}

fn signature_algorithm_is_the_authority_s(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let expected = context.signature_algorithm;
    let fault = (facts.head.signature_algorithm != expected.identifier_der())
        .then(|| format!("the list does not name {}, with which the authority signs", expected.as_str()));
    finding("signature_algorithm_is_the_authority_s", "RFC 5280 §5.1.2.2", fault)
}

fn issuer_is_the_authority(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let fault = if facts.head.issuer == [tag::SEQUENCE, 0] {
        Some("the issuer is empty".to_owned())
    } else if facts.head.issuer != context.issuer.as_der() {
        Some("the issuer is not, octet for octet, the subject of the authority".to_owned())
    } else {
        None
    };
    finding("issuer_is_the_authority", "RFC 5280 §5.1.2.3", fault)
}

fn times_are_encoded_as_asked(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let all_right = well_encoded(&facts.head.this_update) && facts.head.next_update.as_ref().is_none_or(well_encoded);
    let fault = (!all_right).then(|| "a year through 2049 is not a UTCTime".to_owned());
    finding("times_are_encoded_as_asked", "RFC 5280 §5.1.2.4, §5.1.2.5", fault)
}

fn next_update_comes_after_this_update(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = match facts.next_update {
        None => Some("nextUpdate is missing".to_owned()),
        Some(next) if next <= facts.this_update => {
            Some(format!("nextUpdate {next} does not come after thisUpdate {}", facts.this_update))
        }
        Some(_) => None,
    };
    finding("next_update_comes_after_this_update", "RFC 5280 §5.1.2.5", fault)
}

fn revoked_certificates_is_absent_when_empty(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = (facts.revoked == Some(0)).then(|| "the list is present and empty".to_owned());
    finding("revoked_certificates_is_absent_when_empty", "RFC 5280 §5.1.2.6", fault)
}

fn extensions_are_known_and_marked_right(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = facts.extensions.iter().find_map(|extension| {
        let text = extension.identifier_text();
        let is_one_of = |identifiers: &[_]| identifiers.iter().any(|identifier| extension.is(identifier));
        if is_one_of(&[DELTA_CRL_INDICATOR, ISSUING_DISTRIBUTION_POINT]) {
            (!extension.critical).then(|| format!("extension {text} must be critical"))
        } else if is_one_of(&[AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, FRESHEST_CRL, EXPIRED_CERTS_ON_CRL]) {
            extension.critical.then(|| format!("extension {text} must not be critical"))
        } else {
            Some(format!("extension {text} is none that we write"))
        }
    });
    finding("extensions_are_known_and_marked_right", "RFC 5280 §5.2", fault)
}

fn authority_key_is_identified(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let identifier = find(&facts.extensions, &AUTHORITY_KEY_IDENTIFIER).and_then(|extension| {
        let mut fields = Reader::only(extension.value, tag::SEQUENCE).ok()?.reader();
        let identifier = fields.take(tag::context(0)).ok()?.content;
        fields.finish().ok().map(|()| identifier)
    });
    let fault = match identifier {
        None => Some("authorityKeyIdentifier with a keyIdentifier alone is missing".to_owned()),
        Some([]) => Some("the keyIdentifier is empty".to_owned()),
        Some(found) if found != context.key_identifier => Some(format!(
            "the keyIdentifier is {}, the authority's is {}",
            hex::encode(found),
            hex::encode(context.key_identifier)
        )),
        Some(_) => None,
    };
    finding("authority_key_is_identified", "RFC 5280 §5.2.1", fault)
}

fn number_is_there_and_fits(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = match facts.number {
        None => Some("the CRL number is missing".to_owned()),
        Some(content) if content.len() > 20 => {
            Some(format!("the CRL number has {} octets, more than 20", content.len()))
        }
        Some(content) => tlv::unsigned(content).err().map(|error| format!("the CRL number is wrong: {error}")),
    };
    finding("number_is_there_and_fits", "RFC 5280 §5.2.3", fault)
}

fn list_follows_the_previous_one(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let previous = context.previous?;
    let number = facts.number.and_then(|content| tlv::small_unsigned(content).ok());
    let fault = if number.is_none_or(|number| number <= previous.number) {
        Some(format!("the CRL number is not above {}, the one on record", previous.number))
    } else if facts.this_update < previous.this_update.floor_to_second() {
        Some(format!("thisUpdate {} lies before {}, the one on record", facts.this_update, previous.this_update))
    } else {
        None
    };
    finding("list_follows_the_previous_one", "RFC 5280 §5.2.3", fault)
}

fn base_number_is_below_the_number(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let base = tlv::small_unsigned(facts.base?);
    let number = facts.number.map(tlv::small_unsigned);
    let fault = match (base, number) {
        (Ok(base), Some(Ok(number))) if base < number => None,
        _ => Some("the base number of a delta must be a number below its own".to_owned()),
    };
    finding("base_number_is_below_the_number", "RFC 5280 §5.2.4", fault)
}

fn delta_has_no_freshest_crl(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let both = facts.base.is_some() && find(&facts.extensions, &FRESHEST_CRL).is_some();
    let fault = both.then(|| "a delta must not say where the newest delta is".to_owned());
    finding("delta_has_no_freshest_crl", "RFC 5280 §5.2.6", fault)
}

fn scope_is_one_that_clients_understand(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let extension = find(&facts.extensions, &ISSUING_DISTRIBUTION_POINT)?;
    let fault = match ScopeView::read(extension.value) {
        Err(error) => Some(format!("the issuing distribution point cannot be read: {error}")),
        Ok(scope) if scope.other => {
            Some("only a URI, onlyContainsUserCerts and onlyContainsCACerts are written".to_owned())
        }
        Ok(scope) if scope.only_user && scope.only_ca => {
            Some("onlyContainsUserCerts and onlyContainsCACerts exclude each other".to_owned())
        }
        Ok(scope) => uri_fault(scope.uri),
    };
    finding("scope_is_one_that_clients_understand", "RFC 5280 §5.2.5", fault)
}

fn freshest_crl_is_a_uri(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let extension = find(&facts.extensions, &FRESHEST_CRL)?;
    let uri = || {
        let mut points = Reader::only(extension.value, tag::SEQUENCE)?.reader();
        let mut point = points.take(tag::SEQUENCE)?.reader();
        let uri = read_full_name_uri(point.take(tag::context_constructed(0))?.content)?;
        point.finish()?;
        points.finish().map(|()| uri)
    };
    let fault = match uri() {
        Err(error) => Some(format!("the distribution point cannot be read: {error}")),
        Ok(uri) => uri_fault(uri),
    };
    finding("freshest_crl_is_a_uri", "RFC 5280 §5.2.6", fault)
}

fn expired_certificates_date_lies_in_the_past(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let extension = find(&facts.extensions, &EXPIRED_CERTS_ON_CRL)?;
    let date = Reader::only(extension.value, tag::GENERALIZED_TIME).and_then(|element| read_time(&element));
    let fault = match date {
        Err(error) => Some(format!("the date cannot be read: {error}")),
        Ok(date) if date > facts.this_update => {
            Some(format!("the date {date} lies after thisUpdate {}", facts.this_update))
        }
        Ok(_) => None,
    };
    finding("expired_certificates_date_lies_in_the_past", "X.509 §9.5.2.8", fault)
}

fn serial_is_positive_and_short(entry: &EntryView<'_>, _: &EntryPlace<'_>) -> Option<Finding> {
    let well_formed = entry.serial.len() <= 20 && tlv::unsigned(entry.serial).is_ok_and(|magnitude| magnitude != [0]);
    let fault =
        (!well_formed).then(|| format!("serial {} is not positive with at most 20 octets", hex::encode(entry.serial)));
    finding("serial_is_positive_and_short", "RFC 5280 §4.1.2.2", fault)
}

fn serials_ascend(entry: &EntryView<'_>, place: &EntryPlace<'_>) -> Option<Finding> {
    // One that is no positive number is told by another rule.
    let magnitude = tlv::unsigned(entry.serial).ok()?;
    let fault = (magnitude <= place.previous_serial)
        .then(|| format!("serial {} is listed twice or out of order", hex::encode(magnitude)));
    finding("serials_ascend", "RFC 5280 §5.1.2.6", fault)
}

fn revocation_date_is_encoded_as_asked(entry: &EntryView<'_>, _: &EntryPlace<'_>) -> Option<Finding> {
    let fault = (!well_encoded(&entry.revoked_at_element))
        .then(|| format!("the revocation date of {} is not a UTCTime", hex::encode(entry.serial)));
    finding("revocation_date_is_encoded_as_asked", "RFC 5280 §5.1.2.6", fault)
}

fn revocation_date_is_not_in_the_future(entry: &EntryView<'_>, place: &EntryPlace<'_>) -> Option<Finding> {
    let fault = (entry.revoked_at > place.this_update).then(|| {
        format!(
            "{} is revoked at {}, after thisUpdate {}",
            hex::encode(entry.serial),
            entry.revoked_at,
            place.this_update
        )
    });
    finding("revocation_date_is_not_in_the_future", "RFC 5280 §5.1.2.6", fault)
}

fn reason_is_one_that_a_list_may_carry(entry: &EntryView<'_>, _: &EntryPlace<'_>) -> Option<Finding> {
    let code = entry.reason?;
    let fault = u8::try_from(code)
        .ok()
        .and_then(EntryReason::from_code)
        .is_none()
        .then(|| format!("{} has reason code {code}, which must not be written", hex::encode(entry.serial)));
    finding("reason_is_one_that_a_list_may_carry", "RFC 5280 §5.3.1", fault)
}

/// What is wrong with an entry that is removed, unless the list is a delta.
fn removes(entry: &EntryView<'_>) -> Option<Finding> {
    let fault = (entry.reason == Some(u64::from(EntryReason::RemoveFromCrl.code())))
        .then(|| format!("{} has the reason removeFromCRL outside a delta", hex::encode(entry.serial)));
    finding("reason_is_one_that_a_list_may_carry", "RFC 5280 §5.3.1", fault)
}

fn invalidity_date_is_not_in_the_future(entry: &EntryView<'_>, place: &EntryPlace<'_>) -> Option<Finding> {
    let date = entry.invalidity_date?;
    let fault = (date > place.this_update)
        .then(|| format!("the invalidity date of {} lies after thisUpdate", hex::encode(entry.serial)));
    finding("invalidity_date_is_not_in_the_future", "RFC 5280 §5.3.2", fault)
}

fn entry_extensions_are_known_and_not_empty(entry: &EntryView<'_>, _: &EntryPlace<'_>) -> Option<Finding> {
    let serial = || hex::encode(entry.serial);
    let fault = if entry.empty_extensions {
        Some(format!("{} has an empty list of extensions", serial()))
    } else {
        entry.unusual.map(|extension| {
            format!("extension {} of {} is critical or none that we write", extension.identifier_text(), serial())
        })
    };
    finding("entry_extensions_are_known_and_not_empty", "RFC 5280 §5.3", fault)
}

/// Whether a Time of a readable form is a UTCTime where it must be (RFC 5280 §5.1.2.4 to §5.1.2.6).
fn well_encoded(time: &Element<'_>) -> bool {
    time.tag == tag::UTC_TIME || <&[u8; 15]>::try_from(time.content).is_ok_and(|digits| !is_utc_time(digits))
}

fn uri_fault(uri: Option<&[u8]>) -> Option<String> {
    let Some(uri) = uri else { return Some("there is no URI".to_owned()) };
    match std::str::from_utf8(uri).map_err(|_| "the URI is not ASCII".to_owned()) {
        Ok(text) => Uri::parse(text).err().map(|error| error.to_string()),
        Err(fault) => Some(fault),
    }
}
