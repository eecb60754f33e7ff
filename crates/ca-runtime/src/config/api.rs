//! `[api]`: the certificate of the API's listener.

use std::path::{Path, PathBuf};

use ca_core::name::GeneralName;

use super::settings::Settings;

/// Where the API's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiConfig {
    /// The service issues it to itself, with these names, and renews it.
    Own {
        /// Subject alternative names: DNS names and addresses, at least one.
        names: Vec<GeneralName>,
    },
    /// The operator gives it and renews it.
    Given {
        /// PEM: the certificate, then its chain.
        certificate_file: PathBuf,
        /// PEM: its private key, PKCS#8.
        key_file: PathBuf,
    },
}

impl ApiConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let names = read_names(settings);
        let file = |key| settings.text(key).map(|path| data_dir.join(path));
        match (file("api.certificate_file"), file("api.key_file")) {
            (Some(certificate_file), Some(key_file)) => return Self::Given { certificate_file, key_file },
            (Some(_), None) => {
                settings.invalid("api.key_file", "missing: `api.certificate_file` is set, and needs its key");
            }
            (None, Some(_)) => {
                settings.invalid("api.certificate_file", "missing: `api.key_file` is set, and needs its certificate");
            }
            (None, None) => {}
        }
        Self::Own { names }
    }
}

fn read_names(settings: &mut Settings) -> Vec<GeneralName> {
    let written = settings.list("api.names").unwrap_or_else(|| ["localhost", "127.0.0.1"].map(str::to_owned).to_vec());
    if written.is_empty() {
        settings.invalid("api.names", "empty; name at least one DNS name or address by which clients reach the API");
    }
    let mut names = Vec::new();
    for text in written {
        match GeneralName::recognise(&text) {
            Ok(name @ (GeneralName::Dns(_) | GeneralName::Ip(_))) => names.push(name),
            Ok(_) => settings.invalid("api.names", format!("`{text}` is neither a DNS name nor an address")),
            Err(error) => settings.invalid("api.names", error.to_string()),
        }
    }
    names
}
