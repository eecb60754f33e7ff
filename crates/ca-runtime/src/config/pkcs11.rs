//! `[pkcs11.NAME]`: how this host reaches a token and what opens it, a table each. A URI says which key; what it says of the way
//! to it (RFC 7512 §2.4) holds where no table does, and neither goes on record.

use std::path::{Path, PathBuf};

use ca_backends::signer::pkcs11::{ModulePlace, PinSource, TokenSettings};
use ca_core::pkcs11_uri::{Pkcs11Attribute, Pkcs11Uri, TokenReach};
use secrecy::ExposeSecret;

use super::authority::{AuthoritiesConfig, KeyPlan};
use super::keys;
use super::settings::Settings;

/// The ways to tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Config {
    tables: Vec<Table>,
    /// What the authorities' own URIs say.
    uris: Vec<Pkcs11Uri>,
    /// Where all of it was said, when that is no configuration.
    said_in: Option<&'static str>,
}

/// A table: of the token with this label.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    name: String,
    token: String,
    module: Option<ModulePlace>,
    module_arguments: Option<String>,
    pin: Option<PinSource>,
    sessions: u8,
}

const SECTION: &str = "pkcs11";
const DEFAULT_SESSIONS: u8 = 4;
const MOST_SESSIONS: u8 = 64;

impl Pkcs11Config {
    pub(super) fn read(settings: &mut Settings, data_dir: &Path, authorities: &AuthoritiesConfig) -> Self {
        let names = settings.names_in(SECTION);
        let tables: Vec<Table> = names.iter().map(|name| Table::read(settings, data_dir, name)).collect();
        for (index, table) in tables.iter().enumerate() {
            if let Some(twin) = tables[..index].iter().find(|earlier| earlier.token == table.token) {
                let detail = format!("the same token as [{SECTION}.{}]; a token has one table", twin.name);
                settings.invalid_in(SECTION, &table.name, "token", detail);
            }
        }
        let keys = authorities.named().into_iter().filter_map(|(key, authority)| match &authority.key {
            KeyPlan::Token { uri, .. } => Some((key, uri.clone())),
            _ => None,
        });
        let keys: Vec<(&'static str, Pkcs11Uri)> = keys.collect();
        let config = Self { tables, uris: keys.iter().map(|(_, uri)| uri.clone()).collect(), said_in: None };
        for (key, uri) in keys {
            if let Err(detail) = config.settings_of(&uri) {
                settings.invalid(key, detail);
            }
        }
        config
    }

    /// The way to the root's key that the script of a ceremony names: the URI says all of it.
    pub(crate) fn of_script(uri: Pkcs11Uri) -> Self {
        Self { tables: Vec::new(), uris: vec![uri], said_in: Some("`root.key` of the script") }
    }

    /// How the token of a URI is reached, or what is missing for that.
    pub(crate) fn settings_of(&self, uri: &Pkcs11Uri) -> Result<TokenSettings, String> {
        let label = uri.text(Pkcs11Attribute::Token);
        let table = self.tables.iter().find(|table| Some(table.token.as_str()) == label);
        // Of several keys in one token, one may say it for all.
        let said: Vec<&TokenReach> = self
            .uris
            .iter()
            .filter(|other| other.is_in_same_token(uri))
            .map(Pkcs11Uri::reach)
            .chain([uri.reach()])
            .collect();
        let module =
            table.and_then(|table| table.module.clone()).or_else(|| said.iter().find_map(|reach| module_of(reach)));
        let pin_file = || said.iter().find_map(|reach| reach.pin_file.as_ref()).map(PathBuf::from);
        let pin = table.and_then(|table| table.pin.clone()).or_else(|| pin_file().map(PinSource::File));
        // A label that is no name of a table is not shown as one.
        let name = table.map(|table| table.name.as_str()).or(label.filter(|label| is_name(label))).unwrap_or("hsm");
        let module = module.ok_or_else(|| {
            format!(
                "nothing says which module speaks for the token; give it a table [{SECTION}.{name}] with its label as `token` and a `module`, as in \"/usr/lib/softhsm/libsofthsm2.so\", or name the module in the URI, by `module-path`"
            )
        })?;
        Ok(TokenSettings {
            configured_as: self.said_in.map_or_else(|| format!("{SECTION}.{name}"), str::to_owned),
            module,
            module_arguments: table.and_then(|table| table.module_arguments.clone()),
            pin: pin.unwrap_or(PinSource::None),
            sessions: table.map_or(DEFAULT_SESSIONS, |table| table.sessions),
        })
    }

    /// The tokens of the authorities' keys, for whoever looks whether they can be reached.
    pub(crate) fn uris(&self) -> &[Pkcs11Uri] {
        &self.uris
    }
}

impl Table {
    fn read(settings: &mut Settings, data_dir: &Path, name: &str) -> Self {
        if !is_name(name) {
            let detail = "a table's name has lower-case letters, digits and `-`; the token's label goes into `token`";
            settings.invalid_in(SECTION, name, "token", detail);
        }
        let token = settings.text_in(SECTION, name, "token").unwrap_or(name).to_owned();
        let module = settings.text_in(SECTION, name, "module").map(str::to_owned);
        let module_arguments = settings.text_in(SECTION, name, "module_arguments").map(str::to_owned);
        if module_arguments.as_ref().is_some_and(|text| text.contains('\0')) {
            settings.invalid_in(SECTION, name, "module_arguments", "it has a zero octet, which would end it");
        }
        Self {
            name: name.to_owned(),
            token,
            module: module.and_then(|text| place(settings, name, &text)),
            module_arguments,
            pin: pin(settings, data_dir, name),
            sessions: sessions(settings, name),
        }
    }
}

/// Whether a table may be called so.
fn is_name(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
}

fn place(settings: &mut Settings, name: &str, text: &str) -> Option<ModulePlace> {
    match (text.is_empty(), text.starts_with('/'), text.contains('/')) {
        (false, true, _) => Some(ModulePlace::File(PathBuf::from(text))),
        (false, _, false) => Some(ModulePlace::Named { folder: None, name: text.to_owned() }),
        _ => {
            let detail = "name the module by an absolute path, or by its name alone, as in `softhsm2`";
            settings.invalid_in(SECTION, name, "module", detail);
            None
        }
    }
}

fn pin(settings: &mut Settings, data_dir: &Path, name: &str) -> Option<PinSource> {
    let file = settings.text_in(SECTION, name, "pin_file").map(|path| PinSource::File(data_dir.join(path)));
    let secret = settings.secret_in(SECTION, name, "pin").map(|pin| PinSource::Environment {
        variable: keys::environment_name_of_named(SECTION, name, "pin"),
        pin: pin.expose_secret().to_owned().into(),
    });
    match (file, secret) {
        (Some(_), Some(_)) => {
            let detail = format!(
                "both it and {} are set; set one of them",
                keys::environment_name_of_named(SECTION, name, "pin")
            );
            settings.invalid_in(SECTION, name, "pin_file", detail);
            None
        }
        (file, secret) => file.or(secret),
    }
}

fn sessions(settings: &mut Settings, name: &str) -> u8 {
    let Some(text) = settings.text_in(SECTION, name, "sessions") else { return DEFAULT_SESSIONS };
    match text.parse().ok().filter(|number| (1..=MOST_SESSIONS).contains(number)) {
        Some(number) => number,
        None => {
            let detail = format!("it must be a whole number from 1 to {MOST_SESSIONS}");
            settings.invalid_in(SECTION, name, "sessions", detail);
            DEFAULT_SESSIONS
        }
    }
}

fn module_of(reach: &TokenReach) -> Option<ModulePlace> {
    match (&reach.module_path, &reach.module_name) {
        // RFC 7512 §2.3: a path that is a folder is one in which the name is looked for.
        (folder, Some(name)) => {
            Some(ModulePlace::Named { folder: folder.as_ref().map(PathBuf::from), name: name.clone() })
        }
        (Some(path), None) => Some(ModulePlace::File(PathBuf::from(path))),
        (None, None) => None,
    }
}
