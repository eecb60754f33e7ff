//! `[managed]`: when certificates are rotated that the service owns, how many at once, and where they may lie.

use std::path::Path;

use ca_core::managed::reach::TargetReach;
use ca_core::managed::schedule::Schedule;
use ca_engine::engine::ManagedSettings;

use super::settings::Settings;

const SCHEDULE: &str = "managed.schedule";

/// `deployments` is whether they are made.
pub(super) fn read(settings: &mut Settings, deployments: bool) -> ManagedSettings {
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
        deployments,
    }
}

/// Folders are absolute: a service is started from anywhere.
pub(super) fn read_reach(settings: &mut Settings) -> TargetReach {
    let directories = settings.list(DIRECTORIES).unwrap_or_default();
    if let Some(relative) = directories.iter().find(|folder| !Path::new(folder).is_absolute()) {
        settings.invalid(DIRECTORIES, format!("`{relative}` is not absolute; write one like /etc/pki"));
    }
    TargetReach {
        directories: directories.into_iter().map(Into::into).collect(),
        secrets: settings.list("managed.secrets"),
    }
}

const DIRECTORIES: &str = "managed.directories";
