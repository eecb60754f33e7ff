//! Ports for services that tests start.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context;

/// From here up to [`END`]: below what the system takes for outgoing connections (from 32768 on, on Linux), one of which would
/// otherwise take a port between the look and the service that is to listen there.
const START: u16 = 12_000;
const END: u16 = 32_000;

/// A port that nobody listens on and that this process was not given before.
pub fn free() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side begin apart.
    let offset = u16::try_from(std::process::id() % 997).unwrap_or_default() * 20;
    for _ in START..END {
        let number = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (END - START);
        let port = START + number;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    None.context("no port is free")
}
