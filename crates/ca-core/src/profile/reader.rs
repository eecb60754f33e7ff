//! Reading TOML key by key, so that every fault of a profile is told at once with the path of its key.
//!
//! serde stops at the first fault; a person who corrects a file wants them all. Knows TOML, nothing of certificates.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use toml::{Table, Value};

use crate::time::Lifetime;

/// One fault of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFault {
    /// The key, `names.dns.within[2]`; empty when the text is not TOML at all.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Every fault of a profile, in the order of reading; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ProfileFaults(pub Vec<ProfileFault>);

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl fmt::Display for ProfileFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&faults.join("\n"))
    }
}

/// Takes the keys of one table, one after the other; what is left at [`Reader::finish`] is unknown.
pub(super) struct Reader<'f> {
    table: Table,
    path: String,
    faults: &'f mut Vec<ProfileFault>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(table: Table, path: String, faults: &'f mut Vec<ProfileFault>) -> Self {
        Self { table, path, faults }
    }

    /// Whether the key was given; only meaningful before it is taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Records a fault of a key of this table.
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.faults.push(ProfileFault { path, message: message.into() });
    }

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(value)) => value,
            Some(other) => {
                self.wrong_type(key, "true or false", &other);
                default
            }
        }
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        match self.table.remove(key)? {
            Value::Integer(value) => Some(value),
            other => {
                self.wrong_type(key, "a whole number", &other);
                None
            }
        }
    }

    /// A count between `least` and `most`, both allowed.
    pub(super) fn count(&mut self, key: &str, default: usize, least: usize, most: usize) -> usize {
        let Some(value) = self.integer(key) else { return default };
        match usize::try_from(value) {
            Ok(count) if (least..=most).contains(&count) => count,
            _ => {
                self.fault(key, format!("is {value}; give a number from {least} to {most}"));
                default
            }
        }
    }

    /// A number with or without a fraction.
    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        match self.table.remove(key)? {
            Value::Float(value) => Some(value),
            Value::Integer(value) => Some(value as f64),
            other => {
                self.wrong_type(key, "a number", &other);
                None
            }
        }
    }

    pub(super) fn string(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(value) => Some(value),
            other => {
                self.wrong_type(key, "a text in quotes", &other);
                None
            }
        }
    }

    /// A text that `T` can be read from.
    pub(super) fn parsed<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.string(key)?;
        text.parse().map_err(|error: T::Err| self.fault(key, error.to_string())).ok()
    }

    pub(super) fn lifetime(&mut self, key: &str) -> Option<Lifetime> {
        self.parsed(key)
    }

    /// A list of texts, each read by `read`; faults name the place in the list. Doubles are faults.
    pub(super) fn list<T: PartialEq>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut items = Vec::new();
        let values = match self.table.remove(key) {
            None => return items,
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.wrong_type(key, "a list of texts in quotes", &other);
                return items;
            }
        };
        for (index, value) in values.into_iter().enumerate() {
            let place = format!("{key}[{index}]");
            let Value::String(text) = value else {
                self.wrong_type(&place, "a text in quotes", &value);
                continue;
            };
            match read(&text) {
                Ok(item) if items.contains(&item) => self.fault(&place, format!("`{text}` is listed twice")),
                Ok(item) => items.push(item),
                Err(message) => self.fault(&place, message),
            }
        }
        items
    }

    /// The reader of a table inside this one, if it is there.
    pub(super) fn section(&mut self, key: &str) -> Option<Reader<'_>> {
        match self.table.remove(key)? {
            Value::Table(table) => {
                let path = self.path_of(key);
                Some(Reader { table, path, faults: self.faults })
            }
            other => {
                self.wrong_type(key, "a table", &other);
                None
            }
        }
    }

    /// Reports every key that nobody took; `known` is for the message.
    pub(super) fn finish(mut self, known: &[&str]) {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            self.fault(&key, format!("no such key; known here are {}", known.join(", ")));
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong_type(&mut self, key: &str, expected: &str, found: &Value) {
        self.fault(key, format!("is {} where {expected} belongs", article(found.type_str())));
    }
}

fn article(type_name: &str) -> String {
    match type_name {
        "array" | "integer" => format!("an {type_name}"),
        other => format!("a {other}"),
    }
}
