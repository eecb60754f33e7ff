//! Lists: a page of items and where the next one begins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many items a page holds when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 100;

/// The most items that a page may hold.
pub const MAXIMUM_LIMIT: u32 = 1000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; null on the last one. Opaque, and bound to the filters it came with.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;
    use crate::golden;

    #[test]
    fn a_page_has_its_golden_shapes() {
        golden::round_trips::<Page<Certificate>>(include_str!("../testdata/page.json"));
        let last = golden::round_trips::<Page<Certificate>>(include_str!("../testdata/page_last.json"));
        assert_eq!(last.next_cursor, None);
    }
}
