//! `[managed]`: when certificates are rotated that the service owns, and how many at once.

use ca_core::managed::schedule::Schedule;
use ca_engine::engine::ManagedSettings;

use super::settings::Settings;

const SCHEDULE: &str = "managed.schedule";

pub(super) fn read(settings: &mut Settings) -> ManagedSettings {
    let usual = ManagedSettings::default();
    let schedule = match settings.text(SCHEDULE).map(str::parse::<Schedule>) {
        None => usual.schedule,
        Some(Ok(schedule)) => schedule,
        Some(Err(error)) => {
            settings.invalid(SCHEDULE, error.to_string());
            usual.schedule
        }
    };
    ManagedSettings {
        schedule,
        wave: settings.number("managed.wave", 1..=1_000, usual.wave),
        rate: settings.number("managed.rate", 1..=1_000, usual.rate),
    }
}
