//! Moves the data keys from seal to seal, or anew under the same: another passphrase, a passphrase to KMS and back, another key of KMS,
//! or a key that was rotated. The data keys themselves stay, and so does what they seal.
//!
//! Each is opened by whatever opens it and wrapped under the seal that is wanted, one after the other. Cut off anywhere, it is run
//! again: what was moved already opens by the new seal. A server that runs meanwhile has its keys open; one that starts in between
//! finds keys under two seals, and says so.

use std::sync::Arc;

use ca_engine::port::entropy::Entropy;
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::store::AuthorityStore;
use ca_engine::port::wrapping_key::WrappingPurpose;

use super::data_key::DataKey;
use super::error::SealError;
use super::room::DataKeyRoom;
use super::seals::{Seal, Seals, WrappingKeys};
use super::wrapped_key::WrappedKey;
use super::wrapping::setting_name;

/// Every data key, those that only full replicas hold first: who cannot open them moves nothing.
const ROOMS: [DataKeyRoom; 3] =
    [DataKeyRoom::Keys(KeyRoom::Authorities), DataKeyRoom::PersonalData, DataKeyRoom::Keys(KeyRoom::Responders)];

/// Wraps every data key anew under `wanted`. `former` are seals that may have been in use before. Returns what was moved.
pub async fn reseal(
    store: &dyn AuthorityStore,
    wanted: &Seals,
    former: &[Seal],
    entropy: &dyn Entropy,
) -> Result<Vec<DataKeyRoom>, SealError> {
    let authorities = wanted.authorities.as_ref().unwrap_or(&wanted.responders);
    let mut opening = WrappingKeys::default();
    // Of its own, so that nothing is wrapped under a key that was in use before.
    let mut wrapping = WrappingKeys::default();
    let candidates = candidates(wanted, former);
    // All of them are opened before one is changed: what does not open must not be found out halfway.
    let mut opened = Vec::new();
    for room in ROOMS {
        let Some(record) = store.setting(setting_name(room)).await? else { continue };
        let wrapped = WrappedKey::from_record(&record).ok_or(SealError::UnreadableRecord { room })?;
        let seal = if room == DataKeyRoom::Keys(KeyRoom::Responders) { &wanted.responders } else { authorities };
        let data_key = open(&mut opening, room, seal, &candidates, &wrapped).await?;
        opened.push((room, seal, record, data_key));
    }
    if opened.is_empty() {
        return Err(SealError::NotInitialised);
    }
    let mut moved = Vec::new();
    for (room, seal, record, data_key) in opened {
        let (protection, wrapping_key) = wrapping.current(seal, entropy).await?;
        let wrapped = WrappedKey::wrap(room, &data_key, protection, &wrapping_key, entropy)?;
        if !store.set_setting(setting_name(room), Some(&record), wrapped.to_record().as_bytes()).await? {
            return Err(SealError::ChangedMeanwhile { room });
        }
        moved.push(room);
    }
    Ok(moved)
}

/// Every seal that may open something: a key elsewhere for either purpose, since responders may have had a seal of their own before,
/// or none.
fn candidates(wanted: &Seals, former: &[Seal]) -> Vec<Seal> {
    let all = wanted.authorities.iter().chain([&wanted.responders]).chain(former);
    all.flat_map(|seal| match seal {
        Seal::Passphrase(_) => vec![seal.clone()],
        Seal::External(key, _) => [WrappingPurpose::Authorities, WrappingPurpose::Responders]
            .map(|purpose| Seal::External(Arc::clone(key), purpose))
            .to_vec(),
    })
    .collect()
}

/// Opens a data key by the first seal that does.
async fn open(
    keys: &mut WrappingKeys,
    room: DataKeyRoom,
    wanted: &Seal,
    candidates: &[Seal],
    wrapped: &WrappedKey,
) -> Result<DataKey, SealError> {
    let mut complaint = None;
    for seal in candidates.iter().filter(|seal| seal.fits(&wrapped.protection)) {
        match keys.open(room, seal, wrapped).await {
            Ok(data_key) => return Ok(data_key),
            Err(error) => complaint = Some(error),
        }
    }
    Err(complaint.unwrap_or_else(|| SealError::OtherSeal {
        room,
        by: wrapped.protection.to_string(),
        configured: wanted.to_string(),
    }))
}
