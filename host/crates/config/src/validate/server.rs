//! How the source's server is reached, kept awake and spared.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::{
    super::{
        quantity::Size,
        raw::{RawHeartbeat, RawMySql, RawTls},
        server::{Address, ClientCertificate, Heartbeat, Rate, TlsMode},
    },
    check::Check,
};
use sluicegate_model::limits::SOURCE_HOSTS;

/// MySQL's port.
const PORT: u16 = 3306;
/// The shortest time between two heartbeats.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest time between two heartbeats.
const LONGEST: Duration = Duration::from_secs(3600);

impl Check<'_> {
    /// Where the server listens, and those that may take its place.
    pub(super) fn addresses(&mut self, raw: &RawMySql) -> Vec<Address> {
        let ways = [("host", raw.host.is_some()), ("hosts", !raw.hosts.is_empty()), ("socket", raw.socket.is_some())];
        let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(way, _)| *way).collect();
        match given[..] {
            [_] => {}
            [] => self.refuse("source", "`host` is missing", "add `host: …`, or `hosts: […]` for several servers, or `socket: …`"),
            [first, second, ..] => self.refuse(
                format!("source.{second}"),
                format!("`{first}` names the server already"),
                "write `host` for one server, `hosts` for several, or `socket`",
            ),
        }
        let port = raw.port.unwrap_or(PORT);
        if port == 0 {
            self.refuse("source.port", "0 is not a port", "write the server's TCP port, usually 3306");
        }
        if let Some(socket) = &raw.socket {
            if raw.port.is_some() {
                self.refuse("source.port", "a socket has no port", "leave it out");
            }
            return vec![Address::Socket(self.path("source.socket", socket))];
        }
        if let Some(host) = &raw.host {
            let host = self.text("source.host".into(), host.clone(), "a host name or address");
            return vec![Address::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port }];
        }
        if raw.hosts.len() > SOURCE_HOSTS {
            self.refuse("source.hosts", format!("there are {} servers", raw.hosts.len()), format!("name at most {SOURCE_HOSTS}"));
        }
        let mut addresses = Vec::new();
        for (index, text) in raw.hosts.iter().enumerate() {
            match address(text, port) {
                Some(address) if addresses.contains(&address) => {
                    self.refuse(format!("source.hosts[{index}]"), "this server is named twice", "leave it out");
                }
                Some(address) => addresses.push(address),
                None => self.refuse(
                    format!("source.hosts[{index}]"),
                    "this is not a server's address",
                    "write `host` or `host:port`, e.g. `db-1.example:3306` or `[2001:db8::1]:3306`",
                ),
            }
        }
        addresses
    }

    /// A certificate that we show, with its key. `path` holds the two keys.
    pub(super) fn client_certificate(&mut self, path: &str, certificate: Option<&str>, key: Option<&str>) -> Option<ClientCertificate> {
        match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let certificate = self.path(&format!("{path}.cert_file"), certificate);
                Some(ClientCertificate { certificate, key: self.path(&format!("{path}.key_file"), key) })
            }
            (Some(_), None) => {
                self.refuse(format!("{path}.cert_file"), "its private key is missing", "add `key_file`, or leave this out");
                None
            }
            (None, Some(_)) => {
                self.refuse(format!("{path}.key_file"), "its certificate is missing", "add `cert_file`, or leave this out");
                None
            }
        }
    }

    /// TLS, with what it needs.
    pub(super) fn protection(&mut self, raw: &RawMySql, addresses: &[Address]) -> (TlsMode, Option<PathBuf>, Option<ClientCertificate>) {
        let is_socket = matches!(addresses, [Address::Socket(_)]);
        let tls = match raw.tls {
            Some(RawTls::Disabled) => TlsMode::Disabled,
            Some(RawTls::Preferred) => TlsMode::Preferred,
            Some(RawTls::Required) => TlsMode::Required,
            Some(RawTls::VerifyCa) => TlsMode::VerifyCa,
            Some(RawTls::VerifyIdentity) => TlsMode::VerifyIdentity,
            None if addresses.iter().all(is_here) => TlsMode::Disabled,
            None => TlsMode::VerifyIdentity,
        };
        if is_socket && tls != TlsMode::Disabled {
            self.refuse(
                "source.tls",
                "a socket never leaves this machine, and is not encrypted",
                "leave `tls` out, or reach the server with `host`",
            );
        }
        let ca_file = raw.ca_file.as_ref().map(|path| self.path("source.ca_file", path));
        if ca_file.is_some() && !tls.checks_certificates() {
            self.refuse(
                "source.ca_file",
                "certificates are not checked with this `tls`",
                "write `tls: verify-identity` or `tls: verify-ca`, or leave this out",
            );
        }
        if ca_file.is_none() && tls == TlsMode::VerifyCa {
            self.refuse(
                "source.tls",
                "without a `ca_file` every certificate of a public authority would do, whoever it is for",
                "add the authority's certificate as `ca_file`, or write `tls: verify-identity`",
            );
        }
        let client = self.client_certificate("source", raw.cert_file.as_deref(), raw.key_file.as_deref());
        if client.is_some() && tls == TlsMode::Disabled {
            self.refuse(
                "source.cert_file",
                "the connection is not encrypted with this `tls`",
                "write `tls: verify-identity`, or leave this out",
            );
        }
        (tls, ca_file, client)
    }

    pub(super) fn heartbeat(&mut self, raw: RawHeartbeat) -> Heartbeat {
        let RawHeartbeat(raw) = raw;
        let path = if raw.statement.is_some() { "source.heartbeat.every" } else { "source.heartbeat" };
        let every = self.time(path, raw.every, Heartbeat::default().every, SHORTEST, LONGEST);
        let statement = raw.statement.map(|text| self.text("source.heartbeat.statement".into(), text, "a statement, or leave it out"));
        Heartbeat { every, statement }
    }

    pub(super) fn rate(&mut self, raw: &RawMySql) -> Rate {
        self.rate_of("source", raw.rows_per_second, raw.bytes_per_second)
    }

    /// How fast a source or a sink goes at most.
    pub(super) fn rate_of(&mut self, path: &str, rows: Option<u64>, bytes: Option<Size>) -> Rate {
        let rate = Rate { rows, bytes: bytes.map(|size| size.0) };
        for (key, value) in [("rows_per_second", rate.rows), ("bytes_per_second", rate.bytes)] {
            if value == Some(0) {
                self.refuse(
                    format!("{path}.{key}"),
                    "nothing would pass at all",
                    "write 1 or more, or leave it out to go as fast as possible",
                );
            }
        }
        rate
    }
}

/// `host`, `host:port`, or an IPv6 address with or without brackets.
fn address(text: &str, default: u16) -> Option<Address> {
    let is_plain = |host: &str| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | ','));
    if text.parse::<IpAddr>().is_ok() {
        return Some(Address::Tcp { host: text.to_owned(), port: default });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, default),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<IpAddr>().ok().map(|_| Address::Tcp { host: inner.to_owned(), port }),
        None if is_plain(host) && !host.contains([':', '[', ']']) => Some(Address::Tcp { host: host.to_owned(), port }),
        None => None,
    }
}

fn is_here(address: &Address) -> bool {
    match address {
        Address::Socket(_) => true,
        Address::Tcp { host, .. } => is_loopback(host),
    }
}

/// Whether the host is this machine, by its name or address alone.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_with_or_without_a_port() {
        let read = |text| address(text, PORT).map(|address| address.to_string());
        assert_eq!(read("db-1").as_deref(), Some("db-1:3306"));
        assert_eq!(read("db-1.example:3307").as_deref(), Some("db-1.example:3307"));
        assert_eq!(read("10.0.0.1:3307").as_deref(), Some("10.0.0.1:3307"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:3306"));
        assert_eq!(read("[2001:db8::1]:3307").as_deref(), Some("[2001:db8::1]:3307"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]:3306"));
        for wrong in ["", ":3306", "a:0", "a:b", "a:70000", "a b", "u@h", "[a]:1", "a,b", "mysql://h"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
