//! File and environment, merged: which keys were set, to what, and where. What values mean is not known here.

use std::collections::BTreeMap;

use ca_core::time::Lifetime;
use secrecy::SecretString;
use toml::{Table, Value};

use super::fault::{ConfigFault, ConfigProblem};
use super::keys::{self, Kind};
use super::nearest::nearest_key;
use super::octets;

/// Where a setting was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    Environment,
}

enum Setting {
    Text(String),
    List(Vec<String>),
    Secret(SecretString),
}

/// The settings that were made, by key, and the faults found so far. It holds secrets: it has no `Debug`.
pub(super) struct Settings {
    values: BTreeMap<&'static str, (Setting, Origin)>,
    faults: Vec<ConfigFault>,
}

impl Settings {
    /// Reads both sources; the environment overrides the file.
    pub(super) fn read(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Self { values: BTreeMap::new(), faults: Vec::new() };
        match text.parse::<Table>() {
            Ok(table) => settings.read_table("", table),
            Err(error) => settings.faults.push(not_toml(text, &error)),
        }
        let mut pairs: Vec<(String, String)> = environment.into_iter().collect();
        pairs.sort_unstable();
        for (name, value) in pairs {
            settings.read_variable(&name, value);
        }
        settings
    }

    fn read_table(&mut self, prefix: &str, table: Table) {
        for (name, value) in table {
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) if keys::is_section(&path) && keys::kind_of(&path).is_none() => {
                    self.read_table(&path, inner);
                }
                value => self.read_entry(&path, value),
            }
        }
    }

    fn read_entry(&mut self, path: &str, value: Value) {
        let Some((key, kind)) = keys::KEYS.iter().find(|(known, _)| *known == path) else {
            let problem = match keys::not_yet(path) {
                Some(what) => ConfigProblem::NotSupported { what },
                None if keys::is_section(path) => {
                    ConfigProblem::WrongType { expected: "a table of keys", found: value.type_str() }
                }
                None => ConfigProblem::UnknownKey { nearest: nearest_key(path).map(str::to_owned) },
            };
            self.faults.push(ConfigFault::new(shortened(path), problem));
            return;
        };
        match setting_of_file(*kind, key, value) {
            Ok(setting) => {
                self.values.insert(key, (setting, Origin::File));
            }
            Err(problem) => self.faults.push(ConfigFault::new(*key, problem)),
        }
    }

    fn read_variable(&mut self, name: &str, value: String) {
        let Some(path) = keys::path_of_environment_name(name) else { return };
        let Some((key, kind)) = keys::KEYS.iter().find(|(known, _)| *known == path) else {
            let problem = match keys::not_yet(&path) {
                Some(what) => ConfigProblem::NotSupported { what },
                None => ConfigProblem::UnknownKey { nearest: nearest_key(&path).map(keys::environment_name) },
            };
            self.faults.push(ConfigFault::new(shortened(name), problem));
            return;
        };
        if value.contains(char::REPLACEMENT_CHARACTER) {
            self.faults.push(ConfigFault::invalid(name, "its value is not UTF-8"));
            return;
        }
        let setting = match kind {
            Kind::Text => Setting::Text(value),
            Kind::Secret => Setting::Secret(SecretString::from(value)),
            Kind::List => {
                let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
                Setting::List(items.map(str::to_owned).collect())
            }
        };
        self.values.insert(key, (setting, Origin::Environment));
    }

    /// Where a key was set, if it was.
    pub(super) fn origin(&self, key: &'static str) -> Option<Origin> {
        self.values.get(key).map(|(_, origin)| *origin)
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &'static str) -> Option<&str> {
        match self.values.get(key) {
            Some((Setting::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub(super) fn list(&self, key: &'static str) -> Option<Vec<String>> {
        match self.values.get(key) {
            Some((Setting::List(items), _)) => Some(items.clone()),
            _ => None,
        }
    }

    /// A secret.
    pub(super) fn secret(&self, key: &'static str) -> Option<SecretString> {
        match self.values.get(key) {
            Some((Setting::Secret(secret), _)) => Some(secret.clone()),
            _ => None,
        }
    }

    /// The lifetime of a key; `fallback` when it is absent or faulty (the fault is kept). Zero is refused.
    pub(super) fn lifetime(&mut self, key: &'static str, fallback: Lifetime) -> Lifetime {
        let lifetime = match self.text(key).map(str::parse) {
            None => return fallback,
            Some(Ok(Lifetime::ZERO)) => {
                Err("it is zero; write a number and a unit, like 90d, 12h, 30m or 10s".to_owned())
            }
            Some(Ok(lifetime)) => Ok(lifetime),
            Some(Err(error)) => Err(error.to_string()),
        };
        lifetime.unwrap_or_else(|detail| {
            self.invalid(key, detail);
            fallback
        })
    }

    /// The octets of a key; `fallback` when it is absent or faulty (the fault is kept).
    pub(super) fn octets(&mut self, key: &'static str, fallback: usize) -> usize {
        let Some(text) = self.text(key) else { return fallback };
        octets::parse(text).unwrap_or_else(|| {
            self.invalid(key, octets::EXPECTED);
            fallback
        })
    }

    /// Keeps a fault of a key, named as it was written.
    pub(super) fn invalid(&mut self, key: &'static str, detail: impl Into<String>) {
        self.fault(key, ConfigProblem::Invalid { detail: detail.into() });
    }

    /// Keeps a fault of a key, named as it was written.
    pub(super) fn fault(&mut self, key: &'static str, problem: ConfigProblem) {
        self.faults.push(ConfigFault::new(self.written_as(key), problem));
    }

    /// The key as it was written.
    pub(super) fn written_as(&self, key: &'static str) -> String {
        match self.origin(key) {
            Some(Origin::Environment) => keys::environment_name(key),
            _ => key.to_owned(),
        }
    }

    /// Of two keys that exclude each other, the one that holds: the environment's before the file's. Both in one place is a
    /// fault.
    pub(super) fn one_of(&mut self, first: &'static str, second: &'static str) -> Option<&'static str> {
        match (self.origin(first), self.origin(second)) {
            (None, None) => None,
            (Some(_), None) | (Some(Origin::Environment), Some(Origin::File)) => Some(first),
            (None, Some(_)) | (Some(Origin::File), Some(Origin::Environment)) => Some(second),
            (Some(_), Some(_)) => {
                let other = self.written_as(second);
                self.invalid(first, format!("both it and `{other}` are set; set one of them"));
                None
            }
        }
    }

    /// `value`, or every fault.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<ConfigFault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }
}

fn setting_of_file(kind: Kind, key: &str, value: Value) -> Result<Setting, ConfigProblem> {
    let wrong_type = |expected, found: &Value| ConfigProblem::WrongType { expected, found: found.type_str() };
    match (kind, value) {
        (Kind::Secret, _) => Err(ConfigProblem::SecretInFile {
            instead: format!("put it into a file named by `{key}_file`, or into {}", keys::environment_name(key)),
        }),
        (Kind::Text, Value::String(text)) if carries_password(&text) => Err(ConfigProblem::SecretInFile {
            instead: match keys::kind_of(&format!("{key}_file")) {
                Some(_) => {
                    format!(
                        "put the whole URL into a file named by `{key}_file`, or into {}",
                        keys::environment_name(key)
                    )
                }
                None => "leave the password out of the URL".to_owned(),
            },
        }),
        (Kind::Text, Value::String(text)) => Ok(Setting::Text(text)),
        (Kind::Text, other) => Err(wrong_type("a string", &other)),
        (Kind::List, Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                other => Err(wrong_type("an array of strings", &other)),
            })
            .collect::<Result<_, _>>()
            .map(Setting::List),
        (Kind::List, other) => Err(wrong_type("an array of strings", &other)),
    }
}

/// Whether a text is a URL with a password in its user information (RFC 3986 §3.2.1).
fn carries_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The last `@` ends the user information, so that a password with an unescaped `@` is found too.
    authority.rsplit_once('@').is_some_and(|(user_information, _)| user_information.contains(':'))
}

/// The parser's message without the line it quotes: that may hold a secret.
fn not_toml(text: &str, error: &toml::de::Error) -> ConfigFault {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let detail = error.message().lines().next().unwrap_or_default().to_owned();
    ConfigFault::new("configuration file", ConfigProblem::NotToml { line, column, detail })
}

/// At most 100 characters of a key that somebody else wrote.
fn shortened(path: &str) -> String {
    path.chars().take(100).collect()
}
