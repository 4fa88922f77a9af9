//! The blob of a small hash whose fields can expire: field, value, expiry in ms (0: none), as Redis 7.4 and later
//! keep it. Fields that expire first come first, those without expiry last, so that a sub-replica of that kind finds
//! the next one to expire at the front.

use super::{Entry, Expiry};
use crate::clock::UnixMs;
use crate::dataset::packed::Corrupt;
use crate::dataset::packed::listpack::{Element, Iter, Listpack};

/// Elements of one field.
const STEP: usize = 3;
const NEVER: i64 = 0;

/// The same fields, none with an expiry.
pub(super) fn from_pairs(pairs: &Listpack) -> Listpack {
    let mut pack = Listpack::with_capacity(pairs.byte_len() + pairs.len());
    let with_never = pairs.iter().enumerate().flat_map(|(i, element)| {
        let is_value = i % 2 == 1;
        std::iter::once(element).chain(is_value.then_some(Element::Int(NEVER)))
    });
    pack.extend(with_never);
    pack
}

/// Are all expiries numbers? (Whole triples are checked before.)
pub(super) fn check(pack: &Listpack) -> Result<(), Corrupt> {
    let mut expiries = pack.iter().skip(STEP - 1).step_by(STEP);
    if expiries.all(|expiry| expiry.as_integer().is_some_and(|ms| ms >= 0)) {
        Ok(())
    } else {
        Err(Corrupt { what: "hash: an expiry that is no time", at: 0 })
    }
}

/// The entry that starts here.
pub(super) fn next<'a>(rest: &mut Iter<'a>) -> Option<Entry<'a>> {
    let (field, value, expiry) = (rest.next()?, rest.next()?, rest.next()?);
    Some(Entry { field, value, expiry: expiry.as_integer().filter(|ms| *ms != NEVER).map(UnixMs) })
}

/// Sets a field; `true` if it is new. It moves only if its expiry is set or taken away.
pub(super) fn set(pack: &mut Listpack, field: &[u8], value: &[u8], expiry: Expiry) -> bool {
    let Some((at, mut found)) = pack.seek(field, STEP) else {
        let expiry = if let Expiry::At(at) = expiry { Some(at) } else { None };
        insert(pack, field, value, expiry);
        return true;
    };
    let had_expiry = next(&mut found).is_some_and(|entry| entry.expiry.is_some());
    match expiry {
        Expiry::At(expiry) => {
            pack.remove(at, STEP);
            insert(pack, field, value, Some(expiry));
        }
        Expiry::Dropped if had_expiry => {
            pack.remove(at, STEP);
            insert(pack, field, value, None);
        }
        Expiry::Dropped | Expiry::Kept => pack.replace(at + 1, value),
    }
    false
}

/// Gives a field an expiry or takes it away, and moves it to where it belongs.
pub(super) fn set_expiry(pack: &mut Listpack, field: &[u8], expiry: Option<UnixMs>) {
    let Some((at, mut found)) = pack.seek(field, STEP) else { return };
    let Some(entry) = next(&mut found) else { return };
    if entry.expiry.is_none() && expiry.is_none() {
        return;
    }
    let value = entry.value.to_vec();
    pack.remove(at, STEP);
    insert(pack, field, &value, expiry);
}

/// Puts a new field before the first that doesn't expire earlier (as redis 8.0).
fn insert(pack: &mut Listpack, field: &[u8], value: &[u8], expiry: Option<UnixMs>) {
    let Some(expiry) = expiry else {
        return pack.extend([Element::Str(field), Element::Str(value), Element::Int(NEVER)].into_iter());
    };
    // Nothing expires in the first millisecond of 1970, which stands for no expiry.
    let expiry = expiry.0.max(NEVER + 1);
    let is_later = |ms: Element<'_>| ms.as_integer().is_none_or(|ms| ms == NEVER || ms >= expiry);
    let mut expiries = pack.iter().skip(STEP - 1).step_by(STEP);
    let at = expiries.position(is_later).map_or(pack.len(), |entry| entry * STEP);
    pack.insert(at, field);
    pack.insert(at + 1, value);
    pack.insert(at + 2, itoa::Buffer::new().format(expiry).as_bytes());
}
