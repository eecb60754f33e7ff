//! What has expired is forgotten, and nothing else.

use ca_core::time::Lifetime;
use ca_engine::fake::FakeClock;
use ca_engine::flow::expire::drop_expired_idempotency;
use ca_engine::flow::issue::{IDEMPOTENCY_LIFETIME, IssueRequest};
use futures::executor::block_on;

use crate::world::*;

/// Found by the simulation: a replica whose clock ran days ahead made the others issue the same twice.
#[test]
fn a_wrong_clock_drops_no_idempotency_key_that_is_in_use() {
    let world = World::new();
    let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
    let first = world.ask(request.clone()).expect("a certificate");
    let replica = world.replica(&FakeClock::at(world.now().plus(Lifetime::from_days(25))), &world.keyring);
    assert_eq!(block_on(drop_expired_idempotency(&replica)), Ok(0));
    assert_eq!(world.ask(request).map(|stored| stored.id), Ok(first.id), "the answer to the same request");
    world.clock.advance(IDEMPOTENCY_LIFETIME.max(DAY));
    world.clock.advance(SECOND);
    assert_eq!(block_on(drop_expired_idempotency(&world.engine)), Ok(1));
}
