//! Where a dataset stands in its master's history: replication id and offset, as newtypes with only the
//! arithmetic that makes sense.

use std::fmt;

/// A replication id: 40 characters, lower case hexadecimal as masters print it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplId([u8; 40]);

impl ReplId {
    /// 40 zeros: "no second id", and what a replica without history has.
    pub const ZERO: Self = Self([b'0'; 40]);

    /// Reads 40 hexadecimal characters; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let id: [u8; 40] = text.try_into().ok()?;
        id.iter().all(u8::is_ascii_hexdigit).then_some(Self(id.map(|c| c.to_ascii_lowercase())))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A count of stream bytes since the start of a history. Offset minus offset is a length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset `bytes` further on.
    #[must_use]
    pub fn advanced(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// How many bytes `self` is ahead of `earlier`; 0 if it is not.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct DbIndex(pub u32);

/// The whole position of a dataset: identity, offset of the last applied command boundary outside a
/// transaction, the second id that is still valid up to an offset, and the database that the stream has selected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The master's replication id.
    pub replid: ReplId,
    /// Offset of the last byte applied.
    pub offset: Offset,
    /// The id before the last change of identity, or zeros.
    pub replid2: ReplId,
    /// First offset at which `replid2` is not valid any more.
    pub second_offset: Option<Offset>,
    /// The database that the stream has selected.
    pub selected: DbIndex,
}

impl Position {
    /// After a full resync: a new identity, no second id.
    pub fn fresh(replid: ReplId, offset: Offset, selected: DbIndex) -> Self {
        Self { replid, offset, replid2: ReplId::ZERO, second_offset: None, selected }
    }

    /// The master changed its id and our history continues under the new one: the old one becomes the second.
    #[must_use]
    pub fn continued_as(self, replid: ReplId) -> Self {
        if replid == self.replid {
            return self;
        }
        Self { replid, replid2: self.replid, second_offset: Some(self.offset.advanced(1)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forty_hex_characters() {
        assert!(ReplId::parse(b"0123456789abcdef0123456789ABCDEF01234567").is_some());
        assert!(ReplId::parse(b"0123456789abcdef0123456789ABCDEF0123456").is_none());
        assert!(ReplId::parse(b"0123456789abcdef0123456789ABCDEF0123456g").is_none());
    }

    #[test]
    fn a_new_id_keeps_the_old_one_as_second() {
        let old = ReplId::parse(&[b'a'; 40]).expect("hex");
        let new = ReplId::parse(&[b'b'; 40]).expect("hex");
        let position = Position::fresh(old, Offset(118), DbIndex(3)).continued_as(new);
        assert_eq!((position.replid2, position.second_offset), (old, Some(Offset(119))));
        assert_eq!(position.continued_as(new), position);
    }
}
