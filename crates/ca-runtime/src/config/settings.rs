//! File and environment, merged: which keys were set, to what, and where. What values mean is not known here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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

/// What was set, by key.
type Values = BTreeMap<&'static str, (Setting, Origin)>;

/// The settings that were made, by key, and the faults found so far. It holds secrets: it has no `Debug`.
pub(super) struct Settings {
    values: Values,
    /// Of the sections whose tables have names of the operator's: by section and name.
    named: BTreeMap<(&'static str, String), Values>,
    faults: Vec<ConfigFault>,
}

impl Settings {
    /// Reads both sources; the environment overrides the file.
    pub(super) fn read(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Self { values: BTreeMap::new(), named: BTreeMap::new(), faults: Vec::new() };
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
        if let Some((section, name, key, kind)) = keys::named(path) {
            match setting_of_file(kind, path, value) {
                Ok(setting) => self.set_named(section, name, key, (setting, Origin::File)),
                Err(problem) => self.faults.push(ConfigFault::new(shortened(path), problem)),
            }
            return;
        }
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
        if value.contains(char::REPLACEMENT_CHARACTER)
            && (keys::named(&path).is_some() || keys::kind_of(&path).is_some())
        {
            self.faults.push(ConfigFault::invalid(name, "its value is not UTF-8"));
            return;
        }
        if let Some((section, table, key, kind)) = keys::named(&path) {
            self.set_named(section, table, key, (setting_of_environment(kind, value), Origin::Environment));
            return;
        }
        let Some((key, kind)) = keys::KEYS.iter().find(|(known, _)| *known == path) else {
            let problem = match keys::not_yet(&path) {
                Some(what) => ConfigProblem::NotSupported { what },
                None => ConfigProblem::UnknownKey { nearest: nearest_key(&path).map(keys::environment_name) },
            };
            self.faults.push(ConfigFault::new(shortened(name), problem));
            return;
        };
        self.values.insert(key, (setting_of_environment(*kind, value), Origin::Environment));
    }

    fn set_named(&mut self, section: &'static str, name: &str, key: &'static str, setting: (Setting, Origin)) {
        self.named.entry((section, name.to_owned())).or_default().insert(key, setting);
    }

    /// The names that the operator gave to tables of a section, in order.
    pub(super) fn names_in(&self, section: &'static str) -> Vec<String> {
        self.named.keys().filter(|(known, _)| *known == section).map(|(_, name)| name.clone()).collect()
    }

    /// The text of a key in a named table.
    pub(super) fn text_in(&self, section: &'static str, name: &str, key: &'static str) -> Option<&str> {
        match self.named.get(&(section, name.to_owned()))?.get(key) {
            Some((Setting::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// A secret in a named table.
    pub(super) fn secret_in(&self, section: &'static str, name: &str, key: &'static str) -> Option<SecretString> {
        match self.named.get(&(section, name.to_owned()))?.get(key) {
            Some((Setting::Secret(secret), _)) => Some(secret.clone()),
            _ => None,
        }
    }

    /// Keeps a fault of a key in a named table, named as it was written.
    pub(super) fn invalid_in(
        &mut self,
        section: &'static str,
        name: &str,
        key: &'static str,
        detail: impl Into<String>,
    ) {
        let setting = self.named.get(&(section, name.to_owned())).and_then(|table| table.get(key));
        let written = match setting {
            Some((_, Origin::Environment)) => keys::environment_name_of_named(section, name, key),
            _ => format!("{section}.{name}.{key}"),
        };
        self.faults.push(ConfigFault::invalid(shortened(&written), detail));
    }

    /// The number of a key; `fallback` when it is absent or not in `range` (that fault is kept).
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u32>, fallback: u32) -> u32 {
        let Some(text) = self.text(key) else { return fallback };
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.invalid(key, format!("it must be a whole number from {} to {}", range.start(), range.end()));
                fallback
            }
        }
    }

    /// The flag of a key; off when it is absent or neither (that fault is kept).
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        match self.text(key) {
            Some("true") => true,
            None | Some("false") => false,
            Some(_) => {
                self.invalid(key, "it must be `true` or `false`");
                false
            }
        }
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

fn setting_of_environment(kind: Kind, value: String) -> Setting {
    match kind {
        Kind::Text | Kind::Number | Kind::Flag => Setting::Text(value),
        Kind::Secret => Setting::Secret(SecretString::from(value)),
        Kind::List => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            Setting::List(items.map(str::to_owned).collect())
        }
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
        (Kind::Number, Value::Integer(number)) => Ok(Setting::Text(number.to_string())),
        (Kind::Number, other) => Err(wrong_type("a whole number", &other)),
        (Kind::Flag, Value::Boolean(flag)) => Ok(Setting::Text(flag.to_string())),
        (Kind::Flag, other) => Err(wrong_type("`true` or `false`", &other)),
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
