//! Puts the newest lists of every authority, shards and deltas too, into a mirror: a place beside the service from which others fetch lists, like a bucket
//! behind a content delivery network. A mirror that is slow or refuses holds up nothing else; what it lacks is tried again.

use std::collections::BTreeMap;

use ca_core::crl::ListName;
use ca_core::time::{Lifetime, Timestamp};
use futures::StreamExt;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::publisher::{PublishError, Publisher};

/// After how long a list that is in place is looked at again: somebody else may have changed or removed it.
const LOOK_AGAIN: Lifetime = Lifetime::from_seconds(300);

/// How many lists are handed to a mirror at a time.
const SIDE_BY_SIDE: usize = 8;

/// What this process knows to be in a mirror.
#[derive(Clone, Debug, Default)]
pub struct Mirrored {
    /// The number of each list, and when it was seen there.
    seen: BTreeMap<ListName, (u64, Timestamp)>,
}

impl Mirrored {
    fn is_in_place(&self, list: &ListName, number: u64, now: Timestamp) -> bool {
        self.seen.get(list).is_some_and(|(seen, at)| {
            // A clock that was set back makes it look again, not wait until it has caught up.
            *seen == number && *at <= now && now.since(*at) < LOOK_AGAIN
        })
    }
}

/// How a mirror stands after a look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorState {
    /// The lists that are there in their newest form, and its number.
    pub in_place: BTreeMap<ListName, u64>,
    /// Those whose newest form could not be put there, and why.
    pub missing: BTreeMap<ListName, PublishError>,
    /// How many lists were handed to it; it has the last word on whether they took the place of others.
    pub handed: u64,
}

/// Puts into a mirror what is not known to be there; some lists side by side. Cheap when there is nothing to do. Nothing while the
/// record is not known to be the newest: readers may have a newer list than it has.
pub async fn mirror_lists(
    engine: &Engine,
    mirror: &dyn Publisher,
    mirrored: &mut Mirrored,
) -> Result<MirrorState, FlowError> {
    let mut state = MirrorState::default();
    if engine.check_anchor().is_err() {
        return Ok(state);
    }
    let now = engine.now();
    let complete = engine.store().published_numbers().await?.into_iter();
    let partial = engine.store().published_partial_numbers().await?.into_iter();
    let newest = complete
        .map(|(authority, number)| (ListName::complete(authority), number))
        .chain(partial.map(|(authority, scope, number)| (ListName::partial(authority, scope), number)));
    let mut waiting = Vec::new();
    for (list, number) in newest {
        match mirrored.is_in_place(&list, number, now) {
            true => {
                state.in_place.insert(list, number);
            }
            false => waiting.push((list, number)),
        }
    }
    let puts = waiting.into_iter().map(|(list, number)| put(engine, mirror, list, number));
    let mut puts = futures::stream::iter(puts).buffer_unordered(SIDE_BY_SIDE);
    while let Some(put) = puts.next().await {
        // A list that the record does not have after all is no fault of the mirror's.
        let Some((list, number, outcome)) = put? else { continue };
        state.handed += 1;
        match outcome {
            Ok(()) => {
                mirrored.seen.insert(list.clone(), (number, now));
                state.in_place.insert(list, number);
            }
            Err(error) => {
                mirrored.seen.remove(&list);
                state.missing.insert(list, error);
            }
        }
    }
    Ok(state)
}

/// What became of a list that was handed to a mirror.
type Put = (ListName, u64, Result<(), PublishError>);

async fn put(engine: &Engine, mirror: &dyn Publisher, name: ListName, number: u64) -> Result<Option<Put>, FlowError> {
    // It may be newer than the number that was read.
    let newest = match name.part {
        None => {
            engine.published_list(&name.authority, number).await?.map(|list| (list.intent.number, list.der.clone()))
        }
        Some(_) => {
            engine.published_partial(&name, number).await?.map(|list| (list.intent.crl.number, list.der.clone()))
        }
    };
    let Some((number, der)) = newest else { return Ok(None) };
    let outcome = mirror.publish_crl(&name, number, &der).await;
    Ok(Some((name, number, outcome)))
}
