//! `[webhook.NAME]`: a receiver of events, a table each. The files are read when the service opens.

use std::path::{Path, PathBuf};

use ca_backends::sink::WebhookAddress;
use ca_core::id::SinkName;

use super::settings::Settings;

/// A receiver of events.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Its name, in logs, metrics and the outbox.
    pub name: SinkName,
    /// Where it is.
    pub address: WebhookAddress,
    /// The secrets that events are signed with, one a line.
    pub secret_file: PathBuf,
    /// The CA certificates that it is to be trusted by; those that Mozilla trusts when absent.
    pub ca_file: Option<PathBuf>,
}

const SECTION: &str = "webhook";

pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Vec<WebhookConfig> {
    let names = settings.names_in(SECTION);
    names.iter().filter_map(|name| read_one(settings, data_dir, name)).collect()
}

/// `None` after a fault, which is kept.
fn read_one(settings: &mut Settings, data_dir: &Path, name: &str) -> Option<WebhookConfig> {
    let sink = name.parse::<SinkName>();
    if let Err(error) = &sink {
        settings.invalid_in(SECTION, name, "url", error.to_string());
    }
    let address = match settings.text_in(SECTION, name, "url").map(WebhookAddress::parse) {
        Some(Ok(address)) => Some(address),
        Some(Err(error)) => {
            settings.invalid_in(SECTION, name, "url", error.to_string());
            None
        }
        None => {
            settings.invalid_in(SECTION, name, "url", "it is missing; write it like `https://events.example.org/ca`");
            None
        }
    };
    let file = |settings: &Settings, key| {
        settings.text_in(SECTION, name, key).filter(|path| !path.is_empty()).map(|path| data_dir.join(path))
    };
    let secret_file = file(settings, "secret_file");
    if secret_file.is_none() {
        let detail = "it is missing; name a file with a secret that the receiver has too (`openssl rand -base64 48`)";
        settings.invalid_in(SECTION, name, "secret_file", detail);
    }
    Some(WebhookConfig {
        name: sink.ok()?,
        address: address?,
        secret_file: secret_file?,
        ca_file: file(settings, "ca_file"),
    })
}
