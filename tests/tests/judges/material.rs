//! What the judges are shown: a running service, and files with certificates, keys and lists of it and of impostors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, SubjectAlternativeNameType as NameType};
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::{Identity, SubjectKey, dns, name, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};

use crate::tool::Tool;

/// The name of the server certificate.
pub(crate) const SERVER_NAME: &str = "gw.test";

/// A service with certificates of every standing. `FILE.pem` is a certificate, `FILE.chain.pem` the same with its issuer,
/// `FILE.key` its key.
///
/// `server` and `good` are in force, `revoked` is revoked for `keyCompromise`, `expired` is past its end, `unknown` is signed
/// by the authority without the service knowing of it, `foreign` by another authority of the same name. `root.pem`, `tls.pem`
/// and `document.pem` are the authorities, `trust.pem` has `tls` and `root`; `root.crl`, `tls.crl` and `document.crl` are their
/// lists in DER, `crls.pem` all of them.
pub(crate) struct Material {
    stack: Stack,
    folder: PathBuf,
}

impl Material {
    /// The one that tests share while any of them needs it. Nobody revokes what others look at.
    pub(crate) fn shared() -> anyhow::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Material>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(material) = shared.upgrade() {
            return Ok(material);
        }
        let material = Arc::new(wait(Self::make())?);
        *shared = Arc::downgrade(&material);
        Ok(material)
    }

    async fn make() -> anyhow::Result<Self> {
        let site = Site::initialised(&[])?;
        let unrecorded = issue_unrecorded(&site).await?;
        let stack = site.serve()?;
        let folder = stack.work_folder().join("material");
        std::fs::create_dir(&folder).context("the folder for the judges cannot be made")?;
        unrecorded.write(&folder, "unknown")?;

        let administrator = stack.administrator()?;
        let (_, expired) = issue_client(&administrator, "expired", Some("1s")).await?;
        expired.write(&folder, "expired")?;
        issue_server(&administrator).await?.write(&folder, "server")?;
        issue_client(&administrator, "good", None).await?.1.write(&folder, "good")?;
        let (record, revoked) = issue_client(&administrator, "revoked", None).await?;
        revoked.write(&folder, "revoked")?;
        administrator.revoke(&record.id, "keyCompromise").await?;

        let public = stack.public()?;
        for (path, file) in
            [("/roots.pem", "root.pem"), ("/ca/tls.pem", "tls.pem"), ("/ca/document.pem", "document.pem")]
        {
            write(&folder, file, public.get(path).await?.expect(200)?.body)?;
        }
        let read = |file: &str| std::fs::read(folder.join(file)).context("what was written is to be read");
        write(&folder, "trust.pem", [read("tls.pem")?, read("root.pem")?].concat())?;
        wait_until_listed(&public, &record).await?;
        write(&folder, "crls.pem", public.get("/crl/all.pem").await?.expect(200)?.body)?;
        for file in ["root.crl", "tls.crl", "document.crl"] {
            write(&folder, file, public.get(&format!("/crl/{file}")).await?.expect(200)?.body)?;
        }
        make_foreign(&folder)?;
        outlive(&administrator, &folder).await?;
        Ok(Self { stack, folder })
    }

    /// The service.
    pub(crate) fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The path of a file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The URL of the OCSP responder.
    pub(crate) fn ocsp_url(&self) -> String {
        format!("{}/ocsp", self.stack.public_url())
    }

    /// A folder for what a test writes.
    pub(crate) fn folder_for(&self, test: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(test);
        std::fs::create_dir(&folder).with_context(|| format!("a second {test}"))?;
        Ok(folder)
    }

    /// Issues a client certificate, and writes it as `FILE.pem` and so on.
    pub(crate) fn issue_client(&self, file: &str) -> anyhow::Result<Certificate> {
        wait(async {
            let (certificate, identity) = issue_client(&self.stack.administrator()?, file, None).await?;
            identity.write(&self.folder, file)?;
            Ok(certificate)
        })
    }
}

/// Runs what needs the runtime of asynchronous I/O.
pub(crate) fn wait<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?.block_on(task)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    ca_test_services::port::free()
}

/// Writes a file into a folder.
pub(crate) fn write(folder: &Path, file: &str, octets: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
    let path = folder.join(file);
    std::fs::write(&path, octets).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// How an identity lies on disk for programs that read files.
pub(crate) trait Files {
    fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()>;
}

impl Files for Identity {
    fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let end = "-----END CERTIFICATE-----\n";
        let leaf = self.chain_pem().find(end).context("no certificate")? + end.len();
        write(folder, &format!("{name}.pem"), &self.chain_pem()[..leaf])?;
        write(folder, &format!("{name}.chain.pem"), self.chain_pem())?;
        write(folder, &format!("{name}.key"), self.key_pem())?;
        Ok(())
    }
}

pub(crate) async fn issue_client(
    administrator: &Client,
    common_name: &str,
    validity: Option<&str>,
) -> anyhow::Result<(Certificate, Identity)> {
    let key = SubjectKey::generate()?;
    let mut body = request("client", key.csr(common_name, &[])?);
    body.subject_alternative_names = Some(vec![name(NameType::Uri, &format!("https://clients.test/{common_name}"))]);
    body.validity = validity.map(str::to_owned);
    let certificate = administrator.issue(&body).await?;
    let identity = Identity::of(&certificate, &key);
    Ok((certificate, identity))
}

async fn issue_server(administrator: &Client) -> anyhow::Result<Identity> {
    let key = SubjectKey::generate()?;
    let mut body = request("server", key.csr(SERVER_NAME, &[])?);
    body.subject_alternative_names = Some(vec![dns(SERVER_NAME), name(NameType::Ip, "192.0.2.1")]);
    Ok(Identity::of(&administrator.issue(&body).await?, &key))
}

/// A certificate of the site's own authority that is on nobody's record: a twin, a copy of the data folder, issues it and is
/// gone. (So does a service that is restored from a backup older than its last certificate.)
async fn issue_unrecorded(site: &Site) -> anyhow::Result<Identity> {
    let twin = Site::empty(&[("CA__PUBLIC__BASE_URL", &site.public_url())])?;
    copy(&site.data_folder(), &twin.data_folder())?;
    let twin = twin.serve()?;
    let (_, identity) = issue_client(&twin.administrator()?, "unknown", None).await?;
    twin.stop()?;
    Ok(identity)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).with_context(|| format!("{} cannot be made", target.display()))?;
        }
    }
    Ok(())
}

/// Waits until the list of its authority has a revoked certificate.
pub(crate) async fn wait_until_listed(public: &Client, revoked: &Certificate) -> anyhow::Result<()> {
    let path = format!("/crl/{}.crl", revoked.authority);
    let entry = format!("Serial Number: {}\n", revoked.serial.to_uppercase());
    eventually(PATIENCE, "the CRL lists what was revoked", || async {
        let list = public.get(&path).await?.expect(200)?.body;
        let read = Tool::new("openssl").args(["crl", "-inform", "DER", "-noout", "-text"]).input(list).run()?;
        Ok(read.accepts()?.text().contains(&entry).then_some(()))
    })
    .await
}

/// Another authority with the name of `tls`, and a client certificate of it.
fn make_foreign(folder: &Path) -> anyhow::Result<()> {
    let at = |file: &str| folder.join(file);
    let name =
        Tool::new("openssl").args(["x509", "-noout", "-subject", "-nameopt", "compat", "-in"]).arg(at("tls.pem"));
    let said = name.run()?.accepts()?.text();
    let subject = said.trim().strip_prefix("subject=").context("openssl names subjects otherwise")?;
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    Tool::new("openssl")
        .args(["req", "-x509", "-days", "30", "-subj", subject])
        .args(new_key)
        .arg("-keyout")
        .arg(at("foreign-ca.key"))
        .arg("-out")
        .arg(at("foreign-ca.pem"))
        .run()?
        .accepts()?;
    Tool::new("openssl")
        .args(["req", "-x509", "-days", "30", "-subj", "/CN=foreign"])
        .args(["-addext", "basicConstraints=critical,CA:false", "-addext", "extendedKeyUsage=clientAuth"])
        .args(new_key)
        .arg("-keyout")
        .arg(at("foreign.key"))
        .arg("-CA")
        .arg(at("foreign-ca.pem"))
        .arg("-CAkey")
        .arg(at("foreign-ca.key"))
        .arg("-out")
        .arg(at("foreign.pem"))
        .run()?
        .accepts()?;
    let chain = [std::fs::read(at("foreign.pem"))?, std::fs::read(at("foreign-ca.pem"))?].concat();
    write(folder, "foreign.chain.pem", chain)?;
    Ok(())
}

/// Waits until `expired` is.
async fn outlive(administrator: &Client, folder: &Path) -> anyhow::Result<()> {
    let serial = Tool::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(folder.join("expired.pem"));
    let said = serial.run()?.accepts()?.text();
    let serial = said.trim().strip_prefix("serial=").context("openssl names serials otherwise")?.to_lowercase();
    ensure!(!serial.is_empty(), "a certificate without a serial");
    eventually(PATIENCE, "a certificate of one second expires", || async {
        let record = administrator.get(&format!("/v1/certificates/tls:{serial}")).await?.expect(200)?;
        let record: Certificate = record.json()?;
        Ok((record.status == ca_api::certificate::CertificateStatus::Expired).then_some(()))
    })
    .await
}
