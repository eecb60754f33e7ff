//! Completions: a reservation becomes a certificate.
//!
//! One statement makes those that nothing stands in the way of, and says what they are; for the others is then looked why, one
//! by one. What comes to nothing is in [`super::abandonment`].

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_engine::port::store::{CompleteOutcome, Journal};
use sqlx::FromRow;

use super::abandonment::{abandon, open_by_id};
use super::certificate_record::seen_by;
use super::column;
use super::error::Failure;
use super::journal;
use super::transaction::Transaction;
use super::writer::{Claim, Joint};
use crate::row::certificate::{Completing, IssuedRow};
use crate::row::inconsistent;

/// SQL that turns open reservations into certificates, unless the key is blocked or the predecessor is not active. A predecessor
/// is locked against changes of its standing, and seen as the last of them left it. (`IS TRUE` keeps the walk off the index of
/// all that are open.)
const COMPLETE: &str = "
    WITH given AS MATERIALIZED (
        SELECT * FROM UNNEST($1::uuid[], $2::bytea[], $3::bytea[], $4::bigint[], $5::boolean[]) WITH ORDINALITY
            AS g (id, der, fingerprint_sha256, completed_at, inherit_roles, place)
    ), predecessors AS MATERIALIZED (
        SELECT p.certificate_id, p.state FROM serials AS p
        WHERE p.certificate_id = ANY (ARRAY(SELECT r.renews FROM given AS g JOIN reservations AS r ON r.id = g.id
            WHERE r.renews IS NOT NULL))
        ORDER BY p.certificate_id FOR SHARE
    ), claimed AS (
        DELETE FROM reservations AS r USING given AS g
        WHERE r.id = g.id AND (r.abandoned_at IS NULL) IS TRUE
            AND (SELECT TRUE FROM blocked_keys AS b WHERE b.spki_sha256 = r.spki_sha256) IS NULL
            AND (r.renews IS NULL OR r.renews IN (SELECT p.certificate_id FROM predecessors AS p WHERE p.state = 1))
        RETURNING r.id, r.authority, r.serial, r.profile, r.not_before, r.not_after, r.subject, r.names, r.spki_sha256,
            g.fingerprint_sha256, r.owner, r.requested_by, g.completed_at, r.renews, g.der, r.terms, g.inherit_roles, g.place
    ), issued AS (
        UPDATE serials AS s SET state = 1 FROM claimed AS c WHERE s.certificate_id = c.id AND s.state = 0 RETURNING 1
    ), stored AS (
        INSERT INTO certificates (id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256,
                fingerprint_sha256, owner, requested_by, issued_at, renews, der)
            SELECT id, authority, serial, profile, not_before, not_after, subject, names, spki_sha256, fingerprint_sha256,
                owner, requested_by, completed_at, renews, der
            FROM claimed
    ), found AS (
        INSERT INTO certificate_names (term, certificate_id, not_after)
            SELECT substr(c.terms, 32 * term + 1, 32), c.id, c.not_after
            FROM claimed AS c, generate_series(0, octet_length(c.terms) / 32 - 1) AS term
    ), inherited AS (
        INSERT INTO roles (certificate_id, role, granted_at)
            SELECT c.id, o.role, c.completed_at FROM claimed AS c JOIN roles AS o ON o.certificate_id = c.renews
            WHERE c.inherit_roles
    )
    SELECT place, (SELECT COUNT(*) FROM issued) AS issued, authority, serial, profile, not_before, not_after, subject, names,
        spki_sha256, fingerprint_sha256, owner, requested_by, uuid_send(renews) AS renews
    FROM claimed";

#[derive(FromRow)]
struct Claimed {
    place: i64,
    issued: i64,
    #[sqlx(flatten)]
    certificate: IssuedRow,
}

#[async_trait]
impl Joint for Completing {
    type Answer = CompleteOutcome;

    // Against a key that is blocked while this is made: those who block wait, and see the certificate afterwards.
    const LOCKS: &'static str = "; SELECT pg_advisory_xact_lock_shared(1128350529, 1)";

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Certificate(self.completion.id)]
    }

    async fn apply_together(
        completions: &[&Self],
        transaction: &mut Transaction,
    ) -> Result<Vec<CompleteOutcome>, Failure> {
        let claimed = claim(completions, transaction).await?;
        if claimed.first().is_some_and(|first| usize::try_from(first.issued) != Ok(claimed.len())) {
            return Err(inconsistent("reservations", "one is open whose serial is not reserved").into());
        }
        let mut outcomes: Vec<Option<CompleteOutcome>> = completions.iter().map(|_| None).collect();
        let mut journals = vec![];
        for Claimed { place, certificate, .. } in claimed {
            // Places count from 1.
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            let (Some(completing), Some(outcome)) = (completions.get(place), outcomes.get_mut(place)) else {
                return Err(inconsistent("reservations", "one was completed that nobody asked for").into());
            };
            *outcome = Some(certificate.outcome(completing)?);
            journals.push((place, &completing.completion.journal));
        }
        journals.sort_unstable_by_key(|(place, _)| *place);
        let journals: Vec<&Journal> = journals.into_iter().map(|(_, journal)| journal).collect();
        journal::store(&journals, transaction).await?;
        let mut answers = Vec::with_capacity(completions.len());
        for (completing, outcome) in completions.iter().zip(outcomes) {
            answers.push(match outcome {
                Some(outcome) => outcome,
                None => refuse(completing, transaction).await?,
            });
        }
        Ok(answers)
    }
}

async fn claim(completions: &[&Completing], transaction: &mut Transaction) -> Result<Vec<Claimed>, Failure> {
    let each = || completions.iter().map(|completing| &completing.completion);
    let query = sqlx::query_as(COMPLETE)
        .bind(each().map(|completion| column::certificate(completion.id)).collect::<Vec<_>>())
        .bind(completions.iter().map(|completing| completing.der()).collect::<Vec<_>>())
        .bind(each().map(|completion| sha256(&completion.certificate)).collect::<Vec<[u8; 32]>>())
        .bind(each().map(|completion| completion.completed_at.unix_millis()).collect::<Vec<_>>())
        .bind(each().map(|completion| completion.inherit_roles).collect::<Vec<_>>());
    transaction.rows(query).await
}

/// Says why there will be no certificate, and abandons the reservation when it was overtaken.
async fn refuse(completing: &Completing, transaction: &mut Transaction) -> Result<CompleteOutcome, Failure> {
    let completion = &completing.completion;
    let Some(open) = open_by_id(completion.id, transaction).await? else {
        // Completed before, by a call whose answer was lost? Otherwise abandoned, or never reserved.
        let earlier = seen_by(transaction, completion.id).await?;
        let earlier = earlier.map(|row| completing.repeated(row)).transpose()?;
        return Ok(earlier.unwrap_or(CompleteOutcome::NotReserved));
    };
    let Some(cause) = open.overtaken_by() else { return Err(Failure::raced("reservations")) };
    let event = open.abandonment_event(completion, cause)?;
    abandon(&open, completion.id, &Journal::of(event), transaction).await?;
    Ok(CompleteOutcome::Overtaken)
}
