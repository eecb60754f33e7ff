//! Finding and reading the configuration file, and the one place that reads the process's environment.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use thiserror::Error;

use super::fault::ConfigFault;
use super::keys::ENVIRONMENT_PREFIX;
use super::{Config, DEFAULT_DATA_DIR};
use crate::data_folder::CONFIG_FILE;

/// Names the configuration file when no flag does.
const CONFIG_VARIABLE: &str = "CA_SERVER_CONFIG";
const DATA_DIR_VARIABLE: &str = "CA__DATA_DIR";

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file was named and cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It can be read, and is faulty.
    #[error("the configuration ({}) has {} {}:{}", path.display(), faults.len(), if faults.len() == 1 { "fault" } else { "faults" }, listed(faults))]
    Faulty {
        /// The file, there or not.
        path: PathBuf,
        /// Every fault, at least one.
        faults: Vec<ConfigFault>,
    },
}

impl Config {
    /// Loads the configuration of a server: the file that `flag` names, else `CA_SERVER_CONFIG`, else `config.toml` in the
    /// data folder (which need not be there).
    pub fn load(flag: Option<&Path>, environment: &[(String, String)]) -> Result<Self, LoadError> {
        let variable =
            |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| Path::new(value));
        if let Some(path) = flag.or_else(|| variable(CONFIG_VARIABLE)) {
            let text = fs::read_to_string(path)
                .map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
            return Self::check(&text, environment.iter().cloned())
                .map_err(|faults| LoadError::Faulty { path: path.to_path_buf(), faults });
        }
        Self::load_folder(variable(DATA_DIR_VARIABLE).unwrap_or(Path::new(DEFAULT_DATA_DIR)), environment)
    }

    /// Loads the configuration of a data folder: its `config.toml`, if there is one. The folder is `folder`, whatever the
    /// environment says.
    pub fn load_folder(folder: &Path, environment: &[(String, String)]) -> Result<Self, LoadError> {
        let path = folder.join(CONFIG_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(LoadError::Unreadable { path, source }),
        };
        let environment = environment.iter().filter(|(name, _)| name != DATA_DIR_VARIABLE).cloned();
        match Self::check_with_default(&text, environment, folder) {
            Ok(config) if !is_same_folder(&config.data_dir, folder) => {
                let detail = format!(
                    "{} is another folder than the one this file lies in; leave the key out here",
                    config.data_dir.display()
                );
                Err(LoadError::Faulty { path, faults: vec![ConfigFault::invalid("data_dir", detail)] })
            }
            Ok(config) => Ok(config),
            Err(faults) => Err(LoadError::Faulty { path, faults }),
        }
    }
}

/// The settings in this process's environment: the variables whose names begin with `CA__`, and `CA_SERVER_CONFIG`. Octets
/// that are not UTF-8 become U+FFFD, which no setting accepts.
#[expect(
    clippy::disallowed_methods,
    reason = "the wiring: the environment is read here and nowhere else in this crate"
)]
pub fn process_environment() -> Vec<(String, String)> {
    env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX) || name == CONFIG_VARIABLE)
        .collect()
}

fn is_same_folder(left: &Path, right: &Path) -> bool {
    left == right || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

fn listed(faults: &[ConfigFault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
