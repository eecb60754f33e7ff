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
        /// The way to the server on which news of revocations is listened for, where that is another one: past a pooler.
        listen: Option<Box<PostgresOptions>>,
    },
}

const DEFAULT_FILE: &str = "ca.db";

impl DatabaseConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let fallback = || Self::Sqlite { path: data_dir.join(DEFAULT_FILE) };
        // Judged whatever the database is: what is wrong must not come to light when that changes.
        let listen = listen_options(settings, data_dir);
        let Some((key, url)) = url_of(settings, data_dir, "database.url", "database.url_file") else {
            return fallback();
        };
        // The URL may hold a password: no fault quotes it.
        let read = match is_postgres(&url) {
            true => postgres_options(&url).map(|options| Self::Postgres { options, listen }),
            false => sqlite_file(&url).map(|file| Self::Sqlite { path: data_dir.join(file) }),
        };
        read.unwrap_or_else(|problem| {
            settings.fault(key, problem);
            fallback()
        })
    }
}

/// The URL that one of two keys gives, and the key; a file that cannot be read is a fault.
pub(super) fn url_of(
    settings: &mut Settings,
    data_dir: &Path,
    direct: &'static str,
    by_file: &'static str,
) -> Option<(&'static str, Zeroizing<String>)> {
    let key = settings.one_of(direct, by_file)?;
    let text = settings.text(key).unwrap_or_default().to_owned();
    if key == direct {
        return Some((key, Zeroizing::new(text)));
    }
    let file = data_dir.join(text);
    match read_url(&file) {
        Ok(url) => Some((key, url)),
        Err(error) => {
            settings.invalid(by_file, format!("{} cannot be read: {error}", file.display()));
            None
        }
    }
}

fn listen_options(settings: &mut Settings, data_dir: &Path) -> Option<Box<PostgresOptions>> {
    let (key, url) = url_of(settings, data_dir, "database.listen_url", "database.listen_url_file")?;
    match postgres_options(&url) {
        Ok(options) if options.can_listen() => Some(options),
        Ok(_) => {
            settings.invalid(key, "nobody can listen through a pooler in transaction mode; name the server itself");
            None
        }
        Err(problem) => {
            settings.fault(key, problem);
            None
        }
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

fn postgres_options(url: &str) -> Result<Box<PostgresOptions>, ConfigProblem> {
    match PostgresOptions::parse(url) {
        Ok(options) => Ok(Box::new(options)),
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
