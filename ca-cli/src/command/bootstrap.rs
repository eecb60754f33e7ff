//! `bootstrap`: from a fingerprint that its user brings to a root that is trusted, and a configuration that names both.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ca_api::route;
use ca_core::certificate::Certificate;
use serde::Serialize;

use crate::args::{BootstrapArgs, Fingerprint};
use crate::exit::{Exit, Failure};
use crate::fetch::Fetcher;
use crate::files::{ROOT_FILE, write_public};
use crate::printer::{Printer, plain};
use crate::settings::{self, ConfigFile, Settings};
use crate::tls;

/// Root certificates in PEM are a few thousand octets each.
const LARGEST_ROOTS: usize = 1 << 20;
const LARGEST_HEALTH: usize = 1 << 16;

/// What is trusted from now on.
#[derive(Debug, Serialize)]
struct Trusted {
    url: String,
    root: PathBuf,
    subject: String,
    fingerprint_sha256: String,
    config: PathBuf,
}

/// Fetches the roots of a server from whoever answers, trusts the one with the fingerprint, and writes it down.
pub(super) async fn run(args: &BootstrapArgs, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let url = settings::checked_url(&args.server)?;
    let config = settings.config_file.clone().ok_or_else(|| {
        Failure::Usage("there is no home folder for the configuration file; name one with --config".to_owned())
    })?;
    // 1. Whoever answers is not trusted; the fingerprint is.
    let stranger = Fetcher::new(tls::client_that_trusts_anyone()?, settings.timeout)?;
    let text = stranger.get(&format!("{url}{}", route::ROOTS), LARGEST_ROOTS).await?;
    let root = choose(&text, args.fingerprint, &url)?;
    // 2. The API proves from now on that the root stands behind it.
    if url.starts_with("https:") {
        let trusting = Fetcher::new(tls::client(std::slice::from_ref(&root), None)?, settings.timeout)?;
        trusting.get(&format!("{url}{}", route::HEALTH), LARGEST_HEALTH).await?;
    }
    // 3. Written down: the root first, so that the configuration never names what is not there.
    let root_file = write(&url, &root, &config, args.force)?;
    let trusted = Trusted {
        url,
        root: root_file,
        subject: root.subject().to_string(),
        fingerprint_sha256: hex::encode(root.fingerprint_sha256()),
        config,
    };
    printer.result(&trusted, |trusted| {
        format!(
            "trusting `{}`\nroot certificate: {}\nconfiguration: {}",
            plain(&trusted.subject),
            trusted.root.display(),
            trusted.config.display()
        )
    })?;
    if trusted.url.starts_with("http:") {
        printer.note(
            "this is the public listener, good for verifying; to ask for certificates, name the API's URL too (--url, CA_URL, \
             or bootstrap from it)",
        );
    }
    Ok(Exit::Done)
}

/// The root with the fingerprint.
fn choose(pem: &[u8], fingerprint: Fingerprint, url: &str) -> Result<Certificate, Failure> {
    let text =
        std::str::from_utf8(pem).map_err(|_| Failure::Failed(format!("{url} has no root certificates in PEM")))?;
    let roots =
        Certificate::all_from_pem(text).map_err(|error| Failure::Failed(format!("the roots of {url}: {error}")))?;
    let wanted = |root: &&Certificate| root.fingerprint_sha256() == fingerprint.0;
    let Some(root) = roots.iter().find(wanted) else {
        let shown: String = roots
            .iter()
            .map(|root| {
                format!("\n  {}  {}", hex::encode(root.fingerprint_sha256()), plain(&root.subject().to_string()))
            })
            .collect();
        return Err(Failure::Failed(format!(
            "no root of {url} has the fingerprint {}; nothing was written. Either the fingerprint is another server's, or \
             somebody stands in between. It shows:{shown}",
            hex::encode(fingerprint.0)
        )));
    };
    if !root.is_authority() || root.verify_signed_by(root.public_key()).is_err() {
        return Err(Failure::failed(
            "the certificate with that fingerprint is no root: it is no authority that signed itself",
        ));
    }
    Ok(root.clone())
}

fn write(url: &str, root: &Certificate, config: &Path, force: bool) -> Result<PathBuf, Failure> {
    let folder = config.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let root_file = folder.join(ROOT_FILE);
    let mut file = ConfigFile::default();
    if config.exists() && !force {
        let there = settings::read(config, true)?;
        if there.url.as_deref().is_some_and(|there| there.trim_end_matches('/') != url) {
            return Err(Failure::Failed(format!(
                "{} names another server; --force replaces it, --config names another file",
                config.display()
            )));
        }
        // What authenticates at the same server is kept; paths come out as they are seen from here.
        file.certificate = there.certificate.map(|path| relative_to(&path, folder));
        file.key = there.key.map(|path| relative_to(&path, folder));
    }
    if let Ok(there) = fs::read_to_string(&root_file) {
        let same = Certificate::from_pem(&there).is_ok_and(|there| there.der() == root.der());
        if !same && !force {
            return Err(Failure::Failed(format!("{} holds another root; --force replaces it", root_file.display())));
        }
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Failure::of_file(folder, error))?;
    write_public(&root_file, root.to_pem().as_bytes()).map_err(Failure::failed)?;
    file.url = Some(url.to_owned());
    file.root = Some(PathBuf::from(ROOT_FILE));
    let text = toml::to_string(&file).map_err(Failure::failed)?;
    let text =
        format!("# Settings of ca-cli; paths are relative to this file. Keys: url, root, certificate, key.\n{text}");
    write_public(config, text.as_bytes()).map_err(Failure::failed)?;
    Ok(root_file)
}

fn relative_to(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTS: &str = concat!(include_str!("../testdata/other_root.pem"), include_str!("../testdata/root.pem"));

    fn root() -> Certificate {
        Certificate::from_pem(include_str!("../testdata/root.pem")).expect("a root")
    }

    #[test]
    fn the_fingerprint_alone_decides() {
        let chosen = choose(ROOTS.as_bytes(), Fingerprint(root().fingerprint_sha256()), "https://x").expect("there");
        assert_eq!(chosen, root());
        let failure = choose(ROOTS.as_bytes(), Fingerprint([7; 32]), "https://x").expect_err("absent").to_string();
        assert!(failure.contains("nothing was written"), "{failure}");
        assert!(failure.contains(&hex::encode(root().fingerprint_sha256())), "{failure}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("new/config.toml");
        let root_file = write("https://ca.example.org:8443", &root(), &config, false).expect("written");
        let file = settings::read(&config, true).expect("read");
        assert_eq!(file.url.as_deref(), Some("https://ca.example.org:8443"));
        assert_eq!(file.root, Some(root_file));
        // The same once more is harmless, and keeps what was added.
        let added = fs::read_to_string(&config).expect("there") + "certificate = \"me.crt\"\nkey = \"/k/me.key\"\n";
        fs::write(&config, added).expect("written");
        write("https://ca.example.org:8443", &root(), &config, false).expect("the same");
        let file = settings::read(&config, true).expect("read");
        assert_eq!(file.certificate, Some(folder.path().join("new/me.crt")));
        assert_eq!(file.key, Some("/k/me.key".into()));
    }

    #[test]
    fn another_server_or_root_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        write("https://one", &root(), &config, false).expect("written");
        assert!(write("https://two", &root(), &config, false).expect_err("another").to_string().contains("--force"));
        let other = Certificate::from_pem(ROOTS).expect("a root");
        assert!(write("https://one", &other, &config, false).expect_err("another").to_string().contains("--force"));
        write("https://two", &other, &config, true).expect("forced");
        assert_eq!(settings::read(&config, true).expect("read").url.as_deref(), Some("https://two"));
    }
}
