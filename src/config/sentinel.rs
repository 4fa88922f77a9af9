//! The setting `sentinel`: a name of a master and who knows where it is.

use super::value::as_word;
use super::{Address, Master};
use std::fmt;

/// Sentinels to ask for a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// The master's name in their configuration.
    pub name: String,
    /// Their hosts and ports, at least one.
    pub addresses: Vec<(String, u16)>,
}

impl Sentinels {
    /// Reads `name host:port [host:port ...]`; nothing is none.
    pub(super) fn parse(words: &[&str]) -> Result<Option<Self>, String> {
        let (name, addresses) = match words {
            [] | [""] => return Ok(None),
            [name, addresses @ ..] if !name.is_empty() && !addresses.is_empty() => (name, addresses),
            _ => return Err("write \"name host:port [host:port ...]\"".into()),
        };
        let address = |word: &&str| match Master::parse(&[word])? {
            Some(Master { address: Address::Tcp { host, port }, password: None, .. }) => Ok((host, port)),
            _ => Err("a Sentinel is host:port".to_owned()),
        };
        let addresses = addresses.iter().map(address).collect::<Result<_, _>>()?;
        Ok(Some(Self { name: (*name).to_owned(), addresses }))
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&as_word(self.name.as_bytes())))?;
        self.addresses.iter().try_for_each(|(host, port)| match host.contains(':') {
            true => write!(f, " [{host}]:{port}"),
            false => write!(f, " {host}:{port}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_at_least_one_address() {
        let parse = |words: &[&str]| Sentinels::parse(words).map(|s| s.map(|s| s.to_string()));
        assert_eq!(parse(&["main", "a:1", "[::1]:2"]), Ok(Some("main a:1 [::1]:2".into())));
        assert_eq!(parse(&[]), Ok(None));
        for words in [&["main"][..], &["main", "a"], &["main", "a:x"], &["main", "/path"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
