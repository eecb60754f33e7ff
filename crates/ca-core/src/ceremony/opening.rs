//! What may be opened of what a ceremony sealed: a list and its responder, from a month before they begin until they end.

use thiserror::Error;

use super::transcript::{Entry, Summary};
use crate::time::{Lifetime, Timestamp};

/// How long before its time something may be opened: as long as it overlaps with what came before it.
const EARLY: Lifetime = Lifetime::from_days(30);

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Its name.
    pub file: String,
    /// The name of what it opens to.
    pub opens_to: String,
    /// SHA-256 of that, in hexadecimal digits.
    pub opens_to_sha256: String,
}

/// What may be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// From when on it may be used.
    pub begins: Timestamp,
    /// The list, and its responder's certificate and key.
    pub files: Vec<SealedFile>,
}

/// What is opened of list `number` at `now`, by what a whole transcript says.
pub fn opening(summary: &Summary, number: u64, now: Timestamp) -> Result<Opening, OpeningFault> {
    let sealed = |entry: &&Entry| entry.details.contains_key("opens_to");
    let number_of = |entry: &Entry| entry.details.get("number").and_then(|number| number.parse::<u64>().ok());
    let damaged = || OpeningFault::Damaged { number };
    let mut files = Vec::new();
    let mut period = None;
    for entry in summary.of("file").filter(sealed).filter(|entry| number_of(entry) == Some(number)) {
        let detail = |name: &str| entry.details.get(name).cloned().ok_or_else(damaged);
        let instant = |name: &str| Timestamp::parse_rfc3339(&detail(name)?).map_err(|_| damaged());
        let own = (instant("begins")?, instant("ends")?);
        if period.is_some_and(|known| known != own) {
            return Err(damaged());
        }
        period = Some(own);
        files.push(SealedFile {
            file: detail("file")?,
            opens_to: detail("opens_to")?,
            opens_to_sha256: detail("opens_to_sha256")?,
        });
    }
    let Some((begins, ends)) = period else {
        let mut there: Vec<u64> = summary.of("file").filter(sealed).filter_map(number_of).collect();
        there.dedup();
        return Err(OpeningFault::NotSealed { number, there });
    };
    if now < begins.minus(EARLY) {
        return Err(OpeningFault::TooEarly { number, begins, now });
    }
    if now >= ends {
        return Err(OpeningFault::Ended { number, ends, now });
    }
    Ok(Opening { begins, files })
}

/// Why a list is not opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpeningFault {
    /// There is none of that number.
    #[error("no list {number} was sealed in this ceremony; sealed were {}", numbers(.there))]
    NotSealed {
        /// The number.
        number: u64,
        /// Those that were.
        there: Vec<u64>,
    },
    /// Its time has not come.
    #[error(
        "list {number} is for the time from {begins} on, and now is {now}: leave it sealed until {}",
        begins.minus(EARLY)
    )]
    TooEarly {
        /// The number.
        number: u64,
        /// When it begins.
        begins: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Its time is over.
    #[error("list {number} ended at {ends}, and now is {now}: open the one after it, and destroy this one sealed")]
    Ended {
        /// The number.
        number: u64,
        /// When it ended.
        ends: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// The transcript is whole and does not say what is needed.
    #[error("the transcript does not say of list {number} for which time it is, or what it opens to")]
    Damaged {
        /// The number.
        number: u64,
    },
}

fn numbers(numbers: &[u64]) -> String {
    match numbers {
        [] => "none".to_owned(),
        numbers => numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    }
}
