//! `ca-server reseal`: another passphrase, AWS KMS instead of one, or back; alone on the data folder.

use anyhow::anyhow;
use ca_runtime::config::read_seal_key;
use ca_runtime::reseal::{self, FormerSeal};

use super::{load, say, warn};
use crate::args::{Global, ResealArgs};

pub(super) async fn reseal(global: &Global, args: &ResealArgs) -> anyhow::Result<()> {
    let mut former = Vec::new();
    for key in &args.from {
        former.push(FormerSeal::Kms(read_seal_key(key).map_err(|problem| anyhow!("--from {key}: {problem}"))?));
    }
    former.extend(args.from_passphrase_file.iter().cloned().map(FormerSeal::PassphraseFile));
    let moved = reseal::reseal(&load(global)?, &former).await?;
    let rooms: Vec<&str> = moved.data_keys.iter().map(|room| room.as_str()).collect();
    say(format!("sealed anew: the keys of {}", rooms.join(", ")));
    match moved.root_key {
        Some(path) => say(format!("sealed anew: {}", path.display())),
        None => warn(
            "the root's key is not here: what opened it before opens it still; keep that, or put the key back and run this again",
        ),
    }
    Ok(())
}
