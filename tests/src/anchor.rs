//! The folder of the anchor, as it lies on the disk.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::client::eventually;

/// Within this time the anchor has what was committed, once it can be written.
const ANCHORED: Duration = Duration::from_secs(60);

/// Everything that lies in the anchor's logs.
pub fn anchored(folder: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&anchored(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(text)
}

/// Waits until the anchor has every one of these serials.
pub async fn wait_for(folder: &Path, serials: &[&str]) -> anyhow::Result<()> {
    let all = || async {
        let text = anchored(folder)?;
        Ok(serials.iter().all(|serial| text.contains(serial)).then_some(()))
    };
    eventually(ANCHORED, "the anchor has every revocation", all).await
}
