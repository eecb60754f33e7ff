//! When it is told that a certificate ends soon: which of the times before its end have come.
//!
//! Values in, values out. Whether somebody sees to it by itself is not known here.

use crate::managed::RenewBefore;
use crate::time::{Lifetime, Timestamp, Validity};

/// The notice that is due at `now`: how long before the end, the nearest to it of those whose time has come. `None` while none has, and
/// once the end has come: then it is no news.
pub fn due(now: Timestamp, validity: Validity, before: &[RenewBefore]) -> Option<Lifetime> {
    if now > validity.not_after {
        return None;
    }
    let left = validity.not_after.since(now);
    before.iter().map(|before| before.of(validity)).filter(|before| left <= *before).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_to_the_end_of_those_that_have_come_and_none_after_it() {
        let start = Timestamp::from_unix_seconds(1_795_176_000);
        let validity = Validity { not_before: start, not_after: start.plus(Lifetime::from_days(60)) };
        let before = ["1/6", "1/20", "20d"].map(|text| text.parse().expect("a time"));
        let at = |days: u64| due(start.plus(Lifetime::from_days(days)), validity, &before);
        assert_eq!(at(39), None);
        assert_eq!(at(40), Some(Lifetime::from_days(20)));
        assert_eq!(at(50), Some(Lifetime::from_days(10)));
        assert_eq!([at(57), at(60)], [Some(Lifetime::from_days(3)); 2]);
        assert_eq!(at(61), None);
        assert_eq!(due(validity.not_after, validity, &[]), None);
    }
}
