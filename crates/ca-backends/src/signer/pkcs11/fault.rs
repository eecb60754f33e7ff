//! What goes wrong between a process and a key in a token, and what of it passes when a session is opened anew.

use std::path::PathBuf;
use std::time::Duration;

use ca_core::key::{KeyError, KeyType};
use ca_core::time::Lifetime;
use ca_engine::port::signer::SignerError;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use thiserror::Error;

/// Why a token did not do what it was asked. No PIN is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TokenFault {
    #[error(
        "the PKCS #11 module `{module}` of [{configured_as}] is not there (looked for: {}); install it, or correct `module`",
        listed(looked_for)
    )]
    ModuleMissing { module: String, configured_as: String, looked_for: Vec<PathBuf> },
    #[error("{} cannot be used as a PKCS #11 module: {detail}", path.display())]
    ModuleUnusable { path: PathBuf, detail: String },
    #[error(
        "the module {} was initialised with other `module_arguments`: a process initialises a module once, so every token of it must be given the same",
        path.display()
    )]
    ModuleArguments { path: PathBuf },
    #[error("the PKCS #11 module does not return from a call; it is waited for no longer")]
    Hung,
    #[error(
        "no token {token} ([{configured_as}]): plug it in, start what connects to it, or correct the URI; the module shows {}",
        shown(seen)
    )]
    TokenAbsent { token: String, configured_as: String, seen: Vec<String> },
    #[error("several tokens are {token}; add `serial=…` to the URI")]
    TokenAmbiguous { token: String },
    #[error("the PIN in {place} cannot be read: {detail}")]
    PinUnreadable { place: String, detail: String },
    #[error(
        "the token asks for a PIN and [{configured_as}] has none; name a file with it by `pin_file`, or set `{variable}`"
    )]
    PinMissing { configured_as: String, variable: String },
    #[error(
        "the token refused the PIN in {place} ({said}); it is not tried again, because tokens lock: put the right PIN there, and if it comes by the environment, restart"
    )]
    PinRefused { place: String, said: String },
    #[error(
        "the token says that its PIN is locked, or would be by one more wrong one; unlock it with the tools of its maker, or log in with them once, then restart"
    )]
    PinAtRisk,
    #[error(
        "the token {token} has no private key {key}; correct `object` or `id` in the URI, or say by `key_type` what kind `ca-server init` is to make"
    )]
    KeyMissing { token: String, key: String },
    #[error(
        "the private key {key} was in the token {token} and cannot be found there any more: put the token back, or the key into it"
    )]
    KeyGone { token: String, key: String },
    #[error("the token has several private keys {key}; name one by `id=…`")]
    KeyAmbiguous { key: String },
    #[error("the token has a key {key} already, and none is made over it")]
    KeyPresent { key: String },
    #[error(
        "the key {key} in the token is not the one of the authority's certificate (it is {found}, the certificate has {expected}); put the right key there, or correct the URI"
    )]
    WrongKey { key: String, found: String, expected: String },
    #[error(
        "the signature that the token made does not verify by the key of the authority's certificate: {key} is another key; put the right one there, or correct the URI"
    )]
    WrongSignature { key: String },
    #[error("the token does not tell the public part of {key}; import it as a public key with the same label or id")]
    NoPublicPart { key: String },
    #[error("the key {key} is of a kind that is not supported: {detail}")]
    UnsupportedKey { key: String, detail: String },
    #[error("the token cannot make {algorithm} signatures ({mechanism}); use a key type that it can, or another token")]
    Mechanism { algorithm: String, mechanism: &'static str },
    #[error("the token refused to sign by {key}: {said}")]
    Refused { key: String, said: String },
    #[error(
        "all sessions of the token are taken ({said}); lower `sessions` of [{configured_as}], or close what else uses the token"
    )]
    Sessions { configured_as: String, said: String },
    #[error("the token was lost ({said})")]
    Lost { said: String },
    #[error("{waiting} signatures wait for the token {token} already")]
    Busy { token: String, waiting: usize },
    #[error("the token {token} gave no answer for {waited:?}")]
    NoAnswer { token: String, waited: Duration },
    #[error("no thread for the token could be started: {detail}")]
    Thread { detail: String },
}

impl TokenFault {
    /// What a failed call means, when nothing is known but the call.
    pub(super) fn of_call(error: &Error) -> Self {
        Self::Lost { said: said(error) }
    }

    /// What a failed signature by `key` means: whether it is the request that cannot be, or the token that is gone.
    pub(super) fn of_signing(error: &Error, key: &str) -> Self {
        match error {
            Error::Pkcs11(
                RvError::MechanismInvalid
                | RvError::MechanismParamInvalid
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::KeyTypeInconsistent
                | RvError::KeyFunctionNotPermitted
                | RvError::KeySizeRange
                | RvError::FunctionNotSupported
                | RvError::ActionProhibited,
                _,
            ) => Self::Refused { key: key.to_owned(), said: said(error) },
            _ => Self::of_call(error),
        }
    }

    /// Whether a session that is opened anew, or a module that is initialised anew, may do better. `was_found`: the key was there
    /// before, so that its absence is that of its token.
    pub(super) fn may_pass(&self, was_found: bool) -> bool {
        match self {
            Self::Lost { .. } | Self::TokenAbsent { .. } | Self::Sessions { .. } => true,
            Self::KeyMissing { .. } => was_found,
            _ => false,
        }
    }

    /// The same as the engine is told: what passes by itself, and what somebody must mend.
    pub(super) fn into_signer_error(self) -> SignerError {
        let detail = self.to_string();
        match self {
            Self::Busy { .. } => SignerError::Busy { detail, retry_after: Some(COME_BACK) },
            Self::NoAnswer { .. }
            | Self::ModuleMissing { .. }
            | Self::ModuleUnusable { .. }
            | Self::Hung
            | Self::TokenAbsent { .. }
            | Self::KeyGone { .. }
            | Self::Sessions { .. }
            | Self::Lost { .. }
            | Self::Thread { .. } => SignerError::Unavailable { detail },
            _ => SignerError::Refused { detail },
        }
    }

    pub(super) fn unsupported(key: &str, error: &KeyError) -> Self {
        Self::UnsupportedKey { key: key.to_owned(), detail: error.to_string() }
    }

    pub(super) fn wrong_key(key: &str, found: KeyType, expected: KeyType) -> Self {
        let found = if found == expected { format!("another {found} key") } else { format!("{found}") };
        Self::WrongKey { key: key.to_owned(), found, expected: expected.to_string() }
    }
}

/// When to come back to a token that has too much to do.
const COME_BACK: Lifetime = Lifetime::from_seconds(1);

/// What a module said, in the words of the standard.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("C_{function:?} said {code:?}"),
        other => other.to_string(),
    }
}

/// Whether a module said this, of whichever call.
pub(super) fn is_code(error: &Error, wanted: RvError) -> bool {
    matches!(error, Error::Pkcs11(code, _) if *code == wanted)
}

/// Whether a session is known to be gone, so that its number may be another's by now and must not be closed.
pub(super) fn is_of_gone_session(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(RvError::SessionHandleInvalid | RvError::SessionClosed | RvError::CryptokiNotInitialized, _)
    )
}

/// Whether C_Login says that the PIN, and nothing else, is at fault.
pub(super) fn is_about_pin(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized,
            Function::Login
        )
    )
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn shown(labels: &[String]) -> String {
    if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
}
