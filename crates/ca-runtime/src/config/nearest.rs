//! The known key that a misspelled one was probably meant to be.

use super::keys::KEYS;

/// The known key nearest to `path`, if one is near enough to be worth a hint: a third of its letters wrong at most.
pub(super) fn nearest_key(path: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|(known, _)| (distance(path, known), *known))
        .filter(|(edits, known)| edits * 3 <= known.len())
        .min()
        .map(|(_, known)| known)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn one text into the other (optimal string
/// alignment distance). Texts of more than 100 characters are far from everything.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len() > 100 || right.len() > 100 {
        return usize::MAX / 3;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut current = vec![row];
        for column in 1..=right.len() {
            let replaced = usize::from(left[row - 1] != right[column - 1]);
            let mut edits = (last[column - 1] + replaced).min(last[column] + 1).min(current[column - 1] + 1);
            let swapped =
                row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1];
            if swapped {
                edits = edits.min(before_last[column - 2] + 1);
            }
            current.push(edits);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_at_the_key_that_was_meant() {
        assert_eq!(nearest_key("listen.ap"), Some("listen.api"));
        assert_eq!(nearest_key("lsiten.api"), Some("listen.api"));
        assert_eq!(nearest_key("status.ocsp_valdity"), Some("status.ocsp_validity"));
        assert_eq!(nearest_key("authority.tsl.key"), Some("authority.tls.key"));
        assert_eq!(nearest_key("colour"), None);
        assert_eq!(nearest_key(&"x".repeat(10_000)), None);
    }

    #[test]
    fn counts_edits() {
        for (left, right, edits) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
