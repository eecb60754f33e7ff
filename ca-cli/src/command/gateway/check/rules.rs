//! What in nginx's configuration lets a session or a connection of before outlive a revocation, server by server.

use serde::Serialize;

use super::syntax::Directive;

/// A server that verifies clients, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::command::gateway) struct CheckedServer {
    /// Its names and where it listens.
    pub(in crate::command::gateway) server: String,
    /// What is wrong, and what would be right.
    pub(in crate::command::gateway) faults: Vec<String>,
}

/// Every server that verifies clients.
pub(super) fn servers(configuration: &[Directive]) -> Vec<CheckedServer> {
    let mut checked = Vec::new();
    for (protocol, http) in [("http", true), ("stream", false)] {
        for block in configuration.iter().filter(|directive| directive.name == protocol) {
            for server in block.block.iter().filter(|directive| directive.name == "server") {
                let server = Server { own: &server.block, around: &block.block };
                if server.value("ssl_verify_client").is_some_and(|value| value != "off") {
                    checked.push(CheckedServer { server: server.label(), faults: server.faults(http) });
                }
            }
        }
    }
    checked
}

struct Server<'a> {
    own: &'a [Directive],
    around: &'a [Directive],
}

impl Server<'_> {
    /// The first word of a directive, in the server or inherited.
    fn value(&self, name: &str) -> Option<&str> {
        let in_block = |block: &[Directive]| block.iter().rposition(|directive| directive.name == name);
        let directive = match (in_block(self.own), in_block(self.around)) {
            (Some(place), _) => &self.own[place],
            (None, Some(place)) => &self.around[place],
            (None, None) => return None,
        };
        Some(directive.words.first().map_or("", String::as_str))
    }

    fn label(&self) -> String {
        let words = |name: &str| -> Vec<&str> {
            let named = self.own.iter().filter(|directive| directive.name == name);
            named.flat_map(|directive| directive.words.iter().map(String::as_str)).collect()
        };
        format!("server_name {} (listen {})", words("server_name").join(" "), words("listen").join(" "))
    }

    fn faults(&self, http: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.value("ssl_verify_client") == Some("optional_no_ca") {
            faults.push(
                "`ssl_verify_client optional_no_ca` lets in who no authority vouches for; write `on` or `optional`"
                    .to_owned(),
            );
        }
        let by_list = self.value("ssl_crl").is_some_and(|file| !file.is_empty());
        let by_ocsp = self.value("ssl_ocsp").is_some_and(|value| value != "off");
        if !by_list && !by_ocsp {
            faults.push(
                "it learns of no revocation: set `ssl_crl` to the file of --crl-file, or `ssl_ocsp on`".to_owned(),
            );
        }
        if let Some(cache) = self.value("ssl_session_cache").filter(|cache| !matches!(*cache, "off" | "none")) {
            faults.push(format!(
                "`ssl_session_cache {cache}` resumes sessions without looking at the certificate again; write \
                 `ssl_session_cache off`"
            ));
        }
        if self.value("ssl_session_tickets") != Some("off") {
            faults.push(
                "session tickets, which are on unless they are switched off, resume sessions without looking at the \
                 certificate again; write `ssl_session_tickets off`"
                    .to_owned(),
            );
        }
        if let Some(cache) = self.value("ssl_ocsp_cache").filter(|cache| by_ocsp && *cache != "off") {
            faults.push(format!(
                "`ssl_ocsp_cache {cache}` keeps answers until they end, whoever is revoked meanwhile; write \
                 `ssl_ocsp_cache off`"
            ));
        }
        if http {
            self.judge_connections(&mut faults);
        }
        faults
    }

    /// Connections that are kept alive, here and in any location.
    fn judge_connections(&self, faults: &mut Vec<String>) {
        let mut times = Vec::new();
        if self.value("keepalive_timeout").is_none_or(|timeout| seconds(timeout) != Some(0)) {
            times.push(self.value("keepalive_time").unwrap_or("1h"));
        }
        collect(self.own, "keepalive_time", &mut times);
        let is_long = |time: &&str| seconds(time).is_none_or(|seconds| seconds > LONGEST_CONNECTION);
        if let Some(time) = times.into_iter().find(is_long) {
            faults.push(format!(
                "a connection that is kept alive is never looked at again, and may last for {time} (keepalive_time, 1h unless \
                 it is set); write at most `keepalive_time {LONGEST_CONNECTION}s`"
            ));
        }
    }
}

/// The values of a directive anywhere inside.
fn collect<'a>(block: &'a [Directive], name: &str, values: &mut Vec<&'a str>) {
    for directive in block {
        if directive.name == name {
            values.push(directive.words.first().map_or("", String::as_str));
        }
        collect(&directive.block, name, values);
    }
}

/// A time as nginx writes it (`90`, `1m30s`, `500ms`), in whole seconds, rounded up.
fn seconds(text: &str) -> Option<u64> {
    let mut millis: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units: [(&str, u64); 8] = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
            ("M", 2_592_000_000),
            ("y", 31_536_000_000),
        ];
        let (unit, factor) = match rest {
            "" => ("", 1_000),
            _ => *units.iter().find(|(unit, _)| rest.starts_with(unit))?,
        };
        rest = rest[unit.len()..].trim_start();
        millis = millis.checked_add(count.checked_mul(factor)?)?;
    }
    (!text.is_empty()).then(|| millis.div_ceil(1_000))
}

/// No connection needs to last longer than this, in seconds.
const LONGEST_CONNECTION: u64 = 300;

#[cfg(test)]
mod tests {
    use super::super::syntax::read;
    use super::*;

    fn faults(server: &str) -> Vec<String> {
        let dump = format!(
            "# configuration file /n:\nhttp {{ keepalive_time 60s; ssl_session_tickets off; server {{ server_name a; \
             listen 443 ssl; {server} }} server {{ listen 80; }} }}\n"
        );
        let checked = servers(&read(&dump).expect("read"));
        assert_eq!(checked.len(), 1, "{checked:?}");
        assert_eq!(checked[0].server, "server_name a (listen 443 ssl)");
        checked[0].faults.clone()
    }

    #[test]
    fn what_is_right_is_left_alone() {
        assert_eq!(faults("ssl_verify_client on; ssl_crl crls.pem; ssl_session_cache off;"), Vec::<String>::new());
        assert_eq!(
            faults("ssl_verify_client optional; ssl_ocsp on;"),
            Vec::<String>::new(),
            "nothing is cached by default"
        );
        let none = faults("ssl_verify_client on; ssl_ocsp leaf; keepalive_timeout 0; keepalive_time 300s;");
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn each_way_to_outlive_a_revocation_is_named() {
        const RIGHT: &str = "ssl_verify_client on; ssl_crl crls.pem;";
        for (server, hint) in [
            ("ssl_verify_client on;", "learns of no revocation"),
            ("ssl_verify_client on; ssl_ocsp off;", "learns of no revocation"),
            ("ssl_verify_client optional_no_ca; ssl_crl c;", "optional_no_ca"),
            (&format!("{RIGHT} ssl_session_cache shared:SSL:1m;"), "ssl_session_cache off"),
            (&format!("{RIGHT} ssl_session_tickets on;"), "ssl_session_tickets off"),
            (&format!("{RIGHT} keepalive_time 1h;"), "may last for 1h"),
            (&format!("{RIGHT} location / {{ keepalive_time 10m; }}"), "may last for 10m"),
            ("ssl_verify_client on; ssl_ocsp on; ssl_ocsp_cache shared:o:1m;", "ssl_ocsp_cache off"),
        ] {
            let faults = faults(server);
            assert!(faults.len() == 1 && faults[0].contains(hint), "{server}: {faults:?}");
        }
    }

    #[test]
    fn defaults_of_nginx_are_judged_where_nothing_is_set() {
        let dump = "# configuration file /n:\nhttp { server { ssl_verify_client on; ssl_crl c; } }\n";
        let checked = servers(&read(dump).expect("read"));
        assert_eq!(checked[0].faults.len(), 2, "tickets and an hour of keepalive: {checked:?}");
    }

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, expected) in [
            ("90", Some(90)),
            ("1m30s", Some(90)),
            ("1m 30s", Some(90)),
            ("500ms", Some(1)),
            ("1h", Some(3_600)),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
