//! What the sidecar is told: flags, then its own TOML file, then defaults.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca_api::route;
use ca_core::time::Lifetime;
use serde::Deserialize;

use super::ocsp::OcspSettings;
use super::probe::ProbeSettings;
use super::reload::Reload;
use super::speaker::SpeakerSettings;
use crate::args::GatewayRunArgs;
use crate::exit::Failure;
use crate::settings::{IdentityFiles, Settings, Target};

/// The file of `--config-file`. Paths in it are relative to it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayFile {
    crl_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    crl_url: Option<String>,
    state_dir: Option<PathBuf>,
    generation_file: Option<PathBuf>,
    interval: Option<String>,
    alarm_before: Option<String>,
    metrics_file: Option<PathBuf>,
    nginx_conf: Option<PathBuf>,
    ocsp_listen: Option<SocketAddr>,
    ocsp_url: Option<String>,
    haproxy_socket: Option<PathBuf>,
    #[serde(default)]
    reload: Vec<String>,
    id: Option<String>,
    probe: Option<String>,
    probe_name: Option<String>,
    probe_revoked_certificate: Option<PathBuf>,
    probe_revoked_key: Option<PathBuf>,
}

/// Everything settled.
#[derive(Debug)]
pub(super) struct GatewaySettings {
    /// Where the bundle goes.
    pub(super) crl_file: PathBuf,
    /// The authorities that the gateway accepts clients of.
    pub(super) ca_file: PathBuf,
    /// Where the lists are fetched.
    pub(super) crl_url: String,
    /// What outlives a restart.
    pub(super) state_dir: PathBuf,
    /// Where the name of the bundle in place goes.
    pub(super) generation_file: Option<PathBuf>,
    /// How often to ask for news.
    pub(super) interval: Duration,
    /// How long before the end of a list an alarm is raised.
    pub(super) alarm_before: Lifetime,
    /// Where metrics go.
    pub(super) metrics_file: Option<PathBuf>,
    /// Where OCSP is answered.
    pub(super) ocsp: Option<OcspSettings>,
    /// The configuration of nginx to check.
    pub(super) nginx_conf: Option<PathBuf>,
    /// What has the gateway read its lists anew.
    pub(super) reload: Reload,
    /// Who says what is enforced; nobody when no id is given.
    pub(super) speaker: Option<SpeakerSettings>,
}

impl GatewaySettings {
    /// Settles everything.
    pub(super) fn new(args: &GatewayRunArgs, settings: &Settings) -> Result<Self, Failure> {
        let mut file = match &args.config_file {
            Some(path) => read(path)?,
            None => GatewayFile::default(),
        };
        let reload = reload(args, &mut file)?;
        let speaker = speaker(args, &mut file, settings)?;
        let crl_file = args.crl_file.clone().or(file.crl_file).ok_or_else(|| missing("--crl-file", "crl_file"))?;
        let ca_file = args.ca_file.clone().or(file.ca_file).ok_or_else(|| missing("--ca-file", "ca_file"))?;
        let crl_url = match args.crl_url.clone().or(file.crl_url) {
            Some(url) => url,
            None => default_url(settings)?,
        };
        let listen = args.ocsp_listen.or(file.ocsp_listen);
        let ocsp_url = args.ocsp_url.clone().or(file.ocsp_url.take());
        let mut beside = crl_file.clone().into_os_string();
        beside.push(".state");
        let state_dir = args.state_dir.clone().or(file.state_dir).unwrap_or_else(|| beside.into());
        let ocsp = ocsp(listen, ocsp_url, &crl_url, &ca_file, &state_dir)?;
        Ok(Self {
            state_dir,
            ocsp,
            generation_file: args.generation_file.clone().or(file.generation_file),
            interval: Duration::from_secs(
                args.interval.or(lifetime("interval", file.interval)?).unwrap_or(INTERVAL).seconds().max(1),
            ),
            alarm_before: args.alarm_before.or(lifetime("alarm_before", file.alarm_before)?).unwrap_or(ALARM_BEFORE),
            metrics_file: args.metrics_file.clone().or(file.metrics_file),
            nginx_conf: args.nginx_conf.clone().or(file.nginx_conf),
            reload,
            crl_file,
            ca_file,
            crl_url,
            speaker,
        })
    }
}

/// How often to ask for news when nothing is said.
const INTERVAL: Lifetime = Lifetime::from_seconds(1);
/// Lists are made a day apart: one that ends within a day should have been followed by another.
const ALARM_BEFORE: Lifetime = Lifetime::from_days(1);

/// Where OCSP is answered, and whom it is asked of.
fn ocsp(
    listen: Option<SocketAddr>,
    url: Option<String>,
    crl_url: &str,
    ca_file: &Path,
    state_dir: &Path,
) -> Result<Option<OcspSettings>, Failure> {
    let Some(listen) = listen else { return Ok(None) };
    if !listen.ip().is_loopback() {
        return Err(Failure::Usage(format!("--ocsp-listen {listen} is not on loopback: it answers this host alone")));
    }
    let beside = crl_url.strip_suffix("/crl/all.pem").map(|base| format!("{base}{}", route::OCSP));
    let url = url.or(beside).ok_or_else(|| missing("--ocsp-url", "ocsp_url"))?;
    Ok(Some(OcspSettings { listen, url, ca_file: ca_file.to_path_buf(), folder: state_dir.join("ocsp") }))
}

/// What has the gateway read its lists anew: what the command line says before what the file does.
fn reload(args: &GatewayRunArgs, file: &mut GatewayFile) -> Result<Reload, Failure> {
    let of = |command: Vec<String>, socket: Option<PathBuf>| match (command.is_empty(), socket) {
        (true, None) => Ok(Reload::Nothing),
        (false, None) => Ok(Reload::Command(command)),
        (true, Some(socket)) => Ok(Reload::HaproxySocket(socket)),
        (false, Some(_)) => Err(Failure::Usage("`reload` and `haproxy_socket` are two ways of one thing".to_owned())),
    };
    match of(args.reload.clone(), args.haproxy_socket.clone())? {
        Reload::Nothing => of(std::mem::take(&mut file.reload), file.haproxy_socket.take()),
        named => Ok(named),
    }
}

/// Who says what the gateway enforces.
fn speaker(
    args: &GatewayRunArgs,
    file: &mut GatewayFile,
    settings: &Settings,
) -> Result<Option<SpeakerSettings>, Failure> {
    let probe = args.probe.clone().or(file.probe.take());
    let Some(id) = args.id.clone().or(file.id.take()) else {
        return match probe {
            Some(_) => Err(Failure::Usage("--probe is of use with --id: who would say what it finds?".to_owned())),
            None => Ok(None),
        };
    };
    let address = probe.ok_or_else(|| {
        Failure::Usage(
            "--id needs --probe, the gateway's port on this host: nothing is said that it does not show".to_owned(),
        )
    })?;
    if args.generation_file.is_none() && file.generation_file.is_none() {
        return Err(missing("--generation-file", "generation_file"));
    }
    let revoked = match (file.probe_revoked_certificate.take(), file.probe_revoked_key.take()) {
        (Some(certificate), Some(key)) => Some(IdentityFiles { certificate, key }),
        (None, None) => None,
        _ => return Err(Failure::Usage("probe_revoked_certificate and probe_revoked_key go together".to_owned())),
    };
    let Target::Remote(remote) = &settings.target else {
        return Err(Failure::Usage("--id needs a server to speak to: name it with --url".to_owned()));
    };
    let identity = remote.identity.clone().ok_or_else(|| {
        Failure::Usage("--id needs the gateway's certificate and key (--cert, --key): it speaks by them".to_owned())
    })?;
    let name = args.probe_name.clone().or(file.probe_name.take()).unwrap_or_else(|| id.clone());
    let probe = ProbeSettings { address, name, revoked };
    Ok(Some(SpeakerSettings { id, remote: remote.clone(), identity, timeout: settings.timeout, probe }))
}

fn missing(flag: &str, key: &str) -> Failure {
    Failure::Usage(format!("{flag} is missing (or `{key}` in --config-file)"))
}

fn default_url(settings: &Settings) -> Result<String, Failure> {
    match &settings.target {
        Target::Remote(remote) => Ok(format!("{}{}", remote.url, route::CRL.replace("{file}", "all.pem"))),
        Target::Local(_) => Err(Failure::Usage(
            "a gateway asks a server: name it with --url, or where its lists are with --crl-url".to_owned(),
        )),
        Target::Nowhere => Err(Failure::Usage(
            "nothing says where the lists are: name them with --crl-url, as in http://pki.example.org/crl/all.pem, or the \
             server with --url"
                .to_owned(),
        )),
    }
}

fn read(path: &Path) -> Result<GatewayFile, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let mut file: GatewayFile = toml::from_str(&text).map_err(|error| wrong(&error.message()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths = [
        &mut file.crl_file,
        &mut file.ca_file,
        &mut file.state_dir,
        &mut file.generation_file,
        &mut file.metrics_file,
        &mut file.nginx_conf,
        &mut file.haproxy_socket,
        &mut file.probe_revoked_certificate,
        &mut file.probe_revoked_key,
    ];
    for named in paths.into_iter().flatten() {
        *named = folder.join(&*named);
    }
    Ok(file)
}

fn lifetime(key: &str, text: Option<String>) -> Result<Option<Lifetime>, Failure> {
    let read = text.map(|text| text.parse()).transpose();
    read.map_err(|error| Failure::Usage(format!("`{key}` in --config-file: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ConnectionArgs;
    use crate::settings::Environment;

    fn settle(text: &str, change: impl FnOnce(&mut GatewayRunArgs)) -> Result<GatewaySettings, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gateway.toml");
        fs::write(&path, text).expect("written");
        let mut args = GatewayRunArgs {
            config_file: Some(path),
            crl_file: None,
            ca_file: None,
            crl_url: None,
            state_dir: None,
            generation_file: None,
            interval: None,
            alarm_before: None,
            metrics_file: None,
            haproxy_socket: None,
            nginx_conf: None,
            ocsp_listen: None,
            ocsp_url: None,
            id: None,
            probe: None,
            probe_name: None,
            once: false,
            reload: Vec::new(),
        };
        change(&mut args);
        let settings = Settings::new(&ConnectionArgs::default(), Environment::default()).expect("settled");
        GatewaySettings::new(&args, &settings)
    }

    const FILE: &str = "crl_file = \"crls.pem\"\nca_file = \"/etc/trust.pem\"\ncrl_url = \"http://pki.test/crl/all.pem\"\n\
                        interval = \"5s\"\nreload = [\"nginx\", \"-s\", \"reload\"]\n";

    #[test]
    fn the_file_is_read_and_its_paths_are_relative_to_it() {
        let settled = settle(FILE, |_| ()).expect("settled");
        assert!(settled.crl_file.is_absolute() && settled.crl_file.ends_with("crls.pem"), "{settled:?}");
        assert!(settled.state_dir.ends_with("crls.pem.state"), "{settled:?}");
        assert_eq!(settled.ca_file, Path::new("/etc/trust.pem"));
        assert_eq!(settled.interval, Duration::from_secs(5));
        assert_eq!(settled.reload, Reload::Command(["nginx", "-s", "reload"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn flags_come_before_the_file() {
        let settled = settle(FILE, |args| {
            args.crl_file = Some("other.pem".into());
            args.reload = vec!["true".to_owned()];
        });
        let settled = settled.expect("settled");
        assert_eq!(settled.crl_file, Path::new("other.pem"));
        assert_eq!(settled.reload, Reload::Command(vec!["true".to_owned()]));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (text, hint) in [
            ("", "--crl-file"),
            ("crl_file = \"a\"", "--ca-file"),
            ("crl_file = \"a\"\nca_file = \"b\"", "--crl-url"),
            ("crl_files = \"a\"", "crl_files"),
            ("crl_file = \"a\"\nca_file = \"b\"\ncrl_url = \"http://x\"\ninterval = \"soon\"", "interval"),
        ] {
            let failure = settle(text, |_| ()).expect_err(text);
            assert!(matches!(&failure, Failure::Usage(said) if said.contains(hint)), "{text}: {failure:?}");
        }
    }
}
