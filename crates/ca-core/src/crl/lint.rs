//! The lint of a CRL before it is signed: the octets are read again, and every rule is a function that cites its
//! clause.
//!
//! Entries are walked in place, so a list of a million costs no memory. Nothing is mended here.

use super::tbs_view::{EntryView, ScopeView, TbsView, read_full_name_uri};
use super::{
    AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, CrlTbs, DELTA_CRL_INDICATOR, EXPIRED_CERTS_ON_CRL, EntryReason, FRESHEST_CRL,
    ISSUING_DISTRIBUTION_POINT, LintedCrl,
};
use crate::der_time::{is_utc_time, read_time};
use crate::extension::{Extension, find};
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

/// Reads `crl` again and holds it against every rule. All rules that it breaks are told, each with the first place
/// only.
pub fn lint_crl(crl: CrlTbs, context: &CrlContext<'_>) -> Result<LintedCrl, Vec<Finding>> {
    let findings = match Facts::read(crl.as_der()) {
        Ok(facts) => {
            let mut findings: Vec<Finding> = LIST_RULES.iter().filter_map(|rule| rule(&facts, context)).collect();
            findings.extend(check_entries(&facts));
            findings
        }
        Err(error) => vec![not_der(error)],
    };
    if findings.is_empty() { Ok(LintedCrl { tbs: crl }) } else { Err(findings) }
}

/// What the rules look at.
struct Facts<'a> {
    view: TbsView<'a>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    /// The base number's content, on a delta.
    base: Option<&'a [u8]>,
    number: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    fn read(der: &'a [u8]) -> Result<Self, DerError> {
        let view = TbsView::read(der)?;
        let this_update = read_time(&view.this_update)?;
        let next_update = view.next_update.as_ref().map(read_time).transpose()?;
        let integer = |extension: Option<&Extension<'a>>| {
            extension.map(|extension| Reader::only(extension.value, tag::INTEGER)).transpose()
        };
        let number = integer(find(&view.extensions, &CRL_NUMBER))?.map(|element| element.content);
        let base = integer(find(&view.extensions, &DELTA_CRL_INDICATOR))?.map(|element| element.content);
        Ok(Self { view, this_update, next_update, base, number })
    }
}

type ListRule = fn(&Facts<'_>, &CrlContext<'_>) -> Option<Finding>;
type EntryRule = fn(&EntryView<'_>, &EntryPlace<'_>) -> Option<Finding>;

/// Where an entry stands.
struct EntryPlace<'a> {
    this_update: Timestamp,
    is_delta: bool,
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

const ENTRY_RULES: &[EntryRule] = &[
    serial_is_positive_and_short,
    serials_ascend,
    revocation_date_is_encoded_as_asked,
    revocation_date_is_not_in_the_future,
    reason_is_one_that_a_list_may_carry,
    invalidity_date_is_not_in_the_future,
    entry_extensions_are_known_and_not_empty,
];

fn check_entries(facts: &Facts<'_>) -> Vec<Finding> {
    let mut broken: Vec<Option<Finding>> = vec![None; ENTRY_RULES.len()];
    let mut place = EntryPlace { this_update: facts.this_update, is_delta: facts.base.is_some(), previous_serial: &[] };
    for entry in facts.view.entries() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                broken.push(Some(not_der(error)));
                break;
            }
        };
        for (rule, broken) in ENTRY_RULES.iter().zip(&mut broken) {
            if let Some(finding) = rule(&entry, &place) {
                broken.get_or_insert(finding);
            }
        }
        place.previous_serial = tlv::unsigned(entry.serial).unwrap_or_default();
    }
    broken.into_iter().flatten().collect()
}

fn not_der(error: DerError) -> Finding {
    Finding { rule: "crl_is_der", clause: "RFC 5280 §5.1", detail: format!("the TBSCertList cannot be read: {error}") }
}

/// `fault` as the finding of a rule; none when nothing is wrong.
fn finding(rule: &'static str, clause: &'static str, fault: Option<String>) -> Option<Finding> {
    fault.map(|detail| Finding { rule, clause, detail })
}

fn version_is_2(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = (facts.view.version != Some(1)).then(|| "the version is not v2".to_owned());
    finding("version_is_2", "RFC 5280 §5.1.2.1", fault)
}

fn signature_algorithm_is_the_authority_s(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let expected = context.signature_algorithm;
    let fault = (facts.view.signature_algorithm != expected.identifier_der())
        .then(|| format!("the list does not name {}, with which the authority signs", expected.as_str()));
    finding("signature_algorithm_is_the_authority_s", "RFC 5280 §5.1.2.2", fault)
}

fn issuer_is_the_authority(facts: &Facts<'_>, context: &CrlContext<'_>) -> Option<Finding> {
    let fault = if facts.view.issuer == [tag::SEQUENCE, 0] {
        Some("the issuer is empty".to_owned())
    } else if facts.view.issuer != context.issuer.as_der() {
        Some("the issuer is not, octet for octet, the subject of the authority".to_owned())
    } else {
        None
    };
    finding("issuer_is_the_authority", "RFC 5280 §5.1.2.3", fault)
}

fn times_are_encoded_as_asked(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let all_right = well_encoded(&facts.view.this_update) && facts.view.next_update.as_ref().is_none_or(well_encoded);
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
    let fault = facts.view.revoked.is_some_and(<[u8]>::is_empty).then(|| "the list is present and empty".to_owned());
    finding("revoked_certificates_is_absent_when_empty", "RFC 5280 §5.1.2.6", fault)
}

fn extensions_are_known_and_marked_right(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let fault = facts.view.extensions.iter().find_map(|extension| {
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
    let identifier = find(&facts.view.extensions, &AUTHORITY_KEY_IDENTIFIER).and_then(|extension| {
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
    let both = facts.base.is_some() && find(&facts.view.extensions, &FRESHEST_CRL).is_some();
    let fault = both.then(|| "a delta must not say where the newest delta is".to_owned());
    finding("delta_has_no_freshest_crl", "RFC 5280 §5.2.6", fault)
}

fn scope_is_one_that_clients_understand(facts: &Facts<'_>, _: &CrlContext<'_>) -> Option<Finding> {
    let extension = find(&facts.view.extensions, &ISSUING_DISTRIBUTION_POINT)?;
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
    let extension = find(&facts.view.extensions, &FRESHEST_CRL)?;
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
    let extension = find(&facts.view.extensions, &EXPIRED_CERTS_ON_CRL)?;
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

fn reason_is_one_that_a_list_may_carry(entry: &EntryView<'_>, place: &EntryPlace<'_>) -> Option<Finding> {
    let code = entry.reason?;
    let reason = u8::try_from(code).ok().and_then(EntryReason::from_code);
    let fault = match reason {
        None => Some(format!("{} has reason code {code}, which must not be written", hex::encode(entry.serial))),
        Some(EntryReason::RemoveFromCrl) if !place.is_delta => {
            Some(format!("{} has the reason removeFromCRL outside a delta", hex::encode(entry.serial)))
        }
        Some(_) => None,
    };
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
