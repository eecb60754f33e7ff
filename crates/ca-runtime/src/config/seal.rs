//! `[seal]`: what opens sealed keys, a passphrase or a key of AWS KMS. Passphrases are read, and made, in the room `seal`.

use std::path::{Path, PathBuf};

use ca_backends::aws::KmsKeyArn;
use secrecy::SecretString;

use super::settings::Settings;
use crate::data_folder::PASSPHRASE_FILE;

/// What opens the sealed keys.
#[derive(Clone, Debug)]
pub struct SealConfig {
    /// For the keys of authorities, and the root's key file.
    pub authorities: SealSource,
    /// For the keys of OCSP responders; the same as for authorities when absent. The status role is given this one only.
    pub responders: Option<SealSource>,
}

/// What seals.
#[derive(Clone, Debug)]
pub enum SealSource {
    /// A passphrase.
    Passphrase(PassphraseSource),
    /// A symmetric key of AWS KMS.
    Kms(KmsKeyArn),
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

/// The keys of one seal, and the variable of its passphrase.
struct Keys {
    key: &'static str,
    passphrase: &'static str,
    passphrase_file: &'static str,
    variable: &'static str,
}

const AUTHORITIES: Keys = Keys {
    key: "seal.key",
    passphrase: "seal.passphrase",
    passphrase_file: "seal.passphrase_file",
    variable: "CA__SEAL__PASSPHRASE",
};

const RESPONDERS: Keys = Keys {
    key: "seal.responders.key",
    passphrase: "seal.responders.passphrase",
    passphrase_file: "seal.responders.passphrase_file",
    variable: "CA__SEAL__RESPONDERS__PASSPHRASE",
};

impl SealConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let authorities = source(settings, data_dir, &AUTHORITIES);
        let responders = source(settings, data_dir, &RESPONDERS);
        let made = || SealSource::Passphrase(PassphraseSource::File(data_dir.join(PASSPHRASE_FILE)));
        Self { authorities: authorities.unwrap_or_else(made), responders }
    }
}

/// What the text of a key says: `kms:ARN`.
pub fn read_seal_key(text: &str) -> Result<KmsKeyArn, String> {
    let arn =
        text.strip_prefix("kms:").ok_or("write the key as `kms:ARN`; a passphrase is named by `passphrase_file`")?;
    KmsKeyArn::parse(arn).map_err(|problem| format!("after `kms:`, {problem}"))
}

fn source(settings: &mut Settings, data_dir: &Path, keys: &Keys) -> Option<SealSource> {
    let passphrase = settings.one_of(keys.passphrase, keys.passphrase_file);
    // Of a key and a passphrase, too, the one that holds is the environment's.
    let chosen = match passphrase {
        Some(passphrase) => settings.one_of(keys.key, passphrase)?,
        None => settings.one_of(keys.key, keys.passphrase_file)?,
    };
    if chosen == keys.key {
        let read = read_seal_key(settings.text(keys.key)?);
        return read.map_err(|problem| settings.invalid(keys.key, problem)).ok().map(SealSource::Kms);
    }
    let source = match chosen == keys.passphrase_file {
        true => PassphraseSource::File(data_dir.join(settings.text(keys.passphrase_file)?)),
        false => {
            PassphraseSource::Environment { variable: keys.variable, passphrase: settings.secret(keys.passphrase)? }
        }
    };
    Some(SealSource::Passphrase(source))
}
