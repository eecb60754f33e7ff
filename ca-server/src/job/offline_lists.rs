//! Warns 90, 30 and 7 days before the list of an authority ends whose key is elsewhere: only a ceremony, or whoever holds the root, makes
//! the next, and without it every gateway that checks the whole chain lets nobody in. On every replica; it changes nothing.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::time::{Lifetime, Timestamp};

use super::driver::{Job, Outcome};
use crate::state::AppState;

/// How long before the end it is said, and again each time.
const NOTICES: [Lifetime; 3] = [Lifetime::from_days(7), Lifetime::from_days(30), Lifetime::from_days(90)];

pub(crate) struct OfflineListsJob;

#[async_trait]
impl Job for OfflineListsJob {
    fn name(&self) -> &'static str {
        "offline-lists"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(6 * 3_600)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let engine = state.engine();
        let now = engine.now();
        let lists = state.crl_files();
        for authority in engine.hierarchy().authorities() {
            if !authority.record().key_home.is_offline() || authority.has_ended(now) {
                continue;
            }
            let id = authority.id();
            let Some(list) = lists.get(id) else {
                tracing::warn!(authority = %id, "it has no list; `ca-server import-crl` takes one");
                continue;
            };
            let (made, ends) = (list.intent.this_update, list.intent.next_update);
            match notice(made, ends, now) {
                Some(notice) if notice == NOTICES[0] => {
                    tracing::error!(
                        authority = %id,
                        %ends,
                        "its list ends within {notice}; then gateways that check the whole chain let nobody in"
                    );
                }
                Some(notice) => {
                    tracing::warn!(authority = %id, %ends, "its list ends within {notice}; the next one comes from a ceremony");
                }
                None => {}
            }
        }
        Ok(Outcome::Done(0))
    }
}

/// The shortest notice that is due. One that is more than half of the list's life would be said from the beginning.
fn notice(made: Timestamp, ends: Timestamp, now: Timestamp) -> Option<Lifetime> {
    let half = ends.since(made).seconds() / 2;
    NOTICES.into_iter().find(|notice| notice.seconds() <= half && now.plus(*notice) >= ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_thrice_and_never_of_a_list_that_is_new() {
        let made = Timestamp::from_unix_seconds(1_800_000_000);
        let day = |day| made.plus(Lifetime::from_days(day));
        let told = |life, now| notice(made, day(life), day(now)).map(|notice| notice.seconds() / 86_400);
        // Of 13 months.
        let expected = [(0, None), (304, None), (305, Some(90)), (365, Some(30)), (388, Some(7)), (400, Some(7))];
        for (now, notice) in expected {
            assert_eq!(told(395, now), notice, "day {now}");
        }
        // Of a month: not at once, and at the end.
        for (now, notice) in [(0, None), (22, None), (23, Some(7)), (30, Some(7))] {
            assert_eq!(told(30, now), notice, "day {now}");
        }
    }
}
