//! Golden files: a shape on the wire, as text that was written by hand and must not change by accident.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads `text` as a `T` and demands that writing it gives the same JSON, no field more, fewer or different.
pub(crate) fn round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) -> T {
    let golden: Value = serde_json::from_str(text).expect("a golden file is JSON");
    let value: T = serde_json::from_str(text).expect("a golden file is of its shape");
    assert_eq!(serde_json::to_value(&value).expect("a wire value is JSON"), golden);
    let again: T = serde_json::from_value(golden).expect("what was written can be read");
    assert_eq!(again, value);
    value
}

/// Why `text` is refused as a `T`.
pub(crate) fn refusal<T: DeserializeOwned + Debug>(text: &str) -> String {
    serde_json::from_str::<T>(text).expect_err("must be refused").to_string()
}
