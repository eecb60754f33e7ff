//! The way to the database by TLS: a server that proves itself by a certificate of ours is spoken to, any other is not.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::stack::Site;
use ca_e2e::status::Subject;
use ca_e2e::tools::openssl;
use ca_test_services::{PASSWORD, PostgresServer, USER, port};

use super::opening::serve_is_refused;

const URL: &str = "CA__DATABASE__URL";

/// A certificate for `localhost` of a hierarchy of its own: `localhost.crt`, `localhost.key` and `ca.crt` in the terminal's folder.
fn certificate() -> anyhow::Result<Terminal> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "server", "localhost"])?;
    Ok(terminal)
}

/// The certificate of a CA that has nothing to do with ours.
fn another_root(terminal: &Terminal) -> anyhow::Result<PathBuf> {
    let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=Another -keyout another.key \
                -out another.crt";
    openssl(made.split_whitespace(), terminal.folder())?;
    Ok(terminal.path("another.crt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_spoken_to_when_it_proves_by_its_certificate_that_it_is_the_right_one() -> anyhow::Result<()> {
    let ours = certificate()?;
    let mut postgres = PostgresServer::start()?;
    let database = postgres.empty_database()?;
    let port = port::free()?;
    postgres.serve_tls(port, &ours.read("localhost.crt")?, &ours.read("localhost.key")?)?;
    let url = |host: &str, root: &Path| {
        let root = root.display();
        format!("postgres://{USER}:{PASSWORD}@{host}:{port}/{database}?sslmode=verify-full&sslrootcert={root}")
    };
    let root = ours.path("ca.crt");
    let right = url("localhost", &root);

    // The whole service, by TLS: issuing, revoking, and the connection that listens.
    let stack = Site::initialised(&[(URL, &right)])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "by-tls.example.com").await?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    stack.administrator()?.revoke(&certificate.id, "superseded").await?;
    let sql = "SELECT count(*), bool_and(ssl), min(version) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'cartorio-ca'";
    let connections = postgres.run_sql("postgres", sql)?;
    let (count, how) = connections.trim().split_once('|').context("no row")?;
    ensure!(count.parse::<u32>()? > 2 && how == "t|TLSv1.3", "every connection is by TLS: {connections}");
    let mut site = stack.stop()?;

    // Another CA, another name, a file that is not there, and no TLS at all.
    let place = format!("`{database}` at localhost:{port}");
    site.set(URL, &url("localhost", &another_root(&ours)?));
    serve_is_refused(&site, &[&place, "does not prove that it is the right one", "UnknownIssuer", "sslrootcert"])?;
    site.set(URL, &url("127.0.0.1", &root));
    serve_is_refused(
        &site,
        &["does not prove that it is the right one", "not valid for name", "the host must be a name in"],
    )?;
    site.set(URL, &url("localhost", Path::new("/no/such/file.pem")));
    serve_is_refused(&site, &["`sslrootcert` names /no/such/file.pem", "cannot be read"])?;
    site.set(URL, &right.replace("verify-full", "disable"));
    serve_is_refused(&site, &[&place, "no encryption"])?;
    let plain = PostgresServer::start()?;
    site.set(URL, &format!("{}&sslmode=verify-full", plain.url("postgres")));
    serve_is_refused(&site, &["does not prove that it is the right one", "does not support TLS"])?;

    // The right way still leads there.
    site.set(URL, &right);
    let stack = site.serve()?;
    ensure!(matches!(Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await?, CertStatus::Revoked { .. }));
    stack.stop().map(drop)
}
