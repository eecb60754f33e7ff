//! Secrets that people or programs hand to a command: from a file, standard input, the environment or a prompt, never from
//! the command line, where every user of the machine can read them.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use ca_runtime::file::{self, Links};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use crate::exit::Failure;

/// Which secret, for messages, and where it may come from.
pub(crate) struct SecretSource<'a> {
    /// As in "the password of the PKCS#12 file".
    pub(crate) what: &'a str,
    /// The flag that names a file.
    pub(crate) flag: &'a str,
    /// The file it names; `-` is standard input.
    pub(crate) file: Option<&'a Path>,
    /// The environment variable's name.
    pub(crate) variable: &'a str,
    /// Its value.
    pub(crate) environment: Option<&'a SecretString>,
}

impl SecretSource<'_> {
    /// The secret from file or environment; `None` when neither has one. An empty one is refused.
    pub(crate) fn read(&self) -> Result<Option<SecretString>, Failure> {
        let secret = match (self.file, self.environment) {
            (Some(path), _) => self.read_file(path)?,
            (None, Some(value)) => value.clone(),
            (None, None) => return Ok(None),
        };
        self.not_empty(secret).map(Some)
    }

    /// The secret from file or environment, else asked for on the terminal, twice where it is a new one.
    pub(crate) fn read_or_ask(&self) -> Result<SecretString, Failure> {
        if let Some(secret) = self.read()? {
            return Ok(secret);
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "{} is missing: name a file with {} (- for standard input), or set {}",
                self.what, self.flag, self.variable
            )));
        }
        let ask = |prompt: String| rpassword::prompt_password(prompt).map(SecretString::from).map_err(Failure::failed);
        let first = self.not_empty(ask(format!("{}: ", capitalised(self.what)))?)?;
        let second = ask("The same again: ".to_owned())?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Failure::Failed("the two differ; nothing was done".to_owned()));
        }
        Ok(first)
    }

    fn read_file(&self, path: &Path) -> Result<SecretString, Failure> {
        let octets = if path == Path::new("-") {
            self.read_stream(io::stdin())?
        } else if is_pipe(path) {
            // What a shell makes of `<(…)`: only this process and its parent can read it.
            self.read_stream(File::open(path).map_err(|error| self.unreadable(&error))?)?
        } else {
            file::read_private(path, Links::Follow)
                .map_err(|error| self.unreadable(&format!("{}: {error}", path.display())))?
                .ok_or_else(|| self.unreadable(&format!("there is no file {}", path.display())))?
        };
        first_line(&octets).ok_or_else(|| self.unreadable(&"it is not UTF-8 text"))
    }

    fn read_stream(&self, stream: impl Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut octets = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
        stream.take(LARGEST as u64 + 1).read_to_end(&mut octets).map_err(|error| self.unreadable(&error))?;
        match octets.len() > LARGEST {
            true => Err(self.unreadable(&"it is larger than any secret")),
            false => Ok(octets),
        }
    }

    fn not_empty(&self, secret: SecretString) -> Result<SecretString, Failure> {
        if secret.expose_secret().is_empty() {
            return Err(Failure::Usage(format!("{} must not be empty", self.what)));
        }
        Ok(secret)
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Failed(format!("{} cannot be read: {error}", self.what))
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// A secret without the end of its line; editors and `echo` put one there. Further lines are part of it.
fn first_line(octets: &[u8]) -> Option<SecretString> {
    let mut text = std::str::from_utf8(octets).ok()?.to_owned();
    let end = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).map_or(text.len(), str::len);
    let secret = SecretString::from(text[..end].to_owned());
    text.zeroize();
    Some(secret)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// No secret is larger, in octets.
const LARGEST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn source<'a>(file: Option<&'a Path>, environment: Option<&'a SecretString>) -> SecretSource<'a> {
        SecretSource {
            what: "the password of the PKCS#12 file",
            flag: "--p12-password-file",
            file,
            variable: "CA_P12_PASSWORD",
            environment,
        }
    }

    #[test]
    fn a_file_comes_before_the_environment_and_loses_one_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let environment = SecretString::from("from the environment");
        for (text, secret) in
            [("from a file\n", "from a file"), ("windows\r\n", "windows"), (" blanks \n\n", " blanks \n")]
        {
            fs::write(&path, text).expect("written");
            let read = source(Some(&path), Some(&environment)).read().expect("read").expect("there");
            assert_eq!(read.expose_secret(), secret);
        }
        let read = source(None, Some(&environment)).read().expect("read").expect("there");
        assert_eq!(read.expose_secret(), "from the environment");
        assert!(source(None, None).read().expect("read").is_none());
    }

    #[test]
    fn an_empty_or_missing_secret_is_refused_without_a_word_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        fs::write(&path, "\n").expect("written");
        let error = source(Some(&path), None).read().expect_err("empty").to_string();
        assert!(error.contains("must not be empty"), "{error}");
        let error = source(Some(&folder.path().join("absent")), None).read().expect_err("absent").to_string();
        assert!(error.contains("there is no file"), "{error}");
    }
}
