//! Sets: members without order.
//!
//! Comes in: members from apply functions, blobs and members from the snapshot. Goes out: members in no order, by
//! scan or by chance. Three forms: an intset of integers; a listpack of short members (Redis 7.2 and later, Valkey);
//! a table. When one becomes the other is as in the master's dialect; none of them is ever left for a smaller one.

use super::EncodingLimits;
use super::hash::PACKED_BYTES_MAX;
use super::members::{self, Members, Nothing};
use super::packed::Corrupt;
use super::packed::intset::Intset;
use super::packed::listpack::{self, Element, IntText, Listpack};
use super::packed::unique::all_differ;
use crate::allocator::taken;
use crate::number::parse_integer;

/// A set.
#[derive(Clone, Debug)]
pub struct Set(Form);

#[derive(Clone, Debug)]
enum Form {
    Ints(Intset),
    Packed(Listpack),
    Table(Members<Nothing>),
}

/// The form in which a set is kept, for whoever saves it.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    Ints(&'a Intset),
    Packed(&'a Listpack),
    /// No blob: go through `iter`.
    Table,
}

impl Set {
    /// No member: an intset.
    pub fn new() -> Self {
        Self(Form::Ints(Intset::new()))
    }

    /// An empty set for `members` members of which `first` is the first, in the form that the servers choose for it.
    pub fn for_members(first: &[u8], members: usize, limits: &EncodingLimits) -> Self {
        let is_int = parse_integer(first).is_some();
        if !limits.dialect.has_set_listpacks() {
            return if is_int { Self::new() } else { Self(Form::Table(Members::new())) };
        }
        if is_int && members <= limits.set_intset_entries {
            Self::new()
        } else if members <= limits.set_entries {
            Self(Form::Packed(Listpack::new()))
        } else {
            Self(Form::Table(Members::new()))
        }
    }

    /// An empty set for the members of a snapshot: an intset unless there are too many for one.
    pub fn for_snapshot(members: u64, limits: &EncodingLimits) -> Self {
        let fits = usize::try_from(members).is_ok_and(|members| members <= limits.set_intset_entries);
        if fits { Self::new() } else { Self(Form::Table(Members::new())) }
    }

    /// The intset of a snapshot, kept as it is unless it is too long.
    pub fn from_ints(ints: Intset, limits: &EncodingLimits) -> Self {
        let is_long = ints.len() > limits.set_intset_entries;
        let mut set = Self(Form::Ints(ints));
        if is_long {
            set.unpack();
        }
        set
    }

    /// The listpack of a snapshot, kept as it is unless it has too many members.
    pub fn from_packed(pack: Listpack, limits: &EncodingLimits) -> Result<Self, Corrupt> {
        if !all_differ(&pack, 1) {
            return Err(Corrupt { what: "set: a member twice", at: 0 });
        }
        let is_long = pack.len() > limits.set_entries || !limits.dialect.has_set_listpacks();
        let mut set = Self(Form::Packed(pack));
        if is_long {
            set.unpack();
        }
        Ok(set)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.len(),
            Form::Packed(pack) => pack.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// No member at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Form::Ints(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// The form, for whoever saves it.
    pub fn view(&self) -> View<'_> {
        match &self.0 {
            Form::Ints(ints) => View::Ints(ints),
            Form::Packed(pack) => View::Packed(pack),
            Form::Table(_) => View::Table,
        }
    }

    /// Bytes of memory behind the set.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => taken(ints.as_bytes().len()),
            Form::Packed(pack) => taken(pack.byte_len()),
            Form::Table(table) => table.heap_bytes(),
        }
    }

    /// Is it a member? A listpack is walked.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Ints(ints) => parse_integer(member).is_some_and(|n| ints.contains(n)),
            Form::Packed(pack) => pack.find(member, 1).is_some(),
            Form::Table(table) => table.contains(member),
        }
    }

    /// Is this element of another set a member?
    pub fn contains_element(&self, member: Element<'_>) -> bool {
        match (&self.0, member) {
            (Form::Ints(ints), Element::Int(n)) => ints.contains(n),
            _ => self.contains(member.text(&mut IntText::default())),
        }
    }

    /// Told before a command adds `members` members: makes a table if they are many, as the servers do although some
    /// of them may be the same (as redis 7.2; 7.0 and older wait and see).
    pub fn expect(&mut self, members: usize, limits: &EncodingLimits) {
        let entries_max = match self.0 {
            Form::Ints(_) => limits.set_intset_entries,
            Form::Packed(_) => limits.set_entries,
            Form::Table(_) => return,
        };
        if limits.dialect.has_set_listpacks() && members > entries_max {
            self.unpack();
        }
    }

    /// Adds a member; `false` if it is there already.
    pub fn add(&mut self, member: &[u8], limits: &EncodingLimits) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => match parse_integer(member) {
                Some(n) => {
                    let is_new = ints.insert(n);
                    if is_new && ints.len() > limits.set_intset_entries {
                        self.unpack();
                    }
                    return is_new;
                }
                None if ints_fit_listpack(ints, member, limits) => self.0 = Form::Packed(packed(ints)),
                None => self.unpack(),
            },
            Form::Packed(pack) if pack.find(member, 1).is_some() => return false,
            Form::Packed(pack) if fits_listpack(pack, member, limits) => {}
            Form::Packed(_) => self.unpack(),
            Form::Table(_) => {}
        }
        match &mut self.0 {
            Form::Packed(pack) => {
                pack.push(member);
                true
            }
            Form::Table(table) => table.insert(member, ()),
            Form::Ints(_) => false,
        }
    }

    /// Removes a member; `true` if it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => parse_integer(member).is_some_and(|n| ints.remove(n)),
            Form::Packed(pack) => pack.find(member, 1).inspect(|at| pack.remove(*at, 1)).is_some(),
            Form::Table(table) => table.remove(member),
        }
    }

    /// All members; ascending if they are an intset.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Ints(ints) => Walk::Ints(ints, 0),
            Form::Packed(pack) => Walk::Packed(pack.iter()),
            Form::Table(table) => Walk::Table(table.iter()),
        })
    }

    /// One step of SSCAN: hands about `count` members to `visit`, all of them unless they are a table; answers the next
    /// cursor, 0 at the end.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'a>)) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.scan(cursor, count, |member, ()| visit(Element::Str(member)));
        }
        self.iter().for_each(visit);
        0
    }

    /// A member by chance; `None` if there is none.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Element<'_>> {
        let index = match &self.0 {
            Form::Table(table) => return table.random(random).map(|(member, ())| Element::Str(member)),
            _ => members::below(random(), self.len()),
        };
        match &self.0 {
            Form::Ints(ints) => ints.get(index).map(Element::Int),
            _ => self.iter().nth(index),
        }
    }

    fn unpack(&mut self) {
        let mut table = Members::new();
        let mut scratch = IntText::default();
        for member in self.iter() {
            table.insert(member.text(&mut scratch), ());
        }
        self.0 = Form::Table(table);
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

/// Walks the members of a set.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Walk<'a>);

#[derive(Clone, Debug)]
enum Walk<'a> {
    Ints(&'a Intset, usize),
    Packed(listpack::Iter<'a>),
    Table(members::Iter<'a, Nothing>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        match &mut self.0 {
            Walk::Ints(ints, at) => {
                let n = ints.get(*at)?;
                *at += 1;
                Some(Element::Int(n))
            }
            Walk::Packed(rest) => rest.next(),
            Walk::Table(rest) => rest.next().map(|(member, ())| Element::Str(member)),
        }
    }
}

/// May this text join the listpack?
fn fits_listpack(pack: &Listpack, member: &[u8], limits: &EncodingLimits) -> bool {
    pack.len() < limits.set_entries
        && member.len() <= limits.set_value_bytes
        && pack.byte_len() + member.len() <= PACKED_BYTES_MAX
}

/// May an intset become a listpack when this text, which is no integer, joins?
fn ints_fit_listpack(ints: &Intset, member: &[u8], limits: &EncodingLimits) -> bool {
    let longest = [ints.iter().next(), ints.iter().next_back()];
    let longest = longest.into_iter().flatten().map(|n| Element::Int(n).len()).max().unwrap_or(0);
    limits.dialect.has_set_listpacks()
        && ints.len() < limits.set_entries
        && member.len().max(longest) <= limits.set_value_bytes
}

fn packed(ints: &Intset) -> Listpack {
    let mut pack = Listpack::with_capacity(ints.as_bytes().len());
    pack.extend((0..ints.len()).filter_map(|i| ints.get(i).map(Element::Int)));
    pack
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encodings;
    use crate::dataset::Dialect;
    use std::collections::BTreeSet;

    const OLD: Dialect = Dialect::Redis(7, 0);
    const NEW: Dialect = Dialect::Redis(8, 0);
    const VALKEY: Dialect = Dialect::Valkey(9, 1);

    fn limits(dialect: Dialect) -> EncodingLimits {
        limits_of(dialect, Encodings::default())
    }

    fn limits_of(dialect: Dialect, sizes: Encodings) -> EncodingLimits {
        EncodingLimits { sizes, dialect }
    }

    /// SADD of these members to a set, which is made if it is not there.
    fn sadd(set: &mut Option<Set>, members: &[String], limits: &EncodingLimits) {
        match set {
            Some(set) => set.expect(members.len(), limits),
            None => *set = Some(Set::for_members(members[0].as_bytes(), members.len(), limits)),
        }
        let set = set.as_mut().unwrap();
        members.iter().for_each(|member| {
            set.add(member.as_bytes(), limits);
        });
    }

    #[test]
    fn becomes_a_table_where_the_masters_do() {
        let words = |text: &str, n: usize| vec![text.to_owned(); n];
        let ints = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        let long = words(&"x".repeat(65), 1);
        let check = |steps: &[Vec<String>], old: &str, new: &str| {
            for (dialect, expected) in [(OLD, old), (NEW, new), (VALKEY, new)] {
                let mut set = None;
                steps.iter().for_each(|members| sadd(&mut set, members, &limits(dialect)));
                assert_eq!(set.unwrap().encoding(), expected, "{dialect:?} {steps:?}");
            }
        };
        // all as measured on redis 6.0 to valkey 9.1
        check(&[ints(512)], "intset", "intset");
        check(&[ints(600)], "hashtable", "hashtable");
        check(&[words("1", 600)], "intset", "hashtable");
        check(&[words("a", 128)], "hashtable", "listpack");
        check(&[words("a", 129)], "hashtable", "hashtable");
        check(&[[words("1", 200), words("a", 1)].concat()], "hashtable", "listpack");
        check(&[words("1", 1), words("a", 129)], "hashtable", "listpack");
        check(&[words("a", 1), words("1", 129)], "hashtable", "hashtable");
        check(&[words("1", 1), long], "hashtable", "hashtable");
        check(&[words("9223372036854775808", 1)], "hashtable", "listpack");
        check(&[ints(127), words("a", 1)], "hashtable", "listpack");
        check(&[ints(128), words("a", 1)], "hashtable", "hashtable");
    }

    #[test]
    fn blobs_of_a_snapshot_are_checked_and_kept() {
        let mut pack = Listpack::new();
        ["a", "7", "b"].iter().for_each(|text| pack.push(text.as_bytes()));
        let set = Set::from_packed(pack.clone(), &limits(NEW)).unwrap();
        assert!(matches!(set.view(), View::Packed(kept) if *kept == pack));
        assert_eq!(Set::from_packed(pack.clone(), &limits(OLD)).unwrap().encoding(), "hashtable");
        let few = limits_of(NEW, Encodings { set_entries: 2, ..Encodings::default() });
        assert_eq!(Set::from_packed(pack.clone(), &few).unwrap().encoding(), "hashtable");
        pack.push(b"7");
        assert!(Set::from_packed(pack, &limits(NEW)).is_err());
    }

    #[test]
    fn agrees_with_a_model_in_every_form() {
        for seed in 0..6 {
            let mut random = fastrand::Rng::with_seed(seed);
            let dialect = [OLD, NEW, VALKEY][usize::try_from(seed).unwrap() % 3];
            let limits =
                limits_of(dialect, Encodings { set_intset_entries: 30, set_entries: 40, ..Encodings::default() });
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            let mut forms = BTreeSet::new();
            for step in 0..2_000_u32 {
                let n = random.i64(-40..40) * if random.bool() { 1 } else { 100_000 };
                let member = if step > 300 && n % 3 == 0 { format!("m{n}") } else { n.to_string() };
                if random.u32(0..100) < 30 + step / 40 {
                    assert_eq!(set.add(member.as_bytes(), &limits), model.insert(member.clone()));
                } else {
                    assert_eq!(set.remove(member.as_bytes()), model.remove(&member));
                }
                forms.insert(set.encoding());
                assert_eq!(set.contains(member.as_bytes()), model.contains(&member), "seed {seed}, step {step}");
                let seen: BTreeSet<_> =
                    set.iter().map(|member| String::from_utf8(member.to_vec()).unwrap()).collect();
                assert_eq!((&seen, set.len()), (&model, model.len()), "seed {seed}, step {step}");
            }
            assert!(forms.len() >= 2, "seed {seed} saw only {forms:?}");
        }
    }
}
