//! `[policies]`: where the operator's profiles are.

use std::path::{Path, PathBuf};

use super::settings::Settings;

/// Where policies come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoliciesConfig {
    /// A folder with `profiles/*.toml`; the built-in profiles alone when absent.
    pub dir: Option<PathBuf>,
}

impl PoliciesConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        Self { dir: settings.text("policies.dir").map(|dir| data_dir.join(dir)) }
    }
}
