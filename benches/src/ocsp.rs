//! What an OCSP answer costs that is in no cache, without a database: request in, signed answer out.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use ca_core::ocsp::{
    CertId, CertIdHash, CertStatus, OcspTbs, ParsedResponse, ResponseTemplate, SingleResponse, assemble, request,
};
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::flow::answer_status::answer_status;
use ca_engine::flow::issue::issue;
use ca_engine::hierarchy::{Authority, Responder};
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;

use crate::peer::ocsp_responder::OpensslResponder;
use crate::peer::openssl;
use crate::report::{Report, Row};
use crate::spread::measure;
use crate::world::{World, csr};

/// The target.
const TARGET: f64 = 35e-6;
const TIMES: u32 = 5_000;
/// How many certificates are on record, here and in openssl's index.
const ON_RECORD: usize = 10_000;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let world = World::new()?;
    let authority = world.authority()?;
    let now = world.engine.now();
    let responder =
        world.engine.hierarchy().responder(authority.id(), now).cloned().context("no responder in force")?;
    let certificate = fill_record(&world)?;
    // As nginx asks: one CertID, SHA-1, no nonce.
    let asked = request::encode(&[CertId::new(CertIdHash::Sha1, authority.identity(), &certificate.serial)], None);
    let answer = || block_on(answer_status(&world.engine, &asked, |error| eprintln!("{error}")));
    check(&answer().der, &authority, &certificate, &world)?;
    ensure!(
        world.engine.answer_cache().entries() == 0,
        "the answer is in the cache, and what is measured is not its making"
    );

    let mut report = Report::default();
    let pure = measure(TIMES, || answer_purely(&asked, &responder, &world));
    let flow = measure(TIMES, answer);
    report.row(Row::cost("the flow `answer_status`, over a record in memory", flow).at_most(TARGET));
    report.row(Row::cost("  of this, ca-core and the key: read, build, sign, put together", pure));
    let size = answer().der.len();
    report.peer(openssl::speed_p256().map(|speed| {
        let spread = crate::spread::Spread::of(vec![speed.sign]);
        Row::of(format!("{}: 1 P-256 signature", speed.version), crate::report::Unit::Time, spread)
            .beside(flow.processor)
    }));
    report.peer(OpensslResponder::start(&world, &responder, &certificate, ON_RECORD).and_then(|peer| {
        let cost = peer.measure(&asked)?;
        let what = format!("{} `ocsp`, {ON_RECORD} in its index, HTTP/1.0 included", peer.version());
        Ok(Row::cost(what, cost).beside(flow.processor))
    }));
    report.note(format!(
        "The same request (one SHA-1 CertID, no nonce, {} octets), responder key (P-256), serial and answer (good, {size} octets) for all.",
        asked.len()
    ));
    report.note("openssl's row is its process's time for a request, its accept, HTTP and close too; its wall time is the driver's round trip.");
    report.note("Section `https` asks ca-server over HTTP as this driver asks openssl.");
    Ok(report)
}

/// Issues one certificate for real and as many serials beside it as openssl's index has.
fn fill_record(world: &World) -> anyhow::Result<StoredCertificate> {
    let csr = csr()?;
    let mut last = None;
    for _ in 0..ON_RECORD {
        let issued = block_on(issue(&world.engine, &Principal::LocalOperator, crate::world::request(&csr)?))?;
        last = Some(issued.certificate);
    }
    last.context("nothing was issued")
}

fn answer_purely(asked: &[u8], responder: &Arc<Responder>, world: &World) -> anyhow::Result<Vec<u8>> {
    let asked = request::parse(asked)?;
    let this_update = world.engine.now();
    let template = ResponseTemplate {
        responder_key_hash: responder.key_hash(),
        produced_at: this_update,
        responses: asked
            .certificates
            .into_iter()
            .map(|cert_id| SingleResponse {
                cert_id,
                status: CertStatus::Good,
                this_update,
                next_update: Some(this_update.plus(Lifetime::from_seconds(3_600))),
                archive_cutoff: None,
            })
            .collect(),
        nonce: asked.nonce,
    };
    let to_be_signed = OcspTbs::new(&template).map_err(|findings| anyhow!("{findings:?}"))?;
    let signature = block_on(responder.signer().sign(&to_be_signed))?;
    Ok(assemble(&to_be_signed, &signature, &[responder.certificate_der()]))
}

/// What is measured is worth measuring: the answer is signed by the responder, and says good.
fn check(der: &[u8], authority: &Authority, certificate: &StoredCertificate, world: &World) -> anyhow::Result<()> {
    let ParsedResponse::Answered(response) = ParsedResponse::from_der(der)? else { bail!("the flow gives no status") };
    let issuer = authority.certificate();
    response.verify(issuer.subject(), issuer.public_key(), world.engine.now())?;
    let single = response.find(authority.identity(), &certificate.serial).context("the answer is about another")?;
    ensure!(single.status == CertStatus::Good, "the status is {:?}", single.status);
    Ok(())
}
