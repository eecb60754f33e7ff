//! What ended long ago leaves the record when the operator says so: seen before, done once, and told of afterwards. Made in the past,
//! with clocks of service and database that a test sets, and removed in the present.

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, CertificateStatus};
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::fake_clock::{FakeClock, environment};
use ca_e2e::record::audit_events;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site};
use ca_e2e::status::Subject;
use ca_test_services::PostgresServer;
use serde_json::Value;

/// A server's certificate of then, of 90 days, ended 410 days ago.
const THEN: &str = "-500d";

/// When retention looked at the clock for the first time.
const THE_OTHER_DAY: &str = "-2d";

/// What was issued then.
struct Past {
    kept: Certificate,
    revoked: Certificate,
    document: Certificate,
}

/// Three certificates, issued in the past through the command line, one of them revoked.
fn past(site: &mut Site, clock: &FakeClock) -> anyhow::Result<Past> {
    clock.set(THEN)?;
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(succeeded, "{said}");
    let terminal = Terminal::local_at(site)?;
    terminal.done(&["issue", "server", "kept.example"])?;
    terminal.done(&["issue", "server", "revoked.example"])?;
    terminal.done(&["issue", "document", "Ana Souza", "--san", "email:ana@example.com", "--file-name", "ana"])?;
    terminal.done(&["revoke", "revoked.example.crt", "--reason", "superseded"])?;
    let listed: Vec<Certificate> = terminal.json(&["list"])?;
    let named = |text: &str| {
        let found = listed.iter().find(|certificate| certificate.subject.contains(text));
        found.cloned().with_context(|| format!("no certificate of {text}"))
    };
    let past = Past { kept: named("kept.example")?, revoked: named("revoked.example")?, document: named("Ana")? };
    ensure!(past.revoked.status == CertificateStatus::Revoked, "{:?}", past.revoked.status);
    Ok(past)
}

/// The first run of retention, which watches the clock and does no more.
fn watch(site: &mut Site, clock: &FakeClock) -> anyhow::Result<()> {
    clock.set(THE_OTHER_DAY)?;
    let before = site.set("CA__RETENTION__EXPIRED", "300d");
    ensure!(before.is_empty(), "{before}");
    let said = run(site, &["job", "run", "retention"])?;
    ensure!(said.contains("retention: done, 0 changed") && said.contains("before the clock was watched"), "{said}");
    site.set("CA__RETENTION__EXPIRED", "off");
    clock.set("+0")
}

/// Runs `ca-server` in a site; it must succeed.
fn run(site: &Site, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(succeeded, "{arguments:?}: {said}");
    Ok(said)
}

/// What `admin retention` says of the months of servers' certificates.
fn review(site: &Site) -> anyhow::Result<Value> {
    let said = run(site, &["admin", "retention", "--output", "json"])?;
    let line = said.lines().find(|line| line.starts_with('{') && line.contains("\"months\"")).context("no JSON")?;
    Ok(serde_json::from_str(line)?)
}

fn goes(review: &Value) -> u64 {
    review["months"].as_array().into_iter().flatten().filter_map(|month| month["go"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_long_ago_goes_from_an_embedded_record_and_its_status_stays() -> anyhow::Result<()> {
    let mut site = Site::empty(&[EMBEDDED])?;
    let clock = FakeClock::of(&mut site)?;
    let past = past(&mut site, &clock)?;
    watch(&mut site, &clock)?;
    remove(site, &past, || Ok(())).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_month_that_ended_long_ago_go_from_a_shared_record() -> anyhow::Result<()> {
    let mut server = PostgresServer::start_with(environment(THEN)?)?;
    let database = server.empty_database()?;
    let mut site = Site::empty(&[("CA__DATABASE__URL", server.url(&database).as_str())])?;
    let clock = FakeClock::of(&mut site)?;
    let past = past(&mut site, &clock)?;
    server.restart_with(environment(THE_OTHER_DAY)?)?;
    watch(&mut site, &clock)?;
    server.restart_with(Vec::new())?;
    let tables = || {
        let of_month = past.kept.not_after.get(..7).context("a time")?.replace('-', "_");
        let sql =
            format!("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%{of_month}%' ORDER BY 1");
        anyhow::Ok(server.run_sql(&database, &sql)?.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    ensure!(tables()?.len() == 2, "{:?}", tables()?);
    let _site = remove(site, &past, || {
        let left = tables()?;
        ensure!(left.is_empty(), "the month is there: {left:?}");
        Ok(())
    })
    .await?;
    let serials = server.run_sql(
        &database,
        "SELECT COUNT(*) FROM serials WHERE certificate_id::text IN (SELECT id::text FROM certificates)",
    )?;
    let all = server.run_sql(&database, "SELECT COUNT(*) FROM serials")?;
    ensure!(all.trim() != serials.trim(), "serials stay without their certificates: {all} and {serials}");
    Ok(())
}

/// Removes what ended long ago from a record of the past, and looks at it from everywhere.
async fn remove(mut site: Site, past: &Past, is_gone: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<Site> {
    run(&site, &["admin", "reset"])?;
    for job in ["audit-chain", "expiry", "audit-chain"] {
        run(&site, &["job", "run", job])?;
    }
    let off = review(&site)?;
    ensure!(off["expired"] == "off" && goes(&off) == 0, "{off}");
    ensure!(run(&site, &["job", "run", "retention"])?.contains("retention: done, 0 changed"), "it is off");

    site.set("CA__RETENTION__EXPIRED", "10d");
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(!succeeded && said.contains("10d is too short") && said.contains("30d"), "{said}");
    site.set("CA__RETENTION__EXPIRED", "300d");
    run(&site, &["check-config"])?;

    let planned = review(&site)?;
    // The first administrator's certificate of then has lost its role with the reset.
    let expected = goes(&planned);
    ensure!((2..=4).contains(&expected), "{planned}");
    let table = run(&site, &["admin", "retention"])?;
    ensure!(table.contains("MONTH") && table.contains(&format!("in all, {expected} would go now")), "{table}");
    let said = run(&site, &["job", "run", "retention"])?;
    ensure!(said.contains(&format!("retention: done, {expected} changed")), "{said}");
    ensure!(goes(&review(&site)?) == 0, "nothing is left to go");
    is_gone()?;

    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    for gone in [&past.kept, &past.revoked] {
        for name in [gone.id.clone(), format!("tls:{}", gone.serial), gone.serial.clone()] {
            for accept in ["application/json", "application/pem-certificate-chain", "application/pkix-cert"] {
                let request = administrator.request(reqwest::Method::GET, &format!("/v1/certificates/{name}"));
                let answer = ca_e2e::client::send(request.header("accept", accept)).await?;
                let problem = answer.expect_problem(ProblemType::CertificateRemoved)?;
                ensure!(problem.status == 410 && problem.detail.contains("after its retention"), "{}", problem.detail);
            }
        }
        let path = format!("/v1/certificates/{}/revoke", gone.id);
        let refused = administrator.post(&path, &serde_json::json!({ "reason": "superseded" })).await?;
        refused.expect_problem(ProblemType::CertificateRemoved)?;
    }
    let unknown = administrator.get("/v1/certificates/0193467e-ca00-7000-8000-0123456789ab").await?;
    unknown.expect_problem(ProblemType::NotFound)?;
    let document: Certificate =
        administrator.get(&format!("/v1/certificates/{}", past.document.id)).await?.expect(200)?.json()?;
    ensure!(document.certificate == past.document.certificate, "the document's certificate is evidence");
    let page: Page<Certificate> = administrator.get("/v1/certificates?limit=1000").await?.expect(200)?.json()?;
    ensure!(page.items.iter().all(|item| item.id != past.kept.id && item.id != past.revoked.id), "listed");

    eventually(PATIENCE, "a responder of the present", || async {
        Ok(Subject::of(&past.revoked)?.ask_ocsp(&public).await.ok())
    })
    .await?;
    let status = Subject::of(&past.revoked)?.ask_ocsp(&public).await?;
    ensure!(matches!(status, CertStatus::Revoked { .. }), "OCSP forgot the revocation: {status:?}");
    let status = Subject::of(&past.kept)?.ask_ocsp(&public).await?;
    ensure!(status == CertStatus::Good, "OCSP forgot the certificate: {status:?}");

    let mut terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
    terminal.set("NO_COLOR", "1");
    terminal.refused(1, &["show", &past.kept.id], &["was removed from the record after its retention"])?;
    let events = eventually(PATIENCE, "the removal has its place in the chain", || async {
        let events = audit_events(&administrator).await?;
        let told = serde_json::to_string(&events)?;
        Ok(told.contains("certificates-removed").then_some(told))
    })
    .await?;
    ensure!(events.contains("fingerprints_sha256") && events.contains("job:retention"), "{events}");
    terminal.done(&["audit", "verify"])?;
    let new = administrator.enrol("server", "new.example").await?.0;
    ensure!(new.status == CertificateStatus::Active, "issuance goes on");
    stack.stop()
}
