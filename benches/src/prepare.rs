//! What one certificate costs without a store: from the CSR's PEM to a certificate that was held against its template.

use anyhow::{Context, anyhow};
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::lint::{self, LintContext, LintedTbs};
use ca_core::policy::{self, CertificateRequest, Granted, Origin, Surroundings};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::serial::Serial;
use ca_core::tbs;
use ca_core::template::{self, CertificateTemplate, Endpoints, Issuer, SerialChoice};
use ca_core::time::Timestamp;
use ca_engine::flow::issue::issue;
use ca_engine::hierarchy::Authority;
use ca_engine::port::signer::Signer;
use futures::executor::block_on;

use crate::peer::{openssl, python};
use crate::report::{Report, Row, Unit};
use crate::spread::{Spread, measure};
use crate::world::{AUTHORITY, World, csr, request};

/// The target: so many times what openssl needs for the arithmetic alone. It is 110 µs where openssl needs 96.
const TARGET_TIMES: f64 = 1.15;
/// The target where there is no openssl.
const TARGET: f64 = 110e-6;
const TIMES: u32 = 2_000;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let world = World::new()?;
    let authority = world.authority()?;
    let profile = world.engine.profiles().get(&"server".parse()?).context("no profile `server`")?;
    let base = "http://pki.example.org";
    let endpoints = Endpoints {
        crl: Some(format!("{base}/crl/{AUTHORITY}.crl")),
        ocsp: Some(format!("{base}/ocsp")),
        ca_issuers: Some(format!("{base}/ca/{AUTHORITY}.crt")),
    };
    let csr = csr()?;
    let bench =
        Bench { authority: &authority, signer: &**authority.signer()?, profile, endpoints, now: world.engine.now() };
    // Once with every error told; from then on the same cannot fail.
    let certificate = bench.certificate(&csr, 0)?;

    let mut report = Report::default();
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    // Before and after ours, since a machine changes its speed from one minute to the next.
    let before = openssl::speed_p256();
    let whole = measure(TIMES, || bench.certificate(&csr, next()).map(|certificate| certificate.der().len()));
    let name = "CSR → proof of possession → … → lint → sign → verify → compare";
    let arithmetic = before.and_then(|before| {
        let after = openssl::speed_p256()?;
        let seconds = |speed: &openssl::Speed| speed.sign + 2.0 * speed.verify;
        Ok((before.version.clone(), Spread::of(vec![seconds(&before), seconds(&after)])))
    });
    let row = Row::cost(name, whole);
    report.row(match &arithmetic {
        Ok((_, arithmetic)) => row.at_most_times(TARGET_TIMES, *arithmetic),
        Err(_) => row.at_most(TARGET),
    });
    let parsed = ParsedCsr::from_pem(&csr)?;
    report.row(Row::cost(
        "  of this: read the CSR, check its signature",
        measure(TIMES, || ParsedCsr::from_pem(&csr).is_ok()),
    ));
    let granted = || bench.evaluate(&parsed);
    report.row(Row::cost("  of this: evaluate the profile", measure(TIMES, || granted().is_ok())));
    let encoded =
        measure(TIMES, || bench.template(granted()?, next()).and_then(|template| Ok(tbs::encode(&template)?)));
    report.row(Row::cost("  of this: evaluate, make the template, encode", encoded));
    let linted = measure(TIMES, || bench.linted(&bench.template(granted()?, next())?, &parsed).map(drop));
    report.row(Row::cost("  of this: evaluate, make the template, encode, lint", linted));
    let flow = measure(TIMES, || {
        block_on(issue(&world.engine, &Principal::LocalOperator, request(&csr)?)).map_err(anyhow::Error::from)
    });
    report.row(Row::cost("the flow `issue` from a CSR, over a record in memory", flow));

    report.peer(arithmetic.map(|(version, seconds)| {
        Row::of(format!("{version}: 1 P-256 signature, 2 verifications"), Unit::Time, seconds).beside(whole.processor)
    }));
    report.peer(python::issue(&csr, &certificate).map(|answer| {
        let what = format!("{}: the same certificate, no lint, no policy", answer.version);
        Row::cost(what, answer.cost).beside(whole.processor)
    }));
    report.note(format!(
        "The certificate has {} octets: profile `server`, two DNS names, CRL, OCSP and issuer URLs; issuer and subject keys P-256.",
        certificate.der().len()
    ));
    report.note(
        "openssl's row is arithmetic only (`openssl speed ecdsap256`): what no implementation over it can go below.",
    );
    report.note(
        "Python's row verifies the CSR, builds the same extensions, signs, encodes and verifies its own signature.",
    );
    Ok(report)
}

struct Bench<'a> {
    authority: &'a Authority,
    signer: &'a dyn Signer,
    profile: &'a Profile,
    endpoints: Endpoints,
    now: Timestamp,
}

impl Bench<'_> {
    /// What `ca_engine`'s flow does between the request and the store, step by step.
    fn certificate(&self, csr: &str, number: u64) -> anyhow::Result<Certificate> {
        let csr = ParsedCsr::from_pem(csr)?;
        let template = self.template(self.evaluate(&csr)?, number)?;
        let linted = self.linted(&template, &csr)?;
        let signature = block_on(self.signer.sign(&linted))?;
        let der = linted.into_certificate(&signature, self.authority.certificate().public_key())?;
        let certificate = Certificate::from_der_of_key(der.as_bytes(), template.public_key())?;
        certificate.check_against(&template).map_err(|mismatch| anyhow!("{mismatch:?}"))?;
        Ok(certificate)
    }

    fn evaluate(&self, csr: &ParsedCsr) -> anyhow::Result<Granted> {
        let asked = CertificateRequest {
            public_key: csr.public_key(),
            csr: Some(csr),
            subject: None,
            names: None,
            validity: None,
            constraints: None,
        };
        let surroundings = Surroundings { origin: Origin::Api, reserved_names: &[] };
        policy::evaluate(self.profile, &asked, &surroundings).map_err(|violations| anyhow!("{violations:?}"))
    }

    fn template(&self, granted: Granted, number: u64) -> anyhow::Result<CertificateTemplate> {
        let mut random = [0x5a; 16];
        random[8..].copy_from_slice(&number.to_be_bytes());
        let serial = SerialChoice::Ours(Serial::from_random(random));
        template::build(granted, self.issuer(), &self.endpoints, serial, self.now)
            .map_err(|violations| anyhow!("{violations:?}"))
    }

    fn linted(&self, template: &CertificateTemplate, csr: &ParsedCsr) -> anyhow::Result<LintedTbs> {
        let context = LintContext { issuer: self.issuer(), public_key: csr.public_key(), profile: self.profile };
        lint::check(tbs::encode(template)?, &context).map_err(|findings| anyhow!("{findings:?}"))
    }

    fn issuer(&self) -> Issuer<'_> {
        Issuer::Authority(self.authority.facts())
    }
}
