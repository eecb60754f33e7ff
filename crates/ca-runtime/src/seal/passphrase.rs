//! The operator's passphrase: read from where the configuration says, or made for `dev` and local mode.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use secrecy::ExposeSecret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::PassphraseSource;
use crate::file::{self, Access, Existing, Links};

/// The fewest characters of a passphrase.
const SHORTEST: usize = 8;
/// The most octets: what `openssl … -passin file:` reads.
const LONGEST: usize = 1_023;

/// A passphrase. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase {
    text: Zeroizing<String>,
    origin: String,
}

impl Passphrase {
    /// Reads it. Of a file it is the first line without its end, as `openssl … -passin file:` has it.
    pub fn read(source: &PassphraseSource) -> Result<Self, PassphraseError> {
        match source {
            PassphraseSource::Environment { variable, passphrase } => {
                Self::new(passphrase.expose_secret(), (*variable).to_owned())
            }
            PassphraseSource::File(path) => Self::read_file(path),
        }
    }

    fn read_file(path: &Path) -> Result<Self, PassphraseError> {
        let unreadable = |source| PassphraseError::Unreadable { path: path.to_path_buf(), source };
        let octets = file::read_private(path, Links::Follow)
            .map_err(unreadable)?
            .ok_or_else(|| PassphraseError::Missing { path: path.to_path_buf() })?;
        let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let origin = path.display().to_string();
        match std::str::from_utf8(line) {
            Ok(text) => Self::new(text, origin),
            Err(_) => Err(PassphraseError::NotText { origin }),
        }
    }

    /// Makes one of 32 random octets, in base64, and writes it to a new file (mode 0600). If the file came to be meanwhile,
    /// its passphrase holds.
    pub fn generate(path: &Path, entropy: &dyn Entropy) -> Result<Self, PassphraseError> {
        let mut octets = Zeroizing::new([0; 32]);
        entropy.fill(octets.as_mut())?;
        let mut line = Zeroizing::new(STANDARD.encode(octets.as_ref()));
        line.push('\n');
        match file::write(path, line.as_bytes(), Access::Private, Existing::Keep) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(PassphraseError::Unreadable { path: path.to_path_buf(), source: error })
            }
            _ => Self::read_file(path),
        }
    }

    /// A passphrase that `origin` names, such as a prompt.
    pub fn new(text: &str, origin: String) -> Result<Self, PassphraseError> {
        if text.chars().count() < SHORTEST {
            return Err(PassphraseError::TooShort { origin });
        }
        if text.len() > LONGEST {
            return Err(PassphraseError::TooLong { origin });
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), origin })
    }

    /// Its octets.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Where it came from, for messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passphrase(from {})", self.origin)
    }
}

/// Why there is no passphrase.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// No such file.
    #[error(
        "there is no passphrase file {}; name the one that was there when the keys were made (seal.passphrase_file), or set CA__SEAL__PASSPHRASE",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the passphrase file {}: {}", path.display(), file::complaint(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not UTF-8.
    #[error("the passphrase from {origin} is not UTF-8 text")]
    NotText {
        /// Where it came from.
        origin: String,
    },
    /// Too easily guessed.
    #[error(
        "the passphrase from {origin} is shorter than {SHORTEST} characters; `openssl rand -base64 32` makes a good one"
    )]
    TooShort {
        /// Where it came from.
        origin: String,
    },
    /// Longer than other tools read.
    #[error("the passphrase from {origin} is longer than {LONGEST} octets, more than openssl reads")]
    TooLong {
        /// Where it came from.
        origin: String,
    },
    /// None could be made.
    #[error("no passphrase could be made: {0}")]
    Entropy(#[from] EntropyUnavailable),
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn read(content: &[u8]) -> Result<Passphrase, PassphraseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passphrase");
        fs::write(&path, content).expect("written");
        Passphrase::read(&PassphraseSource::File(path))
    }

    #[test]
    fn is_the_first_line_of_its_file() {
        assert_eq!(read(b"correct horse\n").expect("good").as_bytes(), b"correct horse");
        assert_eq!(read(b"correct horse").expect("good").as_bytes(), b"correct horse");
        assert_eq!(read(b" kept as it is \nsecond line").expect("good").as_bytes(), b" kept as it is ");
        assert!(matches!(read(b"\ncorrect horse"), Err(PassphraseError::TooShort { .. })));
        assert!(matches!(read(b"correct \xff horse"), Err(PassphraseError::NotText { .. })));
        assert!(matches!(read(&[b'x'; 1_024]), Err(PassphraseError::TooLong { .. })));
        assert!(matches!(read(&[b'x'; 100_000]), Err(PassphraseError::Unreadable { .. })));
    }

    #[test]
    fn is_made_once_and_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seal.passphrase");
        let made = Passphrase::generate(&path, &SystemEntropy::new()).expect("made");
        assert_eq!(STANDARD.decode(made.as_bytes()).expect("base64").len(), 32);
        assert!(Passphrase::generate(&path, &SystemEntropy::new()).expect("there already") == made);
        assert!(Passphrase::read(&PassphraseSource::File(path)).expect("there") == made);
    }

    #[test]
    fn is_shown_by_nothing() {
        let passphrase = read(b"correct horse\n").expect("good");
        assert!(!format!("{passphrase:?}").contains("horse"));
    }

    #[test]
    fn says_which_file_is_missing() {
        let error = Passphrase::read(&PassphraseSource::File("/absent".into())).expect_err("absent").to_string();
        assert!(error.contains("/absent") && error.contains("CA__SEAL__PASSPHRASE"), "{error}");
    }
}
