//! Where the authority is, decided once: flags before the environment before the configuration file.
//!
//! The only reader of this program's environment. What the data folder of local mode is configured with (`CA__…`) is read by
//! `ca_runtime`, as for every program.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca_core::time::Lifetime;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::args::ConnectionArgs;
use crate::exit::Failure;

/// What this program takes from its environment.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `CA_URL`
    pub(crate) url: Option<String>,
    /// `CA_ROOT`
    pub(crate) root: Option<PathBuf>,
    /// `CA_CERT`
    pub(crate) certificate: Option<PathBuf>,
    /// `CA_KEY`
    pub(crate) key: Option<PathBuf>,
    /// `CA_CONFIG`
    pub(crate) config: Option<PathBuf>,
    /// `CA_TOKEN`: an enrolment token.
    pub(crate) token: Option<SecretString>,
    /// `CA_P12_PASSWORD`
    pub(crate) pkcs12_password: Option<SecretString>,
    /// `CA_KEY_PASSPHRASE`
    pub(crate) key_passphrase: Option<SecretString>,
    /// `NO_COLOR`
    pub(crate) no_colour: bool,
    /// `XDG_CONFIG_HOME`, else `~/.config`.
    pub(crate) config_home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process. An empty variable counts as absent.
    #[expect(clippy::disallowed_methods, reason = "the settings of this program: every other place is given values")]
    pub(crate) fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).map(|value: OsString| value.to_string_lossy().into_owned());
        let secret = |name: &str| text(name).map(SecretString::from);
        Self {
            url: text("CA_URL"),
            root: path("CA_ROOT"),
            certificate: path("CA_CERT"),
            key: path("CA_KEY"),
            config: path("CA_CONFIG"),
            token: secret("CA_TOKEN"),
            pkcs12_password: secret("CA_P12_PASSWORD"),
            key_passphrase: secret("CA_KEY_PASSPHRASE"),
            no_colour: variable("NO_COLOR").is_some(),
            config_home: path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config"))),
        }
    }
}

/// The configuration file. Written by `bootstrap`, and by a server for its first administrator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The root certificate; relative to the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<PathBuf>,
    /// The client certificate; relative to the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key; relative to the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

/// Where the authority is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In a folder, without a server.
    Local(PathBuf),
    /// At a server.
    Remote(RemoteSettings),
    /// Nothing says where.
    Nowhere,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteSettings {
    /// Its URL, without a slash at the end.
    pub(crate) url: String,
    /// The root certificate to trust.
    pub(crate) root: Option<PathBuf>,
    /// What to authenticate with.
    pub(crate) identity: Option<IdentityFiles>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    /// The certificate with its chain, PEM.
    pub(crate) certificate: PathBuf,
    /// The key, PKCS#8 PEM.
    pub(crate) key: PathBuf,
}

/// Everything that is settled before a command runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the authority is.
    pub(crate) target: Target,
    /// A root certificate that was named without a server, for `verify`.
    pub(crate) root: Option<PathBuf>,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// Where the configuration file is, or would be.
    pub(crate) config_file: Option<PathBuf>,
    /// Secrets from the environment.
    pub(crate) environment: Environment,
}

impl Settings {
    /// Settles everything.
    pub(crate) fn new(flags: &ConnectionArgs, environment: Environment) -> Result<Self, Failure> {
        Self::settle(flags, environment, ConfigUse::Read)
    }

    /// The same without a look into the configuration file, for who is going to write it.
    pub(crate) fn without_file(flags: &ConnectionArgs, environment: Environment) -> Result<Self, Failure> {
        Self::settle(flags, environment, ConfigUse::Ignore)
    }

    fn settle(flags: &ConnectionArgs, environment: Environment, config_use: ConfigUse) -> Result<Self, Failure> {
        let timeout = Duration::from_secs(flags.timeout.unwrap_or(DEFAULT_TIMEOUT).seconds().max(1));
        let named = flags.config.clone().or_else(|| environment.config.clone());
        let config_file = named.clone().or_else(|| environment.config_home.as_ref().map(|home| home.join(CONFIG_FILE)));
        if let Some(folder) = &flags.local {
            let target = Target::Local(folder.clone());
            return Ok(Self { target, root: None, timeout, config_file, environment });
        }
        // A file that was named must be there; the default one need not be.
        let file = match &config_file {
            Some(path) if config_use == ConfigUse::Read => read(path, named.is_some())?,
            _ => ConfigFile::default(),
        };
        let root = flags.root.clone().or_else(|| environment.root.clone()).or(file.root);
        let certificate = flags.cert.clone().or_else(|| environment.certificate.clone());
        let key = flags.key.clone().or_else(|| environment.key.clone());
        // Certificate and key belong together: the file's key is not that of a certificate named elsewhere.
        let identity = match (certificate, key) {
            (None, None) => identity(file.certificate, file.key, "the configuration file")?,
            (certificate, key) => identity(certificate, key, "the command line and the environment")?,
        };
        let url = flags.url.clone().or_else(|| environment.url.clone()).or(file.url);
        let target = match url {
            Some(url) => Target::Remote(RemoteSettings { url: checked_url(&url)?, root: root.clone(), identity }),
            None => Target::Nowhere,
        };
        Ok(Self { target, root, timeout, config_file, environment })
    }
}

/// What is done with the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConfigUse {
    Read,
    Ignore,
}

/// The URL of a server without a slash at its end.
pub(crate) fn checked_url(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("`{text}` is not the URL of a server: {why}"));
    let url: reqwest::Url = text.parse().map_err(|_| wrong("write it like https://ca.example.org:8443"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(wrong("write it like https://ca.example.org:8443"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it may be on its way into a log.
        return Err(Failure::Usage(
            "credentials have no place in the URL of a server; use --cert and --key".to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it ends with the host, the port, or a path before /v1"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Reads a configuration file; paths in it come out relative to the working directory, like those of flags.
pub(crate) fn read(path: &Path, must_exist: bool) -> Result<ConfigFile, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::Usage(format!("the configuration file {}: {why}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(ConfigFile::default()),
        Err(error) => return Err(wrong(&error)),
    };
    let mut file: ConfigFile = toml::from_str(&text).map_err(|error| wrong(&error.message()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for named in [&mut file.root, &mut file.certificate, &mut file.key].into_iter().flatten() {
        *named = folder.join(&*named);
    }
    Ok(file)
}

fn identity(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    origin: &str,
) -> Result<Option<IdentityFiles>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(IdentityFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Failure::Usage(format!("{origin} name a client certificate without its key; give --key or CA_KEY too")))
        }
        (None, Some(_)) => Err(Failure::Usage(format!(
            "{origin} name a key without its client certificate; give --cert or CA_CERT too"
        ))),
    }
}

/// The configuration file under `~/.config`.
const CONFIG_FILE: &str = "ca-cli/config.toml";

/// How long one request may take when nothing is said.
const DEFAULT_TIMEOUT: Lifetime = Lifetime::from_seconds(30);

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        flags: ConnectionArgs,
        environment: Environment,
    }

    impl Case {
        fn with_file(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let config = folder.path().join("cli.toml");
            fs::write(&config, text).expect("written");
            let environment = Environment { config: Some(config), ..Environment::default() };
            Self { folder, flags: ConnectionArgs::default(), environment }
        }

        fn target(self) -> Target {
            Settings::new(&self.flags, self.environment).expect("settled").target
        }

        fn failure(self) -> String {
            let failure = Settings::new(&self.flags, self.environment).expect_err("wrong");
            assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
            failure.to_string()
        }
    }

    const FILE: &str =
        "url = \"https://file\"\nroot = \"ca.crt\"\ncertificate = \"admin.crt\"\nkey = \"/keys/admin.key\"\n";

    fn remote(target: Target) -> RemoteSettings {
        match target {
            Target::Remote(remote) => remote,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let mut case = Case::with_file(FILE);
        assert_eq!(remote(Case::with_file(FILE).target()).url, "https://file");
        case.environment.url = Some("https://environment".to_owned());
        case.environment.root = Some("environment.crt".into());
        case.flags.url = Some("https://flag/".to_owned());
        let settled = remote(case.target());
        assert_eq!(settled.url, "https://flag");
        assert_eq!(settled.root, Some("environment.crt".into()));
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let case = Case::with_file(FILE);
        let folder = case.folder.path().to_path_buf();
        let settled = remote(case.target());
        let identity = settled.identity.expect("named");
        assert_eq!(settled.root, Some(folder.join("ca.crt")));
        assert_eq!((identity.certificate, identity.key), (folder.join("admin.crt"), "/keys/admin.key".into()));
    }

    #[test]
    fn a_certificate_is_never_paired_with_a_key_from_elsewhere() {
        let mut case = Case::with_file(FILE);
        case.flags.cert = Some("mine.crt".into());
        assert!(case.failure().contains("--key"));
        let mut case = Case::with_file(FILE);
        case.flags.cert = Some("mine.crt".into());
        case.environment.key = Some("mine.key".into());
        assert_eq!(remote(case.target()).identity.expect("named").key, PathBuf::from("mine.key"));
    }

    #[test]
    fn local_mode_looks_at_nothing_else() {
        let mut case = Case::with_file("not = toml = at all");
        case.environment.url = Some("https://environment".to_owned());
        case.flags.local = Some("pki".into());
        assert_eq!(case.target(), Target::Local("pki".into()));
    }

    #[test]
    fn a_named_file_must_be_there_and_the_default_one_need_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent.toml");
        let environment = Environment { config: Some(absent), ..Environment::default() };
        assert!(Settings::new(&ConnectionArgs::default(), environment).is_err());
        let environment = Environment { config_home: Some(folder.path().to_path_buf()), ..Environment::default() };
        let settings = Settings::new(&ConnectionArgs::default(), environment).expect("settled");
        assert_eq!(settings.target, Target::Nowhere);
        assert_eq!(settings.config_file, Some(folder.path().join("ca-cli/config.toml")));
    }

    #[test]
    fn refuses_unknown_keys_and_urls_that_are_none() {
        assert!(Case::with_file("uri = \"https://x\"").failure().contains("uri"));
        for url in ["ca.example.org", "ftp://x", "https://x?a=b", "https://"] {
            let failure = Case::with_file(&format!("url = \"{url}\"")).failure();
            assert!(failure.contains("is not the URL of a server"), "{failure}");
        }
        let failure = Case::with_file("url = \"https://user:secret@x\"").failure();
        assert!(failure.contains("credentials") && !failure.contains("secret"), "{failure}");
    }
}
