//! Against a `redis-server`: the contract, and what a place costs that is slow, gone or hostile.

use std::sync::Arc;

use ca_engine::fake::contract::check_shared_answers;
use ca_engine::fake::contract::shared_answers::SharedAnswersUnderTest;
use ca_test_services::RedisServer;
use futures::FutureExt;

use super::*;

fn open(server: &RedisServer) -> RedisAnswers {
    let address = RedisAddress::parse(&server.url()).expect("an address");
    RedisAnswers::new(&address, None).expect("a way there")
}

/// Waits for something that a task does.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not after 20 s");
}

async fn connected(server: &RedisServer) -> RedisAnswers {
    let answers = open(server);
    until("connected", || answers.condition().answers).await;
    answers
}

async fn asked(answers: &RedisAnswers) -> (Lookup, Duration) {
    let began = Instant::now();
    let found = answers.get("a").await;
    (found, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let server = RedisServer::start().expect("a server");
    check_shared_answers(|| async {
        server.command(&["FLUSHALL"]).expect("emptied");
        let answers = Arc::new(connected(&server).await);
        let another = Arc::new(connected(&server).await);
        let waits = Arc::clone(&answers);
        SharedAnswersUnderTest {
            answers,
            another,
            settle: Arc::new(move || {
                let waits = Arc::clone(&waits);
                async move {
                    until("written", || waits.queue.capacity() == QUEUE).await;
                    // The last one was taken from the queue and is on its way.
                    sleep(Duration::from_millis(100)).await;
                }
                .boxed()
            }),
            pass_time: Arc::new(|lifetime| sleep(Duration::from_secs(lifetime.seconds())).boxed()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_still_costs_one_look_and_is_found_again() {
    let server = RedisServer::start().expect("a server");
    let answers = connected(&server).await;
    assert_eq!(asked(&answers).await.0, Lookup::Absent);
    server.freeze().expect("frozen");
    let (found, took) = asked(&answers).await;
    assert_eq!(found, Lookup::Unavailable);
    println!("the first look at one that stands still took {took:?}");
    assert!(took >= BUDGET && took < 5 * BUDGET, "{took:?}");
    let began = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(answers.get("a").await, Lookup::Unavailable);
    }
    let took = began.elapsed();
    println!("a thousand more took {took:?}");
    assert!(took < BUDGET, "{took:?}");
    let before = answers.condition();
    assert_eq!((before.answers, before.failures), (false, 1));
    // What is put there is dropped, and nobody waits.
    answers.put("a".to_owned(), Arc::from(&b"a"[..]), Lifetime::from_seconds(300));
    assert_eq!(answers.condition().dropped, before.dropped + 1);
    server.thaw().expect("thawed");
    until("found again", || answers.condition().answers).await;
    assert_eq!(answers.get("a").await, Lookup::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_wait_at_once_none_waits_longer_than_the_budget() {
    let server = RedisServer::start().expect("a server");
    let answers = connected(&server).await;
    server.freeze().expect("frozen");
    let began = Instant::now();
    let looks = (0..100).map(|_| answers.get("a"));
    assert!(futures::future::join_all(looks).await.iter().all(|found| *found == Lookup::Unavailable));
    assert!(began.elapsed() < 5 * BUDGET, "{:?}", began.elapsed());
    assert_eq!(answers.condition().failures, 1, "one counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_killed_costs_nothing_and_is_found_again_when_it_is_back() {
    let mut server = RedisServer::start().expect("a server");
    let answers = connected(&server).await;
    server.kill().expect("killed");
    let (found, took) = asked(&answers).await;
    assert!(found == Lookup::Unavailable && took < 5 * BUDGET, "{found:?} {took:?}");
    server.run().expect("a server");
    until("found again", || answers.condition().answers).await;
    assert_eq!(answers.get("a").await, Lookup::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_was_there_holds_up_nobody() {
    let mut server = RedisServer::start().expect("a server");
    server.kill().expect("killed");
    let answers = open(&server);
    let (found, took) = asked(&answers).await;
    assert!(found == Lookup::Unavailable && took < BUDGET, "{found:?} {took:?}");
    server.run().expect("a server");
    until("found", || answers.condition().answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_put_there_who_may_not_is_bounded_and_breaks_nothing() {
    let server = RedisServer::start().expect("a server");
    let answers = connected(&server).await;
    server.command(&["LPUSH", "a", "a list"]).expect("put there");
    assert_eq!(answers.get("a").await, Lookup::Unavailable);
    assert!(answers.condition().answers, "it answers, after all");
    server.command(&["SETRANGE", "long", "100000000", "x"]).expect("put there");
    let Lookup::Found(octets) = answers.get("long").await else { panic!("it is there") };
    assert_eq!(octets.len(), LONGEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_know_us_is_not_used_and_its_password_is_told_nobody() {
    let server = RedisServer::start().expect("a server");
    let wrong = server.url().replace(RedisServer::PASSWORD, "hunter2");
    let address = RedisAddress::parse(&wrong).expect("an address");
    let client = Client::open(address.expose()).expect("an address");
    let why = connect(&client).await.map(drop).expect_err("the password is wrong");
    assert!(!why.is_empty() && !why.contains("hunter2"), "{why}");
    let answers = RedisAnswers::new(&address, None).expect("a way there");
    assert_eq!(answers.get("a").await, Lookup::Unavailable);
    assert_eq!(
        RedisAnswers::new(&address, Some(Vec::new())).map(drop).expect_err("no TLS"),
        RedisError::RootsWithoutTls
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tls_one_is_used_that_proves_to_be_the_right_one_and_no_other() {
    let certified = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (ours, another) = (certified(), certified());
    let server = RedisServer::start_encrypted(&ours.cert.pem(), &ours.signing_key.serialize_pem()).expect("a server");
    let address = RedisAddress::parse(&server.url()).expect("an address");
    let trusting = |certificate: &str| RedisAnswers::new(&address, Some(certificate.as_bytes().to_vec()));
    let answers = trusting(&ours.cert.pem()).expect("a way there");
    until("connected", || answers.condition().answers).await;
    assert_eq!(answers.get("a").await, Lookup::Absent);
    // Whoever trusts another CA, or only those of the machine, does not use it.
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(another.cert.pem().into_bytes()) };
    let strangers = [
        Client::build_with_tls(address.expose(), certificates).expect("an address"),
        Client::open(address.expose()).expect("an address"),
    ];
    for stranger in strangers {
        assert!(connect(&stranger).await.is_err());
    }
    assert_eq!(trusting("no certificate").map(drop).expect_err("it holds none"), RedisError::Roots);
}
