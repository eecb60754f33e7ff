//! `[database]`: where the record is.

use std::io;
use std::path::{Path, PathBuf};

use ca_store::{OpenError, PostgresOptions};
use zeroize::Zeroizing;

use super::fault::ConfigProblem;
use super::settings::Settings;
use crate::file::{self, Links};

/// The record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DatabaseConfig {
    /// An SQLite file.
    Sqlite {
        /// Its path.
        path: PathBuf,
    },
    /// A database of a PostgreSQL server, for one replica or many.
    Postgres {
        /// Where it is, and as whom; nothing shows its password.
        options: Box<PostgresOptions>,
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
        let read = match is_postgres(&url) {
            true => postgres_options(&url),
            false => sqlite_file(&url).map(|file| Self::Sqlite { path: data_dir.join(file) }),
        };
        read.unwrap_or_else(|problem| {
            settings.fault(key, problem);
            fallback()
        })
    }
}

fn read_url(file: &Path) -> io::Result<Zeroizing<String>> {
    let octets = file::read_private(file, Links::Follow)?.ok_or(io::ErrorKind::NotFound)?;
    let text = std::str::from_utf8(&octets).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn is_postgres(url: &str) -> bool {
    ["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme))
}

fn postgres_options(url: &str) -> Result<DatabaseConfig, ConfigProblem> {
    match PostgresOptions::parse(url) {
        Ok(options) => Ok(DatabaseConfig::Postgres { options: Box::new(options) }),
        Err(OpenError::Address { detail }) => Err(ConfigProblem::Invalid {
            detail: format!("{detail}; write it like `postgres://user@host:5432/name?sslmode=verify-full`"),
        }),
        Err(error) => Err(ConfigProblem::Invalid { detail: error.to_string() }),
    }
}

fn sqlite_file(url: &str) -> Result<&str, ConfigProblem> {
    let invalid = |detail: &str| ConfigProblem::Invalid { detail: detail.to_owned() };
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(invalid("not the URL of a database; write it like `sqlite:ca.db` or `postgres://user@host/name`"));
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
