//! SQL that makes several changes of one kind by one trip to the database's thread.
//!
//! The trip there and back costs more than most changes; a string of statements goes by one.

/// `sql`, whose parameters are `$1` to `$parameters`, once for each of `copies`: the second copy's parameters follow the first's.
///
/// Parameters must be written `$N`: with `?N` a statement that leaves a number out has a parameter without a name, and sqlx then
/// counts wrong and binds NULL to later ones.
pub(super) fn repeated(sql: &str, parameters: usize, copies: usize) -> String {
    let mut string = String::with_capacity((sql.len() + 16) * copies);
    for copy in 0..copies {
        let mut parts = sql.split('$');
        string.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = part.split_at(digits);
            // Cannot fail: a `$` is followed by a short number; the tests run every string that is given.
            let number = number.parse::<usize>().unwrap_or_default() + copy * parameters;
            string.push('$');
            string.push_str(&number.to_string());
            string.push_str(rest);
        }
    }
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_has_parameters_of_its_own() {
        assert_eq!(repeated("A $1, $12; B $1;", 12, 2), "A $1, $12; B $1;A $13, $24; B $13;");
        assert_eq!(repeated("A;", 0, 2), "A;A;");
    }
}
