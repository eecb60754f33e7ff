//! The contract of [`crate::port::anchor`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use super::case::{cases, run_cases};
use super::publisher::Press;
use crate::port::anchor::{Anchor, AnchorHead, AnchoredRevocation, Generation, ServiceDigest};
use crate::port::store::{ChainHead, RevocationRow};

/// An anchor under test.
#[derive(Clone)]
pub struct AnchorUnderTest {
    /// The anchor, with nothing in it.
    pub anchor: Arc<dyn Anchor>,
    /// The same place, as another process has it.
    pub another: Arc<dyn Anchor>,
}

impl fmt::Debug for AnchorUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnchorUnderTest").finish_non_exhaustive()
    }
}

/// Checks that an anchor keeps its contract.
///
/// Panics with the names of the broken rules.
pub async fn check_anchor<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = AnchorUnderTest>,
{
    let cases = cases![
        an_empty_anchor_knows_nothing,
        a_generation_that_was_begun_is_known_and_empty,
        rows_are_read_as_they_were_written,
        rows_of_several_processes_are_one_log,
        generations_and_services_are_apart,
        the_end_of_the_chain_only_rises,
        the_list_with_the_highest_number_stays,
    ];
    run_cases("anchor", cases, make).await;
}

const SERVICE: ServiceDigest = [7; 32];
const GENERATION: Generation = Generation::from_bytes([1; 16]);
const LATER: Generation = Generation::from_bytes([2; 16]);

async fn an_empty_anchor_knows_nothing(test: AnchorUnderTest) {
    assert_eq!(test.anchor.heads(&SERVICE).await, Ok(vec![]));
    assert_eq!(test.anchor.lists(&SERVICE).await, Ok(vec![]));
    assert_eq!(test.anchor.revocations(&SERVICE, GENERATION, 0).await, Ok(vec![]));
}

async fn a_generation_that_was_begun_is_known_and_empty(test: AnchorUnderTest) {
    for _ in 0..2 {
        test.anchor.begin(&SERVICE, GENERATION).await.expect("begin");
    }
    let heads = test.another.heads(&SERVICE).await.expect("heads");
    assert_eq!(heads, [AnchorHead { generation: GENERATION, newest: None, chain: None }]);
    assert!(!heads[0].has_content());
}

async fn rows_are_read_as_they_were_written(test: AnchorUnderTest) {
    let all: Vec<_> = (1..=5).map(row).collect();
    test.anchor.begin(&SERVICE, GENERATION).await.expect("begin");
    test.anchor.append(&SERVICE, GENERATION, &all[..2]).await.expect("append");
    test.anchor.append(&SERVICE, GENERATION, &all[2..]).await.expect("append");
    assert_eq!(head(&test, GENERATION).await.newest.as_ref(), all.last());
    assert_eq!(test.another.revocations(&SERVICE, GENERATION, 0).await.as_ref(), Ok(&all));
    assert_eq!(test.another.revocations(&SERVICE, GENERATION, 3).await.as_deref(), Ok(&all[3..]));
}

async fn rows_of_several_processes_are_one_log(test: AnchorUnderTest) {
    let all: Vec<_> = (1..=6).map(row).collect();
    test.anchor.begin(&SERVICE, GENERATION).await.expect("begin");
    test.anchor.append(&SERVICE, GENERATION, &all[..4]).await.expect("append");
    // Both write at the same time for a while.
    test.another.append(&SERVICE, GENERATION, &all[2..]).await.expect("append");
    assert_eq!(test.anchor.revocations(&SERVICE, GENERATION, 0).await.as_ref(), Ok(&all), "each once, in order");
    assert_eq!(head(&test, GENERATION).await.sequence(), 6);
}

async fn generations_and_services_are_apart(test: AnchorUnderTest) {
    test.anchor.begin(&SERVICE, GENERATION).await.expect("begin");
    test.anchor.begin(&SERVICE, LATER).await.expect("begin");
    test.anchor.append(&SERVICE, GENERATION, &[row(1), row(2)]).await.expect("append");
    test.anchor.append(&SERVICE, LATER, &[row(9)]).await.expect("append");
    let heads: Vec<_> = test.anchor.heads(&SERVICE).await.expect("heads");
    let heads: Vec<_> = heads.iter().map(|head| (head.generation, head.sequence())).collect();
    assert_eq!(heads, [(GENERATION, 2), (LATER, 9)]);
    assert_eq!(test.anchor.heads(&[8; 32]).await, Ok(vec![]));
}

async fn the_end_of_the_chain_only_rises(test: AnchorUnderTest) {
    test.anchor.begin(&SERVICE, GENERATION).await.expect("begin");
    for sequence in [5, 9, 7] {
        let head = ChainHead { sequence, hash: [u8::try_from(sequence).expect("small"); 32] };
        test.anchor.put_chain_head(&SERVICE, GENERATION, head).await.expect("put_chain_head");
    }
    let further = ChainHead { sequence: 8, hash: [8; 32] };
    test.another.put_chain_head(&SERVICE, GENERATION, further).await.expect("put_chain_head");
    assert_eq!(head(&test, GENERATION).await.chain, Some(ChainHead { sequence: 9, hash: [9; 32] }));
}

async fn the_list_with_the_highest_number_stays(test: AnchorUnderTest) {
    let press = Press::new();
    let (first, second) = (press.list(3, 2).await, press.list(7, 0).await);
    for (number, list) in [(3, &first), (7, &second), (3, &first)] {
        test.anchor.put_list(&SERVICE, &authority(), number, &list.as_slice().into()).await.expect("put_list");
    }
    assert_eq!(test.another.lists(&SERVICE).await, Ok(vec![(authority(), second)]));
}

async fn head(test: &AnchorUnderTest, generation: Generation) -> AnchorHead {
    let heads = test.anchor.heads(&SERVICE).await.expect("heads");
    heads.into_iter().find(|head| head.generation == generation).expect("known")
}

fn authority() -> AuthorityId {
    "tls".parse().expect("an authority id")
}

/// Every other one is a compromise, every fifth the end of a hold.
fn row(sequence: u64) -> AnchoredRevocation {
    let at = Timestamp::from_unix_seconds(1_795_176_000);
    let compromised = sequence.is_multiple_of(2);
    let reason = if compromised { RevocationReason::KeyCompromise } else { RevocationReason::Superseded };
    let invalidity_date = compromised.then_some(at.minus(Lifetime::from_days(1)));
    let standing = match sequence % 5 {
        0 => Standing::Active,
        _ => Standing::Revoked(Revocation { revoked_at: at, reason, invalidity_date }),
    };
    let mut serial = [0; 16];
    serial[8..].copy_from_slice(&sequence.to_be_bytes());
    let not_after = at.plus(Lifetime::from_days(90));
    AnchoredRevocation {
        row: RevocationRow {
            sequence,
            authority: authority(),
            serial: Serial::from_random(serial),
            standing,
            not_after,
        },
        blocked_key: compromised.then_some([0xab; 32]),
    }
}
