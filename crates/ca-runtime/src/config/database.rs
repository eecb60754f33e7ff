//! `[database]`: where the record is.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::fault::ConfigProblem;
use super::settings::Settings;
use crate::file::{self, Links};

/// The record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseConfig {
    /// An SQLite file.
    Sqlite {
        /// Its path.
        path: PathBuf,
    },
}

const DEFAULT_FILE: &str = "ca.db";

impl DatabaseConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let fallback = || Self::Sqlite { path: data_dir.join(DEFAULT_FILE) };
        let (key, url) = match settings.one_of("database.url", "database.url_file") {
            None => return fallback(),
            Some("database.url_file") => {
                let file = data_dir.join(settings.text("database.url_file").unwrap_or_default());
                match read_url(&file) {
                    Ok(url) => ("database.url_file", url),
                    Err(error) => {
                        settings.invalid("database.url_file", format!("{} cannot be read: {error}", file.display()));
                        return fallback();
                    }
                }
            }
            Some(_) => ("database.url", Zeroizing::new(settings.text("database.url").unwrap_or_default().to_owned())),
        };
        // The URL may hold a password: no fault quotes it.
        match sqlite_file(&url) {
            Ok(file) => Self::Sqlite { path: data_dir.join(file) },
            Err(problem) => {
                settings.fault(key, problem);
                fallback()
            }
        }
    }
}

fn read_url(file: &Path) -> io::Result<Zeroizing<String>> {
    let octets = file::read_private(file, Links::Follow)?.ok_or(io::ErrorKind::NotFound)?;
    let text = std::str::from_utf8(&octets).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn sqlite_file(url: &str) -> Result<&str, ConfigProblem> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err(ConfigProblem::NotSupported {
            what: "the record is an SQLite file, as in `sqlite:ca.db`; PostgreSQL comes later",
        });
    }
    let invalid = |detail: &str| ConfigProblem::Invalid { detail: detail.to_owned() };
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(invalid("not the URL of a database; write it like `sqlite:ca.db`"));
    };
    let file = rest.strip_prefix("//").unwrap_or(rest);
    if file.is_empty() || file.starts_with(':') {
        return Err(invalid("names no file: a record in memory would be lost; write it like `sqlite:ca.db`"));
    }
    if file.contains(['?', '#', '%']) {
        return Err(invalid("an SQLite URL is `sqlite:` and a path here, without parameters and escapes"));
    }
    Ok(file)
}
