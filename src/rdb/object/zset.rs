//! Sorted sets: members and scores one by one (types 3 and 5), or a compact blob of both (12 and 17).

use crate::dataset::packed::listpack::{Element, IntText, Listpack};
use crate::dataset::zset::{Pairs, ZSet, ZSetBuilder};
use crate::dataset::{Dialect, EncodingLimits, Value};
use crate::rdb::LoadError;
use crate::rdb::legacy::ziplist;
use crate::rdb::primitive::{capped, length, put_length, put_listpack, put_string, string, text_double};
use crate::rdb::source::Source;

const TEXT_SCORES: u8 = 3;
const BINARY_SCORES: u8 = 5;
const ZIPLIST: u8 = 12;
const LISTPACK: u8 = 17;

/// Reads the value. As the servers: a blob of too many members is not packed. Few members one by one are a skiplist of
/// the master, since its listpacks come as blobs.
pub fn load(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let zset = match type_byte {
        ZIPLIST => ZSet::from_listpack(ziplist::to_listpack(string(src)?)?, limits)?,
        LISTPACK => ZSet::from_listpack(Listpack::parse(string(src)?)?, limits)?,
        _ => one_by_one(src, type_byte, limits)?,
    };
    Ok((!zset.is_empty()).then(|| Value::ZSet(Box::new(zset))))
}

fn one_by_one(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<ZSet, LoadError> {
    const TWICE: &str = "sorted set: a member twice";
    let count = length(src)?;
    let mut member = Vec::new();
    if count > limits.zset_entries as u64 {
        let mut builder = ZSetBuilder::with_capacity(capped(count));
        for _ in 0..count {
            let score = pair(src, type_byte, &mut member)?;
            if !builder.push(&member, score) {
                return Err(src.error(TWICE));
            }
        }
        return Ok(builder.finish());
    }
    let mut pairs = Pairs::new();
    for _ in 0..count {
        let score = pair(src, type_byte, &mut member)?;
        pairs.push((member.clone(), score));
    }
    pairs.sort_unstable_by(|(member, _), (other, _)| member.cmp(other));
    if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(src.error(TWICE));
    }
    Ok(ZSet::of_skiplist(pairs, limits))
}

/// Reads a member into `member` and answers its score.
fn pair(src: &mut Source<'_>, type_byte: u8, member: &mut Vec<u8>) -> Result<f64, LoadError> {
    member.clear();
    member.extend_from_slice(string(src)?);
    let score = match type_byte {
        TEXT_SCORES => text_double(src)?,
        _ => f64::from_bits(src.u64_le()?),
    };
    if score.is_nan() { Err(src.error("sorted set: a score that is no number")) } else { Ok(score) }
}

/// Appends the body; answers the type byte.
pub fn save(zset: &ZSet, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    match zset.as_listpack() {
        Some(pack) => {
            put_listpack(out, pack, dialect);
            LISTPACK
        }
        None => save_one_by_one(zset, out),
    }
}

/// Appends the body in the form that every server reads, also one before 7.0; highest first as the servers do, which
/// makes their skiplists quick to build.
pub fn save_one_by_one(zset: &ZSet, out: &mut Vec<u8>) -> u8 {
    let type_byte = begin_one_by_one(zset, out);
    zset.iter().rev().for_each(|(member, score)| put_pair(member, score, out));
    type_byte
}

/// Appends what is before the members; answers the type byte.
pub(super) fn begin_one_by_one(zset: &ZSet, out: &mut Vec<u8>) -> u8 {
    put_length(out, zset.len() as u64);
    BINARY_SCORES
}

pub(super) fn put_pair(member: Element<'_>, score: f64, out: &mut Vec<u8>) {
    put_string(out, member.text(&mut IntText::default()));
    out.extend_from_slice(&score.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], type_byte: u8) -> Result<Option<ZSet>, LoadError> {
        let mut src = Source::from_slice(body);
        let value = load(&mut src, type_byte, &EncodingLimits::default())?;
        assert_eq!(src.is_at_end(), Ok(true), "all of the body is taken");
        Ok(value.map(|value| match value {
            Value::ZSet(zset) => *zset,
            other => panic!("{other:?}"),
        }))
    }

    fn pairs(zset: &ZSet) -> Vec<(String, f64)> {
        let text = |member: Vec<u8>| String::from_utf8(member).unwrap();
        zset.iter().map(|(member, score)| (text(member.to_vec()), score)).collect()
    }

    /// `{a: 1, 5: 2.5}` in every form.
    const FORMS: &[(u8, &[u8])] = &[
        (3, b"\x02\x01a\x011\xc0\x05\x032.5"),
        (5, b"\x02\xc0\x05\0\0\0\0\0\0\x04\x40\x01a\0\0\0\0\0\0\xf0\x3f"),
        (12, b"\x17\x17\0\0\0\x11\0\0\0\x04\0\0\x01a\x03\xf2\x02\xf6\x02\x032.5\xff"),
        (17, b"\x13\x13\0\0\0\x04\0\x81a\x02\x01\x01\x05\x01\x832.5\x04\xff"),
    ];

    #[test]
    fn every_form_holds_the_same() {
        for (type_byte, body) in FORMS {
            let zset = read(body, *type_byte).unwrap().unwrap();
            assert_eq!(pairs(&zset), [("a".into(), 1.0), ("5".into(), 2.5)], "type {type_byte}");
            assert_eq!(zset.as_listpack().is_some(), [12, 17].contains(type_byte));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let limits = EncodingLimits::default();
        for members in [1, 100, 1_000] {
            let all = (0..members).map(|n| (n.to_string().into_bytes(), f64::from(n % 7) / 3.0)).collect();
            let zset = ZSet::of(all, &limits);
            for by_one in [false, true] {
                let mut body = Vec::new();
                let type_byte = if by_one {
                    save_one_by_one(&zset, &mut body)
                } else {
                    save(&zset, Dialect::default(), &mut body)
                };
                let back = read(&body, type_byte).unwrap().unwrap();
                // Real servers before 7.0 get it so, whatever it is here.
                let encoding = if by_one { "skiplist" } else { zset.encoding(&limits) };
                assert_eq!((pairs(&back), back.encoding(&limits)), (pairs(&zset), encoding));
            }
        }
    }

    /// The servers' loaders make `0` of it where the set is small.
    #[test]
    fn a_snapshot_keeps_the_sign_of_zero() {
        let body = b"\x02\x01a\0\0\0\0\0\0\0\x80\x01b\0\0\0\0\0\0\xf0\x3f";
        for dialect in [Dialect::Redis(6, 0), Dialect::Redis(8, 0), Dialect::Valkey(9, 1)] {
            let limits = EncodingLimits { dialect, ..EncodingLimits::default() };
            let Ok(Some(Value::ZSet(zset))) = load(&mut Source::from_slice(body), 5, &limits) else { panic!() };
            assert!(zset.score(b"a").is_some_and(|score| score.is_sign_negative()), "{dialect:?}");
            assert_eq!(zset.encoding(&limits), "skiplist");
            let mut again = Vec::new();
            assert_eq!((save_one_by_one(&zset, &mut again), again.len()), (5, body.len()));
        }
    }

    #[test]
    fn empty_ones_are_skipped_and_wrong_ones_refused() {
        assert_eq!(read(b"\0", 5).map(|zset| zset.is_none()), Ok(true));
        for (type_byte, body) in [
            (3, &b"\x01\x01a\xfd"[..]),
            (3, b"\x02\x01a\x011\x01a\x012"),
            (5, b"\x02\x01a\0\0"),
            (5, b"\x01\x01a\0\0\0\0\0\0\xf8\x7f"),
            (5, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a"),
            (17, b"\x09\x09\0\0\0\x01\0\x05\x01\xff"),
        ] {
            assert!(read(body, type_byte).is_err(), "{type_byte}: {body:?}");
        }
    }
}
