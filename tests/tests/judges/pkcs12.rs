//! PKCS#12 files of the command line, opened by OpenSSL, Java, NSS and GnuTLS without a word about old algorithms.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ca_e2e::programs::programs;

use crate::material::{Material, write};
use crate::tool::{Tool, Verdict};

const PASSWORD: &str = "a password of the tests";
const WRONG_PASSWORD: &str = "another password";

#[test]
fn every_judge_opens_a_client_s_file() -> anyhow::Result<()> {
    opened_by_all("client", "p12-p256", "p256")
}

#[test]
fn every_judge_opens_a_file_with_an_rsa_key() -> anyhow::Result<()> {
    opened_by_all("document", "p12-rsa", "rsa2048")
}

fn opened_by_all(profile: &str, name: &str, key_type: &str) -> anyhow::Result<()> {
    let material = Material::shared()?;
    let folder = material.folder_for(name)?;
    let file = export(&material, &folder, profile, name, key_type)?;

    openssl(&file, PASSWORD)?.accepts()?.says("PRIVATE KEY")?.says(&format!("CN = {name}"))?;
    openssl(&file, WRONG_PASSWORD)?.refuses("invalid password")?;

    // Leaf, issuer and root: who imports the file needs nothing more.
    keytool(&file, PASSWORD)?.accepts()?.says("PrivateKeyEntry")?.says("Certificate chain length: 3")?;
    keytool(&file, WRONG_PASSWORD)?.refuses("password was incorrect")?;

    certtool(&file, PASSWORD)?.accepts()?.says("PBES2-AES256-CBC")?.never_says("RC2")?;
    certtool(&file, WRONG_PASSWORD)?.refuses("error")?;

    nss_imports(&folder, &file, name)
}

/// A certificate with its key in `NAME.p12`, as `ca-cli` makes it.
fn export(material: &Material, folder: &Path, profile: &str, name: &str, key_type: &str) -> anyhow::Result<PathBuf> {
    let password = write(folder, "password", PASSWORD)?;
    let settings = material.stack().data_folder().join("admin/cli.toml");
    let cli = Tool::at(&programs()?.cli).arg("--config").arg(settings).args(["issue", profile, name]);
    let cli = cli.args(["--san", "ana@example.com", "--key-type", key_type, "--out"]).arg(folder);
    cli.arg("--p12").arg("--p12-password-file").arg(password).run()?.accepts()?;
    Ok(folder.join(format!("{name}.p12")))
}

/// Without `-legacy`: OpenSSL 3 opens what is encrypted by today's algorithms only.
fn openssl(file: &Path, password: &str) -> anyhow::Result<Verdict> {
    let tool = Tool::new("openssl").args(["pkcs12", "-nodes", "-passin", &format!("pass:{password}"), "-in"]);
    tool.arg(file).run()
}

fn keytool(file: &Path, password: &str) -> anyhow::Result<Verdict> {
    let tool = Tool::new("keytool").args(["-list", "-v", "-storetype", "PKCS12", "-storepass", password]);
    tool.arg("-keystore").arg(file).run()
}

fn certtool(file: &Path, password: &str) -> anyhow::Result<Verdict> {
    let tool = Tool::new("certtool").args(["--p12-info", "--inder", "--password", password]);
    tool.arg("--infile").arg(file).run()
}

fn nss_imports(folder: &Path, file: &Path, name: &str) -> anyhow::Result<()> {
    let database = folder.join("nss");
    std::fs::create_dir(&database).context("a folder for NSS")?;
    let database = format!("sql:{}", database.display());
    Tool::new("certutil").args(["-N", "--empty-password", "-d", &database]).run()?.accepts()?;
    let import = |password: &str| {
        let tool = Tool::new("pk12util").args(["-d", &database, "-W", password, "-i"]);
        tool.arg(file).run()
    };
    import(WRONG_PASSWORD)?.refuses("password")?;
    import(PASSWORD)?.accepts()?;
    Tool::new("certutil").args(["-K", "-d", &database]).run()?.accepts()?.says(name)?;
    Ok(())
}
