//! Nonces that the service gives out and takes back without keeping them: their end and some randomness under a MAC. That each is used
//! once, the record sees to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::hash::{digests_equal, hmac_sha256, sha256};
use crate::time::{Lifetime, Timestamp};

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Lifetime = Lifetime::from_seconds(300);

/// A nonce that this service made and whose end has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundNonce {
    /// SHA-256 of its text: what is remembered of one that was used.
    pub sha256: [u8; 32],
    /// Until when it is good, and has to be remembered.
    pub expires_at: Timestamp,
}

/// Makes a nonce of 16 random octets that is good until `expires_at`.
pub fn make_nonce(key: &[u8; 32], random: [u8; 16], expires_at: Timestamp) -> String {
    let mut octets = expires_at.unix_millis().to_be_bytes().to_vec();
    octets.extend(random);
    let tag = tag(key, &octets);
    octets.extend(tag);
    URL_SAFE_NO_PAD.encode(octets)
}

/// Takes a nonce back that came with a request.
pub fn check_nonce(key: &[u8; 32], text: &str, now: Timestamp) -> Result<SoundNonce, NonceFault> {
    let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| NonceFault::NotOurs)?;
    let (said, shown) = octets.split_last_chunk::<32>().ok_or(NonceFault::NotOurs)?;
    if !digests_equal(shown, &tag(key, said)) {
        return Err(NonceFault::NotOurs);
    }
    let (end, _) = said.split_first_chunk::<8>().ok_or(NonceFault::NotOurs)?;
    let expires_at = Timestamp::from_unix_millis(i64::from_be_bytes(*end));
    if now >= expires_at {
        return Err(NonceFault::Expired);
    }
    Ok(SoundNonce { sha256: sha256(text.as_bytes()), expires_at })
}

fn tag(key: &[u8; 32], octets: &[u8]) -> [u8; 32] {
    hmac_sha256(key, &[b"renewal nonce\0", octets].concat())
}

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NonceFault {
    /// The service never made it.
    #[error("the nonce is none that this service made")]
    NotOurs,
    /// It is too old.
    #[error("the nonce is older than five minutes")]
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

    #[test]
    fn a_nonce_is_good_until_its_end_and_under_its_own_key() {
        let end = NOW.plus(NONCE_LIFETIME);
        let nonce = make_nonce(&[1; 32], [7; 16], end);
        let sound = check_nonce(&[1; 32], &nonce, NOW).expect("sound");
        assert_eq!(sound, SoundNonce { sha256: sha256(nonce.as_bytes()), expires_at: end });
        assert_eq!(check_nonce(&[1; 32], &nonce, end), Err(NonceFault::Expired));
        assert_eq!(check_nonce(&[2; 32], &nonce, NOW), Err(NonceFault::NotOurs));
        assert_ne!(nonce, make_nonce(&[1; 32], [8; 16], end));
    }

    #[test]
    fn a_nonce_that_was_changed_is_none() {
        let nonce = make_nonce(&[1; 32], [7; 16], NOW.plus(NONCE_LIFETIME));
        let octets = URL_SAFE_NO_PAD.decode(&nonce).expect("base64url");
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(check_nonce(&[1; 32], &changed, NOW), Err(NonceFault::NotOurs), "octet {place}");
        }
        // Another spelling of the same octets would be another nonce to whoever remembers.
        for text in [format!("{nonce}="), format!(" {nonce}"), String::new(), "AAAA".to_owned()] {
            assert_eq!(check_nonce(&[1; 32], &text, NOW), Err(NonceFault::NotOurs), "{text}");
        }
    }
}
