//! Generations of an authority: after a rollover `tls` is followed by `tls-2`, which is an authority of its own in everything (key,
//! certificate, serial numbers, lists, responders) and of the same line. Only names live here; who issues is
//! [`crate::hierarchy::Hierarchy`]'s business.

use ca_core::id::{AuthorityId, IdError};

/// The line of an authority: the id of its first generation, which profiles and settings name.
pub fn line_of(id: &AuthorityId) -> AuthorityId {
    split(id.as_str()).and_then(|(line, _)| line.parse().ok()).unwrap_or_else(|| id.clone())
}

/// Which generation of `line` the authority `id` is: 1 for itself, 2 for `line-2` …; `None` when it is of another line.
pub fn generation_in(line: &AuthorityId, id: &AuthorityId) -> Option<u32> {
    match split(id.as_str()) {
        _ if id == line => Some(1),
        Some((first, number)) if first == line.as_str() => Some(number),
        _ => None,
    }
}

/// The id of a generation of `line`, from 1 on.
pub fn generation_id(line: &AuthorityId, number: u32) -> Result<AuthorityId, IdError> {
    match number {
        0 | 1 => Ok(line.clone()),
        later => format!("{line}-{later}").parse(),
    }
}

/// The line and the number in an id; none in that of a first generation. One number has one form: `tls-02` is no generation.
fn split(id: &str) -> Option<(&str, u32)> {
    let (line, text) = id.rsplit_once('-')?;
    let number = text.parse().ok().filter(|number: &u32| *number > 1 && number.to_string() == text)?;
    (!line.is_empty()).then_some((line, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AuthorityId {
        text.parse().expect("an id")
    }

    #[test]
    fn an_id_says_its_line_and_its_place_in_it() {
        let tls = id("tls");
        for (text, number) in [("tls", 1), ("tls-2", 2), ("tls-10", 10)] {
            assert_eq!(generation_in(&tls, &id(text)), Some(number));
            assert_eq!(generation_id(&tls, number), Ok(id(text)));
            assert_eq!(line_of(&id(text)), tls);
        }
        for stranger in ["document", "tls-", "tls-1", "tls-02", "tls-0", "tls-2-3", "tls-4294967296", "tls2"] {
            assert_eq!(generation_in(&tls, &id(stranger)), None, "{stranger}");
        }
        assert_eq!(line_of(&id("tls-2-3")), id("tls-2"));
    }
}
