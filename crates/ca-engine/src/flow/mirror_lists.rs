//! Puts the newest list of every authority into a mirror: a place beside the service from which others fetch lists, like a bucket
//! behind a content delivery network. A mirror that is slow or refuses holds up nothing else; what it lacks is tried again.

use std::collections::BTreeMap;

use ca_core::id::AuthorityId;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::publisher::{PublishError, Publisher};

/// After how long a list that is in place is looked at again: somebody else may have changed or removed it.
const LOOK_AGAIN: Lifetime = Lifetime::from_seconds(300);

/// What this process knows to be in a mirror.
#[derive(Clone, Debug, Default)]
pub struct Mirrored {
    /// The number of each list, and when it was seen there.
    seen: BTreeMap<AuthorityId, (u64, Timestamp)>,
}

impl Mirrored {
    fn is_in_place(&self, authority: &AuthorityId, number: u64, now: Timestamp) -> bool {
        self.seen.get(authority).is_some_and(|(seen, at)| {
            // A clock that was set back makes it look again, not wait until it has caught up.
            *seen == number && *at <= now && now.since(*at) < LOOK_AGAIN
        })
    }
}

/// How a mirror stands after a look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorState {
    /// The authorities whose newest list is there, and its number.
    pub in_place: BTreeMap<AuthorityId, u64>,
    /// Those whose newest list could not be put there, and why.
    pub missing: BTreeMap<AuthorityId, PublishError>,
    /// How many lists were handed to it; it has the last word on whether they took the place of others.
    pub handed: u64,
}

/// Puts into a mirror what is not known to be there; authorities side by side. Cheap when there is nothing to do. Nothing while the
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
    let mut waiting = Vec::new();
    for (authority, number) in engine.store().published_numbers().await? {
        match mirrored.is_in_place(&authority, number, now) {
            true => {
                state.in_place.insert(authority, number);
            }
            false => waiting.push((authority, number)),
        }
    }
    let puts = join_all(waiting.into_iter().map(|(authority, number)| put(engine, mirror, authority, number)));
    for put in puts.await {
        // A list that the record does not have after all is no fault of the mirror's.
        let Some((authority, number, outcome)) = put? else { continue };
        state.handed += 1;
        match outcome {
            Ok(()) => {
                mirrored.seen.insert(authority.clone(), (number, now));
                state.in_place.insert(authority, number);
            }
            Err(error) => {
                mirrored.seen.remove(&authority);
                state.missing.insert(authority, error);
            }
        }
    }
    Ok(state)
}

/// What became of a list that was handed to a mirror.
type Put = (AuthorityId, u64, Result<(), PublishError>);

async fn put(
    engine: &Engine,
    mirror: &dyn Publisher,
    authority: AuthorityId,
    number: u64,
) -> Result<Option<Put>, FlowError> {
    let Some(list) = engine.published_list(&authority, number).await? else { return Ok(None) };
    // It may be newer than the number that was read.
    let number = list.intent.number;
    let outcome = mirror.publish_crl(&authority, number, &list.der).await;
    Ok(Some((authority, number, outcome)))
}
