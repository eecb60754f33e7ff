//! What a section found, as a table: each row with its spread, its target and whether it holds, or how often ours goes into
//! the peer's.

use std::fmt;

use crate::spread::{Cost, Spread};

/// What is measured, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds.
    Time,
    /// Octets.
    Memory,
    /// Events a second.
    Rate,
}

/// A quantity for people.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantity(Unit, f64);

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, value) = *self;
        let text = match unit {
            Unit::Time if value < 1e-3 => format!("{:.1} µs", value * 1e6),
            Unit::Time if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Unit::Time => format!("{value:.2} s"),
            Unit::Memory => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Rate => format!("{value:.0}/s"),
        };
        f.pad(&text)
    }
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    /// It is told, and nothing is asked of it.
    Informative,
    /// Ours: at most so much.
    Target(f64),
    /// Ours: at most so many times what the peer takes in the same run.
    Ratio { times: f64, peer: f64 },
    /// Somebody else's, and ours beside it.
    Peer { ours: f64 },
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    what: String,
    unit: Unit,
    value: Spread,
    wall: Option<Spread>,
    standing: Standing,
}

impl Row {
    /// A quantity of which nothing is asked.
    pub(crate) fn of(what: impl Into<String>, unit: Unit, value: Spread) -> Self {
        Self { what: what.into(), unit, value, wall: None, standing: Standing::Informative }
    }

    /// Processor time, with the wall time beside it.
    pub(crate) fn cost(what: impl Into<String>, cost: Cost) -> Self {
        Self { wall: Some(cost.wall), ..Self::of(what, Unit::Time, cost.processor) }
    }

    /// The same with a target: at most `limit`, in the row's unit.
    #[must_use]
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { standing: Standing::Target(limit), ..self }
    }

    /// The same with a target that a peer of the same run gives: at most `times` what it takes. So a machine that is slow, or
    /// slow just now, moves both.
    #[must_use]
    pub(crate) fn at_most_times(self, times: f64, peer: Spread) -> Self {
        Self { standing: Standing::Ratio { times, peer: peer.median }, ..self }
    }

    /// The same as a peer's, beside `ours` of the same unit.
    #[must_use]
    pub(crate) fn beside(self, ours: Spread) -> Self {
        Self { standing: Standing::Peer { ours: ours.median }, ..self }
    }

    /// What the row may not be above, in its unit.
    fn limit(&self) -> Option<f64> {
        match self.standing {
            Standing::Target(limit) => Some(limit),
            Standing::Ratio { times, peer } => Some(times * peer),
            Standing::Informative | Standing::Peer { .. } => None,
        }
    }

    fn misses(&self) -> bool {
        // Not-a-number holds nothing.
        self.limit().is_some_and(|limit| limit.is_nan() || self.value.median.is_nan() || self.value.median > limit)
    }

    fn verdict(&self) -> String {
        let word = if self.misses() { "MISSES" } else { "holds" };
        match self.standing {
            Standing::Informative => String::new(),
            Standing::Target(limit) => format!("≤ {:<10} {word}", Quantity(self.unit, limit).to_string()),
            Standing::Ratio { times, peer } => {
                let limit = Quantity(self.unit, times * peer).to_string();
                format!("≤ {limit:<10} {word}: {:.2} × the peer's, at most {times:.2}", self.value.median / peer)
            }
            Standing::Peer { ours } if self.unit == Unit::Rate => format!("ours is {:.1} ×", ours / self.value.median),
            Standing::Peer { ours } => format!("{:.1} × ours", self.value.median / ours),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = |value| Quantity(self.unit, value);
        let spread = if self.value.least < self.value.most {
            format!("{} – {}", quantity(self.value.least), quantity(self.value.most))
        } else {
            String::new()
        };
        let wall = self.wall.map_or_else(String::new, |wall| Quantity(Unit::Time, wall.median).to_string());
        let line = format!(
            "  {:<66} {:>10}  {spread:<23} {wall:>10}  {}",
            self.what,
            quantity(self.value.median),
            self.verdict()
        );
        f.write_str(line.trim_end())
    }
}

/// What a section found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a row.
    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a line of text below the table: what is compared, and what could not be measured.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a peer's row, or why there is none.
    pub(crate) fn peer(&mut self, row: anyhow::Result<Row>) {
        match row {
            Ok(row) => self.row(row),
            Err(error) => self.note(format!("NOT MEASURED: {error:#}")),
        }
    }

    /// How many targets are missed.
    pub(crate) fn misses(&self) -> usize {
        self.rows.iter().filter(|row| row.misses()).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<66} {:>10}  {:<23} {:>10}  target, or peer beside ours",
            "", "median", "least – most", "wall"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  · {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(value: f64) -> Spread {
        Spread { median: value, least: value, most: value }
    }

    #[test]
    fn a_target_holds_up_to_its_limit_and_no_further() {
        let row = |value| Row::of("x", Unit::Time, exactly(value)).at_most(35e-6);
        assert!(!row(35e-6).misses() && row(35.1e-6).misses() && row(f64::NAN).misses());
        assert!(row(30e-6).to_string().ends_with("≤ 35.0 µs    holds"));
        assert!(row(40e-6).to_string().ends_with("MISSES"));
    }

    #[test]
    fn a_ratio_holds_beside_a_peer_however_slow_the_machine() {
        let row = |value, peer| Row::of("x", Unit::Time, exactly(value)).at_most_times(1.15, exactly(peer));
        assert!(!row(110e-6, 96e-6).misses() && !row(220e-6, 192e-6).misses());
        assert!(row(111e-6, 96e-6).misses() && row(90e-6, 60e-6).misses() && row(1e-6, f64::NAN).misses());
        assert!(row(96e-6, 96e-6).to_string().ends_with("≤ 110.4 µs   holds: 1.00 × the peer's, at most 1.15"));
    }

    #[test]
    fn a_report_counts_what_it_misses_and_says_what_is_missing() {
        let mut report = Report::default();
        report.row(Row::of("slow", Unit::Time, exactly(2.0)).at_most(1.0));
        report.row(Row::of("told", Unit::Memory, exactly(2.0)));
        report.peer(Err(anyhow::anyhow!("there is no openssl")));
        assert_eq!(report.misses(), 1);
        assert!(report.to_string().contains("NOT MEASURED: there is no openssl"));
    }

    #[test]
    fn peers_are_told_by_how_often_ours_goes_into_theirs() {
        let time = Row::of("openssl", Unit::Time, exactly(62e-6)).beside(exactly(31e-6));
        assert!(time.to_string().ends_with("2.0 × ours"));
        let rate = Row::of("other", Unit::Rate, exactly(500.0)).beside(exactly(2_000.0));
        assert!(rate.to_string().ends_with("ours is 4.0 ×"));
    }
}
