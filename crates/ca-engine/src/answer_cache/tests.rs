//! What is kept, for how long, and what keeps it out.

use ca_core::id::AuthorityId;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use super::AnswerCache;
use crate::status_answer::{AnswerKind, AnswerOrigin, Freshness, StatusAnswer};

const BOUND: usize = 64 * 1024;

fn tls() -> AuthorityId {
    "tls".parse().expect("an id")
}

fn serial(number: u64) -> Serial {
    Serial::from_bytes(&(number + 1).to_be_bytes()).expect("a serial")
}

/// An answer of 900 octets, made at a second.
fn answer(second: i64) -> StatusAnswer {
    let this_update = Timestamp::from_unix_seconds(second);
    let freshness = Freshness { this_update, next_update: this_update.plus(Lifetime::from_seconds(3_600)) };
    let der = vec![0; 900].into();
    StatusAnswer { der, kind: AnswerKind::Good, freshness: Some(freshness), origin: AnswerOrigin::Record }
}

fn cert_id(form: u8, serial: &Serial) -> Vec<u8> {
    [&[form], serial.as_bytes()].concat()
}

/// Keeps an answer that was made while nothing happened.
fn keep(cache: &AnswerCache, number: u64, form: u8) -> bool {
    let serial = serial(number);
    let ticket = cache.ticket(&tls(), &serial);
    cache.insert(ticket, &tls(), &serial, &cert_id(form, &serial), &answer(0))
}

fn has(cache: &AnswerCache, number: u64, form: u8) -> bool {
    let serial = serial(number);
    cache.get(&tls(), &serial, &cert_id(form, &serial)).is_some()
}

#[test]
fn gives_to_each_form_of_a_cert_id_its_own_answer() {
    let cache = AnswerCache::new(BOUND);
    assert!(keep(&cache, 7, 1));
    assert!(has(&cache, 7, 1));
    assert!(!has(&cache, 7, 2), "the answer repeats the CertID");
    assert!(!has(&cache, 8, 1));
    let other: AuthorityId = "document".parse().expect("an id");
    assert!(cache.get(&other, &serial(7), &cert_id(1, &serial(7))).is_none());
}

#[test]
fn drops_every_form_of_a_serial_and_no_other_serial() {
    let cache = AnswerCache::new(BOUND);
    assert!(keep(&cache, 7, 1) && keep(&cache, 7, 2) && keep(&cache, 8, 1));
    assert_eq!(cache.drop_serial(&tls(), &serial(7)), 2);
    assert!(!has(&cache, 7, 1) && !has(&cache, 7, 2) && has(&cache, 8, 1));
    assert_eq!(cache.drop_serial(&tls(), &serial(7)), 0);
}

#[test]
fn an_answer_made_before_a_drop_is_not_let_in_after_it() {
    let cache = AnswerCache::new(BOUND);
    let serial = serial(7);
    let before = cache.ticket(&tls(), &serial);
    cache.drop_serial(&tls(), &serial);
    assert!(!cache.insert(before, &tls(), &serial, &cert_id(1, &serial), &answer(0)));
    assert!(!has(&cache, 7, 1));
    let before = cache.ticket(&tls(), &serial);
    cache.clear();
    assert!(!cache.insert(before, &tls(), &serial, &cert_id(1, &serial), &answer(0)));
    assert!(keep(&cache, 7, 1), "one made afterwards is");
}

#[test]
fn a_newer_answer_takes_the_place_of_the_older_one() {
    let cache = AnswerCache::new(BOUND);
    let serial = serial(7);
    for second in [1, 2] {
        let ticket = cache.ticket(&tls(), &serial);
        assert!(cache.insert(ticket, &tls(), &serial, &cert_id(1, &serial), &answer(second)));
    }
    assert_eq!(cache.entries(), 1);
    assert_eq!(cache.get(&tls(), &serial, &cert_id(1, &serial)), Some(answer(2)));
}

#[test]
fn never_holds_more_octets_than_it_was_given() {
    let cache = AnswerCache::new(BOUND);
    for number in 0..1_000 {
        assert!(keep(&cache, number, 1));
        assert!(cache.octets() <= BOUND, "{}", cache.octets());
    }
    let held = (0..1_000).filter(|number| has(&cache, *number, 1)).count();
    assert_eq!(held, cache.entries());
    assert!(held >= BOUND / 1_500, "it uses what it was given: {held}");
    cache.clear();
    assert_eq!((cache.octets(), cache.entries()), (0, 0));
}

#[test]
fn spares_what_is_asked_for_again_and_again() {
    let cache = AnswerCache::new(4 * BOUND);
    assert!(keep(&cache, 0, 1));
    let mut kept = 0;
    for number in 1..2_000 {
        kept += usize::from(has(&cache, 0, 1));
        keep(&cache, number, 1);
    }
    // A set that runs full may push it out; then it comes back with the next answer, which this test does not make.
    assert!(kept > 1_000, "asked for 1,999 times, there {kept} times");
    assert!(!has(&cache, 1, 1), "what nobody asks for makes room");
}

#[test]
fn without_octets_nothing_is_kept() {
    let cache = AnswerCache::new(0);
    assert!(!keep(&cache, 7, 1));
    assert!(!has(&cache, 7, 1));
    assert_eq!(cache.drop_serial(&tls(), &serial(7)), 0);
}

#[test]
fn readers_writers_and_droppers_at_once_leave_no_answer_that_was_dropped() {
    let cache = AnswerCache::new(BOUND);
    let rounds = 2_000;
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..rounds {
                    keep(cache, round % 50, writer);
                    has(cache, (round * 7) % 50, 1 - writer);
                }
            });
        }
        scope.spawn(|| {
            for round in 0..rounds {
                cache.drop_serial(&tls(), &serial(round % 50));
            }
        });
    });
    assert!(cache.octets() <= BOUND);
    for number in 0..50 {
        cache.drop_serial(&tls(), &serial(number));
    }
    assert_eq!((cache.octets(), cache.entries()), (0, 0), "every octet is accounted for");
}

#[test]
fn counts_what_is_asked_for_and_the_hottest_comes_first() {
    let cache = AnswerCache::new(64 * BOUND);
    for number in 0..4 {
        assert!(keep(&cache, number, 1));
    }
    let mut hot = Vec::new();
    for round in 0..8 {
        assert!(has(&cache, 0, 1));
        if round % 2 == 0 {
            assert!(has(&cache, 1, 1));
        }
        if round == 7 {
            assert!(has(&cache, 2, 1));
        }
        hot = cache.count_hot(|_| true);
    }
    let order: Vec<_> = hot.iter().map(|hot| (hot.serial.clone(), hot.heat)).collect();
    assert_eq!(order, [(serial(0), 0xff), (serial(1), 0x55), (serial(2), 0x80)]);
    // A new answer in the place of an old one is as hot; and what nobody asks for cools down.
    assert!(keep(&cache, 0, 1));
    assert_eq!(cache.count_hot(|_| true)[0].heat, 0x7f);
    for _ in 0..8 {
        hot = cache.count_hot(|_| true);
    }
    assert!(hot.is_empty());
}
