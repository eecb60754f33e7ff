//! The record as it lies on the disk, read by a program that shares no code with the service: Python's `sqlite3`, or `psql`; and
//! the audit chain, hashed anew by Python's `hashlib`.
//!
//! Reading beside a running service is safe. Changing is for tests of damage, while nothing runs.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use ca_api::audit::AuditEvent;
use ca_api::page::Page;
use ca_test_services::run_sql_at;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::stack::Site;

/// Prints each row as a JSON array; blobs in lower-case hexadecimal.
const SELECT: &str = r"
import json, pathlib, sqlite3, sys
connection = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + '?mode=ro', uri=True, timeout=30)
for row in connection.execute(sys.argv[2]):
    print(json.dumps([value.hex() if isinstance(value, bytes) else value for value in row]))
";

/// The same from objects of JSON, one a line, as PostgreSQL makes them; ids without dashes.
const FROM_OBJECTS: &str = r"
import json, re, sys
def plain(value):
    if isinstance(value, str) and value.startswith('\\x'):
        return value[2:]
    if isinstance(value, str) and re.fullmatch('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', value):
        return value.replace('-', '')
    return value
for line in sys.stdin.readlines():
    print(json.dumps([plain(value) for value in json.loads(line).values()]))
";

const EXECUTE: &str = r"
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30)
connection.executescript(sys.argv[2])
connection.commit()
connection.close()
";

/// Follows the chain as docs of `GET /v1/audit` describe it, one event a line.
const REHASH: &str = r"
import hashlib, json, sys
previous, count = bytes(32), 0
for line in sys.stdin:
    event, count = json.loads(line), count + 1
    if event['sequence'] != count:
        sys.exit('expected event %d, found %d' % (count, event['sequence']))
    fields = {name: event.get(name) for name in ('action', 'at', 'details', 'principal', 'request_id', 'subject')}
    canonical = json.dumps(fields, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()
    previous = hashlib.sha256(previous + count.to_bytes(8, 'big') + canonical).digest()
    if previous.hex() != event['hash']:
        sys.exit('event %d does not hash to what the chain says' % count)
";

/// The rows that a query gives, each a JSON array that becomes a tuple; blobs and ids are lower-case hexadecimal.
pub fn rows<T: DeserializeOwned>(site: &Site, sql: &str) -> anyhow::Result<Vec<T>> {
    let said = match site.server_url() {
        Some(url) => {
            let objects = run_sql_at(&url, &format!("SELECT row_to_json(asked) FROM ({sql}) AS asked"))?;
            python(&[], FROM_OBJECTS, &[], &objects)?
        }
        None => on_database(site, SELECT, sql)?,
    };
    said.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not of the shape: {line}"))).collect()
}

/// The one value that a query gives.
pub fn number(site: &Site, sql: &str) -> anyhow::Result<i64> {
    let rows: Vec<(i64,)> = rows(site, sql)?;
    ensure!(rows.len() == 1, "{} rows for {sql}", rows.len());
    Ok(rows[0].0)
}

/// Changes the record behind the service's back.
pub fn damage(site: &Site, sql: &str) -> anyhow::Result<()> {
    match site.server_url() {
        Some(url) => run_sql_at(&url, sql).map(drop),
        None => on_database(site, EXECUTE, sql).map(drop),
    }
}

/// Every audit event that has its place in the chain, in order.
pub async fn audit_events(reader: &Client) -> anyhow::Result<Vec<AuditEvent>> {
    let mut events: Vec<AuditEvent> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.sequence);
        let page: Page<AuditEvent> =
            reader.get(&format!("/v1/audit?after={after}&limit=1000")).await?.expect(200)?.json()?;
        if page.items.is_empty() {
            return Ok(events);
        }
        events.extend(page.items);
    }
}

/// Hashes events anew, from the first on; fails where the chain is not whole.
pub fn rehash(events: &[AuditEvent]) -> anyhow::Result<()> {
    let lines: Vec<String> = events.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    python(&[], REHASH, &[], &(lines.join("\n") + "\n")).context("the audit chain is not whole").map(drop)
}

/// Runs a script on the database of a site, where the site's programs run.
fn on_database(site: &Site, script: &str, sql: &str) -> anyhow::Result<String> {
    let database = site.own_data_folder().join("ca.db");
    let database = database.to_str().context("a path that is not UTF-8")?;
    python(site.through(), script, &[database, sql], "")
}

/// Runs a script of Python, through another program where `through` names one, and gives what it printed.
fn python(through: &[String], script: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let line = through.iter().map(String::as_str).chain(["python3", "-c", script]).chain(arguments.iter().copied());
    let line: Vec<&str> = line.collect();
    let mut child = Command::new(line[0])
        .args(&line[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3 cannot be started; tests/install.sh installs it")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A script that ends early says why on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().context("python3")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).context("python3 said what is not UTF-8")
}
