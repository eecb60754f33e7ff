//! Fills the tables: by SQL, from one certificate that the service issued.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use ca_test_services::PostgresServer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::clock::wall;
use crate::issuance::Caller;
use crate::service::Site;
use crate::world::csr;

/// How many rows there are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) certificates: u64,
    /// One of so many is revoked.
    pub(crate) revoked_of: u64,
}

impl Extent {
    /// How many of them are revoked.
    pub(crate) fn revoked(self) -> u64 {
        self.certificates / self.revoked_of
    }

    /// The subject of one of them.
    pub(crate) fn subject(self, number: u64) -> String {
        format!("CN={}", name(number % self.certificates))
    }
}

/// Rows are loaded so many at a time.
const BATCH: u64 = 50_000;
/// How many load at a time.
const LOADERS: usize = 2;

/// Number 0 is the one that the others are copies of.
fn name(number: u64) -> String {
    format!("host-{number:09}.scale.example.com")
}

/// Makes rows `from` to `to`. The certificate's DER, subject and names are the first one's with another number and serial;
/// the ends lie evenly in a year.
const ROWS: &str = "
SET synchronous_commit = off;
CREATE TEMPORARY TABLE made AS
WITH first AS (
    SELECT not_before, not_after, issued_at, authority, profile, owner, requested_by, encode(der, 'hex') AS der,
        encode(subject, 'hex') AS subject, encode(names, 'hex') AS names, encode(serial, 'hex') AS serial,
        encode('000000000', 'hex') AS number
    FROM certificates WHERE id = '{first}'
), numbered AS (
    SELECT n, md5(n::text) AS noise, encode(convert_to(lpad(n::text, 9, '0'), 'UTF8'), 'hex') AS number,
        set_byte(substring(sha256(int8send(n)) FROM 1 FOR 16), 0, 64 + (n % 64)::int) AS serial
    FROM generate_series({from}::bigint, {to}::bigint - 1) AS n
)
SELECT n, e.serial, f.authority, f.profile, f.owner, f.requested_by, f.not_before,
    (lpad(to_hex(f.issued_at - {certificates} + n), 12, '0') || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 15))::uuid AS id,
    f.not_after + (n * 7919 % 31536000) * 1000 AS not_after,
    f.issued_at - {certificates} + n AS issued_at,
    decode(replace(f.subject, f.number, e.number), 'hex') AS subject,
    decode(replace(f.names, f.number, e.number), 'hex') AS names,
    decode(replace(replace(f.der, f.number, e.number), f.serial, encode(e.serial, 'hex')), 'hex') AS der,
    sha256('key' || int8send(n)) AS spki_sha256,
    'host-' || lpad(n::text, 9, '0') || '.scale.example.com' AS name
FROM numbered AS e, first AS f;
";

/// Continues in the next statement: what goes where.
const INSERTS: &str = "
INSERT INTO serials (certificate_id, not_after, state, reason, serial, authority, revoked_at)
    SELECT id, not_after, CASE WHEN n % {revoked_of} = 0 THEN 3 ELSE 1 END, CASE WHEN n % {revoked_of} = 0 THEN 4 END, serial, authority,
        CASE WHEN n % {revoked_of} = 0 THEN issued_at END FROM made;
INSERT INTO certificates (id, not_before, not_after, issued_at, authority, serial, profile, subject, names, spki_sha256,
        fingerprint_sha256, owner, requested_by, der)
    SELECT id, not_before, not_after, issued_at, authority, serial, profile, subject, names, spki_sha256, sha256(der), owner,
        requested_by, der FROM made;
INSERT INTO certificate_names (term, certificate_id, not_after)
    SELECT sha256('\\x00' || convert_to(name, 'UTF8')), id, not_after FROM made
    UNION ALL
    SELECT sha256('\\x01' || convert_to('cn=' || name, 'UTF8')), id, not_after FROM made;
";

/// The sequence of revocations, once all is there.
const REVOCATIONS: &str = "
WITH revoked AS (
    SELECT row_number() OVER () AS place, * FROM serials WHERE reason = 4
), counter AS (
    UPDATE counters SET value = value + (SELECT count(*) FROM revoked) WHERE name = 'revocations' RETURNING value
)
INSERT INTO revocations (sequence, authority, serial, reason, revoked_at, not_after)
    SELECT c.value - (SELECT count(*) FROM revoked) + r.place, r.authority, r.serial, r.reason, r.revoked_at, r.not_after
    FROM revoked AS r, counter AS c;
";

/// Loads so many rows, with the service of `site` running over them.
pub(crate) fn load(
    runtime: &Runtime,
    postgres: &PostgresServer,
    database: &str,
    site: &Site,
    extent: Extent,
) -> anyhow::Result<()> {
    let first = first(runtime, site)?;
    let months = "SELECT ensure_month(not_after + month * 2629800000::bigint)
        FROM certificates, generate_series(0, 13) AS month WHERE id = '{first}'";
    postgres.run_sql(database, &months.replace("{first}", &first))?;
    let start = wall();
    let (next, done) = (AtomicU64::new(1), AtomicU64::new(0));
    let loader = || -> anyhow::Result<()> {
        loop {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= extent.certificates {
                return Ok(());
            }
            let to = extent.certificates.min(from + BATCH);
            let rows = [ROWS, INSERTS]
                .concat()
                .replace("{first}", &first)
                .replace("{certificates}", &extent.certificates.to_string())
                .replace("{revoked_of}", &extent.revoked_of.to_string())
                .replace("{from}", &from.to_string())
                .replace("{to}", &to.to_string());
            postgres.run_sql(database, &rows)?;
            tell(done.fetch_add(to - from, Ordering::Relaxed) + to - from, extent, wall() - start);
        }
    };
    thread::scope(|scope| {
        let loaders: Vec<_> = (0..LOADERS).map(|_| scope.spawn(loader)).collect();
        loaders.into_iter().try_for_each(|loader| loader.join().map_err(|_| anyhow!("a loader panicked"))?)
    })?;
    postgres.run_sql(database, REVOCATIONS)?;
    eprintln!("\nloaded in {:.0} s; vacuum and statistics", wall() - start);
    postgres.run_sql(database, "VACUUM ANALYZE")?;
    postgres.run_sql(database, "CHECKPOINT")?;
    Ok(())
}

/// The size of a database, for people.
pub(super) fn size(postgres: &PostgresServer, database: &str) -> anyhow::Result<String> {
    let size = postgres.run_sql(database, "SELECT pg_size_pretty(pg_database_size(current_database()))")?;
    Ok(size.trim().to_owned())
}

/// What a row of each of these tables takes on average, indexes and what is stored out of line included: they name the tables
/// by the beginning of their names, since the wide ones are partitioned.
const ROW_SIZES: &str = r"
SELECT string_agg(format('%s %s', name, octets / greatest(rows, 1)), ', ' ORDER BY name) FROM (
    SELECT kind.name, sum(pg_total_relation_size(c.oid))::bigint AS octets,
        sum((SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = c.oid))::bigint AS rows
    FROM (VALUES ('serials', '^serials$'), ('certificates', '^certificates'), ('certificate_names', '^certificate_names'),
            ('revocations', '^revocations$'), ('audit_events', '^audit_events$')) AS kind (name, pattern)
        JOIN pg_class AS c ON c.relkind = 'r' AND c.relname ~ kind.pattern
    GROUP BY kind.name
) AS sizes
";

/// Octets a row of the tables that grow, for people.
pub(super) fn row_sizes(postgres: &PostgresServer, database: &str) -> anyhow::Result<String> {
    Ok(postgres.run_sql(database, ROW_SIZES)?.trim().to_owned())
}

/// How long vacuuming that goes on by itself may take, in seconds.
const VACUUM_SECONDS: f64 = 900.0;

/// Waits until the database has tidied up after the load, which is no part of what is measured.
pub(crate) fn await_vacuum(runtime: &Runtime, postgres: &PostgresServer, database: &str) -> anyhow::Result<()> {
    let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
    let start = wall();
    while postgres.run_sql(database, workers)?.trim() != "0" {
        ensure!(wall() - start < VACUUM_SECONDS, "vacuuming does not end");
        runtime.block_on(tokio::time::sleep(Duration::from_secs(1)));
    }
    Ok(())
}

/// The id of a certificate that the service issues, for number 0.
fn first(runtime: &Runtime, site: &Site) -> anyhow::Result<String> {
    let body = json!({
        "profile": "server",
        "csr": csr()?,
        "subject": format!("CN={}", name(0)),
        "subject_alternative_names": [{ "type": "dns", "value": name(0) }],
    });
    let answer: Value = serde_json::from_slice(&runtime.block_on(Caller::asking(site, &body)?.issue())?)?;
    let serial = answer["serial"].as_str().context("a certificate has a serial number")?;
    ensure!(serial.len() == 32, "copies need a serial number of 16 octets: {serial}");
    Ok(answer["id"].as_str().context("a certificate has an id")?.to_owned())
}

fn tell(done: u64, extent: Extent, seconds: f64) {
    let line = format!("{done} of {} rows, {:.0}/s", extent.certificates, done as f64 / seconds);
    if std::io::stderr().is_terminal() {
        eprint!("\r{line}");
        // Progress that cannot be shown is none that is missed.
        let _ = std::io::stderr().flush();
    } else if done % (20 * BATCH) < BATCH {
        eprintln!("{line}");
    }
}
