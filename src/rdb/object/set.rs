//! Sets: members one by one (type 2), or a compact blob of them: an intset (11), a listpack (20).

use crate::dataset::packed::intset::Intset;
use crate::dataset::packed::listpack::{IntText, Listpack};
use crate::dataset::set::{Set, View};
use crate::dataset::{Dialect, EncodingLimits, Value};
use crate::rdb::LoadError;
use crate::rdb::primitive::{length, put_length, put_listpack, put_plain, put_string, string};
use crate::rdb::source::Source;

const PLAIN: u8 = 2;
const INTSET: u8 = 11;
const LISTPACK: u8 = 20;

/// Reads the value. As the servers: few members one by one are packed, a blob of too many is not.
pub fn load(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let set = match type_byte {
        INTSET => Set::from_ints(Intset::parse(string(src)?)?, limits),
        LISTPACK => Set::from_packed(Listpack::parse(string(src)?)?, limits)?,
        _ => one_by_one(src, limits)?,
    };
    Ok((!set.is_empty()).then(|| Value::Set(Box::new(set))))
}

fn one_by_one(src: &mut Source<'_>, limits: &EncodingLimits) -> Result<Set, LoadError> {
    let count = length(src)?;
    let mut set = Set::for_snapshot(count, limits);
    for _ in 0..count {
        if !set.add(string(src)?, limits) {
            return Err(src.error("set: a member twice"));
        }
    }
    Ok(set)
}

/// Appends the value in the form it is kept in, if servers of this dialect know it; answers the type byte.
pub fn save(set: &Set, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    match set.view() {
        View::Ints(ints) => {
            put_plain(out, ints.as_bytes());
            INTSET
        }
        View::Packed(pack) if dialect.has_set_listpacks() => {
            put_listpack(out, pack, dialect);
            LISTPACK
        }
        View::Packed(_) | View::Table => save_one_by_one(set, out),
    }
}

/// Appends the value as type 2, which every server reads; answers the type byte.
pub fn save_one_by_one(set: &Set, out: &mut Vec<u8>) -> u8 {
    let mut scratch = IntText::default();
    let type_byte = begin_one_by_one(set, out);
    set.iter().for_each(|member| put_string(out, member.text(&mut scratch)));
    type_byte
}

/// Appends what is before the members; answers the type byte.
pub(super) fn begin_one_by_one(set: &Set, out: &mut Vec<u8>) -> u8 {
    put_length(out, set.len() as u64);
    PLAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(type_byte: u8, body: &[u8]) -> Result<Option<Box<Set>>, LoadError> {
        let value = load(&mut Source::from_slice(body), type_byte, &EncodingLimits::default())?;
        Ok(value.map(|value| if let Value::Set(set) = value { set } else { panic!("no set") }))
    }

    fn shown(set: &Set) -> Vec<Vec<u8>> {
        let mut members: Vec<_> = set.iter().map(|member| member.to_vec()).collect();
        members.sort();
        members
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        for dialect in [Dialect::Redis(7, 0), Dialect::Redis(8, 0)] {
            for (members, prefix) in [(1, ""), (512, ""), (513, ""), (100, "m"), (200, "m"), (3, "m")] {
                let limits = EncodingLimits { dialect, ..EncodingLimits::default() };
                let mut set = Set::new();
                (0..members).for_each(|i| assert!(set.add(format!("{prefix}{i}").as_bytes(), &limits)));
                for by_one in [false, true] {
                    let mut body = Vec::new();
                    let type_byte =
                        if by_one { save_one_by_one(&set, &mut body) } else { save(&set, dialect, &mut body) };
                    let Ok(Some(Value::Set(back))) = load(&mut Source::from_slice(&body), type_byte, &limits)
                    else {
                        panic!("type {type_byte} of {members} members is not read")
                    };
                    assert_eq!(shown(&back), shown(&set));
                    assert_eq!(back.encoding(), set.encoding(), "type {type_byte}, {members}, {dialect:?}");
                }
            }
        }
    }

    #[test]
    fn members_come_in_every_form_of_string() {
        let set = read(PLAIN, b"\x03\x01a\xc0\x07\x0207").unwrap().unwrap();
        assert_eq!(shown(&set), [b"07".to_vec(), b"7".to_vec(), b"a".to_vec()]);
        assert!(matches!(read(PLAIN, b"\x00"), Ok(None)));
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(read(PLAIN, b"\x02\x01a\x01a").is_err());
        assert!(read(PLAIN, b"\x02\xc0\x07\x017").is_err());
        assert!(read(PLAIN, b"\x02\x01a").is_err());
        assert!(read(INTSET, b"\x01a").is_err());
    }
}
