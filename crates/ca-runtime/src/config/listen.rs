//! `[listen]`: the three listeners.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::settings::Settings;

/// Addresses of the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// HTTPS: the API. Client certificates are asked for, not demanded.
    pub api: SocketAddr,
    /// Plain HTTP: OCSP, CRL, AIA and health, where RFC 5280 clients look.
    pub public: SocketAddr,
    /// Plain HTTP: metrics and details of health. For this host, or a private network.
    pub admin: SocketAddr,
}

const KEYS: [(&str, u16); 3] = [("listen.api", 8443), ("listen.public", 8080), ("listen.admin", 9090)];

impl ListenConfig {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let [api, public, admin] = KEYS.map(|(key, port)| address(settings, key, port));
        let listen = Self { api, public, admin };
        let named = listen.named();
        for (index, (key, address)) in named.iter().enumerate() {
            // Port 0 lets the system choose one, never the same twice.
            if let Some((other, _)) =
                named[..index].iter().find(|(_, earlier)| earlier == address && address.port() != 0)
            {
                settings
                    .invalid(key, format!("{address} is the address of `{other}` already; each listener has its own"));
            }
        }
        listen
    }

    /// Every listener with its key.
    pub(super) fn named(&self) -> [(&'static str, SocketAddr); 3] {
        [(KEYS[0].0, self.api), (KEYS[1].0, self.public), (KEYS[2].0, self.admin)]
    }
}

fn address(settings: &mut Settings, key: &'static str, port: u16) -> SocketAddr {
    let fallback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    match settings.text(key).map(str::parse) {
        None => fallback,
        Some(Ok(address)) => address,
        Some(Err(_)) => {
            let detail = format!("not an address and a port; write them like {fallback}, or [::1]:{port}");
            settings.invalid(key, detail);
            fallback
        }
    }
}
