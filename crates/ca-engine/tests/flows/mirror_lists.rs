//! Lists in a mirror: put there once, tried again when it refuses, looked after, and never from a record that may be old.

use ca_core::crl::ListName;
use ca_core::time::Lifetime;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::fake::{FlakyPublisher, PublishFault};
use ca_engine::flow::mirror_lists::{MirrorState, Mirrored, mirror_lists};
use futures::executor::block_on;

use crate::world::*;

fn look(world: &World, mirror: &FlakyPublisher, mirrored: &mut Mirrored) -> MirrorState {
    block_on(mirror_lists(&world.engine, mirror, mirrored)).expect("a record")
}

#[test]
fn every_newest_list_is_put_there_once() {
    let world = World::new();
    let (mirror, mut mirrored) = (FlakyPublisher::default(), Mirrored::default());
    world.publish("tls").expect("a list");
    let state = look(&world, &mirror, &mut mirrored);
    let all = [("document", 1), ("root", 1), ("tls", 2)]
        .map(|(authority, number)| (ListName::complete(id(authority)), number));
    assert_eq!((state.in_place, state.handed), (all.clone().into(), 3));
    assert_eq!(mirror.published(&id("tls")), world.publisher.published(&id("tls")));
    let state = look(&world, &mirror, &mut mirrored);
    assert_eq!((state.in_place, state.handed), (all.into(), 0));
    assert_eq!(mirror.calls().len(), 3, "nothing was to be done");
    world.publish("tls").expect("a list");
    assert_eq!(look(&world, &mirror, &mut mirrored).handed, 1);
    assert_eq!(mirror.published(&id("tls")).expect("a list").0, 3);
}

#[test]
fn a_mirror_that_refuses_one_list_gets_the_others_and_is_tried_again() {
    for fault in [PublishFault::Before, PublishFault::After] {
        let world = World::new();
        let (mirror, mut mirrored) = (FlakyPublisher::default(), Mirrored::default());
        mirror.script([fault]);
        let state = look(&world, &mirror, &mut mirrored);
        assert_eq!((state.missing.len(), state.in_place.len(), state.handed), (1, 2, 3));
        let refused = state.missing.keys().next().expect("one").clone();
        let state = look(&world, &mirror, &mut mirrored);
        assert_eq!((state.missing.len(), state.in_place.len(), state.handed), (0, 3, 1), "{fault:?}");
        assert_eq!(mirror.calls().last().expect("a call").0, refused);
        assert_eq!(world.publish("tls").expect("a mirror is no obstacle").intent.number, 2);
    }
}

#[test]
fn a_list_that_was_there_is_looked_at_again() {
    let world = World::new();
    let (mirror, mut mirrored) = (FlakyPublisher::default(), Mirrored::default());
    look(&world, &mirror, &mut mirrored);
    // Somebody empties the bucket.
    let emptied = FlakyPublisher::default();
    world.clock.advance(Lifetime::from_seconds(299));
    assert_eq!(look(&world, &emptied, &mut mirrored).handed, 0);
    world.clock.advance(Lifetime::from_seconds(1));
    assert_eq!(look(&world, &emptied, &mut mirrored).handed, 3);
    assert!(emptied.published(&id("tls")).is_some());
    // A clock that is set back is no reason to rest until it has caught up.
    world.clock.set(world.now().minus(DAY));
    assert_eq!(look(&world, &emptied, &mut mirrored).handed, 3);
}

#[test]
fn nothing_goes_out_from_a_record_that_may_be_old() {
    let world = World::new();
    let (mirror, mut mirrored) = (FlakyPublisher::default(), Mirrored::default());
    world.engine.set_anchor_verdict(AnchorVerdict::Behind("of this test".to_owned()));
    assert_eq!(look(&world, &mirror, &mut mirrored), MirrorState::default());
    assert_eq!(mirror.calls(), []);
}
