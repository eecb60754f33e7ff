//! `[notices]`: how long before an end it is told of.

use ca_core::managed::RenewBefore;
use ca_engine::engine::NoticeSettings;

use super::settings::Settings;

/// The most notices of one certificate.
const MOST: usize = 10;

pub(super) fn read(settings: &mut Settings) -> NoticeSettings {
    let default = NoticeSettings::default();
    NoticeSettings {
        certificates: list(settings, "notices.certificates").unwrap_or(default.certificates),
        authorities: list(settings, "notices.authorities").unwrap_or(default.authorities),
    }
}

/// The items of a list; `None` when it is absent or faulty (every fault is kept).
fn list(settings: &mut Settings, key: &'static str) -> Option<Vec<RenewBefore>> {
    let items = settings.list(key)?;
    if items.len() > MOST {
        settings.invalid(key, format!("{} notices; at most {MOST}", items.len()));
        return None;
    }
    let mut read = Vec::with_capacity(items.len());
    for item in &items {
        match item.parse() {
            Ok(before) => read.push(before),
            Err(error) => {
                let shown: String = item.chars().take(40).collect();
                settings.invalid(key, format!("`{shown}` is not {error}"));
            }
        }
    }
    (read.len() == items.len()).then_some(read)
}
