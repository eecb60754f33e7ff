//! `[outbox]`: how often, and for how long, events are tried to be delivered.

use ca_engine::engine::OutboxSettings;

use super::settings::Settings;

pub(super) fn read(settings: &mut Settings) -> OutboxSettings {
    let default = OutboxSettings::default();
    let outbox = OutboxSettings {
        max_attempts: settings.number("outbox.max_attempts", 1..=1_000, default.max_attempts),
        first_retry: settings.lifetime("outbox.first_retry", default.first_retry),
        longest_retry: settings.lifetime("outbox.longest_retry", default.longest_retry),
        keep_undelivered: settings.lifetime("outbox.keep_undelivered", default.keep_undelivered),
        keep_unassigned: settings.lifetime("outbox.keep_unassigned", default.keep_unassigned),
    };
    if outbox.first_retry > outbox.longest_retry {
        let detail = format!("{} is longer than `outbox.longest_retry` = {}", outbox.first_retry, outbox.longest_retry);
        settings.invalid("outbox.first_retry", detail);
    }
    outbox
}
