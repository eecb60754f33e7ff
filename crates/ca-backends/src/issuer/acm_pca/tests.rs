//! An authority of the double: what is asked of it, what comes of it, and what is told when it refuses, is silent or loses answers.

use ca_core::certificate::{AskedFor, Certificate};
use ca_core::id::CertificateId;
use ca_core::time::Timestamp;
use ca_engine::port::certificate_issuer::OrderPurpose;
use ca_test_doubles::{AcmPcaDouble, AuthorityPlan, AuthorityStatus, Fault};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use super::*;
use crate::aws::AwsAccess;

const NOW: i64 = 1_800_000_000;

struct World {
    double: AcmPcaDouble,
    arn: PrivateCaArn,
    authorities: AcmPca,
    issuer: AcmPcaIssuer,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}, Limits { issue: 1_000, get: 1_000, revoke: 1_000 }).await
    }

    async fn with(change: impl FnOnce(&mut AuthorityPlan), limits: Limits) -> Self {
        let double = AcmPcaDouble::start(NOW).expect("a double");
        let arn = double.with(|state| {
            let root = state.add_authority(&AuthorityPlan::root("A root")).expect("a root");
            let mut plan = AuthorityPlan::below(&root, "An authority");
            change(&mut plan);
            state.add_authority(&plan).expect("an authority")
        });
        let arn = PrivateCaArn::parse(&arn).expect("an ARN");
        let authorities = AcmPca::new(AwsAccess::of_tests(&double.endpoint_url()).await, limits);
        let issuer = authorities.open(&arn);
        Self { double, arn, authorities, issuer }
    }

    async fn order(&self, request: &Request, number: u8) -> Result<String, IssuerError> {
        let order = IssuerOrder {
            id: CertificateId::new(Timestamp::from_unix_seconds(1), [number; 10]),
            csr: &request.csr,
            asked_for: &request.asked_for,
            purpose: OrderPurpose::EndEntity,
        };
        self.issuer.order(&order).await
    }

    fn made(&self) -> usize {
        self.double.with(|state| state.issued(self.arn.as_str()).len())
    }
}

struct Request {
    csr: Vec<u8>,
    asked_for: AskedFor,
}

fn request() -> Request {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "a.example");
    params.not_before = time(NOW - 60);
    params.not_after = time(NOW + 86_400);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = Certificate::from_der(params.self_signed(&key).expect("signed").der()).expect("readable");
    Request {
        csr: params.serialize_request(&key).expect("a request").der().to_vec(),
        asked_for: AskedFor::from_tbs_der(certificate.tbs_der()).expect("readable"),
    }
}

fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_is_collected_and_says_what_was_asked_for() {
    let world = World::new().await;
    world.double.with(|state| state.hold_back(3));
    let request = request();
    let name = world.order(&request, 1).await.expect("ordered");
    assert!(name.starts_with(world.arn.as_str()) && name.len() <= 512, "{name}");
    let der = world.issuer.collect(&name).await.expect("answered").expect("ready");
    let certificate = Certificate::from_der(&der).expect("a certificate");
    assert_eq!(certificate.subject(), request.asked_for.subject());
    assert_eq!(certificate.validity(), request.asked_for.validity());
    assert_eq!(certificate.names(), request.asked_for.names());
    assert_eq!(certificate.key_usage(), request.asked_for.key_usage());
    assert_eq!(certificate.extended_key_usage(), request.asked_for.extended_key_usage());
    assert_eq!(certificate.public_key(), request.asked_for.public_key());
    assert_eq!(world.double.count("GetCertificate"), (4, 1), "a look that came too early is no failure");
    let priced: u64 = world.authorities.calls().iter().map(|count| count.micro_dollars).sum();
    assert_eq!(priced, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_placed_again_makes_no_second_certificate() {
    let world = World::new().await;
    let request = request();
    let name = world.order(&request, 1).await.expect("ordered");
    world.double.with(|state| state.advance(i64::try_from(REMEMBERED.seconds()).expect("small")));
    assert_eq!(world.order(&request, 1).await.expect("ordered"), name, "remembered as long as is said");
    assert_eq!(world.made(), 1);
    assert_ne!(world.order(&request, 2).await.expect("ordered"), name);
    assert_eq!(world.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_throttling_and_faults_of_aws_pass() {
    let world = World::new().await;
    let faults = [
        Fault::LoseAnswer,
        Fault::Refuse(400, "ThrottlingException"),
        Fault::Refuse(503, "ServiceUnavailable"),
        Fault::RefuseAfterwards(500, "InternalFailure"),
    ];
    for operation in ["IssueCertificate", "GetCertificate", "RevokeCertificate"] {
        world.double.fail(operation, faults);
    }
    let name = world.order(&request(), 1).await.expect("ordered");
    let der = world.issuer.collect(&name).await.expect("answered").expect("ready");
    let serial = Certificate::from_der(&der).expect("a certificate").serial().clone();
    world.issuer.revoke(&serial, RevocationReason::Superseded).await.expect("told");
    let made = world.double.with(|state| state.issued(world.arn.as_str()));
    let revoked: Vec<Option<&str>> = made.iter().map(|made| made.revoked.as_deref()).collect();
    assert_eq!(revoked, [Some("SUPERSEDED")], "one certificate, revoked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_something_was_done_is_never_guessed() {
    let world = World::new().await;
    // Answered at last, with a refusal: the attempt before it may have been carried out.
    world.double.fail("IssueCertificate", [Fault::LoseAnswer, Fault::Refuse(400, "AccessDeniedException")]);
    let error = world.order(&request(), 1).await.expect_err("nobody can say");
    assert!(matches!(error, IssuerError::Unknown { .. }), "{error:?}");
    world.double.fail("IssueCertificate", [Fault::Refuse(400, "AccessDeniedException")]);
    let error = world.order(&request(), 2).await.expect_err("refused");
    assert!(matches!(error, IssuerError::Unavailable { .. }), "nothing was done: {error:?}");
    world.double.fail("IssueCertificate", [Fault::Refuse(400, "InvalidArgsException")]);
    let error = world.order(&request(), 3).await.expect_err("refused");
    assert!(matches!(error, IssuerError::Refused { .. }), "and never will be: {error:?}");
    assert_eq!(world.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_what_helps_and_gives_up_no_certificate() {
    let world = World::new().await;
    let name = world.order(&request(), 1).await.expect("ordered");
    for (code, helps) in [
        ("AccessDeniedException", "acm-pca:GetCertificate"),
        ("InvalidStateException", "--status ACTIVE"),
        ("ExpiredTokenException", "renew them"),
        ("UnrecognizedClientException", "does not know these credentials"),
        ("InvalidSignatureException", "aws.endpoint_url"),
        ("LimitExceededException", "Service Quotas"),
        ("SomethingNewException", "docs/aws.md"),
    ] {
        world.double.fail("GetCertificate", [Fault::Refuse(400, code)]);
        let error = world.issuer.collect(&name).await.expect_err("refused");
        assert!(matches!(error, IssuerError::Unavailable { .. }), "{code}: {error:?}");
        assert!(error.to_string().contains(helps), "{code}: {error}");
    }
    assert!(world.issuer.collect(&name).await.expect("answered").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_given_up_only_where_its_authority_is() {
    let world = World::new().await;
    let unknown = format!("{}/certificate/00", world.arn);
    let error = world.issuer.collect(&unknown).await.expect_err("there is none");
    assert!(matches!(error, IssuerError::Refused { .. }), "{error:?}");
    let stranger = world.arn.as_str().replace("111122223333", "444455556666");
    let stranger = world.authorities.open(&PrivateCaArn::parse(&stranger).expect("an ARN"));
    let error = stranger.collect(&unknown).await.expect_err("no such authority");
    assert!(matches!(&error, IssuerError::Unavailable { detail } if detail.contains("444455556666")), "{error:?}");
    let serial = Serial::from_bytes(&[0x17; 16]).expect("a serial");
    let error = world.issuer.revoke(&serial, RevocationReason::KeyCompromise).await.expect_err("there is none");
    assert!(matches!(error, IssuerError::Refused { .. }), "{error:?}");
    let error = stranger.revoke(&serial, RevocationReason::KeyCompromise).await.expect_err("no such authority");
    assert!(matches!(error, IssuerError::Unavailable { .. }), "{error:?}");
    // AWS says three times that it failed.
    let name = world.order(&request(), 1).await.expect("ordered");
    world.double.fail("GetCertificate", [Fault::Refuse(400, "RequestFailedException"); 2]);
    assert!(world.issuer.collect(&name).await.expect("answered").is_some(), "it did not");
    world.double.fail("GetCertificate", [Fault::Refuse(400, "RequestFailedException"); 3]);
    let error = world.issuer.collect(&name).await.expect_err("failed");
    assert!(matches!(error, IssuerError::Refused { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_told_once_or_twice_and_a_hold_never() {
    let world = World::new().await;
    let name = world.order(&request(), 1).await.expect("ordered");
    let der = world.issuer.collect(&name).await.expect("answered").expect("ready");
    let serial = Certificate::from_der(&der).expect("a certificate").serial().clone();
    let error = world.issuer.revoke(&serial, RevocationReason::CertificateHold).await.expect_err("a hold");
    assert!(matches!(&error, IssuerError::Refused { detail } if detail.contains("certificateHold")), "{error:?}");
    assert_eq!(world.double.count("RevokeCertificate"), (0, 0));
    for _ in 0..2 {
        world.issuer.revoke(&serial, RevocationReason::KeyCompromise).await.expect("told");
    }
    assert_eq!(world.double.count("RevokeCertificate"), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_found_with_those_above_it_and_only_when_it_issues() {
    let world = World::new().await;
    let found = world.authorities.find(&world.arn).await.expect("found");
    assert_eq!(found.above.len(), 1);
    found.certificate.verify_signed_by(found.above[0].public_key()).expect("its issuer");
    for (status, condition, helps) in [
        (AuthorityStatus::Disabled, IssuerCondition::Disabled, "--status ACTIVE"),
        (AuthorityStatus::Expired, IssuerCondition::Expired, "import-certificate-authority-certificate"),
        (AuthorityStatus::Deleted, IssuerCondition::Gone, "restore-certificate-authority"),
        (AuthorityStatus::Failed, IssuerCondition::Gone, "name another one"),
        (AuthorityStatus::Creating, IssuerCondition::Pending, "get-certificate-authority-csr"),
    ] {
        world.double.with(|state| state.set_status(world.arn.as_str(), status));
        let state = world.issuer.state().await.expect("answered");
        assert_eq!(state.condition, condition);
        assert!(state.detail.contains(helps), "{}", state.detail);
        let error = world.authorities.find(&world.arn).await.expect_err("it does not issue").to_string();
        assert!(error.contains(helps), "{error}");
    }
    assert_eq!(world.double.count("IssueCertificate"), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_it_may_issue_is_asked_once_and_again_after_a_refusal() {
    let world = World::new().await;
    for _ in 0..2 {
        world.issuer.state().await.expect("it issues");
        // However often it is opened.
        world.authorities.open(&world.arn).state().await.expect("it issues");
    }
    assert_eq!((world.double.count("IssueCertificate"), world.made()), ((1, 0), 0));
    world.double.deny("IssueCertificate");
    world.order(&request(), 1).await.expect_err("denied");
    for _ in 0..2 {
        let error = world.issuer.state().await.expect_err("denied").to_string();
        assert!(error.contains("acm-pca:IssueCertificate"), "{error}");
    }
    world.double.allow("IssueCertificate");
    world.issuer.state().await.expect("it issues");
    assert_eq!(world.made(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_go_out_than_the_limit_says() {
    let limits = Limits { issue: 40, ..Limits::default() };
    let world = World::with(|_| {}, limits).await;
    let request = request();
    let begun = Instant::now();
    let orders = (0..30).map(|number| world.order(&request, number));
    let ordered = futures::future::join_all(orders).await;
    assert!(ordered.iter().all(Result::is_ok), "{ordered:?}");
    // However fast or slow the machine is.
    assert!(begun.elapsed() >= Duration::from_secs(1) * 29 / 40, "{:?}", begun.elapsed());
    assert_eq!(world.double.count("IssueCertificate"), (30, 30));
}
