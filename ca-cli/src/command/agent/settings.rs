//! What the agent is told, by its TOML file: where the service is, which certificates it keeps and what hears of a change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca_core::id::ProfileName;
use ca_core::key::KeyType;
use ca_core::managed::RenewBefore;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::time::Lifetime;
use serde::Deserialize;

use crate::exit::Failure;
use crate::settings::checked_url;

/// The file. Paths in it are relative to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentFile {
    url: String,
    root: PathBuf,
    state_dir: PathBuf,
    interval: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    on_alert: Vec<String>,
    #[serde(default)]
    certificate: Vec<CertificateSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateSection {
    name: String,
    directory: PathBuf,
    url: Option<String>,
    root: Option<PathBuf>,
    key_type: Option<String>,
    renew_before: Option<String>,
    #[serde(default)]
    after_expiry: bool,
    #[serde(default)]
    reload: Vec<String>,
    enrol: Option<EnrolSection>,
    take_over: Option<TakeOverSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolSection {
    profile: String,
    token_file: PathBuf,
    subject: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    validity: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeOverSection {
    certificate: PathBuf,
    key: PathBuf,
}

/// Everything settled.
#[derive(Clone, Debug)]
pub(super) struct AgentSettings {
    /// What the agent remembers, and its lock.
    pub(super) state_dir: PathBuf,
    /// How often it looks at what it keeps.
    pub(super) interval: Duration,
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// What is run when a certificate is in danger, the sentence as its last argument; empty: nothing.
    pub(super) on_alert: Vec<String>,
    /// What it keeps, at least one.
    pub(super) certificates: Vec<KeptCertificate>,
}

/// A certificate that the agent keeps renewed.
#[derive(Clone, Debug)]
pub(super) struct KeptCertificate {
    /// Its name on this machine.
    pub(super) name: String,
    /// The folder that has key, certificate and chain.
    pub(super) directory: PathBuf,
    /// The service.
    pub(super) url: String,
    /// The root that the service and the certificate are to lead to.
    pub(super) root: PathBuf,
    /// The kind of new keys; that of the key in place, unless it is said.
    pub(super) key_type: Option<KeyType>,
    /// How long before the end it is renewed while the service does not say when.
    pub(super) renew_before: RenewBefore,
    /// Whether it is renewed after its end, by a proof of the old key.
    pub(super) after_expiry: bool,
    /// What is run when another certificate is in place, without a shell; empty: nothing.
    pub(super) reload: Vec<String>,
    /// How the first one is asked for.
    pub(super) enrol: Option<Enrolment>,
    /// A pair to begin with.
    pub(super) take_over: Option<TakeOver>,
}

/// How a certificate is asked for by an enrolment token.
#[derive(Clone, Debug)]
pub(super) struct Enrolment {
    /// The profile.
    pub(super) profile: ProfileName,
    /// The file with the token.
    pub(super) token_file: PathBuf,
    /// The subject; empty unless it is said.
    pub(super) subject: Option<DistinguishedName>,
    /// The subject alternative names.
    pub(super) names: Vec<GeneralName>,
    /// How long; the profile's default unless it is said.
    pub(super) validity: Option<Lifetime>,
}

/// A certificate and a key that lie elsewhere, to be taken over.
#[derive(Clone, Debug)]
pub(super) struct TakeOver {
    /// The certificate, its chain after it; PEM.
    pub(super) certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub(super) key: PathBuf,
}

/// How often to look when nothing is said.
const INTERVAL: Lifetime = Lifetime::from_seconds(60);
/// How long a request may take when nothing is said.
const TIMEOUT: Lifetime = Lifetime::from_seconds(30);

impl AgentSettings {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let file: AgentFile = toml::from_str(&text).map_err(|error| wrong(&error.message()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        settle(file, folder).map_err(|why| wrong(&why))
    }
}

fn settle(file: AgentFile, folder: &Path) -> Result<AgentSettings, String> {
    if file.certificate.is_empty() {
        return Err("there is nothing to keep; add a [[certificate]]".to_owned());
    }
    let (url, root) = (said_url(&file.url)?, folder.join(&file.root));
    let interval = lifetime("interval", file.interval.as_deref())?.unwrap_or(INTERVAL).seconds().max(1);
    let timeout = lifetime("timeout", file.timeout.as_deref())?.unwrap_or(TIMEOUT).seconds().max(1);
    let mut certificates = Vec::new();
    let (mut names, mut directories) = (BTreeSet::new(), BTreeSet::new());
    for section in file.certificate {
        let name = section.name.clone();
        let kept = certificate(section, folder, &url, &root).map_err(|why| format!("certificate `{name}`: {why}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("certificate `{name}` is there twice; give each a name of its own"));
        }
        if !directories.insert(kept.directory.clone()) {
            return Err(format!("certificate `{name}`: its directory is another's too; give each one of its own"));
        }
        certificates.push(kept);
    }
    Ok(AgentSettings {
        state_dir: folder.join(file.state_dir),
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(timeout),
        on_alert: file.on_alert,
        certificates,
    })
}

fn certificate(section: CertificateSection, folder: &Path, url: &str, root: &Path) -> Result<KeptCertificate, String> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
    };
    if !is_name(&section.name) {
        return Err("a name has 1 to 63 lower-case letters, digits and `-`".to_owned());
    }
    let enrol = section.enrol.map(|enrol| enrolment(enrol, folder)).transpose()?;
    let take_over = section
        .take_over
        .map(|pair| TakeOver { certificate: folder.join(pair.certificate), key: folder.join(pair.key) });
    let renew_before = section.renew_before.map(|text| text.parse()).transpose();
    Ok(KeptCertificate {
        directory: folder.join(section.directory),
        url: section.url.map_or_else(|| Ok(url.to_owned()), |url| said_url(&url))?,
        root: section.root.map_or_else(|| root.to_owned(), |root| folder.join(root)),
        key_type: section
            .key_type
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| format!("`key_type`: {error}"))?,
        renew_before: renew_before.map_err(|error| format!("`renew_before`: {error}"))?.unwrap_or_default(),
        after_expiry: section.after_expiry,
        reload: section.reload,
        enrol,
        take_over,
        name: section.name,
    })
}

fn enrolment(section: EnrolSection, folder: &Path) -> Result<Enrolment, String> {
    let names = section.names.iter().map(|text| GeneralName::parse(text));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|error| format!("`enrol.names`: {error}"))?;
    let subject = section.subject.as_deref().map(DistinguishedName::from_rfc4514).transpose();
    Ok(Enrolment {
        profile: section.profile.parse().map_err(|error| format!("`enrol.profile`: {error}"))?,
        token_file: folder.join(section.token_file),
        subject: subject.map_err(|error| format!("`enrol.subject`: {error}"))?,
        names,
        validity: lifetime("enrol.validity", section.validity.as_deref())?,
    })
}

fn said_url(text: &str) -> Result<String, String> {
    let url = checked_url(text).map_err(|failure| failure.to_string())?;
    if url.starts_with("https:") {
        Ok(url)
    } else {
        Err(format!("`url`: {url} is not https, which the API speaks alone"))
    }
}

fn lifetime(key: &str, text: Option<&str>) -> Result<Option<Lifetime>, String> {
    text.map(str::parse).transpose().map_err(|error| format!("`{key}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "url = \"https://ca.test:8443\"\nroot = \"ca.crt\"\nstate_dir = \"state\"\n\
                        [[certificate]]\nname = \"web\"\ndirectory = \"/etc/pki/web\"\nreload = [\"nginx\", \"-s\", \"reload\"]\n";

    fn read(text: &str) -> Result<AgentSettings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.toml");
        fs::write(&path, text).expect("written");
        AgentSettings::read(&path).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_file_is_read_and_its_paths_are_relative_to_it() {
        let settings = read(FILE).expect("settled");
        assert!(settings.state_dir.is_absolute() && settings.state_dir.ends_with("state"));
        assert_eq!(settings.interval, Duration::from_secs(60));
        let [kept] = &settings.certificates[..] else { panic!("{settings:?}") };
        assert_eq!((kept.url.as_str(), kept.directory.as_path()), ("https://ca.test:8443", Path::new("/etc/pki/web")));
        assert!(kept.root.ends_with("ca.crt") && !kept.after_expiry && kept.enrol.is_none());
        assert_eq!(kept.renew_before, RenewBefore::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |more: &str| format!("{FILE}{more}\n");
        for (text, hint) in [
            (String::new(), "url"),
            (FILE.split("[[").next().unwrap_or_default().to_owned(), "nothing to keep"),
            (FILE.replace("https:", "http:"), "https"),
            (FILE.replace("\"web\"", "\"We b\""), "lower-case"),
            (with("key_type = \"dsa\""), "key_type"),
            (with("renew_before = \"3/3\""), "renew_before"),
            (with("renewbefore = \"1/3\""), "renewbefore"),
            (
                with("[certificate.enrol]\nprofile = \"server\"\ntoken_file = \"t\"\nnames = [\"dns:a b\"]"),
                "enrol.names",
            ),
            (with("[[certificate]]\nname = \"web\"\ndirectory = \"/x\""), "twice"),
            (with("[[certificate]]\nname = \"other\"\ndirectory = \"/etc/pki/web\""), "another's"),
        ] {
            let said = read(&text).expect_err(hint);
            assert!(said.contains(hint), "{hint}: {said}");
        }
    }
}
