//! What a master answers during the handshake, as types.

use crate::position::{Offset, Position, ReplId};
use crate::resp::number::parse_integer;

/// The answer to PSYNC when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsyncReply {
    /// A snapshot follows; the first byte of the stream behind it is `offset + 1`.
    Full { replid: ReplId, offset: Offset },
    /// The stream follows where we asked; another id than ours is the master's new identity.
    Continue { replid: Option<ReplId> },
}

/// Why a master did not let us in, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is loading its own dataset.
    Loading(String),
    /// It is a replica without a link of its own, or failing over.
    NoMasterLink(String),
    /// It wants credentials, or refuses ours.
    Credentials(String),
    /// Our user may not do this.
    Permission(String),
    /// PSYNC is not known there (a managed master may hide or rename it).
    UnknownPsync(String),
    /// Any other error line.
    Other(String),
}

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, line) = match self {
            Self::Loading(line) => ("the master is loading", line),
            Self::NoMasterLink(line) => ("the master has no link to its own master", line),
            Self::Credentials(line) => ("the master refuses our credentials (masteruser, masterauth)", line),
            Self::Permission(line) => {
                ("our user on the master lacks a permission; it needs +psync +replconf +ping", line)
            }
            Self::UnknownPsync(line) => ("the master does not offer PSYNC", line),
            Self::Other(line) => ("the master answered an error", line),
        };
        write!(f, "{what}: {line}")
    }
}

/// What an error line (without `-`) means.
pub fn turned(line: &[u8]) -> Turned {
    let text = String::from_utf8_lossy(line).into_owned();
    match line.split(|c| *c == b' ').next().unwrap_or_default() {
        b"LOADING" => Turned::Loading(text),
        b"NOMASTERLINK" | b"MASTERDOWN" => Turned::NoMasterLink(text),
        b"NOAUTH" | b"WRONGPASS" => Turned::Credentials(text),
        b"NOPERM" => Turned::Permission(text),
        _ if line.starts_with(b"ERR unknown command") => Turned::UnknownPsync(text),
        _ if line.starts_with(b"ERR invalid password") => Turned::Credentials(text),
        _ => Turned::Other(text),
    }
}

/// Reads the line that answers PSYNC. `None`: it is none of what a master may answer.
pub fn parse_reply(line: &[u8]) -> Option<Result<PsyncReply, Turned>> {
    if let Some(error) = line.strip_prefix(b"-") {
        return Some(Err(turned(error)));
    }
    let mut words = line.strip_prefix(b"+")?.split(|c| *c == b' ');
    match (words.next()?, words.next(), words.next(), words.next()) {
        (b"FULLRESYNC", Some(replid), Some(offset), None) => {
            let offset = u64::try_from(parse_integer(offset)?).ok()?;
            Some(Ok(PsyncReply::Full { replid: ReplId::parse(replid)?, offset: Offset(offset) }))
        }
        (b"CONTINUE", Some(replid), None, None) => {
            Some(Ok(PsyncReply::Continue { replid: Some(ReplId::parse(replid)?) }))
        }
        (b"CONTINUE", None, None, None) => Some(Ok(PsyncReply::Continue { replid: None })),
        _ => None,
    }
}

/// The words of our PSYNC: the rest of the history we have, or everything.
pub fn request(position: Option<&Position>) -> [Vec<u8>; 3] {
    match position {
        Some(position) => {
            let from = position.offset.advanced(1).to_string();
            [b"PSYNC".to_vec(), position.replid.as_str().into(), from.into_bytes()]
        }
        None => [b"PSYNC".to_vec(), b"?".to_vec(), b"-1".to_vec()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn answers_to_psync_are_read() {
        let replid = ReplId::parse(ID.as_bytes()).unwrap();
        let check = |line: &str, expected: Option<Result<PsyncReply, Turned>>| {
            assert_eq!(parse_reply(line.as_bytes()), expected, "{line}");
        };
        let full = PsyncReply::Full { replid, offset: Offset(1000) };
        check(&format!("+FULLRESYNC {ID} 1000"), Some(Ok(full)));
        check(&format!("+CONTINUE {ID}"), Some(Ok(PsyncReply::Continue { replid: Some(replid) })));
        check("+CONTINUE", Some(Ok(PsyncReply::Continue { replid: None })));
        check(&format!("+FULLRESYNC {ID} -5"), None);
        check(&format!("+FULLRESYNC {ID}"), None);
        check("+FULLRESYNC short 5", None);
        check("+RDBCHANNELSYNC 77", None);
        check("$5", None);
        let text = "NOMASTERLINK Can't SYNC while not connected with my master";
        check(&format!("-{text}"), Some(Err(Turned::NoMasterLink(text.into()))));
        let text = "ERR unknown command 'PSYNC', with args beginning with: '?' '-1' ";
        check(&format!("-{text}"), Some(Err(Turned::UnknownPsync(text.into()))));
        check("-LOADING x", Some(Err(Turned::Loading("LOADING x".into()))));
        check("-NOPERM x", Some(Err(Turned::Permission("NOPERM x".into()))));
        check("-ERR other", Some(Err(Turned::Other("ERR other".into()))));
    }

    #[test]
    fn the_request_asks_for_the_byte_behind_our_offset() {
        let position = Position::fresh(ReplId::ZERO, Offset(168), crate::position::DbIndex(0));
        assert_eq!(request(Some(&position))[2], b"169");
        assert_eq!(request(None)[1..], [b"?".to_vec(), b"-1".to_vec()]);
    }
}
