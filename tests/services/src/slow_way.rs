//! A way to a server of this machine on which answers take as long as they are told to: what is asked goes through at once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;

/// A port of the loopback interface that leads to another one. Dropping it closes it to who comes later.
pub struct SlowWay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: u16,
    delay_millis: AtomicU64,
    /// What is counted among what is asked.
    word: Vec<u8>,
    asked: AtomicUsize,
    closed: AtomicBool,
}

impl SlowWay {
    /// Leads to a port, for now without delay, and counts how often `word` is asked.
    pub fn start(to: u16, word: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            to,
            delay_millis: AtomicU64::new(0),
            word: word.as_bytes().to_vec(),
            asked: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let way = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.closed.load(Ordering::Relaxed) {
                    return;
                }
                // Without a server behind it, the connection is closed again, as nobody's would be refused.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.to)) else { continue };
                let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { continue };
                let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || copy(client, server, |octets| there.count(octets)));
                thread::spawn(move || copy(server_too, client_too, |_| wait(back.delay())));
            }
        });
        Ok(way)
    }

    /// The port to go to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on each answer takes so long.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay_millis.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// How often the word was asked. A word that two packets tear apart is not counted.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for SlowWay {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes who waits for the next connection.
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn count(&self, octets: &[u8]) {
        let found = octets.windows(self.word.len()).filter(|window| *window == self.word).count();
        self.asked.fetch_add(found, Ordering::Relaxed);
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_millis.load(Ordering::Relaxed))
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, whose only work is to wait")]
fn wait(delay: Duration) {
    thread::sleep(delay);
}

fn copy(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8])) {
    let mut octets = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        before(&octets[..count]);
        if to.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    // Whoever is gone already does not mind.
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
