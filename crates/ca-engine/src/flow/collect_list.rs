//! Writes a list and reads it again: its entries come from the record as a stream, its octets go to the spool in pieces and from there
//! through the lint once more, which takes the digest that is signed. A list is held nowhere as a whole, but where its key signs no
//! digest.

use std::sync::Arc;
use std::task::Poll;

use ca_core::crl::{CrlContext, CrlEntry, CrlLint, CrlTbs, CrlTemplate, CrlWriter, LintedCrl, PreviousCrl};
use ca_core::id::AuthorityId;
use ca_core::key::SignatureAlgorithm;
use ca_core::lint::Finding;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::time::Timestamp;

use super::list_scope::{Entries, ListScope};
use super::watch_clock::TOLERANCE;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::list_octets::PIECE;
use crate::port::spool::{SpoolWriter, SpooledOctets};

/// How many entries are read from the record at a time.
const BATCH: u32 = 5_000;

/// A key of Ed25519 signs no digest of a list, but the list (RFC 8032 §5.1.6), which is held as a whole until that is done: it may have
/// so many octets, for some 1.3 million entries.
pub const LONGEST_HELD: u64 = 64 * 1024 * 1024;

/// Where the next list stands among those on record.
pub(super) struct Place {
    pub(super) number: u64,
    /// Now, unless the newest list is dated later.
    pub(super) this_update: Timestamp,
    /// The newest list on record, signed or not.
    pub(super) before: Option<PreviousCrl>,
    /// Entries whose certificates ended before this instant are left out.
    pub(super) not_after_from: Timestamp,
}

/// When a list is made, and when the next one comes at the latest.
pub(super) struct Times {
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Times {
    fn of(engine: &Engine, authority: &Authority, scope: &ListScope, this_update: Timestamp) -> Self {
        // A list of an authority whose key is in a file lives until the next ceremony.
        let validity = match authority.record().key_home.is_offline() {
            true => engine.settings().offline_crl_validity,
            false => engine.settings().crl_validity,
        };
        let validity = scope.validity.map_or(validity, |shorter| validity.min(shorter));
        let (this_update, end) = (this_update.floor_to_second(), authority.facts().validity.not_after);
        let next_update = if scope.is_last { end } else { this_update.plus(validity).min(end) };
        Self { this_update, next_update }
    }
}

/// No list is dated outside its issuer's validity: no verifier would believe it.
pub(super) fn check_authority_validity(authority: &Authority, now: Timestamp) -> Result<(), FlowError> {
    let validity = authority.facts().validity;
    if now < validity.not_before {
        let message =
            format!("the clock says {now}, but authority {} begins at {}", authority.id(), validity.not_before);
        return Err(FlowError::new(FlowErrorKind::SigningSuspended, message));
    }
    if authority.has_ended(now) {
        let message = format!("authority {} ended at {}; it signs no more lists", authority.id(), validity.not_after);
        return Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message));
    }
    Ok(())
}

/// A list dated far ahead would block every later one until then.
fn refuse_future(engine: &Engine, authority: &AuthorityId, this_update: Timestamp) -> Result<(), FlowError> {
    let now = engine.now();
    if this_update.since(now) <= TOLERANCE {
        return Ok(());
    }
    Err(FlowError::new(
        FlowErrorKind::SigningSuspended,
        "the service's clock is behind its last CRL or a revocation on record, so it makes no CRL",
    )
    .with_detail(format!("the next CRL of {authority} cannot be made before {this_update}; the clock says {now}")))
}

/// A list that can be signed, and where its octets are.
pub(super) struct Collected {
    pub(super) linted: LintedCrl,
    /// What comes before and after the pieces.
    pub(super) tbs: CrlTbs,
    pub(super) pieces: Arc<dyn SpooledOctets>,
    pub(super) times: Times,
}

/// Writes the list and lints it. It is dated anew when an entry is newer than its place says.
pub(super) async fn collect(
    engine: &Engine,
    authority: &Authority,
    algorithm: SignatureAlgorithm,
    place: &Place,
    scope: &ListScope,
) -> Result<Collected, FlowError> {
    let mut times = Times::of(engine, authority, scope, place.this_update);
    let template = CrlTemplate {
        issuer: authority.certificate().subject().clone(),
        authority_key_identifier: authority.facts().key_identifier.clone(),
        signature_algorithm: algorithm,
        this_update: times.this_update,
        next_update: times.next_update,
        number: place.number,
        base_number: scope.base_number,
        issuing_distribution_point: scope.issuing_distribution_point.clone(),
        freshest_crl: scope.freshest_crl.clone(),
        expired_certs_on_crl: None,
    };
    let mut writer = CrlWriter::new(template).map_err(FlowError::internal)?;
    let mut pieces = engine.spool().begin().map_err(no_room)?;
    let not_after_from = place.not_after_from;
    let newest_date =
        write_entries(engine, authority.id(), &mut writer, &mut *pieces, not_after_from, &scope.entries).await?;
    if newest_date > times.this_update {
        times = Times::of(engine, authority, scope, newest_date);
        writer.set_times(times.this_update, times.next_update).map_err(FlowError::internal)?;
    }
    refuse_future(engine, authority.id(), times.this_update)?;
    let context = CrlContext {
        issuer: authority.certificate().subject(),
        key_identifier: &authority.facts().key_identifier,
        signature_algorithm: algorithm,
        previous: place.before,
    };
    let (tbs, pieces) = (writer.finish().map_err(FlowError::internal)?, pieces.finish().map_err(no_room)?);
    refuse_too_long(engine, authority.id(), algorithm, (tbs.before.len() + tbs.after.len()) as u64 + pieces.count())?;
    let linted = lint(&tbs, &*pieces, context).await?.map_err(|findings| {
        let id = authority.id();
        FlowError::internal(format!("the CRL of {id} is not well-formed and was not signed: {findings:?}"))
    })?;
    Ok(Collected { linted, tbs, pieces, times })
}

/// What no database keeps must not be signed either: a number would be used up every few seconds, for a list that nobody gets. What a
/// key can sign only as a whole is not to take all memory.
fn refuse_too_long(
    engine: &Engine,
    authority: &AuthorityId,
    algorithm: SignatureAlgorithm,
    octets: u64,
) -> Result<(), FlowError> {
    let (longest, why) = longest(algorithm, engine.store().longest_list());
    if octets <= longest {
        return Ok(());
    }
    let message = format!(
        "the next CRL of {authority} would have {octets} octets, and {why} none of more than {longest}; the one that is \
         published stays. Entries leave the list when their certificates have ended: issue from a new authority, whose list \
         begins empty, and let this one's certificates end"
    );
    Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message))
}

/// How many octets a list may have, and why, where the database keeps so many.
fn longest(algorithm: SignatureAlgorithm, kept: u64) -> (u64, &'static str) {
    match algorithm {
        SignatureAlgorithm::Ed25519 if LONGEST_HELD < kept => {
            (LONGEST_HELD, "a key of Ed25519, which signs no digest, signs")
        }
        _ => (kept, "the database keeps"),
    }
}

/// Reads the list again, from where it lies.
async fn lint(
    tbs: &CrlTbs,
    pieces: &dyn SpooledOctets,
    context: CrlContext<'_>,
) -> Result<Result<LintedCrl, Vec<Finding>>, FlowError> {
    let octets = (tbs.before.len() + tbs.after.len()) as u64 + pieces.count();
    let mut lint = CrlLint::new(context).expecting(usize::try_from(octets).unwrap_or(0));
    lint.update(&tbs.before);
    let (mut from, mut piece) = (0, Vec::new());
    while from < pieces.count() {
        let left = usize::try_from(pieces.count() - from).unwrap_or(usize::MAX);
        piece.resize(left.min(PIECE), 0);
        pieces.read(from, &mut piece).map_err(no_room)?;
        lint.update(&piece);
        from += piece.len() as u64;
        let_others_go_on().await;
    }
    lint.update(&tbs.after);
    Ok(lint.finish())
}

/// Gives every entry to the writer, and its pieces to the spool; returns the newest date among the entries, of revocation or
/// invalidity.
async fn write_entries(
    engine: &Engine,
    authority: &AuthorityId,
    writer: &mut CrlWriter,
    pieces: &mut dyn SpoolWriter,
    not_after_from: Timestamp,
    entries: &Entries,
) -> Result<Timestamp, FlowError> {
    let mut newest_date = Timestamp::from_unix_seconds(0);
    let mut write = |writer: &mut CrlWriter, entry: &CrlEntry| {
        newest_date = newest_date.max(entry.revoked_at);
        newest_date = entry.invalidity_date.map_or(newest_date, |date| newest_date.max(date));
        writer.push(entry).map_err(FlowError::internal)
    };
    // The serials of a shard follow each other.
    let (first, shard) = match entries {
        Entries::All => (None, None),
        Entries::InShard(shard) => (Some(shard.before_its_serials()), Some(*shard)),
        Entries::Given(entries) => {
            entries.iter().try_for_each(|entry| write(writer, entry))?;
            put_aside(writer, pieces)?;
            return Ok(newest_date);
        }
    };
    let end = shard.and_then(|shard| ShardNumber::new(shard.get() + 1)).map(ShardNumber::before_its_serials);
    let read = |after: Option<Serial>| async move {
        engine.store().revoked_serials(authority, not_after_from, after.as_ref(), BATCH).await
    };
    let mut page = read(first).await?;
    loop {
        let is_within = |serial: &Serial| end.as_ref().is_none_or(|end| serial < end);
        let after = page.last().map(|(serial, _)| serial.clone());
        let after = after.filter(|serial| page.len() == BATCH as usize && is_within(serial));
        let mut write_page = || -> Result<(), FlowError> {
            for (serial, revocation) in std::mem::take(&mut page) {
                // Between the serials of a shard lie some that only look like theirs.
                if shard.is_none() || serial.shard() == shard {
                    write(writer, &CrlEntry::new(serial, &revocation))?;
                }
            }
            put_aside(writer, pieces)
        };
        let Some(after) = after else {
            write_page()?;
            return Ok(newest_date);
        };
        // The database looks for the next page while this one is written.
        let (next, written) = futures::join!(read(Some(after)), async { write_page() });
        written?;
        page = next?;
    }
}

/// Gives what the writer has finished to the spool.
fn put_aside(writer: &mut CrlWriter, pieces: &mut dyn SpoolWriter) -> Result<(), FlowError> {
    match writer.take_piece() {
        Some(piece) => pieces.append(&piece).map_err(no_room),
        None => Ok(()),
    }
}

/// The list could not be put aside while it was made.
pub(super) fn no_room(error: std::io::Error) -> FlowError {
    FlowError::new(FlowErrorKind::Unavailable, "the CRL could not be kept while it was made; it will be tried again")
        .with_detail(error)
}

/// Lets other tasks of the thread run in between.
async fn let_others_go_on() {
    let mut gone_on = false;
    std::future::poll_fn(|context| {
        if gone_on {
            return Poll::Ready(());
        }
        gone_on = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::store::LONGEST_LIST;

    #[test]
    fn what_a_key_signs_as_a_whole_has_a_bound_of_its_own() {
        assert_eq!(longest(SignatureAlgorithm::EcdsaSha256, LONGEST_LIST).0, LONGEST_LIST);
        assert_eq!(longest(SignatureAlgorithm::RsaSha512, LONGEST_LIST).0, LONGEST_LIST);
        let (held, why) = longest(SignatureAlgorithm::Ed25519, LONGEST_LIST);
        assert!(held == LONGEST_HELD && why.contains("Ed25519"), "{held} {why}");
        let (kept, why) = longest(SignatureAlgorithm::Ed25519, 1_000);
        assert!(kept == 1_000 && why.contains("database"), "{kept} {why}");
    }
}
