//! Keys in a token behind PKCS #11: CloudHSM, YubiHSM, SoftHSM.
//!
//! Calls of a module block, so they are made on threads of their own: `pool` hands them `work` and bounds what waits, `worker` has a
//! session each and opens it anew when it or its token was lost, `token` finds the token and keeps one login for all of them,
//! `module` loads a module once in a process. `objects` looks keys up and makes them. What the configuration says is in
//! `settings`, which is there without the feature too.

#[cfg(feature = "backend-pkcs11")]
mod fault;
#[cfg(feature = "backend-pkcs11")]
mod module;
#[cfg(feature = "backend-pkcs11")]
mod objects;
#[cfg(feature = "backend-pkcs11")]
mod pin;
#[cfg(feature = "backend-pkcs11")]
mod pool;
#[cfg(feature = "backend-pkcs11")]
mod session;
mod settings;
#[cfg(feature = "backend-pkcs11")]
mod signer;
#[cfg(all(test, feature = "backend-pkcs11"))]
mod tests;
#[cfg(feature = "backend-pkcs11")]
mod token;
#[cfg(feature = "backend-pkcs11")]
mod work;
#[cfg(feature = "backend-pkcs11")]
mod worker;

#[cfg(feature = "backend-pkcs11")]
pub use module::close_modules;
pub use settings::{ModulePlace, PinSource, TokenSettings};
#[cfg(feature = "backend-pkcs11")]
pub use signer::{Pkcs11Signer, Pkcs11Tokens};
