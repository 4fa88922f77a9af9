//! How many entries a group has read and how many it has not, told without a walk. The servers disagree where XDEL
//! has left holes or trimming has overtaken a group; each is followed as measured.

use super::{Group, Stream, StreamId};
use crate::dataset::Dialect;

impl Stream {
    /// How many of the entries ever added come up to `id`, where that can be told: at the ends, and only if XDEL
    /// has left no hole there. As redis 7.0: `entries-read` of a group that was moved.
    pub fn entries_up_to(&self, id: StreamId, dialect: Dialect) -> Option<u64> {
        let c = &self.counters;
        if c.entries_added == 0 {
            return Some(0);
        }
        if c.length == 0 && id <= c.last_id {
            return Some(c.entries_added);
        }
        // Valkey 8.1 does not trust a hole behind the id even if everything up to the hole has been trimmed.
        if dialect.is_valkey() && id != StreamId::MIN && id < c.max_deleted_id {
            return None;
        }
        if id == c.last_id {
            return Some(c.entries_added);
        }
        let has_hole = c.max_deleted_id != StreamId::MIN && c.max_deleted_id >= c.first_id;
        if id > c.last_id || has_hole || id > c.first_id {
            return None;
        }
        let before_first = c.entries_added.wrapping_sub(c.length);
        Some(if id < c.first_id { before_first } else { before_first.wrapping_add(1) })
    }

    /// Entries that a group has not read yet; `None` where that cannot be told.
    pub fn lag(&self, group: &Group, dialect: Dialect) -> Option<i64> {
        let c = &self.counters;
        if c.entries_added == 0 || (c.length == 0 && is_redis_7_4(dialect)) {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if self.counts_well(group, dialect) => read,
            _ => self.entries_up_to(group.last_id, dialect)?,
        };
        Some(c.entries_added.wrapping_sub(read) as i64)
    }

    /// Can a group's own count of entries read be subtracted, or are there holes that it does not know of?
    fn counts_well(&self, group: &Group, dialect: Dialect) -> bool {
        let c = &self.counters;
        // A count that trimming has overtaken.
        if is_redis_7_4(dialect) && group.last_id < c.first_id {
            return false;
        }
        if c.length == 0 || c.max_deleted_id == StreamId::MIN || group.last_id > c.max_deleted_id {
            return true;
        }
        // Redis forgets holes in front of the first entry.
        !dialect.is_valkey() && c.first_id > c.max_deleted_id
    }
}

/// Redis that has mended its lag (measured on 8.0).
fn is_redis_7_4(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Redis(major, minor) if (major, minor) >= (7, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::EncodingLimits;
    use crate::dataset::stream::Trim;

    const REDIS_7_0: Dialect = Dialect::Redis(7, 0);
    const REDIS_8_0: Dialect = Dialect::Redis(8, 0);
    const VALKEY_8_1: Dialect = Dialect::Valkey(8, 1);

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 1)
    }

    fn stream() -> Stream {
        let mut stream = Stream::default();
        for ms in 1..=3 {
            stream.append(id(ms), &[b"f", b"v"], &EncodingLimits::default()).unwrap();
        }
        stream
    }

    /// Lag of a group at `last` that has read `read`, as the three kinds of servers tell it.
    fn lags(stream: &Stream, last: StreamId, read: Option<u64>) -> [Option<i64>; 3] {
        let group = Group::new(last, read);
        [REDIS_7_0, REDIS_8_0, VALKEY_8_1].map(|dialect| stream.lag(&group, dialect))
    }

    #[test]
    fn a_count_is_subtracted_and_an_unknown_one_is_told_at_the_ends() {
        let stream = stream();
        for (last, read, lag) in [
            (id(1), Some(1), Some(2)),
            (id(9), Some(1), Some(2)),
            (id(3), Some(0), Some(3)),
            (StreamId::MIN, None, Some(3)),
            (id(1), None, Some(2)),
            (id(2), None, None),
            (id(3), None, Some(0)),
            (id(4), None, None),
        ] {
            assert_eq!(lags(&stream, last, read), [lag; 3], "{last} {read:?}");
        }
        assert_eq!(lags(&Stream::default(), id(1), Some(5)), [Some(0); 3]);
    }

    #[test]
    fn an_emptied_stream_lags_only_on_redis_7_0_and_valkey() {
        let mut stream = stream();
        stream.trim(Trim::MaxLen(0), false);
        assert_eq!(lags(&stream, id(1), Some(1)), [Some(2), Some(0), Some(2)]);
        assert_eq!(lags(&stream, id(1), None), [Some(0); 3]);
        assert_eq!(lags(&stream, id(9), None), [None, Some(0), None]);
    }

    #[test]
    fn holes_make_a_count_worthless() {
        let mut stream = stream();
        stream.delete(&[id(2)]);
        assert_eq!(lags(&stream, id(1), Some(1)), [None; 3]);
        assert_eq!(lags(&stream, id(3), Some(3)), [Some(0); 3]);
        stream.trim(Trim::MaxLen(1), false);
        // Now the hole is in front of the first entry.
        assert_eq!(lags(&stream, id(1), Some(1)), [Some(2), Some(1), None]);
    }
}
