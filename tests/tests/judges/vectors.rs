//! The test vectors of pyca/cryptography, valid, odd and broken: the service answers each, and soon.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_api::route;
use ca_e2e::client::{Answer, send};
use reqwest::Method;

use crate::material::{Material, wait, write};
use crate::tool::Tool;

/// Whatever takes longer hangs.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn every_csr_gets_a_certificate_or_a_problem() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let vectors = vectors("requests")?;
    ensure!(vectors.len() >= 26, "{} CSRs", vectors.len());
    // With names of our choice, so that nothing but the CSR itself stands in the way.
    let names = serde_json::json!([{ "type": "email", "value": "vectors@example.com" }]);
    let mut issued = 0;
    for (name, octets) in vectors {
        let is_pem = name.ends_with(".pem");
        let csr = if is_pem { String::from_utf8_lossy(&octets).into_owned() } else { pem_of(&octets)? };
        let as_it_is = serde_json::json!({ "profile": "server", "csr": csr });
        let renamed = |profile| {
            serde_json::json!({
                "profile": profile, "csr": csr, "subject": "CN=vector", "subject_alternative_names": names,
            })
        };
        for body in [as_it_is, renamed("client"), renamed("document")] {
            let profile = &body["profile"];
            let answer = wait(async {
                let administrator = material.stack().administrator()?;
                within_time(administrator.post(route::CERTIFICATES, &body)).await
            })
            .with_context(|| format!("{name} as {profile}"))?;
            match answer.status {
                201 => issued += 1,
                400..=499 => drop(answer.problem().with_context(|| name.clone())?),
                status => bail!("{name} as {profile}: {status} {}", answer.text()),
            }
        }
    }
    ensure!(issued > 0, "not one of them is good enough");
    no_panic(&material)
}

#[test]
fn every_ocsp_message_gets_an_ocsp_answer() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let folder = material.folder_for("ocsp-vectors")?;
    let vectors = vectors("ocsp")?;
    ensure!(vectors.len() >= 28, "{} messages", vectors.len());
    for (name, octets) in vectors {
        let posted = wait(async {
            let asked = material.stack().public()?.request(Method::POST, route::OCSP);
            within_time(send(asked.header("content-type", "application/ocsp-request").body(octets.clone()))).await
        });
        let path = Tool::new("base64").arg("--wrap=0").input(octets).run()?.accepts()?.text();
        let got = wait(async {
            let public = material.stack().public()?;
            within_time(public.get(&format!("{}/{}", route::OCSP, path.replace('+', "%2B")))).await
        });
        for (answer, method) in [(posted, "POST"), (got, "GET")] {
            let answer = answer.with_context(|| format!("{method} of {name}"))?;
            if (400..=499).contains(&answer.status) {
                continue;
            }
            ensure!(answer.status == 200, "{method} of {name}: {}", answer.status);
            let file = write(&folder, &format!("{method}.{name}"), answer.body)?;
            let read = Tool::new("openssl").args(["ocsp", "-noverify", "-resp_text", "-respin"]).arg(file).run()?;
            // None of them is about a certificate of this service.
            read.never_says("Error reading")?.never_says("good").with_context(|| format!("{method} of {name}"))?;
        }
    }
    no_panic(&material)
}

/// The files of a folder of vectors, with their names.
fn vectors(folder: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let find = "import cryptography_vectors as vectors; print(vectors.__path__[0], end='')";
    let package = Tool::from_pypi("python").args(["-c", find]).run()?.accepts()?.text();
    let folder = PathBuf::from(package).join("x509").join(folder);
    let mut vectors = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".pem") || name.ends_with(".der") {
            vectors.push((name, std::fs::read(&path).context("a vector cannot be read")?));
        }
    }
    vectors.sort();
    Ok(vectors)
}

fn pem_of(der: &[u8]) -> anyhow::Result<String> {
    let base64 = Tool::new("base64").arg("--wrap=64").input(der).run()?.accepts()?.text();
    Ok(format!("-----BEGIN CERTIFICATE REQUEST-----\n{base64}-----END CERTIFICATE REQUEST-----\n"))
}

async fn within_time(asked: impl Future<Output = anyhow::Result<Answer>>) -> anyhow::Result<Answer> {
    match tokio::time::timeout(SOON, asked).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer within {SOON:?}"),
    }
}

fn no_panic(material: &Material) -> anyhow::Result<()> {
    let panics: Vec<String> = material.stack().logs().into_iter().filter(|line| line.contains("panic")).collect();
    ensure!(panics.is_empty(), "{}", panics.join("\n"));
    Ok(())
}
