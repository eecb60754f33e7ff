//! `ca-server backup FILE`: the record in one encrypted file, while the service goes on.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ca_runtime::backup::back_up;
use ca_runtime::config::PassphraseSource;
use ca_runtime::file::Existing;
use ca_runtime::seal::Passphrase;

use super::{load, say, warn};
use crate::args::{BackupArgs, Global};

pub(super) async fn backup(global: &Global, args: &BackupArgs) -> anyhow::Result<()> {
    let config = load(global)?;
    let passphrase = read_passphrase(&args.passphrase_file)?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let progress = Progress::new("backed up");
    let octets = back_up(&config, &passphrase, &args.file, existing, &|octets| progress.tell(octets)).await?;
    say(format!("{}: a backup of {}, encrypted", args.file.display(), size(octets)));
    say(
        "not in it, and needed to use it: the passphrase of this file; the passphrase of the seal, without which every key in it is",
    );
    say("lost; the root's key; the configuration; the anchor, with which a restored record is compared");
    say(format!("to restore it elsewhere: ca-server restore {} --passphrase-file FILE", args.file.display()));
    Ok(())
}

pub(super) fn read_passphrase(path: &Path) -> anyhow::Result<Passphrase> {
    Ok(Passphrase::read(&PassphraseSource::File(path.to_path_buf()))?)
}

/// Tells the person at the terminal how far it is, once a second.
pub(super) struct Progress {
    what: &'static str,
    told_at: Mutex<Instant>,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "tells a person how far a command is, and nothing depends on it")]
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, told_at: Mutex::new(Instant::now()) }
    }

    pub(super) fn tell(&self, octets: u64) {
        let Ok(mut told_at) = self.told_at.lock() else { return };
        let passed = told_at.elapsed();
        if passed >= Duration::from_secs(1) {
            warn(format!("{} {} …", size(octets), self.what));
            *told_at += passed;
        }
    }
}

/// As people read it.
pub(super) fn size(octets: u64) -> String {
    match octets {
        0..1_024 => format!("{octets} octets"),
        1_024..1_048_576 => format!("{} KiB", octets / 1_024),
        _ => format!("{} MiB", octets / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!([size(0), size(1_023), size(1_024)], ["0 octets", "1023 octets", "1 KiB"]);
        assert_eq!([size(1_048_575), size(5 << 30)], ["1023 KiB", "5120 MiB"]);
    }
}
