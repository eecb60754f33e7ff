//! Rollover of `tls` under load, over two replicas and PostgreSQL: no request fails, and every certificate of both generations is known
//! at both replicas from the moment that it is issued.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::authority::{Authority, AuthorityStatus};
use ca_api::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Stack};
use ca_e2e::status::Subject;
use ca_e2e::tools::openssl;
use tokio::task::{JoinSet, block_in_place};

use super::{Cluster, chain_is_whole};

/// How long after its announcement the next generation issues: more than the least, for machines that have other work.
const NOTICE: &str = "25s";

/// How many callers issue at a time.
const CALLERS: usize = 6;

/// How many certificates of the next generation each caller waits for.
const OF_THE_NEXT: usize = 5;

/// Callers end by themselves long before; if they do not, something hangs.
const LONG: Duration = Duration::from_secs(120);

/// What a caller goes by: both replicas, as an administrator and as anybody.
#[derive(Clone)]
struct Caller {
    administrators: Vec<Client>,
    publics: Vec<Client>,
}

impl Caller {
    fn of(replicas: &[Stack]) -> anyhow::Result<Self> {
        Ok(Self {
            administrators: replicas.iter().map(|replica| replica.administrator()).collect::<anyhow::Result<_>>()?,
            publics: replicas.iter().map(|replica| replica.public()).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Issues through one replica, and asks both at once whether it is good; no failure is forgiven.
    async fn issue(&self, at: usize, name: &str) -> anyhow::Result<Certificate> {
        let (certificate, _) = self.administrators[at % 2].enrol("server", name).await?;
        let subject = Subject::of(&certificate)?;
        for public in &self.publics {
            let status =
                subject.ask_ocsp(public).await.with_context(|| format!("{name} of {}", certificate.authority))?;
            ensure!(status == CertStatus::Good, "{name} of {}: {status:?}", certificate.authority);
        }
        Ok(certificate)
    }

    async fn issue_until_the_next(self, number: usize, stop: Arc<AtomicBool>) -> anyhow::Result<Vec<Certificate>> {
        let mut issued = Vec::new();
        let is_next = |certificate: &Certificate| certificate.authority == "tls-2";
        while !stop.load(Ordering::Relaxed)
            && issued.iter().filter(|certificate| is_next(certificate)).count() < OF_THE_NEXT
        {
            let at = number + issued.len();
            issued.push(self.issue(at, &format!("host-{number}-{}.example.com", issued.len())).await?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(issued)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_request_fails_and_both_generations_are_known_everywhere() -> anyhow::Result<()> {
    let cluster = Cluster::of(2)?;
    let [one, other] = cluster.replicas.as_slice() else { anyhow::bail!("two replicas") };
    let caller = Caller::of(&cluster.replicas)?;
    let (before, stop) = (caller.issue(0, "before.example.com").await?, Arc::new(AtomicBool::new(false)));
    ensure!(before.authority == "tls", "{}", before.authority);
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(caller.clone().issue_until_the_next(number, Arc::clone(&stop)));
    }
    // The command runs beside both of them, on the host that has the root's key.
    let (done, said) = block_in_place(|| one.run(&["authority", "rollover", "tls", "--issue-after", NOTICE]))?;
    ensure!(done && said.contains("tls-2"), "{said}");
    let mut issued = Vec::new();
    let all = async {
        while let Some(ended) = callers.join_next().await {
            issued.extend(ended??);
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(LONG, all).await.context("the next generation does not issue");
    stop.store(true, Ordering::Relaxed);
    ended??;
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    issued.iter().for_each(|certificate| *count.entry(certificate.authority.as_str()).or_default() += 1);
    println!("issued meanwhile: {count:?}");
    ensure!(count.get("tls-2").is_some_and(|count| *count >= CALLERS * OF_THE_NEXT), "{count:?}");
    // The replicas switched by one instant: what is of the first generation began before what is of the next. `notBefore` is in whole
    // seconds, and the replicas share a clock.
    let begun = |authority: &str, latest: bool| {
        let begun = issued.iter().filter(|certificate| certificate.authority == authority).map(|of| &of.not_before);
        if latest { begun.max() } else { begun.min() }
    };
    let (last, first) = (begun("tls", true), begun("tls-2", false));
    ensure!(last <= first, "the last of tls begins at {last:?}, the first of tls-2 at {first:?}");

    // Both verify: their chains as they were given out, and the lists of both.
    let folder = tempfile::tempdir()?;
    let next = issued.iter().rev().find(|certificate| certificate.authority == "tls-2").context("one of the next")?;
    for replica in [one, other] {
        let public = replica.public()?;
        verify_by_openssl(&public, &[&before, next], folder.path()).await?;
        for authority in ["tls", "tls-2"] {
            let told: Authority =
                replica.administrator()?.get(&format!("/v1/authorities/{authority}")).await?.expect(200)?.json()?;
            ensure!(told.status == AuthorityStatus::Active && told.issues_from.is_none(), "{told:?}");
        }
    }
    // A holder of a certificate of the next generation is known at both, though it shows its leaf alone.
    let (certificate, identity) = one.administrator()?.enrol("client", "holder.example.com").await?;
    ensure!(certificate.authority == "tls-2", "{}", certificate.authority);
    let alone = ca_e2e::identity::Identity::from_pem(certificate.certificate.clone(), identity.key_pem().to_owned());
    for replica in [one, other] {
        replica.holder(&alone)?.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
    }
    // Both are revoked through one replica, and the other tells of it.
    for certificate in [&before, next] {
        one.administrator()?.revoke(&certificate.id, "superseded").await?;
        let (subject, public) = (Subject::of(certificate)?, other.public()?);
        eventually(PATIENCE, "OCSP of the other replica says revoked", || async {
            Ok(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }).then_some(()))
        })
        .await?;
        let path = format!("/crl/{}.crl", certificate.authority);
        eventually(PATIENCE, "the list of its generation has it", || async {
            Ok(subject.is_listed(&public.get(&path).await?.expect(200)?.body)?.then_some(()))
        })
        .await?;
    }
    // A second rollover follows the first, by either host; the root's key has been on the first alone.
    let (done, said) = block_in_place(|| other.run(&["authority", "rollover", "tls", "--issue-after", "1h"]))?;
    ensure!(!done && said.contains("root.key"), "{said}");
    chain_is_whole(&other.administrator()?, issued.len()).await
}

async fn verify_by_openssl(
    public: &Client,
    certificates: &[&Certificate],
    folder: &std::path::Path,
) -> anyhow::Result<()> {
    for (path, file) in [("/roots.pem", "root.pem"), ("/crl/all.pem", "crls.pem")] {
        std::fs::write(folder.join(file), public.get(path).await?.expect(200)?.body)?;
    }
    for certificate in certificates {
        let chain = public.get(&format!("/ca/{}.pem", certificate.authority)).await?.expect(200)?.body;
        std::fs::write(folder.join("issuer.pem"), chain)?;
        std::fs::write(folder.join("leaf.pem"), &certificate.certificate)?;
        let options = ["-x509_strict", "-purpose", "sslserver", "-crl_check_all", "-CRLfile", "crls.pem"];
        let files = ["-CAfile", "root.pem", "-untrusted", "issuer.pem", "leaf.pem"];
        let said = openssl([&["verify"], &options[..], &files].concat(), folder)?;
        ensure!(said.succeeded, "{}: {}", certificate.authority, said.all());
    }
    Ok(())
}
