//! `[retention]`: how long certificates stay on record after their end.

use ca_core::time::Lifetime;
use ca_engine::port::store::LEAST_RETENTION;

use super::settings::Settings;

const KEY: &str = "retention.expired";

/// What keeps everything for ever.
const OFF: &str = "off";

pub(super) fn read(settings: &mut Settings) -> Option<Lifetime> {
    let text = settings.text(KEY).filter(|text| *text != OFF)?;
    let detail = match text.parse::<Lifetime>() {
        Ok(lifetime) if lifetime >= LEAST_RETENTION => return Some(lifetime),
        Ok(lifetime) => format!(
            "{lifetime} is too short: what has just expired is still asked for, and named by lists that are in use; keep it for \
             {LEAST_RETENTION} at least, or write `{OFF}` to keep it for ever"
        ),
        Err(_) => format!(
            "`{text}` is neither `{OFF}` (certificates stay for ever) nor a length of time after their end, like 400d"
        ),
    };
    settings.invalid(KEY, detail);
    None
}
