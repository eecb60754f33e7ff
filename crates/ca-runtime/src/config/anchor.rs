//! `[anchor]`: where what was published is kept outside the database.

use std::path::{Path, PathBuf};

use super::database::DatabaseConfig;
use super::settings::Settings;

const DEFAULT_FOLDER: &str = "anchor";

/// The anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorConfig {
    /// Its folder.
    pub dir: PathBuf,
    /// Whether every process of the service writes there: of an embedded record always, of one that replicas share when the
    /// operator named a folder, which then must be shared too.
    pub is_whole: bool,
}

impl AnchorConfig {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path, database: &DatabaseConfig) -> Self {
        let named = settings.text("anchor.dir").map(str::to_owned);
        if named.as_deref().is_some_and(str::is_empty) {
            settings.invalid("anchor.dir", "it is empty; name a folder, as in `/mnt/shared/anchor`");
        }
        let is_whole = named.is_some() || matches!(database, DatabaseConfig::Sqlite { .. });
        Self { dir: data_dir.join(named.as_deref().unwrap_or(DEFAULT_FOLDER)), is_whole }
    }
}
