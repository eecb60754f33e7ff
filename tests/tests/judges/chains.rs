//! Chains and lists as OpenSSL, GnuTLS, NSS, strongSwan and pyca/cryptography see them.

use std::path::PathBuf;

use anyhow::Context;

use crate::material::{Material, SERVER_NAME};
use crate::tool::{Tool, Verdict};

/// The policy of the `client` profile, and one that no profile has.
const CLIENT_POLICY: &str = "2.25.28931.108876874.72040349.129235155.176767625.2";
const OTHER_POLICY: &str = "1.2.3.4.5";

#[test]
fn openssl_strictly_verifies_each_certificate_for_its_purpose_alone() -> anyhow::Result<()> {
    let material = Material::shared()?;
    openssl_judges_purposes(&material)
}

pub(crate) fn openssl_judges_purposes(material: &Material) -> anyhow::Result<()> {
    let verify = |options: &[&str], file: &str| openssl_verify(material, options, file);
    verify(&["-purpose", "sslclient"], "good.pem")?.accepts()?;
    verify(&["-purpose", "sslserver", "-verify_hostname", SERVER_NAME], "server.pem")?.accepts()?;
    // A server may renew by mutual TLS: the profile has clientAuth too.
    verify(&["-purpose", "sslclient"], "server.pem")?.accepts()?;
    verify(&["-purpose", "sslserver"], "good.pem")?.refuses("unsuitable certificate purpose")?;
    verify(&["-verify_hostname", "other.test"], "server.pem")?.refuses("hostname mismatch")?;
    verify(&[], "expired.pem")?.refuses("certificate has expired")?;
    verify(&[], "foreign.pem")?.refuses("error")?;
    Ok(())
}

#[test]
fn openssl_finds_every_authority_s_list() -> anyhow::Result<()> {
    let material = Material::shared()?;
    openssl_judges_lists(&material)
}

pub(crate) fn openssl_judges_lists(material: &Material) -> anyhow::Result<()> {
    let lists = material.file("crls.pem");
    let lists = lists.to_str().context("a temporary folder's name is UTF-8")?;
    let verify = |file: &str| openssl_verify(material, &["-crl_check_all", "-CRLfile", lists], file);
    verify("good.pem")?.accepts()?;
    verify("revoked.pem")?.refuses("certificate revoked")?;
    for (issuer, list) in [("tls.pem", "tls.crl"), ("root.pem", "root.crl"), ("document.pem", "document.crl")] {
        let crl = Tool::new("openssl").args(["crl", "-noout", "-verify", "-in"]).arg(material.file(list));
        crl.arg("-CAfile").arg(material.file(issuer)).run()?.accepts()?.says("verify OK")?;
    }
    Ok(())
}

#[test]
fn openssl_finds_the_policy_of_the_profile_under_an_explicit_policy() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let verify =
        |policy| openssl_verify(&material, &["-policy_check", "-explicit_policy", "-policy", policy], "good.pem");
    verify(CLIENT_POLICY)?.accepts()?;
    verify(OTHER_POLICY)?.refuses("no explicit policy")?;
    Ok(())
}

#[test]
fn gnutls_verifies_purposes_names_and_lists() -> anyhow::Result<()> {
    let material = Material::shared()?;
    gnutls_judges(&material)
}

pub(crate) fn gnutls_judges(material: &Material) -> anyhow::Result<()> {
    let verify = |options: &[&str], file: &str| {
        let tool = Tool::new("certtool").arg("--verify").arg("--load-ca-certificate").arg(material.file("root.pem"));
        tool.args(options).arg("--infile").arg(material.file(file)).run()
    };
    let (server_auth, client_auth) = ("--verify-purpose=1.3.6.1.5.5.7.3.1", "--verify-purpose=1.3.6.1.5.5.7.3.2");
    let hostname = format!("--verify-hostname={SERVER_NAME}");
    verify(&[server_auth, &hostname], "server.chain.pem")?.accepts()?;
    verify(&[client_auth], "good.chain.pem")?.accepts()?;
    verify(&[server_auth], "good.chain.pem")?.refuses("not trusted")?;
    verify(&[server_auth, "--verify-hostname=other.test"], "server.chain.pem")?.refuses("not match")?;
    let lists = format!("--load-crl={}", material.file("crls.pem").display());
    verify(&[&lists], "good.chain.pem")?.accepts()?;
    verify(&[&lists], "revoked.chain.pem")?.refuses("revoked")?;
    for (issuer, list) in [("tls.pem", "tls.crl"), ("root.pem", "root.crl"), ("document.pem", "document.crl")] {
        let pem = Tool::new("openssl").args(["crl", "-inform", "DER", "-in"]).arg(material.file(list)).run()?;
        let crl = Tool::new("certtool").arg("--verify-crl").input(pem.accepts()?.stdout);
        crl.arg("--load-ca-certificate").arg(material.file(issuer)).run()?.accepts()?.says("Verified")?;
    }
    Ok(())
}

#[test]
fn nss_verifies_purposes_and_imports_lists() -> anyhow::Result<()> {
    let material = Material::shared()?;
    nss_judges(&material)
}

pub(crate) fn nss_judges(material: &Material) -> anyhow::Result<()> {
    let folder = material.folder_for("nss")?;
    let database = format!("sql:{}", folder.display());
    let certutil = |arguments: &[&str]| Tool::new("certutil").args(["-d", &database]).args(arguments);
    certutil(&["-N", "--empty-password"]).run()?.accepts()?;
    let import = |name: &str, trust: &str| {
        let add = certutil(&["-A", "-n", name, "-t", trust, "-i"]).arg(material.file(&format!("{name}.pem")));
        add.run()?.accepts().map(drop)
    };
    import("root", "CT,C,C")?;
    for name in ["tls", "document", "server", "good", "revoked", "expired"] {
        import(name, ",,")?;
    }
    let verify = |name: &str, usage: &str| certutil(&["-V", "-e", "-n", name, "-u", usage]).run();
    verify("server", "V")?.accepts()?;
    verify("good", "C")?.accepts()?;
    verify("good", "V")?.refuses("type not approved")?;
    verify("expired", "C")?.refuses("expired")?;
    verify("revoked", "C")?.accepts()?;
    for list in ["root.crl", "document.crl", "tls.crl"] {
        let import = Tool::new("crlutil").args(["-I", "-t", "1", "-d", &database, "-i"]);
        import.arg(material.file(list)).run()?.accepts()?;
    }
    verify("revoked", "C")?.refuses("revoked")?;
    verify("good", "C")?.accepts()?;
    Ok(())
}

#[test]
fn who_reads_one_list_from_a_file_of_all_finds_that_of_tls() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let folder = material.folder_for("first-list")?;
    let list = folder.join("first.crl");
    let first = Tool::new("openssl").args(["crl", "-outform", "DER", "-in"]).arg(material.file("crls.pem"));
    first.arg("-out").arg(&list).run()?.accepts()?;
    let issuer = Tool::new("openssl").args(["crl", "-inform", "DER", "-noout", "-issuer", "-in"]).arg(&list);
    issuer.run()?.accepts()?.says("TLS CA")?;
    Ok(())
}

#[test]
fn strongswan_verifies_chains_and_lists() -> anyhow::Result<()> {
    let material = Material::shared()?;
    strongswan_judges(&material)
}

pub(crate) fn strongswan_judges(material: &Material) -> anyhow::Result<()> {
    let verify = |file: &str, lists: &[PathBuf]| {
        let mut tool = Tool::new("pki").arg("--verify").arg("--in").arg(material.file(file));
        for authority in ["tls.pem", "root.pem"] {
            tool = tool.arg("--cacert").arg(material.file(authority));
        }
        for list in lists {
            tool = tool.arg("--crl").arg(list);
        }
        tool.run()
    };
    let lists = [material.file("tls.crl"), material.file("root.crl")];
    verify("server.pem", &[])?.accepts()?.says("certificate trusted")?;
    verify("good.pem", &lists)?.accepts()?.says("certificate trusted, lifetimes valid, certificate not revoked")?;
    verify("revoked.pem", &lists)?.refuses("revoked")?;
    verify("foreign.pem", &[])?.refuses("untrusted")?;
    Ok(())
}

#[test]
fn the_webs_verifier_has_no_objection() -> anyhow::Result<()> {
    let material = Material::shared()?;
    the_webs_verifier_judges(&material)
}

pub(crate) fn the_webs_verifier_judges(material: &Material) -> anyhow::Result<()> {
    let verify = |file: &str, purpose: &[&str]| {
        let tool = Tool::python("path_judge.py").arg(material.file("root.pem")).arg(material.file(file));
        tool.args(purpose).run()
    };
    verify("server.chain.pem", &["server", SERVER_NAME])?.accepts()?;
    verify("server.chain.pem", &["server", "192.0.2.1"])?.accepts()?;
    verify("good.chain.pem", &["client"])?.accepts()?;
    verify("server.chain.pem", &["server", "other.test"])?.refuses("no matching subjectAltName")?;
    verify("good.chain.pem", &["server", SERVER_NAME])?.refuses("validation failed")?;
    verify("foreign.chain.pem", &["client"])?.refuses("validation failed")?;
    Ok(())
}

/// `openssl verify`, as strict as it can be.
fn openssl_verify(material: &Material, options: &[&str], file: &str) -> anyhow::Result<Verdict> {
    let tool = Tool::new("openssl").args(["verify", "-x509_strict", "-check_ss_sig"]).args(options);
    let tool = tool.arg("-CAfile").arg(material.file("root.pem")).arg("-untrusted").arg(material.file("tls.pem"));
    tool.arg(material.file(file)).run()
}
