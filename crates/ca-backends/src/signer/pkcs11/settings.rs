//! How a process reaches a token and uses it: what the configuration says of it.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A token and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Where this was configured, as a message names it: `pkcs11.hsm`.
    pub configured_as: String,
    /// The module that speaks for the token.
    pub module: ModulePlace,
    /// What the module is told when it is initialised (the string behind `pReserved` of C_Initialize); each module has its own
    /// language for it, and many have none.
    pub module_arguments: Option<String>,
    /// What opens the token.
    pub pin: PinSource,
    /// How many signatures are made at the same time, each in a session of its own; from 1 to 64.
    pub sessions: u8,
}

/// Where a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModulePlace {
    /// This file.
    File(PathBuf),
    /// By its name alone: `softhsm2` for `libsofthsm2.so` or `softhsm2.so`, in a folder or in the usual ones.
    Named {
        /// The folder; the usual ones when it is absent.
        folder: Option<PathBuf>,
        /// The name.
        name: String,
    },
}

impl ModulePlace {
    /// The files that are looked for, in this order.
    pub fn candidates(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file) => vec![file.clone()],
            Self::Named { folder, name } => {
                let forms = [format!("lib{name}.so"), format!("{name}.so")];
                let folders =
                    folder.as_deref().map_or_else(|| USUAL_FOLDERS.map(Path::new).to_vec(), |folder| vec![folder]);
                folders.iter().flat_map(|folder| forms.iter().map(|form| folder.join(form))).collect()
            }
        }
    }
}

impl fmt::Display for ModulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Named { folder: Some(folder), name } => write!(f, "{name} in {}", folder.display()),
            Self::Named { folder: None, name } => f.write_str(name),
        }
    }
}

/// Where distributions and vendors put modules.
const USUAL_FOLDERS: [&str; 12] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib/pkcs11",
    "/usr/local/lib",
    "/opt/cloudhsm/lib",
];

/// Where the PIN is. It is never part of a URI, a configuration file or the record.
#[derive(Clone, PartialEq, Eq)]
pub enum PinSource {
    /// The first line of a file; read at each login, so that a changed one is seen.
    File(PathBuf),
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
        /// What it had when the process began.
        pin: Zeroizing<String>,
    },
    /// Nowhere: the token asks for none.
    None,
}

impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Environment { variable, .. } => write!(f, "Environment({variable})"),
            Self::None => f.write_str("None"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_a_named_module_under_both_forms() {
        let file = |path: &str| PathBuf::from(path);
        assert_eq!(ModulePlace::File(file("/a/b.so")).candidates(), [file("/a/b.so")]);
        let place = ModulePlace::Named { folder: Some(file("/opt/x")), name: "hsm".to_owned() };
        assert_eq!(place.candidates(), [file("/opt/x/libhsm.so"), file("/opt/x/hsm.so")]);
        let usual = ModulePlace::Named { folder: None, name: "softhsm2".to_owned() };
        assert!(usual.candidates().contains(&file("/usr/lib/softhsm/libsofthsm2.so")));
    }

    #[test]
    fn debug_shows_no_pin() {
        let pin =
            PinSource::Environment { variable: "CA__PKCS11__HSM__PIN".to_owned(), pin: "s3cr3t".to_owned().into() };
        assert_eq!(format!("{pin:?}"), "Environment(CA__PKCS11__HSM__PIN)");
    }
}
