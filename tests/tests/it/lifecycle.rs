//! Stopping, restarting, being killed, the jobs, and the way back in for whoever has the host.

use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::identity::{Identity, SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_open_request_ends_before_the_service_does() -> anyhow::Result<()> {
    let mut stack = Stack::start()?;
    let address = stack.public_url().replace("http://", "");
    // Half a request is open while the service is told to stop.
    let mut stream = TcpStream::connect(&address).await?;
    let body = b"\x30\x03\x0a\x01\x01";
    let head = format!(
        "POST /ocsp HTTP/1.1\r\nhost: ca\r\ncontent-type: application/ocsp-request\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    // It is being answered once the service asks for its body (RFC 9110 §10.1.1).
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await?;
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body[..2]).await?;
    stack.process().ask_to_stop()?;
    stack.process().wait_for_line("stopping", PATIENCE)?;
    let refused = TcpStream::connect(&address);
    ca_e2e::client::eventually(PATIENCE, "no new connections", || async {
        Ok(TcpStream::connect(&address).await.is_err().then_some(()))
    })
    .await?;
    drop(refused);
    stream.write_all(&body[2..]).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let status = stack.process().wait(PATIENCE)?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_restart_changes_nothing() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let (certificate, identity) = stack.administrator()?.enrol("client", "restart.example.test").await?;
    let (revoked, _) = stack.administrator()?.enrol("client", "gone.example.test").await?;
    stack.administrator()?.revoke(&revoked.id, "superseded").await?;
    let stack = stack.stop()?.serve()?;
    stack.holder(&identity)?.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
    let public = stack.public()?;
    assert_eq!(Subject::of(&certificate)?.ask_ocsp(&public).await?, CertStatus::Good);
    assert!(matches!(Subject::of(&revoked)?.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    Ok(())
}

#[tokio::test]
async fn what_a_client_received_survives_a_kill() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..40 {
        let client = administrator.clone();
        asking.spawn(async move { client.enrol("client", &format!("kill{number}.example.test")).await });
    }
    let mut received = Vec::new();
    while received.len() < 10 {
        if let Some(Ok(Ok((certificate, _)))) = asking.join_next().await {
            received.push(certificate);
        }
    }
    let site = stack.kill();
    while let Some(answer) = asking.join_next().await {
        if let Ok(Ok((certificate, _))) = answer {
            received.push(certificate);
        }
    }
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    let public = stack.public()?;
    for certificate in &received {
        let found = administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
        assert_eq!(&found.json::<ca_api::certificate::Certificate>()?, certificate);
        assert_eq!(Subject::of(certificate)?.ask_ocsp(&public).await?, CertStatus::Good);
    }
    Ok(())
}

#[tokio::test]
async fn an_administrator_who_lost_the_key_is_replaced_on_the_host() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let old = site.administrator()?;
    let (succeeded, said) = site.run(&["admin", "reset"])?;
    assert!(succeeded, "{said}");
    let stack = site.serve()?;
    stack.administrator()?.get(route::CERTIFICATES).await?.expect(200)?;
    let refused = stack.holder(&old)?.get(route::CERTIFICATES).await?.problem()?;
    assert!(matches!(refused.kind, ProblemType::AccessDenied | ProblemType::InvalidCredential), "{refused:?}");
    let events = stack.administrator()?.get("/v1/audit?limit=1000").await?.expect(200)?.text();
    assert!(events.contains("\"local\""), "what was done on the host is on record: {events}");
    Ok(())
}

#[tokio::test]
async fn the_first_administrators_key_may_be_made_elsewhere() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    let key = SubjectKey::generate()?;
    std::fs::write(site.work_folder().join("admin.csr"), key.csr("Ana Souza", &[])?)?;
    let (succeeded, said) = site.run(&["init", "--admin-csr", "admin.csr"])?;
    assert!(succeeded, "{said}");
    let folder = site.data_folder().join("admin");
    assert!(!folder.join("admin.key").exists(), "no key is made here");
    let certificate = std::fs::read_to_string(folder.join("admin.crt"))?;
    let stack = site.serve()?;
    let administrator = stack.holder(&Identity::from_pem(certificate, key.to_pem()))?;
    administrator.get(route::CERTIFICATES).await?.expect(200)?;
    Ok(())
}

#[test]
fn jobs_are_listed_and_run_by_name() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let (succeeded, said) = site.run(&["job", "list"])?;
    assert!(succeeded, "{said}");
    let names: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"crl") && names.contains(&"responders"), "{said}");
    for name in names {
        let (succeeded, said) = site.run(&["job", "run", name])?;
        // Whoever asks for it believes that there is one.
        let expected = if name == "mirror" { (false, "`publish.s3.bucket` names one") } else { (true, "done") };
        assert!(succeeded == expected.0 && said.contains(expected.1), "{name}: {said}");
    }
    let (succeeded, said) = site.run(&["job", "run", "nonsense"])?;
    assert!(!succeeded && said.contains("job list"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_replica_for_status_only_holds_no_key_and_answers() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "replica.example.test").await?;
    let site = stack.stop()?;
    let replica = site.start(&["serve", "--role", "status"])?;
    replica.wait_for_line("\"serving\"", PATIENCE)?;
    let public = ca_e2e::client::Client::plain(&site.public_url())?;
    assert_eq!(Subject::of(&certificate)?.ask_ocsp(&public).await?, CertStatus::Good);
    public.get("/crl/tls.crl").await?.expect(200)?;
    assert!(
        tokio::time::timeout(PATIENCE, TcpStream::connect(site.api_url().replace("https://", ""))).await?.is_err(),
        "a status replica has no API"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_cut_off_by_a_kill_can_be_repeated() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let body = request("client", SubjectKey::generate()?.csr("cut.example.test", &["cut.example.test"])?);
    let ask = |client: ca_e2e::client::Client| {
        let asked =
            client.request(reqwest::Method::POST, route::CERTIFICATES).header("idempotency-key", "cut").json(&body);
        ca_e2e::client::send(asked)
    };
    let first: ca_api::certificate::Certificate = ask(stack.administrator()?).await?.expect(201)?.json()?;
    let stack = stack.kill().serve()?;
    let again: ca_api::certificate::Certificate = ask(stack.administrator()?).await?.expect(201)?.json()?;
    assert_eq!(first, again);
    Ok(())
}
