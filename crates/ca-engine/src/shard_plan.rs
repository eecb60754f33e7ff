//! Which shards an authority has, and under which URI each is: a value of the record, as JSON.
//!
//! A certificate names its shard's URI for as long as it lives, and the list must name the same, byte for byte (RFC 5280 §5.2.5,
//! §6.3.3 (b)(2)(i)). So what was once planned stays: a changed number or a changed base URL adds shards and moves none.

use ca_core::crl::{ListName, PartialScope};
use ca_core::id::AuthorityId;
use ca_core::serial::ShardNumber;
use serde_json::{Value, json};

/// The setting that holds an authority's plan.
pub fn setting_name(authority: &AuthorityId) -> String {
    format!("crl.shards.{authority}")
}

/// The shards of an authority, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardPlan {
    runs: Vec<Run>,
}

/// Shards whose numbers follow each other, under one base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    count: u32,
    base_url: String,
}

impl Run {
    fn shards(&self) -> impl Iterator<Item = ShardNumber> + '_ {
        (self.first..self.first.saturating_add(self.count)).filter_map(ShardNumber::new)
    }
}

impl ShardPlan {
    /// Every shard that there ever was.
    pub fn shards(&self) -> impl Iterator<Item = ShardNumber> + '_ {
        self.runs.iter().flat_map(Run::shards)
    }

    /// The shards that certificates are put into: the first so many under this base URL, as far as there are.
    pub fn in_use(&self, count: u32, base_url: &str) -> Vec<ShardNumber> {
        let runs = self.runs.iter().filter(|run| run.base_url == base_url);
        runs.flat_map(Run::shards).take(count as usize).collect()
    }

    /// The URI of a shard.
    pub fn uri(&self, authority: &AuthorityId, shard: ShardNumber) -> Option<String> {
        let run = self.runs.iter().find(|run| run.shards().any(|number| number == shard))?;
        let name = ListName::partial(authority.clone(), PartialScope::Shard(shard));
        Some(format!("{}/crl/{name}", run.base_url))
    }

    /// The plan with as many shards under this base URL as are wanted, or as there are numbers for; `None` when it has them.
    pub fn grown(&self, count: u32, base_url: &str) -> Option<Self> {
        let there = u32::try_from(self.in_use(count, base_url).len()).unwrap_or(count);
        let first = self.shards().last().map_or(1, |last| last.get() + 1);
        let missing = count.saturating_sub(there).min((ShardNumber::HIGHEST + 1).saturating_sub(first));
        if missing == 0 {
            return None;
        }
        let mut grown = self.clone();
        grown.runs.push(Run { first, count: missing, base_url: base_url.to_owned() });
        Some(grown)
    }

    /// As it stands in the record.
    pub fn to_json(&self) -> Vec<u8> {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| json!({ "base_url": run.base_url, "count": run.count, "first": run.first }))
            .collect();
        Value::from(runs).to_string().into_bytes()
    }

    /// Reads [`Self::to_json`]; `None` when it makes no sense.
    pub fn from_json(octets: &[u8]) -> Option<Self> {
        let runs: Vec<Value> = serde_json::from_slice(octets).ok()?;
        let mut plan = Self::default();
        let mut next = 1;
        for run in runs {
            let number = |field: &str| u32::try_from(run.get(field)?.as_u64()?).ok();
            let (first, count) = (number("first")?, number("count")?);
            let end = first.checked_add(count)?;
            // Each number once, in order.
            if first != next || count == 0 || end > ShardNumber::HIGHEST + 1 {
                return None;
            }
            next = end;
            plan.runs.push(Run { first, count, base_url: run.get("base_url")?.as_str()?.to_owned() });
        }
        Some(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "http://pki.example.org";
    const THERE: &str = "http://pki.example.com";

    fn numbers(shards: impl IntoIterator<Item = ShardNumber>) -> Vec<u32> {
        shards.into_iter().map(ShardNumber::get).collect()
    }

    fn plan(steps: &[(u32, &str)]) -> ShardPlan {
        let grow = |plan: ShardPlan, (count, base_url): &(u32, &str)| plan.grown(*count, base_url).unwrap_or(plan);
        steps.iter().fold(ShardPlan::default(), grow)
    }

    fn uri(plan: &ShardPlan, shard: u32) -> Option<String> {
        plan.uri(&"tls".parse().expect("an id"), ShardNumber::new(shard).expect("a shard"))
    }

    #[test]
    fn more_shards_are_added_and_fewer_take_none_away() {
        let four = plan(&[(4, HERE)]);
        assert_eq!(numbers(four.shards()), [1, 2, 3, 4]);
        assert_eq!(four.grown(4, HERE), None);
        assert_eq!(four.grown(2, HERE), None);
        assert_eq!(numbers(four.in_use(2, HERE)), [1, 2]);
        let six = plan(&[(4, HERE), (6, HERE)]);
        assert_eq!((numbers(six.shards()), numbers(six.in_use(6, HERE))), ((1..=6).collect(), (1..=6).collect()));
    }

    #[test]
    fn another_base_url_gets_shards_of_its_own_and_old_ones_keep_theirs() {
        let moved = plan(&[(2, HERE), (3, THERE), (4, HERE)]);
        assert_eq!(numbers(moved.in_use(3, THERE)), [3, 4, 5]);
        assert_eq!(numbers(moved.in_use(4, HERE)), [1, 2, 6, 7]);
        assert_eq!(uri(&moved, 2).as_deref(), Some("http://pki.example.org/crl/tls/2.crl"));
        assert_eq!(uri(&moved, 3).as_deref(), Some("http://pki.example.com/crl/tls/3.crl"));
        assert_eq!(uri(&moved, 7).as_deref(), Some("http://pki.example.org/crl/tls/7.crl"));
        assert_eq!(uri(&moved, 8), None);
    }

    #[test]
    fn numbers_end_at_the_highest() {
        let full = plan(&[(ShardNumber::HIGHEST - 1, HERE), (3, THERE)]);
        assert_eq!(numbers(full.in_use(3, THERE)), [ShardNumber::HIGHEST]);
        assert_eq!(full.grown(3, THERE), None);
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_nothing_else_is() {
        for steps in [&[][..], &[(4, HERE)], &[(4, HERE), (2, THERE), (5, HERE)]] {
            let plan = plan(steps);
            assert_eq!(ShardPlan::from_json(&plan.to_json()), Some(plan));
        }
        let others = [
            "",
            "{}",
            r#"[{"first":2,"count":1,"base_url":"http://a"}]"#,
            r#"[{"first":1,"count":0,"base_url":"http://a"}]"#,
            r#"[{"first":1,"count":16384,"base_url":"http://a"}]"#,
            r#"[{"first":1,"count":2,"base_url":"http://a"},{"first":2,"count":1,"base_url":"http://a"}]"#,
            r#"[{"first":1,"count":4294967295,"base_url":"http://a"}]"#,
            r#"[{"first":1,"count":1}]"#,
        ];
        for text in others {
            assert_eq!(ShardPlan::from_json(text.as_bytes()), None, "{text}");
        }
    }
}
