//! `[seal]`: where the passphrases are that open sealed keys. They are read, and made, in the room `seal`.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::settings::Settings;
use crate::data_folder::PASSPHRASE_FILE;

/// What opens the sealed keys.
#[derive(Clone, Debug)]
pub struct SealConfig {
    /// For the keys of authorities, and the root's key file.
    pub authorities: PassphraseSource,
    /// For the keys of OCSP responders; the same as for authorities when absent. The status role is given this one only.
    pub responders: Option<PassphraseSource>,
}

/// Where a passphrase is.
#[derive(Clone, Debug)]
pub enum PassphraseSource {
    /// In the environment; this is it.
    Environment {
        /// The variable it came from.
        variable: &'static str,
        /// The passphrase.
        passphrase: SecretString,
    },
    /// In a file: its first line.
    File(PathBuf),
}

impl SealConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let authorities = source(settings, data_dir, "seal.passphrase", "seal.passphrase_file", "CA__SEAL__PASSPHRASE");
        let responders = source(
            settings,
            data_dir,
            "seal.responders.passphrase",
            "seal.responders.passphrase_file",
            "CA__SEAL__RESPONDERS__PASSPHRASE",
        );
        Self {
            authorities: authorities.unwrap_or_else(|| PassphraseSource::File(data_dir.join(PASSPHRASE_FILE))),
            responders,
        }
    }
}

fn source(
    settings: &mut Settings,
    data_dir: &Path,
    passphrase: &'static str,
    file: &'static str,
    variable: &'static str,
) -> Option<PassphraseSource> {
    let key = settings.one_of(passphrase, file)?;
    if key == file {
        return settings.text(file).map(|path| PassphraseSource::File(data_dir.join(path)));
    }
    settings.secret(passphrase).map(|passphrase| PassphraseSource::Environment { variable, passphrase })
}
