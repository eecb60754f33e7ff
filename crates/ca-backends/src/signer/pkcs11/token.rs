//! A token: where it is, and the one login that all sessions of this process share.

use std::sync::{Arc, Mutex};

use ca_core::pkcs11_uri::{Pkcs11Attribute, Pkcs11Uri};
use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use super::fault::{TokenFault, is_about_pin, is_code, said};
use super::module::{Module, Visit, hold};
use super::pin::{self, RefusedPin};
use super::session::OpenSession;
use super::settings::TokenSettings;

/// A token that may be there or not.
pub(super) struct Token {
    settings: TokenSettings,
    /// A URI of a key in it; only what it says of the token is looked at.
    uri: Pkcs11Uri,
    keeper: Mutex<Keeper>,
}

/// The session that keeps the login: it ends when the last session of a process does (PKCS #11 §5.6.8).
#[derive(Default)]
struct Keeper {
    session: Option<(OpenSession, Slot)>,
    refused: RefusedPin,
}

impl Token {
    pub(super) fn new(settings: TokenSettings, uri: Pkcs11Uri) -> Self {
        Self { settings, uri, keeper: Mutex::default() }
    }

    pub(super) fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// The token, for messages.
    pub(super) fn name(&self) -> String {
        let named =
            |attribute| self.uri.text(attribute).map(|value| format!("{}={value}", Pkcs11Attribute::as_str(attribute)));
        [Pkcs11Attribute::Token, Pkcs11Attribute::Serial].into_iter().filter_map(named).collect::<Vec<_>>().join(" ")
    }

    /// The token's module, loaded.
    pub(super) fn module(&self) -> Result<Arc<Module>, TokenFault> {
        Module::load(&self.settings)
    }

    /// A session of a token that is logged in, one that reads or one that writes, and the token's slot.
    pub(super) fn open(
        &self,
        module: &Arc<Module>,
        visit: &Visit<'_>,
        writes: bool,
    ) -> Result<(OpenSession, Slot), TokenFault> {
        let slot = self.log_in(module, visit)?;
        let session = self.open_session(visit.context(), slot, writes)?;
        Ok((OpenSession::new(session, Arc::clone(module), visit), slot))
    }

    /// Forgets the login: what it stood on was lost.
    pub(super) fn forget_login(&self, generation: u64) {
        let mut keeper = hold(&self.keeper);
        if keeper.session.as_ref().is_some_and(|(session, _)| session.generation() == generation) {
            keeper.session = None;
        }
    }

    /// Makes sure that the process is logged in, once however many ask.
    fn log_in(&self, module: &Arc<Module>, visit: &Visit<'_>) -> Result<Slot, TokenFault> {
        let mut keeper = hold(&self.keeper);
        if let Some((session, slot)) = &keeper.session
            && session.visit().is_some_and(|(_, session)| self.is_logged_in(session))
        {
            return Ok(*slot);
        }
        keeper.session = None;
        let (slot, info) = self.find_slot(visit.context())?;
        let session = self.open_session(visit.context(), slot, false)?;
        self.show_pin(&mut keeper.refused, &session, &info)?;
        keeper.session = Some((OpenSession::new(session, Arc::clone(module), visit), slot));
        Ok(slot)
    }

    fn is_logged_in(&self, session: &Session) -> bool {
        let needs_login = !matches!(self.settings.pin, super::settings::PinSource::None);
        session.get_session_info().is_ok_and(|info| {
            !needs_login || matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser)
        })
    }

    fn show_pin(&self, refused: &mut RefusedPin, session: &Session, info: &TokenInfo) -> Result<(), TokenFault> {
        let pin = match pin::read(&self.settings)? {
            Some(pin) => pin,
            None if info.login_required() && !info.protected_authentication_path() => {
                let configured_as = self.settings.configured_as.clone();
                let variable =
                    format!("CA__{}__PIN", configured_as.replace('.', "__").replace('-', "_").to_uppercase());
                return Err(TokenFault::PinMissing { configured_as, variable });
            }
            None => return Ok(()),
        };
        if let Some(verdict) = refused.verdict(&pin) {
            return Err(verdict);
        }
        // A wrong PIN now would lock the token for good.
        if info.user_pin_locked() || info.user_pin_final_try() {
            return Err(TokenFault::PinAtRisk);
        }
        match session.login(UserType::User, Some(&pin::for_module(&pin))) {
            Ok(()) => Ok(()),
            Err(error) if is_code(&error, RvError::UserAlreadyLoggedIn) => Ok(()),
            Err(error) if is_about_pin(&error) => {
                let fault = TokenFault::PinRefused { place: pin::place(&self.settings), said: said(&error) };
                refused.remember(pin, fault.clone());
                tracing::error!(token = self.name(), "{fault}");
                Err(fault)
            }
            Err(error) => Err(TokenFault::of_call(&error)),
        }
    }

    fn open_session(&self, context: &Pkcs11, slot: Slot, writes: bool) -> Result<Session, TokenFault> {
        let opened = if writes { context.open_rw_session(slot) } else { context.open_ro_session(slot) };
        opened.map_err(|error| match is_code(&error, RvError::SessionCount) {
            true => TokenFault::Sessions { configured_as: self.settings.configured_as.clone(), said: said(&error) },
            false => TokenFault::of_call(&error),
        })
    }

    /// The slot whose token the URI names. Slots change their numbers, so it is looked for each time.
    fn find_slot(&self, context: &Pkcs11) -> Result<(Slot, TokenInfo), TokenFault> {
        let lost = |error| TokenFault::of_call(&error);
        let mut seen = Vec::new();
        let mut matching = Vec::new();
        if self.is_by_library(context) {
            for slot in context.get_slots_with_token().map_err(lost)? {
                // One that goes away while it is looked at is not there.
                let Ok(info) = context.get_token_info(slot) else { continue };
                if !info.token_initialized() {
                    continue;
                }
                if self.names(&info) && self.is_in_slot(context, slot) {
                    matching.push((slot, info));
                } else {
                    seen.push(info.label().trim_end().to_owned());
                }
            }
        }
        match matching.len() {
            1 => matching.pop().ok_or(TokenFault::Hung),
            0 => Err(TokenFault::TokenAbsent {
                token: self.name(),
                configured_as: self.settings.configured_as.clone(),
                seen,
            }),
            _ => Err(TokenFault::TokenAmbiguous { token: self.name() }),
        }
    }

    fn names(&self, info: &TokenInfo) -> bool {
        self.says(Pkcs11Attribute::Token, info.label())
            && self.says(Pkcs11Attribute::Serial, info.serial_number())
            && self.says(Pkcs11Attribute::Model, info.model())
            && self.says(Pkcs11Attribute::Manufacturer, info.manufacturer_id())
    }

    fn is_in_slot(&self, context: &Pkcs11, slot: Slot) -> bool {
        let of_slot = [Pkcs11Attribute::SlotId, Pkcs11Attribute::SlotDescription, Pkcs11Attribute::SlotManufacturer];
        if of_slot.iter().all(|attribute| self.uri.text(*attribute).is_none()) {
            return true;
        }
        let Ok(info) = context.get_slot_info(slot) else { return false };
        self.says(Pkcs11Attribute::SlotId, &slot.id().to_string())
            && self.says(Pkcs11Attribute::SlotDescription, info.slot_description())
            && self.says(Pkcs11Attribute::SlotManufacturer, info.manufacturer_id())
    }

    fn is_by_library(&self, context: &Pkcs11) -> bool {
        let of_library = [
            Pkcs11Attribute::LibraryManufacturer,
            Pkcs11Attribute::LibraryDescription,
            Pkcs11Attribute::LibraryVersion,
        ];
        if of_library.iter().all(|attribute| self.uri.text(*attribute).is_none()) {
            return true;
        }
        let Ok(info) = context.get_library_info() else { return false };
        self.says(Pkcs11Attribute::LibraryManufacturer, info.manufacturer_id())
            && self.says(Pkcs11Attribute::LibraryDescription, info.library_description())
            && self.says(Pkcs11Attribute::LibraryVersion, &info.library_version().to_string())
    }

    /// Whether the URI says this of an attribute, or nothing. Fields of PKCS #11 are padded with blanks.
    fn says(&self, attribute: Pkcs11Attribute, value: &str) -> bool {
        self.uri.text(attribute).is_none_or(|wanted| wanted.trim_end() == value.trim_end())
    }
}
