//! Ports for services that tests start.

use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// From here up to [`END`]: below what the system takes for outgoing connections (from 32768 on, on Linux), one of which would
/// otherwise take a port between the look and the service that is to listen there.
const START: u16 = 12_000;
const END: u16 = 32_000;

/// The locks of the ports that this process was given. They end with it.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on and that neither this process nor any other test that runs was given before: each is locked, since
/// two who look at the same moment both find it free.
pub fn free() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let locks = std::env::temp_dir().join("cartorio-test-ports");
    // Whoever runs tests on this machine, they share it.
    match std::fs::create_dir(&locks) {
        Ok(()) => std::fs::set_permissions(&locks, Permissions::from_mode(0o1777)).context("locks of ports")?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => Err(error).context("locks of ports")?,
    }
    // Test programs that run side by side begin apart.
    let offset = u16::try_from(std::process::id() % 997).unwrap_or_default() * 20;
    for _ in START..END {
        let number = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (END - START);
        let port = START + number;
        let Some(lock) = lock(&locks.join(port.to_string())) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return Ok(port);
        }
    }
    None.context("no port is free")
}

/// `None` where somebody else has it, or where the file is another user's.
fn lock(path: &Path) -> Option<File> {
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
