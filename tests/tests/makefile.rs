//! Recipes of the Makefile that need something which only a test has at hand.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site};
use ca_test_services::PostgresServer;

/// `make test-postgres` for a database: whether it succeeded, and what it said.
fn test_postgres(url: &str) -> anyhow::Result<(bool, String)> {
    let output = Command::new("make")
        .args(["--no-print-directory", "test-postgres", &format!("CARGO={}", env!("CARGO"))])
        // As in `DSN=… make test-postgres`, which shows the password to nobody.
        .env("DSN", url)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?)
        .output()
        .context("make cannot be started")?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make soak"]
async fn test_postgres_judges_the_server_that_is_named_and_leaves_nothing_there() -> anyhow::Result<()> {
    let mut postgres = PostgresServer::start()?;
    let database = postgres.empty_database()?;
    // No more than the right to make a schema; and a password with what a shell and make could mistake for theirs.
    postgres.run_sql(
        &database,
        &format!("CREATE ROLE judge LOGIN PASSWORD 'of $(its) own'; GRANT CREATE ON DATABASE {database} TO judge"),
    )?;
    let (succeeded, said) = test_postgres(&postgres.url_of("judge", "of%20$(its)%20own", &database))?;
    ensure!(succeeded, "{said}");
    ensure!(said.contains("on PostgreSQL 15"), "it says on which server: {said}");
    ensure!(said.matches("test result: ok. 0 passed").count() == 0 && said.matches("test result: ok.").count() == 2);
    ensure!(!said.contains("its) own"), "the password is shown: {said}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'cartorio_test%'";
    let gone = || async { Ok((postgres.run_sql(&database, schemas)?.trim() == "0").then_some(())) };
    eventually(PATIENCE, "every schema is dropped", gone).await?;
    // At once: an orderly end would first write down what was dropped.
    postgres.end("QUIT")
}

#[test]
fn test_postgres_refuses_the_database_of_a_service_and_no_name_at_all() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let url = postgres.url(&postgres.empty_database()?);
    let site = Site::initialised(&[("CA__DATABASE__URL", &url)])?;
    let (succeeded, said) = test_postgres(&url)?;
    ensure!(!succeeded && said.contains("holds a record, in the schema public"), "{said}");
    let (succeeded, said) = test_postgres("")?;
    ensure!(!succeeded && said.contains("make test-postgres DSN="), "{said}");
    site.serve()?.stop()?;
    Ok(())
}

#[test]
fn test_aws_says_loudly_that_it_asked_nothing_when_nobody_wants_it_to() -> anyhow::Result<()> {
    for (wanted, region) in [("", ""), ("yes", ""), ("", "sa-east-1")] {
        let output = Command::new("make")
            .args(["--no-print-directory", "test-aws", "CARGO=false"])
            .env("CA_TEST_AWS", wanted)
            .env("AWS_REGION", region)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?)
            .output()
            .context("make cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(!output.status.success() && said.contains("SKIPPED: nothing was asked of AWS"), "{said}");
    }
    Ok(())
}
