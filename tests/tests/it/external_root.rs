//! A root that others hold, an offline openssl here: what it signs is taken on record, or refused with the reason; its lists and its
//! responder are published; what it revokes is revoked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site};
use ca_e2e::status::openssl_ocsp;
use ca_e2e::tools::{openssl, run};

/// A running server learns of a new responder within a minute.
const RELOAD: Duration = Duration::from_secs(150);

/// The settings of an openssl that is a certificate authority.
const CONFIGURATION: &str = "
[ca]
default_ca = root
[root]
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
certificate = root.pem
private_key = root.key
default_md = sha384
default_crl_days = 30
policy = anything
copy_extensions = copyall
unique_subject = no
crl_extensions = of_list
[anything]
commonName = supplied
organizationName = optional
[of_list]
authorityKeyIdentifier = keyid
[of_root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[of_authority]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[of_cross]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[of_cross_0]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[of_cross_mail]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[of_responder]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[request]
distinguished_name = name
[name]
";

/// An openssl that holds a root, in a folder of its own.
pub(crate) struct Others {
    pub(crate) folder: PathBuf,
    /// How it signs, beside the digest.
    options: &'static [&'static str],
}

/// A kind of key as `openssl genpkey` is told it, and what it signs with.
struct Way {
    key: &'static [&'static str],
    digest: &'static str,
    options: &'static [&'static str],
}

const P256: [&str; 3] = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: [&str; 3] = ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const P521: [&str; 3] = ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
const RSA: [&str; 3] = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const PSS: [&str; 4] = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];

impl Others {
    fn new(site: &Site) -> anyhow::Result<Self> {
        Self::named(site, "others", "Root of others")
    }

    /// Another one, in a folder of its own and under its own name.
    pub(crate) fn named(site: &Site, folder: &str, name: &str) -> anyhow::Result<Self> {
        Self::signing_by(site, folder, name, &Way { key: &P384, digest: "sha384", options: &[] })
    }

    /// Another one, with a key and a way of signing of its own.
    fn signing_by(site: &Site, folder: &str, name: &str, way: &Way) -> anyhow::Result<Self> {
        let folder = site.work_folder().join(folder);
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("ca.cnf"), CONFIGURATION.replace("= sha384", &format!("= {}", way.digest)))?;
        std::fs::write(folder.join("index.txt"), "")?;
        std::fs::write(folder.join("serial"), "01a2b3c4d5e6f708\n")?;
        std::fs::write(folder.join("crlnumber"), "10\n")?;
        let others = Self { folder, options: way.options };
        others.openssl(&[&["genpkey", "-out", "root.key", "-algorithm"][..], way.key].concat())?;
        let root = ["req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-days", "3650"];
        let subject = format!("/O=Others/CN={name}");
        let digest = format!("-{}", way.digest);
        let how = ["-config", "ca.cnf", "-extensions", "of_root", "-subj", &subject, &digest];
        others.openssl(&[&root[..], &how[..], way.options].concat())?;
        Ok(others)
    }

    pub(crate) fn openssl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(openssl(arguments, &self.folder)?.text())
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// Signs a request with the extensions it asks for and those of a section.
    pub(crate) fn sign(&self, csr: &Path, section: &str, out: &str, days: &str) -> anyhow::Result<()> {
        let csr = csr.display().to_string();
        let how =
            ["ca", "-batch", "-notext", "-preserveDN", "-config", "ca.cnf", "-extensions", section, "-days", days];
        self.openssl(&[&how[..], &["-in", &csr, "-out", out], self.options].concat())?;
        Ok(())
    }

    /// The next list.
    pub(crate) fn list(&self, out: &str) -> anyhow::Result<String> {
        self.openssl(&[&["ca", "-gencrl", "-config", "ca.cnf", "-out", out], self.options].concat())?;
        Ok(self.path(out))
    }

    pub(crate) fn fingerprint(&self) -> anyhow::Result<String> {
        let said = self.openssl(&["x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha256"])?;
        Ok(said.split('=').nth(1).context("no fingerprint")?.trim().to_owned())
    }
}

pub(crate) fn done(site: &Site, arguments: &[&str]) -> anyhow::Result<String> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(succeeded, "{arguments:?}: {said}");
    Ok(said)
}

pub(crate) fn refused(site: &Site, arguments: &[&str], hints: &[&str]) -> anyhow::Result<()> {
    let (succeeded, said) = site.run(arguments)?;
    ensure!(!succeeded && !said.contains("panicked"), "{arguments:?} should be refused: {said}");
    for hint in hints {
        ensure!(said.contains(hint), "`{hint}` is missing in what {arguments:?} said: {said}");
    }
    Ok(())
}

/// A site whose requests were signed by others, nothing imported yet.
pub(crate) fn requested() -> anyhow::Result<(Site, Others)> {
    requested_of(Others::new)
}

fn requested_of(others: impl FnOnce(&Site) -> anyhow::Result<Others>) -> anyhow::Result<(Site, Others)> {
    let site = Site::empty(&[])?;
    let others = others(&site)?;
    let requests = others.path("requests");
    let ask = ["init", "--external-root", "--requests", &requests];
    let said = done(&site, &ask)?;
    let tls = std::fs::read(others.folder.join("requests/tls.csr"))?;
    // Cut off and repeated: the same keys.
    std::fs::remove_file(others.folder.join("requests/document.csr"))?;
    ensure!(done(&site, &ask)?.contains("document.csr"), "{said}");
    ensure!(std::fs::read(others.folder.join("requests/tls.csr"))? == tls, "the request was made anew");
    for id in ["tls", "document"] {
        let said = others.openssl(&["req", "-in", &format!("requests/{id}.csr"), "-noout", "-verify", "-text"])?;
        ensure!(said.contains("CA:TRUE, pathlen:0") && said.contains("Certificate Sign, CRL Sign"), "{said}");
        others.sign(&others.folder.join(format!("requests/{id}.csr")), "of_authority", &format!("{id}.pem"), "1000")?;
    }
    Ok((site, others))
}

pub(crate) fn import(site: &Site, others: &Others) -> anyhow::Result<()> {
    let files = ["tls.pem", "document.pem", "root.pem"].map(|file| others.path(file));
    let [tls, document, root] = files.each_ref().map(String::as_str);
    let chain = ["init", "--external-root", "--import", tls, "--import", document, "--import", root];
    let fingerprint = others.fingerprint()?;
    let plain = fingerprint.replace(':', "").to_lowercase();
    refused(site, &chain, &[&plain, "Root of others", "--root-fingerprint"])?;
    let said = done(site, &[&chain[..], &["--root-fingerprint", &fingerprint]].concat())?;
    ensure!(said.contains("`root` is on record") && said.contains(&plain), "{said}");
    // Harmless to repeat, and `init` makes no second hierarchy.
    done(site, &[&chain[..], &["--root-fingerprint", &fingerprint]].concat())?;
    ensure!(done(site, &["init"])?.contains("was there already"));
    Ok(())
}

/// What a key signs with is its holder's to choose; ours of that kind would sign otherwise.
#[test]
fn a_root_that_signs_otherwise_than_ours_would_is_taken_on_record_with_its_lists() -> anyhow::Result<()> {
    let ways = [
        Way { key: &P256, digest: "sha512", options: &[] },
        Way { key: &P384, digest: "sha256", options: &[] },
        Way { key: &P521, digest: "sha384", options: &[] },
        Way { key: &RSA, digest: "sha384", options: &[] },
        Way { key: &RSA, digest: "sha512", options: &PSS },
    ];
    for way in ways {
        let (key, digest) = (way.key.join(" "), way.digest);
        let (site, others) = requested_of(|site| Others::signing_by(site, "others", "Root of others", &way))?;
        import(&site, &others).with_context(|| format!("{key} with {digest}"))?;
        done(&site, &["import-crl", &others.list("first.crl")?]).with_context(|| format!("{key} with {digest}"))?;
        // Another root of the kind beside it, and an authority that goes over to it.
        let new = Others::signing_by(&site, "new", "New root of others", &way)?;
        let (root, fingerprint) = (new.path("root.pem"), new.fingerprint()?);
        done(&site, &["authority", "import-root", &root, "--root-fingerprint", &fingerprint])?;
        let csr = new.path("tls-2.csr");
        done(&site, &["authority", "rollover", "tls", "--below", "root-2", "--csr-out", &csr])?;
        new.sign(csr.as_ref(), "of_authority", "tls-2.pem", "300")?;
        let taken = ["authority", "rollover", "tls", "--below", "root-2", "--issue-after", "15s", "--import"];
        done(&site, &[&taken[..], &[&new.path("tls-2.pem")]].concat())?;
        new.openssl(&["x509", "-x509toreq", "-in", "root.pem", "-signkey", "root.key", "-out", "cross.csr"])?;
        others.sign(&new.folder.join("cross.csr"), "of_cross", "cross.pem", "300")?;
        done(&site, &["authority", "import-cross", &others.path("cross.pem")])?;
        done(&site, &["import-crl", &new.list("new.crl")?])?;
        let (succeeded, said) = site.run(&["job", "run", "crl"])?;
        ensure!(succeeded, "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_root_of_others_is_taken_on_record_and_openssl_verifies_what_is_issued_below_it() -> anyhow::Result<()> {
    let (site, others) = requested()?;
    refused(&site, &["init"], &["--import"])?;
    refused(&site, &["serve"], &["no authority"])?;
    import(&site, &others)?;
    let stack = site.serve()?;
    let public = stack.public()?;
    // Ready without what the others have not given.
    public.get("/ready").await?.expect(200)?;
    public.get("/crl/root.crl").await?.expect(404)?;
    let roots = public.get("/roots.pem").await?.expect(200)?.text();
    ensure!(roots == std::fs::read_to_string(others.path("root.pem"))?, "{roots}");
    let (leaf, _) = stack.administrator()?.enrol("client", "ana.example.test").await?;
    std::fs::write(others.path("leaf.pem"), &leaf.certificate)?;
    std::fs::write(others.path("chain.pem"), &leaf.chain)?;
    // Of the root's children this service cannot tell the status.
    let tls = serial_of(&others, "tls.pem")?;
    for name in ["issuer.pem", "trust.pem"] {
        std::fs::copy(others.path("root.pem"), others.path(name))?;
    }
    let ask = ["ocsp", "-issuer", "root.pem", "-cert", "tls.pem", "-CAfile", "root.pem", "-url"];
    let said = run("openssl", [&ask[..], &[&format!("{}/ocsp", stack.public_url())]].concat(), &others.folder)?.all();
    ensure!(said.contains("unauthorized"), "{said}");

    // A list, and lists that are none.
    let first = others.list("first.crl")?;
    let second = others.list("second.crl")?;
    done(&stack, &["import-crl", &second])?;
    refused(&stack, &["import-crl", &first], &["its number is 16", "number 17 is on record"])?;
    ensure!(done(&stack, &["import-crl", &second])?.contains("was published before"));
    let all = eventually(PATIENCE, "three lists", async || {
        let all = public.get("/crl/all.pem").await?.expect(200)?.text();
        Ok((all.matches("BEGIN X509 CRL").count() == 3).then_some(all))
    })
    .await?;
    std::fs::write(others.path("all.crl"), &all)?;
    let verify = ["verify", "-crl_check_all", "-CRLfile", "all.crl", "-CAfile", "root.pem", "-untrusted", "chain.pem"];
    others.openssl(&[&verify[..], &["leaf.pem"]].concat())?;
    public.get("/ready").await?.expect(200)?;

    // A responder that the root has certified.
    std::fs::write(others.path("responder.passphrase"), "of the responder\n")?;
    let key =
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-out", "responder.key"];
    others.openssl(&[&key[..], &["-pass", "file:responder.passphrase"]].concat())?;
    let request = ["req", "-new", "-key", "responder.key", "-passin", "file:responder.passphrase", "-config", "ca.cnf"];
    others.openssl(&[&request[..], &["-subj", "/CN=Responder of others", "-out", "responder.csr"]].concat())?;
    others.sign(&others.folder.join("responder.csr"), "of_responder", "responder.pem", "300")?;
    let (certificate, key) = (others.path("responder.pem"), others.path("responder.key"));
    let passphrase = others.path("responder.passphrase");
    let responder = ["import-responder", &certificate, "--key", &key, "--passphrase-file", &passphrase];
    ensure!(done(&stack, &responder)?.contains("answers for `root`"));
    eventually(RELOAD, "the responder's first answer", async || {
        let said = run("openssl", [&ask[..], &[&format!("{}/ocsp", stack.public_url())]].concat(), &others.folder)?;
        Ok(said.all().contains("Response verify OK").then_some(()))
    })
    .await?;
    ensure!(openssl_ocsp(&stack.public_url(), &tls, &others.folder)?.as_deref() == Some("good"));

    // What the root revokes is revoked here, and issues no more.
    others.openssl(&["ca", "-config", "ca.cnf", "-revoke", "document.pem", "-crl_reason", "keyCompromise"])?;
    let third = others.list("third.crl")?;
    ensure!(done(&stack, &["import-crl", &third])?.contains("is revoked on record now"));
    let document = serial_of(&others, "document.pem")?;
    eventually(RELOAD, "the revocation by OCSP", async || {
        let said = openssl_ocsp(&stack.public_url(), &document, &others.folder)?;
        Ok(said.filter(|said| said == "revoked"))
    })
    .await?;
    Ok(())
}

#[test]
fn what_was_not_asked_for_or_does_not_hold_is_refused() -> anyhow::Result<()> {
    let (site, others) = requested()?;
    let root = others.path("root.pem");
    let fingerprint = others.fingerprint()?;
    let import = |files: &[&str], hints: &[&str]| {
        let mut arguments = vec!["init", "--external-root", "--root-fingerprint", &fingerprint];
        files.iter().for_each(|file| arguments.extend(["--import", *file]));
        refused(&site, &arguments, hints)
    };
    let (tls, document) = (others.path("tls.pem"), others.path("document.pem"));
    import(&[&tls, &root], &["no certificate for the key of `document`"])?;
    import(&[&tls, &document], &["no self-signed root"])?;
    // Too long, and of no authority.
    let csr = others.folder.join("requests/tls.csr");
    others.sign(&csr, "of_authority", "long.pem", "9000")?;
    import(&[&others.path("long.pem"), &document, &root], &["after its issuer"])?;
    let signed = ["x509", "-req", "-in", "requests/tls.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "10"];
    std::fs::write(others.path("leaf.cnf"), "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n")?;
    others.openssl(&[&signed[..], &["-extfile", "leaf.cnf", "-out", "leaf.pem", "-CAcreateserial"]].concat())?;
    import(&[&others.path("leaf.pem"), &document, &root], &["cA", "keyCertSign", "cRLSign"])?;
    // Under the same name, by another key.
    let rival = Others { folder: others.folder.join("rival"), options: &[] };
    std::fs::create_dir(&rival.folder)?;
    for file in ["ca.cnf", "index.txt"] {
        std::fs::copy(others.path(file), rival.path(file))?;
    }
    rival.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "root.key"])?;
    let forged = ["req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-days", "3650"];
    let how = ["-config", "ca.cnf", "-extensions", "of_root", "-subj", "/O=Others/CN=Root of others"];
    rival.openssl(&[&forged[..], &how[..]].concat())?;
    import(&[&tls, &document, &rival.path("root.pem")], &["no self-signed root"])?;
    // Nothing is half on record: the right ones are taken.
    self::import(&site, &others)
}

fn serial_of(others: &Others, file: &str) -> anyhow::Result<String> {
    let said = others.openssl(&["x509", "-in", file, "-noout", "-serial"])?;
    Ok(said.trim().split('=').nth(1).context("no serial")?.to_owned())
}
