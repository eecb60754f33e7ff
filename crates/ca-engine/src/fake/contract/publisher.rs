//! The contract of [`crate::port::publisher`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::crl::{CrlContext, CrlEntry, CrlLint, CrlTbs, CrlTemplate, CrlWriter, ListName};
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::revocation::{Revocation, RevocationReason};
use ca_core::serial::Serial;
use ca_core::signing::Envelope;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::{BoxFuture, join_all};

use super::case::{cases, run_cases};
use crate::fake::ScriptedSigner;
use crate::port::list_octets::PIECE;
use crate::port::publisher::Publisher;
use crate::port::signer::Signer;

/// A publisher under test and the eyes of those who fetch.
#[derive(Clone)]
pub struct PublisherUnderTest {
    /// The publisher, with nothing in place.
    pub publisher: Arc<dyn Publisher>,
    /// What a reader gets of a list at this moment: its octets, or that there is none.
    pub read: Arc<dyn Fn(ListName) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync>,
}

impl fmt::Debug for PublisherUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherUnderTest").finish_non_exhaustive()
    }
}

/// Checks that a publisher keeps its contract. It is given real CRLs.
///
/// Panics with the names of the broken rules.
pub async fn check_publisher<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = PublisherUnderTest>,
{
    let cases = cases![
        a_list_is_read_as_it_was_published,
        a_higher_number_takes_the_place,
        a_lower_number_is_left_out_silently,
        repeating_is_harmless,
        authorities_are_apart,
        the_lists_of_an_authority_are_apart,
        of_concurrent_lists_the_highest_stays,
        a_reader_never_sees_a_part,
        a_list_of_several_pieces_is_put_in_place_whole,
    ];
    run_cases("publisher", cases, || async { Bench { under_test: make().await, press: Press::new() } }).await;
}

struct Bench {
    under_test: PublisherUnderTest,
    press: Press,
}

impl Bench {
    async fn publish(&self, list: &str, number: u64, der: &[u8]) {
        self.under_test.publisher.publish_crl(&name(list), number, &der.into()).await.expect("publish_crl");
    }

    async fn read(&self, list: &str) -> Option<Vec<u8>> {
        (self.under_test.read)(name(list)).await
    }
}

async fn a_list_is_read_as_it_was_published(bench: Bench) {
    assert_eq!(bench.read("tls.crl").await, None, "nothing is in place yet");
    let list = bench.press.list(1, 3).await;
    bench.publish("tls.crl", 1, &list).await;
    assert_eq!(bench.read("tls.crl").await, Some(list));
}

async fn a_higher_number_takes_the_place(bench: Bench) {
    for number in [1, 2, 9] {
        // The later lists are shorter: no octet of an earlier one may be left.
        let list = bench.press.list(number, 20 - number).await;
        bench.publish("tls.crl", number, &list).await;
        assert_eq!(bench.read("tls.crl").await, Some(list));
    }
}

async fn a_lower_number_is_left_out_silently(bench: Bench) {
    let newest = bench.press.list(256, 1).await;
    bench.publish("tls.crl", 256, &newest).await;
    for number in [1, 9, 255] {
        let late = bench.press.list(number, 1).await;
        bench.publish("tls.crl", number, &late).await;
        assert_eq!(bench.read("tls.crl").await.as_ref(), Some(&newest), "{number} comes after 256");
    }
}

async fn repeating_is_harmless(bench: Bench) {
    let list = bench.press.list(4, 1).await;
    for _ in 0..3 {
        bench.publish("tls.crl", 4, &list).await;
    }
    let other = bench.press.list(4, 2).await;
    bench.publish("tls.crl", 4, &other).await;
    assert_eq!(bench.read("tls.crl").await, Some(list), "a number that is in place is not above it");
}

async fn authorities_are_apart(bench: Bench) {
    let (of_tls, of_root) = (bench.press.list(9, 1).await, bench.press.list(2, 0).await);
    bench.publish("tls.crl", 9, &of_tls).await;
    bench.publish("tls-2.crl", 2, &of_root).await;
    assert_eq!(bench.read("tls.crl").await, Some(of_tls));
    assert_eq!(bench.read("tls-2.crl").await, Some(of_root));
    assert_eq!(bench.read("root.crl").await, None);
}

async fn the_lists_of_an_authority_are_apart(bench: Bench) {
    let names = ["tls.crl", "tls-delta.crl", "tls/1.crl", "tls/2.crl", "tls/12.crl", "tls-2/1.crl"];
    let lists = join_all((1..=names.len() as u64).map(|number| bench.press.list(number, 1))).await;
    // The later ones have the lower numbers: no list stands in another's way.
    for ((name, list), number) in names.iter().zip(&lists).zip((1..=names.len() as u64).rev()) {
        assert_eq!(bench.read(name).await, None, "{name}");
        bench.publish(name, number, list).await;
    }
    for (name, list) in names.iter().zip(&lists) {
        assert_eq!(bench.read(name).await.as_ref(), Some(list), "{name}");
    }
}

async fn of_concurrent_lists_the_highest_stays(bench: Bench) {
    let lists = join_all((1..=20).map(|number| bench.press.list(number, 1))).await;
    let order = [12, 3, 20, 1, 19, 7, 15, 2, 18, 11, 5, 16, 4, 10, 17, 6, 14, 9, 13, 8];
    join_all(order.map(|number| bench.publish("tls.crl", number, &lists[number as usize - 1]))).await;
    assert_eq!(bench.read("tls.crl").await.as_ref(), lists.last());
}

async fn a_reader_never_sees_a_part(bench: Bench) {
    let lists = join_all((1..=10).map(|number| bench.press.list(number, 2_000 - 150 * number))).await;
    bench.publish("tls.crl", 1, &lists[0]).await;
    let writer = async {
        for (number, list) in (2..).zip(&lists[1..]) {
            bench.publish("tls.crl", number, list).await;
        }
    };
    let reader = async {
        for _ in 0..200 {
            let seen = bench.read("tls.crl").await.expect("there is a list since the first");
            assert!(lists.contains(&seen), "{} octets are no whole list", seen.len());
        }
    };
    futures::join!(writer, reader);
}

/// Longer than what is read or written at a time.
async fn a_list_of_several_pieces_is_put_in_place_whole(bench: Bench) {
    for number in [1, 2] {
        let list = bench.press.list(number, 70_000 - number).await;
        assert!(list.len() > 2 * PIECE, "{} octets", list.len());
        bench.publish("tls.crl", number, &list).await;
        assert!(bench.read("tls.crl").await == Some(list), "list {number}");
    }
}

/// Makes CRLs of one issuer.
pub(super) struct Press {
    signer: ScriptedSigner,
    issuer: DistinguishedName,
}

impl Press {
    pub(super) fn new() -> Self {
        let issuer = DistinguishedName::from_rfc4514("CN=Contract suite").expect("a distinguished name");
        Self { signer: ScriptedSigner::generate(KeyType::P256), issuer }
    }

    /// A signed list of so many entries.
    pub(super) async fn list(&self, number: u64, entries: u64) -> Vec<u8> {
        let now = Timestamp::from_unix_seconds(1_795_176_000);
        let key_identifier = self.signer.public_key().key_identifier();
        let template = CrlTemplate {
            issuer: self.issuer.clone(),
            authority_key_identifier: key_identifier.to_vec(),
            signature_algorithm: self.signer.algorithm(),
            this_update: now,
            next_update: now.plus(Lifetime::from_days(7)),
            number,
            base_number: None,
            issuing_distribution_point: None,
            freshest_crl: None,
            expired_certs_on_crl: None,
        };
        let mut writer = CrlWriter::new(template).expect("a list can be begun");
        let revocation = Revocation { revoked_at: now, reason: RevocationReason::Superseded, invalidity_date: None };
        let mut pieces = Vec::new();
        for entry in 0..entries {
            let mut octets = [0; 16];
            octets[8..].copy_from_slice(&entry.to_be_bytes());
            writer.push(&CrlEntry::new(Serial::from_random(octets), &revocation)).expect("serials rise");
            pieces.extend(writer.take_piece());
        }
        let context = CrlContext {
            issuer: &self.issuer,
            key_identifier: &key_identifier,
            signature_algorithm: self.signer.algorithm(),
            previous: None,
        };
        let CrlTbs { before, after } = writer.finish().expect("a list can be ended");
        let to_be_signed = [before, pieces.concat(), after].concat();
        let mut lint = CrlLint::new(context);
        lint.update(&to_be_signed);
        let list = lint.finish().expect("a faultless list");
        let signature = self.signer.sign(&list).await.expect("signs");
        let Envelope { before, after } = list.envelope(&signature).expect("the algorithm is the promised one");
        [before, to_be_signed, after].concat()
    }
}

fn name(text: &str) -> ListName {
    text.parse().expect("the name of a list")
}
