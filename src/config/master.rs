//! The master's name: what `replicaof` and REPLICAOF may say.

use super::value::{Secret, as_word};
use std::fmt;
use std::path::PathBuf;

/// Longest host, bytes: a DNS name.
const HOST_BYTES_MAX: usize = 255;

/// Where a master listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Host name or address, and port. The name is resolved at each try.
    Tcp { host: String, port: u16 },
    /// A unix socket.
    Unix(PathBuf),
}

/// A master to follow, with the credentials that its URL brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Where it is.
    pub address: Address,
    /// User in the URL; `masteruser` otherwise.
    pub user: Option<String>,
    /// Password in the URL; `masterauth` otherwise.
    pub password: Option<Secret>,
    /// The URL asks for TLS; `tls-replication` otherwise.
    pub tls: bool,
}

impl Address {
    /// A host and a port above 0. The host must be one that a line of INFO, of the log and of the file can hold: not
    /// empty, without blanks, control characters, quotes and backslashes. The complaint quotes nothing.
    pub fn tcp(host: &str, port: u16) -> Result<Self, String> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c);
        if host.is_empty() || host.len() > HOST_BYTES_MAX || host.contains(odd) {
            return Err("Invalid master host".into());
        }
        // What looks like a URL of another kind may hold a password, which a host name would put into the log.
        if host.contains(['/', '@']) {
            return Err("a host name has no / and no @; URLs begin with redis:// or unix://".into());
        }
        if port == 0 {
            return Err("Invalid master port".into());
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// Host as INFO and ROLE show it; the path of a unix socket.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { host, .. } => host.clone(),
            Self::Unix(path) => path.display().to_string(),
        }
    }

    /// Port as INFO and ROLE show it; 0 for a unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => *port,
            Self::Unix(_) => 0,
        }
    }
}

impl Master {
    /// A master by host and port, without credentials.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::at(Address::Tcp { host: host.into(), port })
    }

    fn at(address: Address) -> Self {
        Self { address, user: None, password: None, tls: false }
    }

    /// Reads the words of `replicaof`: `host port`, `host:port`, `redis://user:pass@host:port`, `rediss://` for
    /// TLS, `unix:///path`, `/path`. `None` for `no one` and for nothing. The complaint quotes nothing, since a URL
    /// holds a password.
    pub fn parse(words: &[&str]) -> Result<Option<Self>, String> {
        match words {
            [] | [""] => Ok(None),
            [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(None),
            [host, port] => Ok(Some(Self::at(Address::tcp(host, parse_port(port)?)?))),
            [one] => Self::parse_one(one).map(Some),
            _ => Err("write \"host port\", host:port, redis://user:password@host:port or unix:///path".into()),
        }
    }

    fn parse_one(text: &str) -> Result<Self, String> {
        for (scheme, tls) in [("redis://", false), ("valkey://", false), ("rediss://", true), ("valkeys://", true)]
        {
            if let Some(rest) = text.strip_prefix(scheme) {
                return Ok(Self { tls, ..Self::parse_url(rest)? });
            }
        }
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.contains(char::is_control) {
            return Err("a path has no control characters".into());
        }
        if path.starts_with('/') {
            return Ok(Self::at(Address::Unix(path.into())));
        }
        let (host, port) = host_port(text)?;
        let port = port.ok_or("the master's port is missing, such as host:6379")?;
        Ok(Self::at(Address::tcp(host, port)?))
    }

    /// `user:pass@host:port/db`; user, password, port and database may be missing. The database is of no
    /// meaning to a replica.
    fn parse_url(rest: &str) -> Result<Self, String> {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, place) = authority.rsplit_once('@').map_or((None, authority), |(l, p)| (Some(l), p));
        let (host, port) = host_port(place)?;
        let (user, password) = login.map_or((None, None), |login| {
            let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
            ((!user.is_empty()).then_some(user), password)
        });
        let user = user.map(percent_decoded).transpose()?;
        let user = user.map(String::from_utf8).transpose().map_err(|_| "the user in the URL is not UTF-8")?;
        let password = password.filter(|p| !p.is_empty()).map(percent_decoded).transpose()?.map(Secret::new);
        Ok(Self { user, password, ..Self::at(Address::tcp(host, port.unwrap_or(6379))?) })
    }
}

impl Master {
    /// Stands for a master that the Sentinels have not named yet.
    pub fn unknown() -> Self {
        Self::tcp("", 0)
    }

    /// Is there a master to follow?
    pub fn is_known(&self) -> bool {
        !matches!(&self.address, Address::Tcp { host, .. } if host.is_empty())
    }

    /// As the file has it, with credentials and TLS.
    pub(super) fn to_setting(&self) -> Vec<u8> {
        let Address::Tcp { host, port } = &self.address else { return self.to_string().into() };
        let login = self.login();
        if login.is_empty() && !self.tls {
            return self.to_string().into();
        }
        let scheme = if self.tls { "rediss" } else { "redis" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("{scheme}://{login}{host}:{port}").into()
    }

    /// `user:password@`, as a URL has it; nothing without credentials.
    fn login(&self) -> String {
        if self.user.is_none() && self.password.is_none() {
            return String::new();
        }
        let user = percent_encoded(self.user.as_deref().unwrap_or_default().as_bytes());
        let password = self.password.as_ref().map(|secret| format!(":{}", percent_encoded(secret.reveal())));
        format!("{user}{}@", password.unwrap_or_default())
    }
}

impl fmt::Display for Master {
    /// As CONFIG GET shows it and the file can have it: `host port`, never the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port } => write!(f, "{host} {port}"),
            Address::Unix(path) => {
                let word = as_word(format!("unix://{}", path.display()).as_bytes());
                f.write_str(&String::from_utf8_lossy(&word))
            }
        }
    }
}

/// `host:port`, `[::1]:port`; the port may be missing.
fn host_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, tail)) => (host, tail.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| "Invalid master port".into())
}

fn percent_encoded(bytes: &[u8]) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
    bytes.iter().map(|&c| if plain(c) { char::from(c).to_string() } else { format!("%{c:02X}") }).collect()
}

fn percent_decoded(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&c, tail)) = rest.split_first() {
        rest = tail;
        if c != b'%' {
            out.push(c);
            continue;
        }
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.ok_or("the URL has a broken percent escape")?);
        rest = tail.get(2..).unwrap_or_default();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_named_in_many_ways() {
        let check = |words: &[&str], host: &str, port: u16, login: Option<(Option<&str>, &str)>| {
            let master = Master::parse(words).expect("well formed").expect("a master");
            assert_eq!((master.address.host().as_str(), master.address.port()), (host, port), "{words:?}");
            let user = login.and_then(|(user, _)| user).map(str::to_owned);
            assert_eq!((master.user, master.password), (user, login.map(|(_, pass)| Secret::new(pass))));
        };
        check(&["10.0.0.5", "6380"], "10.0.0.5", 6380, None);
        check(&["db.example:6380"], "db.example", 6380, None);
        check(&["::1", "6380"], "::1", 6380, None);
        check(&["[::1]:6380"], "::1", 6380, None);
        check(&["redis://h"], "h", 6379, None);
        check(&["redis://h:1/0"], "h", 1, None);
        check(&["redis://me:p%40ss@h:1"], "h", 1, Some((Some("me"), "p@ss")));
        check(&["redis://:secret@[::1]:7"], "::1", 7, Some((None, "secret")));
        check(&["unix:///run/redis.sock"], "/run/redis.sock", 0, None);
        check(&["/run/redis.sock"], "/run/redis.sock", 0, None);
    }

    #[test]
    fn a_url_can_ask_for_tls() {
        let check = |text: &str, tls: bool| {
            let master = Master::parse(&[text]).expect("well formed").expect("a master");
            assert_eq!((master.tls, master.address), (tls, Master::tcp("h", 1).address), "{text}");
        };
        check("rediss://h:1", true);
        check("valkeys://me:secret@h:1/0", true);
        check("redis://h:1", false);
        check("h:1", false);
    }

    #[test]
    fn no_master_and_malformed_ones() {
        for words in [&["no", "one"][..], &["NO", "ONE"], &[""], &[]] {
            assert_eq!(Master::parse(words), Ok(None), "{words:?}");
        }
        for words in [
            &["host"][..],
            &["host", "x"],
            &["host", "0"],
            &["host", "70000"],
            &[":1"],
            &["a", "1", "2"],
            &["rediss://:1"],
            &["redis://u:p%4@h:1"],
            &["", "1"],
            &["a\nb", "1"],
            &["a b:1"],
            &["a\"b", "1"],
            &["a\u{7f}", "1"],
            &["redis://a\tb:1"],
            &["/run/a\nb"],
        ] {
            assert!(Master::parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_complaint_about_a_url_does_not_show_the_password() {
        let why = Master::parse(&["redis://u:hunter2@h:port"]).expect_err("the port is no number");
        assert!(!why.contains("hunter2"), "{why}");
    }
}
