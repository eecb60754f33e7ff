//! What issuance costs besides cryptography: evaluate, build, encode, lint, assemble; and with it: proof of possession,
//! signature, self-check. One core, no store. Prints microseconds of processor time a certificate, the best of several rounds.

#[expect(dead_code, reason = "a benchmark makes no chain of documents")]
#[path = "../tests/issuance/hierarchy.rs"]
mod hierarchy;

use std::hint::black_box;

use ca_core::csr::ParsedCsr;
use ca_core::key::KeyType;
use ca_core::lint::{self, LintContext};
use ca_core::name::GeneralName;
use ca_core::policy::{self, CertificateRequest};
use ca_core::signing;
use ca_core::template::{self, Issuer};
use ca_core::{certificate::Certificate, tbs};
use hierarchy::{
    Authority, Owner, SigningKey, by_service, name, now, profile, request, serial, subject, tls_constraints,
};

const ROUNDS: usize = 7;
const TIMES: u32 = 5_000;

fn main() {
    let root = Authority::root(KeyType::P384);
    let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
    let profile = profile("server");
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let names: Vec<GeneralName> = vec![name("dns:api.example.org"), name("dns:www.example.org"), name("ip:192.0.2.7")];
    let holder = subject("CN=api.example.org,O=Example,C=BR");
    let asked = request(key.public(), &holder, &names);
    let issuer = Issuer::Authority(&tls.facts);
    let granted = || policy::evaluate(&profile, black_box(&asked), &by_service()).expect("granted");
    let template = || template::build(granted(), issuer, &tls.endpoints, serial(3), now()).expect("built");
    let context = LintContext { issuer, public_key: key.public(), profile: &profile };
    let linted = || lint::check(tbs::encode(&template()).expect("encoded"), &context).expect("faultless");
    let signature = tls.key.sign(&linted());

    measure("evaluate", granted);
    measure("evaluate, build", &template);
    measure("evaluate, build, encode", || tbs::encode(&template()).expect("encoded"));
    measure("evaluate, build, encode, lint", &linted);
    measure("evaluate, build, encode, lint, assemble", || signing::assemble(linted().der(), &signature));
    measure("the same, signed and verified", || {
        let linted = linted();
        let signature = tls.key.sign(&linted);
        linted.into_certificate(&signature, tls.key.public()).expect("verifies")
    });
    let csr = include_str!("../src/policy/testdata/request.pem");
    measure("the same from a CSR, and compared with its template", || {
        let csr = ParsedCsr::from_pem(black_box(csr)).expect("sound");
        let asked = CertificateRequest {
            public_key: csr.public_key(),
            csr: Some(&csr),
            subject: None,
            names: None,
            validity: None,
            constraints: None,
        };
        let granted = policy::evaluate(&profile, &asked, &by_service()).expect("granted");
        let template = template::build(granted, issuer, &tls.endpoints, serial(3), now()).expect("built");
        let context = LintContext { issuer, public_key: csr.public_key(), profile: &profile };
        let linted = lint::check(tbs::encode(&template).expect("encoded"), &context).expect("faultless");
        let signature = tls.key.sign(&linted);
        let der = linted.into_certificate(&signature, tls.key.public()).expect("verifies");
        let certificate = Certificate::from_der(der.as_bytes()).expect("our own");
        certificate.check_against(&template).expect("what was meant");
        certificate
    });
}

fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    let mut best = u64::MAX;
    for _ in 0..ROUNDS {
        let start = processor_nanoseconds();
        for _ in 0..TIMES {
            black_box(work());
        }
        best = best.min(processor_nanoseconds() - start);
    }
    println!("{:>8.2} µs  {what}", best as f64 / 1e3 / f64::from(TIMES));
}

/// Time that this thread spent on a processor, so that a busy machine does not count (Linux).
fn processor_nanoseconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with scheduler statistics");
    text.split(' ').next().and_then(|field| field.parse().ok()).expect("the first field is a number of nanoseconds")
}
