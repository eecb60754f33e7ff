//! A client that asks a responder over HTTP, ours or another, and tells what that costs the responder's process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_core::certificate::Certificate;
use ca_core::ocsp::{CertId, CertIdHash, IssuerIdentity};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::clock::{Spent, wall};
use crate::issuance::Caller;
use crate::process::processor_seconds;
use crate::service::Site;
use crate::spread::{Cost, ROUNDS};

/// How many requests there are in a round.
const REQUESTS: u32 = 1_000;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks by POST, over HTTP/1.0, a connection a request and one after the other; tells the processor time of `process` and the
/// wall time of a round trip. `next` makes each request.
pub(crate) fn ask_alone(
    address: SocketAddr,
    process: u32,
    mut next: impl FnMut() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Cost> {
    rounds(process, || ask_once(address, &next()?).map(|_| ()))
}

/// Asks the same by POST, over one connection that is kept.
pub(crate) fn ask_by_post(address: SocketAddr, process: u32, request: &[u8]) -> anyhow::Result<Cost> {
    ask_kept(address, process, &post("1.1", request)?)
}

/// Asks for the same path, over one connection that is kept.
pub(crate) fn ask_by_get(address: SocketAddr, process: u32, path: &str) -> anyhow::Result<Cost> {
    ask_kept(address, process, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

/// Asks once by POST; the answer.
pub(crate) fn ask_once(address: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(&post("1.0", request)?).context("the responder takes no request")?;
    let mut answer = Vec::with_capacity(2_048);
    stream.read_to_end(&mut answer).context("the responder does not answer")?;
    let end =
        answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no end of its head")?;
    let body = answer.split_off(end + 4);
    check(&body)?;
    Ok(body)
}

/// Has a certificate issued, and names it as nginx does: SHA-1.
pub(crate) fn certificate_id(site: &Site, runtime: &Runtime) -> anyhow::Result<CertId> {
    let issued: Value = serde_json::from_slice(&runtime.block_on(Caller::new(site)?.issue())?)?;
    let pem = |field: &str| issued[field].as_str().with_context(|| format!("the answer has no {field}"));
    let certificate = Certificate::from_pem(pem("certificate")?)?;
    let chain = Certificate::all_from_pem(pem("chain")?)?;
    let issuer = chain.first().context("the chain is empty")?;
    let identity = IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key());
    Ok(CertId::new(CertIdHash::Sha1, &identity, certificate.serial()))
}

fn ask_kept(address: SocketAddr, process: u32, message: &[u8]) -> anyhow::Result<Cost> {
    let mut stream = connect(address)?;
    let mut answers = BufReader::new(stream.try_clone().context("a connection has two ends")?);
    rounds(process, || {
        stream.write_all(message).context("the responder takes no request")?;
        let mut length = None;
        loop {
            let mut line = String::new();
            ensure!(answers.read_line(&mut line)? > 0, "the responder closed the connection");
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok();
                }
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; length.context("the answer does not say how long it is")?];
        answers.read_exact(&mut body).context("the answer ends early")?;
        check(&body)
    })
}

fn rounds(process: u32, mut ask: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let mut round = |requests: u32| -> anyhow::Result<Spent> {
        let (processor, start) = (processor_seconds(process)?, wall());
        for _ in 0..requests {
            ask()?;
        }
        let spent = Spent { processor: processor_seconds(process)? - processor, wall: wall() - start };
        Ok(spent.per(requests))
    };
    round(100)?;
    Ok(Cost::of(&(0..ROUNDS).map(|_| round(REQUESTS)).collect::<anyhow::Result<Vec<_>>>()?))
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("the responder cannot be reached")?;
    stream.set_read_timeout(Some(PATIENCE)).context("a time limit")?;
    stream.set_nodelay(true).context("no delay")?;
    Ok(stream)
}

fn post(version: &str, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(request.len() + 160);
    write!(
        message,
        "POST /ocsp HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n",
        request.len()
    )?;
    message.extend_from_slice(request);
    Ok(message)
}

/// The answer must be an OCSPResponse that begins with the status `successful`.
fn check(body: &[u8]) -> anyhow::Result<()> {
    // SEQUENCE, its length in two octets, ENUMERATED successful.
    let successful = matches!(body, [0x30, 0x82, _, _, 0x0a, 1, 0, ..]);
    ensure!(successful, "not an answer: {}", String::from_utf8_lossy(body));
    Ok(())
}
