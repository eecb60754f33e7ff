//! `openssl ocsp` as a responder.
//!
//! It speaks HTTP/1.0, a connection a request. A client that connects and sends nothing puts it into a loop for ever, so
//! readiness is read from what it prints.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use ca_core::pem;
use ca_engine::hierarchy::Responder;
use ca_engine::port::store::StoredCertificate;

use super::openssl;
use crate::ocsp_client::ask_alone;
use crate::process::{Running, work_folder};
use crate::spread::Cost;
use crate::world::World;

/// A running `openssl ocsp`.
pub(crate) struct OpensslResponder {
    version: String,
    address: SocketAddr,
    running: Running,
    _folder: tempfile::TempDir,
}

impl OpensslResponder {
    /// Starts it with the responder of `world` and an index of `entries`, `certificate` among them.
    pub(crate) fn start(
        world: &World,
        responder: &Responder,
        certificate: &StoredCertificate,
        entries: usize,
    ) -> anyhow::Result<Self> {
        let version = openssl::version()?;
        let folder = work_folder()?;
        write_files(folder.path(), world, responder, certificate, entries)?;
        let address = free_address()?;
        let mut command = Command::new("openssl");
        command
            .args([
                "ocsp",
                "-index",
                "index.txt",
                "-CA",
                "ca.pem",
                "-rsigner",
                "responder.pem",
                "-rkey",
                "responder.key",
            ])
            .args(["-ndays", "7", "-port", &address.port().to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let mut said = BufReader::new(running.child().stderr.take().context("a piped stream is there")?);
        let mut line = String::new();
        while !line.contains("waiting for OCSP client connections") {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "openssl ocsp ended before it was ready");
        }
        // What it says of each request goes nowhere, but must be read for it to go on.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(Self { version, address, running, _folder: folder })
    }

    /// Its name and version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// What it takes to answer `request`, which it must find good or revoked.
    pub(crate) fn measure(&self, request: &[u8]) -> anyhow::Result<Cost> {
        ask_alone(self.address, self.running.id(), || Ok(request.to_vec()))
    }
}

fn write_files(
    folder: &Path,
    world: &World,
    responder: &Responder,
    certificate: &StoredCertificate,
    entries: usize,
) -> anyhow::Result<()> {
    let mut serials = vec![certificate.serial.to_string()];
    serials.extend((1..entries).map(|number| format!("50{number:030x}")));
    serials.sort();
    let mut index = String::new();
    for (number, serial) in serials.iter().enumerate() {
        writeln!(index, "V\t350101000000Z\t\t{}\tunknown\t/CN=n{number}", serial.to_uppercase())?;
    }
    let authority = world.authority()?;
    let key = world.private_key(responder.signer().public_key().spki_sha256())?;
    let files = [
        ("index.txt", index),
        ("ca.pem", pem::encode("CERTIFICATE", authority.certificate().der())),
        ("responder.pem", pem::encode("CERTIFICATE", responder.certificate_der())),
        ("responder.key", pem::encode("PRIVATE KEY", &key)),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).with_context(|| format!("{name} cannot be written"))?;
    }
    Ok(())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    socket.local_addr().context("a bound socket has an address")
}
