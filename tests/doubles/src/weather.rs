//! Faults by chance, from a seed: of so many requests in a thousand so many are throttled, fail inside, or hear nothing.

use crate::server::Fault;

/// How often requests fail, in thousandths, and the state of the chance that decides it.
#[derive(Clone, Debug)]
pub struct Weather {
    state: u64,
    throttled: u64,
    broken: u64,
    silent: u64,
}

impl Weather {
    /// So many thousandths of throttling (400 `ThrottlingException`), of failures inside (500 and 503 in turns), and of silence.
    pub fn new(seed: u64, throttled: u64, broken: u64, silent: u64) -> Self {
        Self { state: seed, throttled, broken, silent }
    }

    /// What becomes of the next request.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        let number = self.number();
        let drawn = number % 1_000;
        let throttled = self.throttled;
        let broken = throttled + self.broken;
        let silent = broken + self.silent;
        match drawn {
            drawn if drawn < throttled => Some(Fault::Refuse(400, "ThrottlingException")),
            drawn if drawn < broken => Some(match (number >> 32) % 3 {
                0 => Fault::Refuse(500, "KMSInternalException"),
                1 => Fault::Refuse(503, "DependencyTimeoutException"),
                // Done, and the answer is a failure all the same.
                _ => Fault::RefuseAfterwards(500, "KMSInternalException"),
            }),
            drawn if drawn < silent => Some(Fault::Silence),
            _ => None,
        }
    }

    /// SplitMix64.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_for_the_same_seed_and_as_bad_as_it_was_told() {
        let of = |seed| -> Vec<Option<Fault>> {
            let mut weather = Weather::new(seed, 100, 20, 10);
            (0..10_000).map(|_| weather.next()).collect()
        };
        let drawn = of(7);
        assert_eq!(drawn, of(7));
        assert_ne!(drawn, of(8));
        let count = |wanted: fn(&Fault) -> bool| drawn.iter().flatten().filter(|fault| wanted(fault)).count();
        let throttled = count(|fault| *fault == Fault::Refuse(400, "ThrottlingException"));
        let silent = count(|fault| *fault == Fault::Silence);
        let all = count(|_| true);
        assert!((900..1_100).contains(&throttled), "{throttled}");
        assert!((70..130).contains(&silent), "{silent}");
        assert!((150..250).contains(&(all - throttled - silent)), "{all}");
    }
}
