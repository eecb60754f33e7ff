//! The main job: a hierarchy, certificates of every kind, a renewal by the holder, a revocation and a hold, OCSP and lists as
//! OpenSSL reads them, a gateway (nginx, fed by `ca-cli gateway`) that lets in and refuses, and pkilint over all that was signed.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use ca_api::authority::Authority;
use ca_api::certificate::Certificate;
use ca_api::health::Readiness;
use ca_api::route;
use ca_e2e::gateway_host::{NAME, World, soon};
use ca_e2e::pkilint::Exhibits;
use ca_e2e::sidecar;
use ca_e2e::stack::Site;
use ca_e2e::token_keys::borrowed;
use ca_e2e::tools::{openssl, run};

use super::home::Home;

const ANA: &str = "ana.homes.example";
const BRUNO: &str = "bruno.homes.example";
const CLARA: &str = "clara.homes.example";
/// Renews.
const RITA: &str = "rita.homes.example";
/// Signs documents.
const DOCUMENT: &str = "souza";

pub(super) fn main_job(home: &Home) -> anyhow::Result<()> {
    // 1. The hierarchy, with a shard and a delta beside the complete lists.
    let mut settings = borrowed(&home.settings);
    settings.extend([("CA__AUTHORITY__TLS__SHARDS", "1"), ("CA__AUTHORITY__TLS__DELTA", "true")]);
    let site = Site::empty(&settings)?;
    let (succeeded, said) = site.run(home.init)?;
    ensure!(succeeded, "the hierarchy is not made: {said}");
    ensure!(site.own_data_folder().join("root/root.key").exists() == home.root_is_a_file, "the file of the root's key");
    let world = World::of(site.serve()?, &[ANA, BRUNO, CLARA])?;
    keys_are_where_they_should_be(home, &world)?;
    // 2. Certificates of the other kinds; a renewal by who holds the certificate, past half of its life from the first second on.
    let terminal = &world.terminal;
    terminal.done(&["issue", "client", RITA, "--validity", "4m"])?;
    let before = terminal.read(&format!("{RITA}.crt"))?;
    let (certificate, key) = (format!("{RITA}.crt"), format!("{RITA}.key"));
    terminal.done(&["--cert", &certificate, "--key", &key, "renew", &certificate])?;
    ensure!(terminal.read(&certificate)? != before, "nothing was renewed");
    let email = ["--san", "email:souza@homes.example", "--file-name", DOCUMENT];
    terminal.done(&[&["issue", "document", "Ana Souza"][..], &email].concat())?;
    let shown = Shown::of(&world)?;
    for who in [NAME, ANA, BRUNO, CLARA, RITA, DOCUMENT] {
        shown.is_verified(who)?;
        shown.ocsp_says(who, "good")?;
    }
    // 3. A gateway, which lets all of them in.
    sidecar::once(&world, &[], &[])?.ended_with(0)?;
    let gateway = world.nginx("mtls-crl.conf")?;
    let sidecar = sidecar::start(&world, &[], &world.nginx_reload())?;
    for who in [ANA, BRUNO, CLARA, RITA] {
        world.lets_in(who)?;
    }
    // 4. One is revoked and one held: OCSP says so at once, the list soon, and the gateway by the list.
    terminal.done(&["revoke", &format!("{BRUNO}.crt"), "--reason", "keyCompromise"])?;
    terminal.done(&["revoke", &format!("{CLARA}.crt"), "--reason", "certificateHold"])?;
    for who in [BRUNO, CLARA] {
        shown.ocsp_says(who, "revoked")?;
        soon("the list has who was revoked", || Ok(shown.is_listed(who)?.then_some(())))?;
        soon("every worker of the gateway refuses who was revoked", || Ok(world.refuses(who).ok()))
            .with_context(|| sidecar.lines().join("\n"))?;
    }
    world.lets_in(ANA)?;
    // 5. The hold ends, and with it everything that came of it.
    terminal.done(&["unhold", &format!("{CLARA}.crt")])?;
    shown.ocsp_says(CLARA, "good")?;
    soon("the list has the hold no more", || Ok((!shown.is_listed(CLARA)?).then_some(())))?;
    soon("the gateway lets in whose hold has ended", || Ok(world.lets_in(CLARA).ok()))?;
    world.refuses(BRUNO)?;
    // 6. Everything that was signed, under the eyes of a linter that others wrote.
    shown.everything()?.must_be_clean()?;
    drop((gateway, sidecar));
    // 7. A restart finds the same keys; nothing that must stay secret was said or written down.
    let World { stack, terminal, port } = world;
    nothing_is_told(home, &stack.logs(), &stack.record_octets()?)?;
    let world = World { stack: stack.stop()?.serve()?, terminal, port };
    let shown = Shown::of(&world)?;
    world.terminal.done(&["issue", "client", "later.homes.example"])?;
    shown.is_verified("later.homes.example")?;
    shown.ocsp_says("later.homes.example", "good")?;
    shown.ocsp_says(BRUNO, "revoked")?;
    world.terminal.done(&["revoke", "later.homes.example.crt", "--reason", "superseded"])?;
    soon("the list has who was revoked", || Ok(shown.is_listed("later.homes.example")?.then_some(())))
}

/// Each is said to be where it is, is in order, and was used.
fn keys_are_where_they_should_be(home: &Home, world: &World) -> anyhow::Result<()> {
    for (id, place) in home.keys {
        let authority: Authority = world.terminal.json(&["authority", "show", id])?;
        ensure!(authority.key.home == place, "{id}: {:?}", authority.key);
        // That of a root in a file is used for ceremonies alone.
        ensure!(authority.key.available != (home.root_is_a_file && id == "root"), "{id}: {:?}", authority.key);
    }
    soon("the service says that all its keys are in order", || {
        let url = format!("{}{}", world.stack.admin_url(), route::READY);
        let said = run("curl", ["-s", "--max-time", "60", &url], world.folder())?;
        let ready: Readiness = serde_json::from_slice(&said.output).with_context(|| said.all())?;
        let checks = ready.checks.context("no details")?;
        Ok(checks.iter().all(|check| check.ready).then_some(()))
    })?;
    if let Some(kms) = &home.kms {
        ensure!(kms.count("Sign").1 > 0, "KMS signed nothing");
    }
    if let Some(token) = &home.token {
        let objects = token.hsm.objects(TOKEN)?;
        for (id, _) in home.keys.iter().filter(|(_, place)| *place == ca_api::authority::KeyHome::Pkcs11) {
            ensure!(objects.contains(&format!("{id}-ca")), "the token has no key of {id}: {objects}");
        }
    }
    Ok(())
}

const TOKEN: &str = ca_e2e::token_keys::TokenKeys::LABEL;

fn nothing_is_told(home: &Home, logs: &[String], record: &[u8]) -> anyhow::Result<()> {
    for secret in &home.secrets {
        ensure!(!logs.iter().any(|line| line.contains(secret)), "a secret is in the log");
        let is_there = record.windows(secret.len()).any(|octets| octets == secret.as_bytes());
        ensure!(!is_there, "a secret is on record");
    }
    Ok(())
}

/// What others' programs are shown: `root.pem`, `tls.pem` and `document.pem` are the authorities, `authorities.pem` all of them.
struct Shown<'a> {
    world: &'a World,
    url: String,
}

impl<'a> Shown<'a> {
    fn of(world: &'a World) -> anyhow::Result<Self> {
        let mut all = String::new();
        for (path, file) in
            [("/roots.pem", "root.pem"), ("/ca/tls.pem", "tls.pem"), ("/ca/document.pem", "document.pem")]
        {
            let text = world.fetch(path)?;
            world.terminal.write(file, &text)?;
            all.push_str(&text);
        }
        world.terminal.write("authorities.pem", &all)?;
        Ok(Self { world, url: world.stack.public_url() })
    }

    /// The issuer of a certificate, as the service tells it.
    fn issuer(&self, who: &str) -> anyhow::Result<String> {
        let shown: Certificate = self.world.terminal.json(&["show", &format!("{who}.crt")])?;
        Ok(shown.authority)
    }

    /// OpenSSL at its strictest.
    fn is_verified(&self, who: &str) -> anyhow::Result<()> {
        let certificate = format!("{who}.crt");
        let strict = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "-untrusted", &certificate];
        openssl([&strict[..], &[&certificate]].concat(), self.world.folder()).map(drop)
    }

    /// What OpenSSL's client learns by OCSP, now.
    fn ocsp_says(&self, who: &str, status: &str) -> anyhow::Result<PathBuf> {
        let (issuer, certificate) = (format!("{}.pem", self.issuer(who)?), format!("{who}.crt"));
        self.ask_ocsp(&issuer, &certificate, status)
    }

    fn ask_ocsp(&self, issuer: &str, certificate: &str, status: &str) -> anyhow::Result<PathBuf> {
        let (url, response) = (format!("{}/ocsp", self.url), format!("{certificate}.{status}.ocsp"));
        let asked = ["ocsp", "-issuer", issuer, "-cert", certificate, "-CAfile", "authorities.pem", "-url", &url];
        let said = openssl([&asked[..], &["-respout", &response]].concat(), self.world.folder())?.all();
        ensure!(said.contains("Response verify OK"), "{certificate}: {said}");
        ensure!(said.contains(&format!("{certificate}: {status}\n")), "{certificate} is not {status}: {said}");
        Ok(self.world.path(&response))
    }

    /// Fetches a list; `None` while there is none.
    fn list(&self, name: &str) -> anyhow::Result<Option<PathBuf>> {
        let (url, file) = (format!("{}/crl/{name}", self.url), name.replace('/', "-"));
        let said = run("curl", ["-sf", "--max-time", "60", "-o", &file, &url], self.world.folder())?;
        Ok(said.succeeded.then(|| self.world.path(&file)))
    }

    /// Whether OpenSSL finds a certificate on the list of its issuer, whose signature it has verified.
    fn is_listed(&self, who: &str) -> anyhow::Result<bool> {
        let list = self.list(&format!("{}.crl", self.issuer(who)?))?.context("there is no list")?;
        let list = list.to_str().context("UTF-8")?;
        let read = ["crl", "-inform", "DER", "-in", list, "-CAfile", "authorities.pem", "-noout", "-text"];
        let said = openssl(read, self.world.folder())?.all();
        ensure!(said.contains("verify OK"), "{list}: {said}");
        let certificate = format!("{who}.crt");
        let serial = openssl(["x509", "-noout", "-serial", "-in", &certificate], self.world.folder())?.text();
        let serial = serial.trim().strip_prefix("serial=").context("openssl names serials otherwise")?.to_owned();
        Ok(said.contains(&format!("Serial Number: {serial}\n")))
    }

    /// Every certificate, list and OCSP response.
    fn everything(&self) -> anyhow::Result<Exhibits> {
        let mut exhibits = Exhibits::default();
        for authority in ["root.pem", "tls.pem", "document.pem"] {
            exhibits.certificate(self.world.path(authority));
        }
        let operator = self.world.stack.data_folder().join("admin/admin.crt");
        let mut leaves = vec![("operator", operator)];
        leaves
            .extend([NAME, ANA, BRUNO, CLARA, RITA, DOCUMENT].map(|who| (who, self.world.path(&format!("{who}.crt")))));
        for (name, file) in leaves {
            // Its chain follows in the same file.
            let (alone, file) = (format!("{name}.alone.pem"), file.display().to_string());
            openssl(["x509", "-in", &file, "-out", &alone], self.world.folder())?;
            exhibits.certificate(self.world.path(&alone));
        }
        for name in ["root.crl", "tls.crl", "document.crl", "tls/1.crl", "tls-delta.crl"] {
            exhibits.list(soon(name, || self.list(name))?);
        }
        for (who, status) in [(ANA, "good"), (BRUNO, "revoked"), (DOCUMENT, "good")] {
            exhibits.response(self.ocsp_says(who, status)?);
        }
        exhibits.response(self.ask_ocsp("root.pem", "tls.pem", "good")?);
        Ok(exhibits)
    }
}
