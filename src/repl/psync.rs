//! PSYNC from both sides: what a master answers us, as types, and what a sub-replica of ours gets.

use crate::command::introduction::Asked;
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
    // No history has the id that means none.
    let replid = |word| ReplId::parse(word).filter(|id| *id != ReplId::ZERO);
    let mut words = line.strip_prefix(b"+")?.split(|c| *c == b' ');
    match (words.next()?, words.next(), words.next(), words.next()) {
        (b"FULLRESYNC", Some(id), Some(offset), None) => {
            let offset = u64::try_from(parse_integer(offset)?).ok()?;
            Some(Ok(PsyncReply::Full { replid: replid(id)?, offset: Offset(offset) }))
        }
        (b"CONTINUE", Some(id), None, None) => Some(Ok(PsyncReply::Continue { replid: Some(replid(id)?) })),
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

/// What a sub-replica gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The stream from the byte of this offset on.
    Continue { from: Offset },
    /// A snapshot.
    Full,
    /// It is on our history and further than we are: there is nothing to give it yet. It followed our master, or
    /// another replica of it, and we are a moment behind or catching up.
    Ahead,
}

/// Decides what a sub-replica gets from a dataset at `position`, with a backlog whose first byte has offset `first`.
pub fn decide(asked: Asked, position: &Position, first: Option<Offset>) -> Decision {
    let Asked::Rest { replid, from } = asked else { return Decision::Full };
    let own = replid == position.replid;
    let second = replid == position.replid2 && position.second_offset.is_some_and(|second| from <= second);
    if !own && !second {
        return Decision::Full;
    }
    if from > position.offset.advanced(1) {
        return Decision::Ahead;
    }
    match first {
        Some(first) if first <= from => Decision::Continue { from },
        _ => Decision::Full,
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
        check(&format!("+FULLRESYNC {} 5", ReplId::ZERO), None);
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

    #[test]
    fn a_sub_replica_continues_within_the_backlog_and_the_histories() {
        let id = |c: u8| ReplId::parse(&[c; 40]).unwrap();
        let (first, other) = (Position::fresh(id(b'a'), Offset(118), crate::position::DbIndex(0)), id(b'c'));
        // As measured on the five servers: backlog 1 to 168, the id changed behind 118.
        let position = Position { offset: Offset(168), ..first.continued_as(id(b'b')) };
        let check = |replid: ReplId, from: u64, expected: Decision| {
            let asked = Asked::Rest { replid, from: Offset(from) };
            assert_eq!(decide(asked, &position, Some(Offset(1))), expected, "{replid} {from}");
        };
        let go = |from| Decision::Continue { from: Offset(from) };
        for (replid, from, expected) in [
            (id(b'b'), 169, go(169)),
            (id(b'b'), 168, go(168)),
            (id(b'b'), 1, go(1)),
            (id(b'b'), 0, Decision::Full),
            (id(b'b'), 170, Decision::Ahead),
            (id(b'a'), 119, go(119)),
            (id(b'a'), 1, go(1)),
            (id(b'a'), 120, Decision::Full),
            (id(b'a'), 170, Decision::Full),
            (other, 100, Decision::Full),
            (ReplId::ZERO, 1, Decision::Full),
        ] {
            check(replid, from, expected);
        }
        let rest = Asked::Rest { replid: id(b'b'), from: Offset(100) };
        assert_eq!(decide(rest, &position, Some(Offset(101))), Decision::Full, "fallen off the backlog");
        assert_eq!(decide(rest, &position, None), Decision::Full);
        for everything in [Asked::Sync, Asked::Everything] {
            assert_eq!(decide(everything, &position, Some(Offset(1))), Decision::Full);
        }
        let zeros = Asked::Rest { replid: ReplId::ZERO, from: Offset(1) };
        assert_eq!(decide(zeros, &first, Some(Offset(1))), Decision::Full, "no second id is no id");
    }
}
