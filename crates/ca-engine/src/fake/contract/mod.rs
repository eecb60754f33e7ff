//! Contract suites: what every adapter of a port must do, fakes and real ones alike, so that a fake cannot lie.
//!
//! Each suite is a list of small cases; a case is named after its rule and gets an adapter of its own, freshly made. A suite
//! runs all its cases and then panics with the names of the rules that were broken. No suite needs a runtime.

pub mod anchor;
mod case;
pub mod certificate_target;
pub mod keyring;
pub mod publisher;
pub mod shared_answers;
pub mod signer;
pub mod store;

pub use anchor::check_anchor;
pub use certificate_target::check_certificate_target;
pub use keyring::check_keyring;
pub use publisher::check_publisher;
pub use shared_answers::check_shared_answers;
pub use signer::check_signer;
pub use store::check_store;
