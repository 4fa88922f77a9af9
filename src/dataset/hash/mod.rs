//! Hashes: fields with values, and for each field an optional expiry.
//!
//! Comes in: fields from apply functions, blobs and fields from the snapshot. Goes out: fields by name, in order, by
//! scan or by chance. Three forms: a listpack of field, value; a listpack of field, value, expiry (Redis 7.4 and
//! later, once a field got an expiry); a table. When one becomes the other is as in the master's dialect.
//! Expired fields are present here; whoever hides them brings `now`.

mod with_expiry;

use super::members::{self, Field, FieldValue, Members};
use super::packed::Corrupt;
use super::packed::listpack::{self, Element, IntText, Listpack};
use super::packed::unique::all_differ;
use super::{Dialect, EncodingLimits};
use crate::allocator::taken;
use crate::clock::UnixMs;

/// Longest blob of a packed hash or set, bytes (as redis 7.0: `LISTPACK_MAX_SAFETY`).
pub(super) const PACKED_BYTES_MAX: usize = 1 << 30;

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash(Form);

#[derive(Clone, Debug)]
enum Form {
    /// field, value, ...
    Packed(Listpack),
    /// field, value, expiry in ms or 0, ...
    WithExpiry(Listpack),
    Table(Box<Table>),
}

#[derive(Clone, Debug, Default)]
struct Table {
    fields: Members<FieldValue>,
    /// How many fields have an expiry.
    expiring: usize,
}

/// One field. `value` is what HGET answers, `expiry` when the field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub field: Element<'a>,
    pub value: Element<'a>,
    pub expiry: Option<UnixMs>,
}

impl Entry<'_> {
    /// Logically expired at `now` (as redis 8.0 and valkey 9.1: strictly after the expiry time).
    pub fn is_expired(&self, now: UnixMs) -> bool {
        self.expiry.is_some_and(|expiry| expiry < now)
    }
}

/// What becomes of a field's expiry when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// HSET: the field has none afterwards.
    Dropped,
    /// HINCRBY, HSETEX KEEPTTL: it stays.
    Kept,
    /// HSETEX with a time.
    At(UnixMs),
}

/// The form in which a hash is kept, for whoever saves it.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// A listpack of field, value.
    Packed(&'a Listpack),
    /// A listpack of field, value, expiry in ms (0: none).
    WithExpiry(&'a Listpack),
    /// No blob: go through `iter`.
    Table,
}

impl Hash {
    /// No field.
    pub fn new() -> Self {
        Self(Form::Packed(Listpack::new()))
    }

    /// An empty hash for `fields` fields that are about to be set: a table if these are too many for a blob.
    pub fn for_fields(fields: u64, limits: &EncodingLimits) -> Self {
        let fits = usize::try_from(fields).is_ok_and(|fields| fields <= limits.hash_entries);
        if fits { Self::new() } else { Self(Form::Table(Box::default())) }
    }

    /// A blob of field, value as a snapshot has it, kept as it is unless it has too many fields.
    pub fn from_packed(pack: Listpack, limits: &EncodingLimits) -> Result<Self, Corrupt> {
        check(&pack, 2)?;
        let mut hash = Self(Form::Packed(pack));
        hash.unpack_if_long(limits);
        Ok(hash)
    }

    /// The same with an expiry behind each value. In Valkey's dialect, which has no such form, it becomes a table.
    pub fn from_packed_with_expiry(pack: Listpack, limits: &EncodingLimits) -> Result<Self, Corrupt> {
        check(&pack, 3)?;
        with_expiry::check(&pack)?;
        let mut hash = Self(Form::WithExpiry(pack));
        hash.unpack_if_long(limits);
        if limits.dialect.is_valkey() {
            hash.unpack();
        }
        Ok(hash)
    }

    /// Number of fields, expired ones included.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.len() / 2,
            Form::WithExpiry(pack) => pack.len() / 3,
            Form::Table(table) => table.fields.len(),
        }
    }

    /// No field at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self, dialect: Dialect) -> &'static str {
        match self.0 {
            Form::Packed(_) if dialect.is_before_redis_7() => "ziplist",
            Form::Packed(_) => "listpack",
            Form::WithExpiry(_) => "listpackex",
            Form::Table(_) => "hashtable",
        }
    }

    /// The form, for whoever saves it.
    pub fn view(&self) -> View<'_> {
        match &self.0 {
            Form::Packed(pack) => View::Packed(pack),
            Form::WithExpiry(pack) => View::WithExpiry(pack),
            Form::Table(_) => View::Table,
        }
    }

    /// Number of fields with an expiry; a walk only in the packed form that has them.
    pub fn expiring(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 0,
            Form::WithExpiry(_) => self.iter().filter(|entry| entry.expiry.is_some()).count(),
            Form::Table(table) => table.expiring,
        }
    }

    /// Has a field an expiry? Mostly looks at one field: those that expire come first.
    pub fn has_expiring(&self) -> bool {
        match &self.0 {
            Form::Packed(_) => false,
            Form::WithExpiry(_) => self.iter().any(|entry| entry.expiry.is_some()),
            Form::Table(table) => table.expiring > 0,
        }
    }

    /// Bytes of memory behind the hash.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) | Form::WithExpiry(pack) => taken(pack.byte_len()),
            Form::Table(table) => size_of::<Table>() + table.fields.heap_bytes(),
        }
    }

    /// A field: its value and expiry. Packed forms are walked.
    pub fn get(&self, field: &[u8]) -> Option<Entry<'_>> {
        match &self.0 {
            Form::Packed(pack) => {
                let mut found = pack.seek(field, 2)?.1;
                Some(Entry { field: found.next()?, value: found.next()?, expiry: None })
            }
            Form::WithExpiry(pack) => with_expiry::next(&mut pack.seek(field, 3)?.1),
            Form::Table(table) => table.fields.entry(field).map(|(field, value)| entry(field, value)),
        }
    }

    /// Is the field there, expired or not?
    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Told before a command sets `fields` fields: makes a table if they are many, as the servers do although some
    /// of them may be the same (as redis 7.2; 7.0 and older wait and see).
    pub fn expect(&mut self, fields: usize, limits: &EncodingLimits) {
        if limits.dialect.has_set_listpacks() && fields > limits.hash_entries {
            self.unpack();
        }
    }

    /// Sets a field; `true` if it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], expiry: Expiry, limits: &EncodingLimits) -> bool {
        if let Expiry::At(_) = expiry {
            self.allow_expiry(limits);
        }
        let too_long = field.len().max(value.len()) > limits.hash_value_bytes;
        if too_long || self.packed_bytes() + field.len() + value.len() > PACKED_BYTES_MAX {
            self.unpack();
        }
        let is_new = match &mut self.0 {
            Form::Packed(pack) => set_packed(pack, field, value),
            Form::WithExpiry(pack) => with_expiry::set(pack, field, value, expiry),
            Form::Table(table) => table.set(field, value, expiry),
        };
        if is_new {
            self.unpack_if_long(limits);
        }
        is_new
    }

    /// Gives a field an expiry, or takes it away; `false` if there is no such field.
    pub fn set_expiry(&mut self, field: &[u8], expiry: Option<UnixMs>, limits: &EncodingLimits) -> bool {
        if !self.contains(field) {
            return false;
        }
        if expiry.is_some() {
            self.allow_expiry(limits);
        }
        match &mut self.0 {
            Form::Packed(_) => {}
            Form::WithExpiry(pack) => with_expiry::set_expiry(pack, field, expiry),
            Form::Table(table) => table.set_expiry(field, expiry),
        }
        true
    }

    /// Removes a field; `true` if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (pack, step) = match &mut self.0 {
            Form::Packed(pack) => (pack, 2),
            Form::WithExpiry(pack) => (pack, 3),
            Form::Table(table) => return table.remove(field),
        };
        let found = pack.find(field, step);
        found.inspect(|at| pack.remove(*at, step)).is_some()
    }

    /// All fields, expired ones included. A blob of fields with expiry is in the order of expiry, those without one
    /// last.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Packed(pack) => Walk::Packed(pack.iter()),
            Form::WithExpiry(pack) => Walk::WithExpiry(pack.iter()),
            Form::Table(table) => Walk::Table(table.fields.iter()),
        })
    }

    /// One step of HSCAN: hands about `count` fields to `visit`, all of them if packed; answers the next cursor, 0
    /// at the end.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'a>)) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.fields.scan(cursor, count, |field, value| visit(entry(field, value)));
        }
        self.iter().for_each(visit);
        0
    }

    /// A field by chance, expired ones included; `None` if there is none.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Entry<'_>> {
        if let Form::Table(table) = &self.0 {
            return table.fields.random(random).map(|(field, value)| entry(field, value));
        }
        let index = members::below(random(), self.len());
        self.iter().nth(index)
    }

    fn packed_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) | Form::WithExpiry(pack) => pack.byte_len(),
            Form::Table(_) => 0,
        }
    }

    /// Changes to a form that can hold an expiry: with expiries behind the values in Redis, a table in Valkey.
    fn allow_expiry(&mut self, limits: &EncodingLimits) {
        let Form::Packed(pack) = &self.0 else { return };
        if limits.dialect.is_valkey() {
            self.unpack();
        } else {
            self.0 = Form::WithExpiry(with_expiry::from_pairs(pack));
        }
    }

    fn unpack_if_long(&mut self, limits: &EncodingLimits) {
        if self.len() > limits.hash_entries {
            self.unpack();
        }
    }

    fn unpack(&mut self) {
        if let Form::Table(_) = self.0 {
            return;
        }
        let mut table = Table::default();
        let (mut field, mut value) = (IntText::default(), IntText::default());
        for entry in self.iter() {
            let expiry = entry.expiry.map_or(Expiry::Dropped, Expiry::At);
            table.set(entry.field.text(&mut field), entry.value.text(&mut value), expiry);
        }
        self.0 = Form::Table(Box::new(table));
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    fn set(&mut self, field: &[u8], value: &[u8], expiry: Expiry) -> bool {
        let before = if self.expiring == 0 { None } else { self.expiry_ms(field) };
        let expiry_ms = match expiry {
            Expiry::Dropped => None,
            Expiry::Kept => before,
            Expiry::At(at) => Some(at.0),
        };
        self.count(before, expiry_ms);
        self.fields.insert(field, Field { value, expiry_ms })
    }

    fn set_expiry(&mut self, field: &[u8], expiry: Option<UnixMs>) {
        let Some(old) = self.fields.get(field) else { return };
        let (value, before, expiry_ms) = (old.value.to_vec(), old.expiry_ms, expiry.map(|at| at.0));
        self.count(before, expiry_ms);
        self.fields.insert(field, Field { value: &value, expiry_ms });
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        if self.expiring > 0 {
            self.count(self.expiry_ms(field), None);
        }
        self.fields.remove(field)
    }

    fn expiry_ms(&self, field: &[u8]) -> Option<i64> {
        self.fields.get(field).and_then(|field| field.expiry_ms)
    }

    fn count(&mut self, before: Option<i64>, after: Option<i64>) {
        self.expiring = self.expiring + usize::from(after.is_some()) - usize::from(before.is_some());
    }
}

/// Walks the fields of a hash.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Walk<'a>);

#[derive(Clone, Debug)]
enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    WithExpiry(listpack::Iter<'a>),
    Table(members::Iter<'a, FieldValue>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            Walk::Packed(rest) => Some(Entry { field: rest.next()?, value: rest.next()?, expiry: None }),
            Walk::WithExpiry(rest) => with_expiry::next(rest),
            Walk::Table(rest) => rest.next().map(|(field, value)| entry(field, value)),
        }
    }
}

fn entry<'a>(field: &'a [u8], value: Field<'a>) -> Entry<'a> {
    let expiry = value.expiry_ms.map(UnixMs);
    Entry { field: Element::Str(field), value: Element::Str(value.value), expiry }
}

fn set_packed(pack: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    let Some(at) = pack.find(field, 2) else {
        pack.extend([Element::Str(field), Element::Str(value)].into_iter());
        return true;
    };
    pack.replace(at + 1, value);
    false
}

/// Whole entries of `step` elements, and no field twice.
fn check(pack: &Listpack, step: usize) -> Result<(), Corrupt> {
    let corrupt = |what| Err(Corrupt { what, at: 0 });
    if !pack.len().is_multiple_of(step) {
        return corrupt("hash: a field without its value or expiry");
    }
    if all_differ(pack, step) { Ok(()) } else { corrupt("hash: a field twice") }
}

#[cfg(test)]
mod tests;
