//! The traits through which flows reach the world. The engine owns them; adapters obey their contracts, which
//! `fake::contract` (feature `testkit`) checks.

pub mod anchor;
pub mod authorizer;
pub mod certificate_issuer;
pub mod certificate_target;
pub mod clock;
pub mod entropy;
pub mod external_keys;
pub mod keyring;
pub mod list_octets;
pub mod personal_data;
pub mod publisher;
pub mod revocation_hints;
pub mod shared_answers;
pub mod signer;
pub mod sink;
pub mod spool;
pub mod store;
pub mod wrapping_key;
