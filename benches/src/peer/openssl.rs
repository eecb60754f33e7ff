//! The `openssl` command: the speed of its arithmetic, and its CA.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::Measured;
use crate::clock::{Spent, wall};
use crate::process::{Running, processor_seconds, work_folder};
use crate::spread::Cost;

/// Seconds of processor time of one operation.
pub(crate) struct Speed {
    /// `OpenSSL 3.0.19`
    pub(crate) version: String,
    pub(crate) sign: f64,
    pub(crate) verify: f64,
}

/// `OpenSSL` and its version.
pub(crate) fn version() -> anyhow::Result<String> {
    let output = Command::new("openssl").arg("version").output().context("there is no openssl here")?;
    let text = String::from_utf8(output.stdout).context("openssl's version is not UTF-8")?;
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// How fast ECDSA with P-256 is, as openssl itself measures.
pub(crate) fn speed_p256() -> anyhow::Result<Speed> {
    let version = version()?;
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "2", "-mr", "ecdsap256"])
        .stderr(Stdio::null())
        .output()
        .context("there is no openssl here")?;
    let text = String::from_utf8(output.stdout).context("openssl speed does not speak UTF-8")?;
    let (sign, verify) = operations_a_second(&text).with_context(|| format!("openssl speed says {text:?}"))?;
    Ok(Speed { version, sign: sign.recip(), verify: verify.recip() })
}

/// The line of an ECDSA key: `+F4:index:bits:signatures a second:verifications a second`.
fn operations_a_second(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("+F4:"))?;
    let mut numbers = line.split(':').skip(2).map(str::parse::<f64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `openssl ca -gencrl` over an index of so many revoked certificates, a reason in every second line.
pub(crate) fn generate_crl(entries: u64) -> anyhow::Result<Measured> {
    let version = version()?;
    let folder = work_folder()?;
    let folder = folder.path();
    let mut index = String::new();
    for number in 0..entries {
        let reason = if number.is_multiple_of(2) { ",superseded" } else { "" };
        let serial = (0x40_u128 << 120) + (u128::from(number) << 40);
        writeln!(index, "R\t350101000000Z\t261120000000Z{reason}\t{serial:032X}\tunknown\t/CN=n{number}")?;
    }
    fs::write(folder.join("index.txt"), index).context("the index cannot be written")?;
    fs::write(folder.join("number"), "02\n").context("the number cannot be written")?;
    fs::write(folder.join("ca.cnf"), CONFIGURATION).context("the configuration cannot be written")?;
    make_authority(folder)?;
    let rounds = (0..5).map(|_| gencrl(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    let octets = fs::metadata(folder.join("list.pem")).context("there is no list")?.len();
    // The shortest entry, with a serial of 16 octets, is 35 octets of DER.
    ensure!(octets > entries * 35, "a list of {octets} octets cannot have {entries} entries");
    Ok(Measured { version, cost: Cost::of(&rounds) })
}

const CONFIGURATION: &str = "[ca]\ndefault_ca = bench\n[bench]\ndatabase = index.txt\ncrlnumber = number\n\
     certificate = ca.pem\nprivate_key = ca.key\ndefault_md = sha256\ndefault_crl_days = 7\ncrl_extensions = crl\n\
     [crl]\nauthorityKeyIdentifier = keyid\n";

fn make_authority(folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=Bench CA",
        ])
        .args(["-keyout", "ca.key", "-out", "ca.pem", "-days", "30"])
        .current_dir(folder)
        .output()
        .context("there is no openssl here")?;
    ensure!(output.status.success(), "openssl makes no authority: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn gencrl(folder: &Path) -> anyhow::Result<Spent> {
    let start = wall();
    let mut command = Command::new("openssl");
    command.args(["ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem"]).current_dir(folder).stderr(Stdio::null());
    let mut running = Running::start(&mut command)?;
    let id = running.id();
    // Once it has ended, and until it is waited for, the kernel still tells what it spent.
    rustix::process::waitid(
        rustix::process::WaitId::Pid(rustix::process::Pid::from_child(running.child())),
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )
    .context("openssl cannot be waited for")?;
    let spent = Spent { processor: processor_seconds(id)?, wall: wall() - start };
    let status = running.child().wait().context("openssl cannot be waited for")?;
    ensure!(status.success(), "openssl makes no CRL: {status}");
    Ok(spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_speed_prints_for_machines() {
        let text = "+DTP:256:sign:ecdsa:2\n+F4:3:256:68807.407407:24625.000000\n";
        assert_eq!(operations_a_second(text), Some((68_807.407_407, 24_625.0)));
        assert_eq!(operations_a_second("+F2:0:2048:1:2\n"), None);
    }
}
