//! Starting over a database that is not as it should be: refused in one line that says what is wrong and what would be right.

use anyhow::ensure;
use ca_e2e::stack::{PATIENCE, Site};
use ca_test_services::{PASSWORD, PostgresServer, USER};

const URL: &str = "CA__DATABASE__URL";

/// A server, a service that is initialised in one of its databases, and copies of that database to be spoilt.
struct Fixture {
    postgres: PostgresServer,
    database: String,
    site: Site,
}

impl Fixture {
    fn new() -> anyhow::Result<Self> {
        let postgres = PostgresServer::start()?;
        let database = postgres.empty_database()?;
        let site = Site::initialised(&[(URL, &postgres.url(&database))])?;
        Ok(Self { postgres, database, site })
    }

    /// `serve` over a copy of the record that was changed by SQL.
    fn is_refused_after(&mut self, sql: &str, parts: &[&str]) -> anyhow::Result<String> {
        let copy = self.postgres.new_name();
        self.postgres.run_sql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {}", self.database))?;
        self.postgres.run_sql(&copy, sql)?;
        self.is_refused(&self.postgres.url(&copy), parts)?;
        Ok(copy)
    }

    fn is_refused(&mut self, url: &str, parts: &[&str]) -> anyhow::Result<()> {
        self.site.set(URL, url);
        serve_is_refused(&self.site, parts)
    }
}

/// `ca-server serve` ends with exit status 1 and one line that says all of `parts`, and no password.
pub(super) fn serve_is_refused(site: &Site, parts: &[&str]) -> anyhow::Result<()> {
    let mut process = site.start(&["serve"])?;
    let status = process.wait(PATIENCE)?;
    let said = process.lines().join("\n");
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(!said.contains(PASSWORD) && !said.contains("hunter2"), "a password is shown: {said}");
    let lines: Vec<String> = process.lines().into_iter().filter(|line| line.starts_with("error: ")).collect();
    let [line] = lines.as_slice() else { anyhow::bail!("not one line of error:\n{said}") };
    ensure!(process.lines().last() == Some(line), "something follows the error:\n{said}");
    println!("{line}");
    for part in parts {
        ensure!(line.contains(part), "no `{part}` in: {line}");
    }
    Ok(())
}

#[test]
fn an_address_that_leads_nowhere_is_told_by_what_is_wrong_with_it() -> anyhow::Result<()> {
    let mut fixture = Fixture::new()?;
    let right = fixture.postgres.url(&fixture.database);
    let socket = fixture.postgres.socket().display().to_string();
    let wrong_password = fixture.postgres.url_of(USER, "hunter2", &fixture.database);
    let nobody = fixture.postgres.url_of("nobody", "hunter2", &fixture.database);
    let no_database = fixture.postgres.url("no_such_database");
    let cases: [(&str, &[&str]); 5] = [
        (&right.replace(&socket, "/no-such-folder"), &["cannot be reached", "/no-such-folder"]),
        ("postgres://ca:hunter2@localhost:1/ca", &["`ca` at localhost:1", "cannot be reached"]),
        (&wrong_password, &["refuses the connection", "look at user, password and `sslmode` in `database.url`"]),
        (&nobody, &["refuses the connection", "look at user, password and `sslmode` in `database.url`"]),
        (&no_database, &["there is no database `no_such_database`", "make it on the server, empty"]),
    ];
    // Faults of the configuration are told all at once, a line each.
    for (url, part) in [
        ("mysql://ca:hunter2@localhost/ca", "write it like `sqlite:ca.db` or `postgres://user@host/name`"),
        (&format!("{right}&sslmod=verify-full"), "unknown parameter `sslmod`"),
    ] {
        fixture.site.set(URL, url);
        let (succeeded, said) = fixture.site.run(&["serve"])?;
        ensure!(!succeeded && said.contains(URL) && said.contains(part) && said.lines().count() == 2, "{said}");
        ensure!(!said.contains("hunter2") && !said.contains(PASSWORD), "a password is shown: {said}");
    }
    for (url, parts) in cases {
        fixture.is_refused(url, parts)?;
    }
    let empty = fixture.postgres.empty_database()?;
    fixture.is_refused(&fixture.postgres.url(&empty), &["no tables yet", "`ca-server init`"])?;
    fixture.site.set(URL, &right);
    fixture.site.serve()?.stop().map(drop)
}

#[test]
fn tables_that_are_not_of_this_version_are_told_by_their_version() -> anyhow::Result<()> {
    let mut fixture = Fixture::new()?;
    fixture.is_refused_after("DROP TABLE counters", &["is not a database of this service", "database.url"])?;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', TRUE, '', 0)";
    fixture.is_refused_after(newer, &["newer version", "9999", "install that version"])?;
    let changed = "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1";
    fixture.is_refused_after(changed, &["migration 1 was changed after it ran"])?;
    // Migration 9 makes tables.
    let older = "DELETE FROM _sqlx_migrations WHERE version >= 9";
    let copy = fixture.is_refused_after(older, &["run `ca-server migrate`"])?;
    // What that migration makes is there: it fails, and takes back what it did.
    let (succeeded, said) = fixture.site.run(&["migrate"])?;
    ensure!(!succeeded && said.contains("failed, the tables are as before it") && said.contains("exists"), "{said}");
    fixture.is_refused(&fixture.postgres.url(&copy), &["run `ca-server migrate`"])?;
    // Begun by something else, which does not do all of it or nothing.
    let half_done = "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2";
    fixture.is_refused_after(half_done, &["migration 2", "begun and not finished", "restore"])?;
    let (succeeded, said) = fixture.site.run(&["migrate"])?;
    ensure!(!succeeded && said.contains("begun and not finished"), "{said}");
    Ok(())
}

#[test]
fn rights_and_settings_that_are_missing_are_named() -> anyhow::Result<()> {
    let mut fixture = Fixture::new()?;
    let (database, right) = (fixture.database.clone(), fixture.postgres.url(&fixture.database));
    fixture.postgres.run_sql(&database, "CREATE ROLE service LOGIN PASSWORD 'hunter2'")?;
    let url = fixture.postgres.url_of("service", "hunter2", &database);
    fixture.is_refused(&url, &["lacks rights", "migrations/postgres/README.md"])?;
    fixture.postgres.run_sql(&database, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO service")?;
    fixture.is_refused(&url, &["lacks rights", "reservations (DELETE)", "migrations/postgres/README.md"])?;
    let forgetful = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    fixture.postgres.run_sql("postgres", &forgetful)?;
    fixture.is_refused(&right, &["does not keep what it acknowledges", "synchronous_commit = off"])?;
    fixture.postgres.run_sql("postgres", &forgetful.replace("= off", "= on"))?;
    // With what the README asks for, all is well.
    fixture.postgres.run_sql(&database, "GRANT DELETE ON ALL TABLES IN SCHEMA public TO service")?;
    fixture.site.set(URL, &url);
    fixture.site.serve()?.stop().map(drop)
}
