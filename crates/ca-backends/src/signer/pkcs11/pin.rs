//! PINs: where they are read, and which one must not be tried again.

use std::fs;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::fault::TokenFault;
use super::settings::{PinSource, TokenSettings};

/// A PIN that the token refused. Tokens count wrong ones and lock, so the same is never shown twice.
#[derive(Default)]
pub(super) struct RefusedPin(Option<(Zeroizing<String>, TokenFault)>);

impl RefusedPin {
    /// Keeps in mind that the token refused a PIN.
    pub(super) fn remember(&mut self, pin: Zeroizing<String>, fault: TokenFault) {
        self.0 = Some((pin, fault));
    }

    /// What the token said of this PIN, if it was refused before.
    pub(super) fn verdict(&self, pin: &str) -> Option<TokenFault> {
        self.0.as_ref().filter(|(refused, _)| refused.as_str() == pin).map(|(_, fault)| fault.clone())
    }
}

/// The PIN as it is now; `None` where none is configured.
pub(super) fn read(settings: &TokenSettings) -> Result<Option<Zeroizing<String>>, TokenFault> {
    let pin = match &settings.pin {
        PinSource::None => return Ok(None),
        PinSource::Environment { pin, .. } => pin.clone(),
        PinSource::File(path) => {
            let unreadable = |detail: String| TokenFault::PinUnreadable { place: path.display().to_string(), detail };
            // A named pipe in its place would hang whoever opens it.
            if !fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.is_file() {
                return Err(unreadable("it is not a regular file".to_owned()));
            }
            let octets = Zeroizing::new(fs::read(path).map_err(|error| unreadable(error.to_string()))?);
            let text = std::str::from_utf8(&octets).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
    };
    if pin.is_empty() {
        return Err(TokenFault::PinUnreadable { place: place(settings), detail: "it is empty".to_owned() });
    }
    Ok(Some(pin))
}

/// Where the PIN is, for messages.
pub(super) fn place(settings: &TokenSettings) -> String {
    match &settings.pin {
        PinSource::File(path) => path.display().to_string(),
        PinSource::Environment { variable, .. } => variable.clone(),
        PinSource::None => "no place".to_owned(),
    }
}

/// The PIN as a module takes it; wiped when dropped.
pub(super) fn for_module(pin: &str) -> AuthPin {
    AuthPin::new(pin.into())
}
