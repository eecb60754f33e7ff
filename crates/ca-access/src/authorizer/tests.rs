//! The table of who may do what, and how policies are loaded.
use super::*;

#[test]
fn the_shipped_policy_loads() {
    CedarAuthorizer::shipped().expect("the shipped texts are faultless");
}
