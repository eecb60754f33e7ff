//! The rules of `xtask/layers.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What may import what.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// Every crate of the workspace.
    pub(crate) crates: BTreeMap<String, CrateRule>,
    /// Of a pure crate: the only crates from outside that it may import. A crate that is not named here is not bound.
    #[serde(default)]
    pub(crate) externals: BTreeMap<String, Vec<String>>,
    /// Of a crate: its top-level modules in rows, the lowest first. A crate that is not named here has no order but must
    /// have no cycle.
    #[serde(default)]
    pub(crate) rooms: BTreeMap<String, Vec<Vec<String>>>,
}

/// Where a crate stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CrateRule {
    /// Its layer; imports go to lower layers only.
    pub(crate) layer: u8,
    /// The crates of the workspace that it may import.
    pub(crate) imports: Vec<String>,
}

impl Rules {
    /// Reads the rules from their file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not as it should be", path.display()))
    }
}
