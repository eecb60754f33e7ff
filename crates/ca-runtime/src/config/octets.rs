//! Numbers of octets: `64MiB`, `512KiB`, `1GiB`, or `0` for none.

/// What a number of octets looks like.
pub(super) const EXPECTED: &str =
    "not a number of octets; write a number and a unit, like 64MiB, 512KiB or 1GiB, or 0 for none";

/// Reads a number of octets; `None` when it is none, or more than this machine can count.
pub(super) fn parse(text: &str) -> Option<usize> {
    if text == "0" {
        return Some(0);
    }
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (digits, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let count: usize = digits.parse().ok().filter(|_| is_plain)?;
    count.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_a_number_with_a_binary_unit() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("512KiB"), Some(524_288));
        assert_eq!(parse("64MiB"), Some(67_108_864));
        assert_eq!(parse("1GiB"), Some(1_073_741_824));
    }

    #[test]
    fn refuses_what_could_mean_something_else() {
        for text in [
            "",
            "64",
            "MiB",
            "64MB",
            "64M",
            "-1KiB",
            "+1KiB",
            "1.5GiB",
            "64 MiB",
            "99999999999999999999KiB",
            "9999999999999GiB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
