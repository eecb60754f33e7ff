//! Where a record comes from: its generation, and the restorations that it went through. A value of the record, as JSON.

use std::collections::BTreeMap;

use ca_core::time::{Lifetime, Timestamp};
use serde_json::{Value, json};

use crate::port::anchor::Generation;

/// The setting that holds a record's lineage.
pub const LINEAGE: &str = "record.lineage";

/// The setting that says whether a record was restored and not yet compared with its anchor; whoever loads a backup sets it to
/// [`RESTORED`] together with the rows.
pub const RESTORATION: &str = "record.restoration";

/// The value of [`RESTORATION`] from the restoration until the record was brought up to its anchor.
pub const RESTORED: &[u8] = b"pending";

/// The value of [`RESTORATION`] afterwards.
pub const SETTLED: &[u8] = b"settled";

/// `notBefore` lies so much before the issuance, and clocks may be off by a little.
const MARGIN: Lifetime = Lifetime::from_seconds(3_600);

/// Where a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The generation it is in.
    pub generation: Generation,
    /// Up to which number of the sequence its revocations are in the anchor under earlier generations.
    pub base: u64,
    /// Earlier generations, and up to which number of its sequence the record holds each.
    pub covered: BTreeMap<Generation, u64>,
    /// The restorations, oldest first.
    pub restorations: Vec<Restoration>,
}

/// That a record was set back and brought up to its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// The newest event that the backup had: what was issued later is not on record.
    pub since: Timestamp,
    /// When it was brought up.
    pub until: Timestamp,
    /// Whether there was an anchor. Without one nobody knows what was revoked in that time.
    pub with_anchor: bool,
}

impl Lineage {
    /// The lineage of a record that was never restored.
    pub fn first(generation: Generation) -> Self {
        Self { generation, base: 0, covered: BTreeMap::new(), restorations: Vec::new() }
    }

    /// The restoration that may have lost a certificate whose validity begins at `not_before`, if there is one: whatever was
    /// issued at another time is on record, or is none of this service's.
    pub fn restoration_that_lost(&self, not_before: Timestamp) -> Option<&Restoration> {
        self.restorations
            .iter()
            .rev()
            .find(|restoration| restoration.since.minus(MARGIN) <= not_before && not_before <= restoration.until)
    }

    /// As it stands in the record.
    pub fn to_json(&self) -> Vec<u8> {
        let covered: serde_json::Map<String, Value> =
            self.covered.iter().map(|(generation, sequence)| (generation.to_string(), json!(sequence))).collect();
        let restorations: Vec<Value> = self
            .restorations
            .iter()
            .map(|restoration| {
                json!({
                    "since": restoration.since.unix_millis(),
                    "until": restoration.until.unix_millis(),
                    "with_anchor": restoration.with_anchor,
                })
            })
            .collect();
        let lineage = json!({
            "generation": self.generation.to_string(),
            "base": self.base,
            "covered": covered,
            "restorations": restorations,
        });
        lineage.to_string().into_bytes()
    }

    /// Reads that; `None` when it makes no sense.
    pub fn from_json(octets: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(octets).ok()?;
        let covered = value.get("covered")?.as_object()?;
        let restorations = value.get("restorations")?.as_array()?;
        Some(Self {
            generation: value.get("generation")?.as_str()?.parse().ok()?,
            base: value.get("base")?.as_u64()?,
            covered: covered
                .iter()
                .map(|(generation, sequence)| Some((generation.parse().ok()?, sequence.as_u64()?)))
                .collect::<Option<_>>()?,
            restorations: restorations.iter().map(restoration).collect::<Option<_>>()?,
        })
    }
}

fn restoration(value: &Value) -> Option<Restoration> {
    let instant = |name| Some(Timestamp::from_unix_millis(value.get(name)?.as_i64()?));
    Some(Restoration {
        since: instant("since")?,
        until: instant("until")?,
        with_anchor: value.get("with_anchor")?.as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage() -> Lineage {
        let at = Timestamp::from_unix_seconds;
        Lineage {
            generation: Generation::from_bytes([1; 16]),
            base: 7,
            covered: BTreeMap::from([(Generation::from_bytes([2; 16]), 9)]),
            restorations: vec![Restoration { since: at(100_000), until: at(200_000), with_anchor: true }],
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        assert_eq!(Lineage::from_json(&lineage().to_json()), Some(lineage()));
        let first = Lineage::first(Generation::from_bytes([3; 16]));
        assert_eq!(Lineage::from_json(&first.to_json()), Some(first));
        for spoiled in ["", "{}", "[]", r#"{"generation":"00","base":0,"covered":{},"restorations":[]}"#] {
            assert_eq!(Lineage::from_json(spoiled.as_bytes()), None, "{spoiled}");
        }
    }

    #[test]
    fn only_what_was_issued_between_backup_and_restoration_can_be_lost() {
        let at = Timestamp::from_unix_seconds;
        for (not_before, lost) in [(90_000, false), (97_000, true), (150_000, true), (200_000, true), (200_001, false)]
        {
            assert_eq!(lineage().restoration_that_lost(at(not_before)).is_some(), lost, "{not_before}");
        }
    }
}
