//! Replies that real servers leave to chance in part, compared in what is not left to it:
//!
//! - SORT of a set that is a hash table, and of a sorted set: the elements come by a seed, so ties do. The weights in their
//!   order are the same all the same, and so is the whole without LIMIT as a bag.
//! - Ranges by name of a skiplist whose scores differ: where a walk begins is up to the levels that its members were
//!   given. All replies that a skiplist of this order may give are made here, and the reply must be one of them.

use super::agree::sorted;
use super::{Sides, ask};
use crate::support::client::{Value, parsed};
use std::collections::BTreeSet;

impl Sides<'_> {
    /// Is the reply of this kind, and one that a real server may give too? Both replies are asked to be.
    pub(super) fn is_left_to_chance(
        &mut self,
        request: &[Vec<u8>],
        protocol: usize,
        both: (&Value, &Value),
    ) -> bool {
        if both.1.is_error() {
            return false;
        }
        let name = request[0].to_ascii_lowercase();
        let by_name = name.windows(3).any(|part| part == b"lex") || has(request, b"bylex");
        let encoding =
            |sides: &mut Self| sides.real[protocol].command(&[&b"OBJECT"[..], b"ENCODING", &request[1]]);
        if name.starts_with(b"sort") {
            // A sorted set is walked by its hash table, unless BY leaves it as it is.
            let by_seed = match encoding(self).text().as_str() {
                "hashtable" => true,
                "skiplist" => Sort::of(request).weights.is_some(),
                _ => false,
            };
            by_seed && self.is_sorted_alike(request, protocol, both)
        } else if by_name {
            encoding(self).text_is("skiplist") && self.may_be_found(request, protocol, both)
        } else {
            false
        }
    }

    fn is_sorted_alike(
        &mut self,
        request: &[Vec<u8>],
        protocol: usize,
        (expected, found): (&Value, &Value),
    ) -> bool {
        let sort = Sort::of(request);
        let mut both = |request: &[Vec<u8>]| {
            let ask = |client| parsed(&ask(client, request));
            [ask(&mut self.real[protocol]), ask(&mut self.ours[protocol])]
        };
        let [whole, ours_whole] = both(&sort.without_limit).map(|reply| bag(&reply, sort.group));
        if whole != ours_whole {
            return false;
        }
        let part_of_it = |reply: &Value| bag(reply, sort.group).iter().all(|group| whole.contains(group));
        let alike = expected.items().len() == found.items().len() && part_of_it(expected) && part_of_it(found);
        let Some(weights) = &sort.weights else { return alike };
        let [weights, ours] = both(weights).map(|reply| sort.compared(&reply));
        alike && weights == ours
    }

    fn may_be_found(&mut self, request: &[Vec<u8>], protocol: usize, (expected, found): (&Value, &Value)) -> bool {
        let whole = self.real[protocol].command(&[&b"ZRANGE"[..], &request[1], b"0", b"-1"]);
        let names: Vec<Vec<u8>> = whole.items().iter().map(|name| name.bytes().to_vec()).collect();
        let possible = Lex::of(request).replies(&names);
        [expected, found].iter().all(|reply| possible.contains(&format!("{reply:?}")))
    }
}

fn has(request: &[Vec<u8>], option: &[u8]) -> bool {
    request.iter().skip(2).any(|word| word.eq_ignore_ascii_case(option))
}

fn bag(reply: &Value, group: usize) -> Vec<String> {
    let sorted = sorted(reply.clone(), group);
    sorted.items().chunks(group).map(|group| format!("{group:?}")).collect()
}

/// What else to ask about a SORT.
struct Sort {
    /// Elements of a reply that belong together: as many as there are GETs.
    group: usize,
    without_limit: Vec<Vec<u8>>,
    /// The same order, shown by what it is by; `None` where BY leaves it to the hash table.
    weights: Option<Vec<Vec<u8>>>,
    alpha: bool,
}

impl Sort {
    /// Of a well-formed request.
    fn of(request: &[Vec<u8>]) -> Self {
        let (mut by, mut is_sorted, mut gets, mut alpha) = (b"#".to_vec(), true, 0, false);
        let (mut without_limit, mut weights) = (request[..2].to_vec(), request[..2].to_vec());
        let mut at = 2;
        while at < request.len() {
            let option = request[at].to_ascii_lowercase();
            let words = match option.as_slice() {
                b"limit" => 3,
                b"by" | b"get" => 2,
                _ => 1,
            };
            let whole = &request[at..at + words];
            match option.as_slice() {
                // By what is the same for all: not sorted, whatever another BY says.
                b"by" => {
                    by.clone_from(&whole[1]);
                    is_sorted &= whole[1].contains(&b'*');
                }
                b"get" => gets += 1,
                b"alpha" => alpha = true,
                _ => {}
            }
            if option != b"limit" {
                without_limit.extend_from_slice(whole);
            }
            if option != b"get" {
                weights.extend_from_slice(whole);
            }
            at += words;
        }
        weights.extend([b"GET".to_vec(), by]);
        Self { group: gets.max(1), without_limit, weights: is_sorted.then_some(weights), alpha }
    }

    /// What counts of the weights: for ALPHA a text ends at a zero byte.
    fn compared(&self, reply: &Value) -> Vec<Option<Vec<u8>>> {
        let counts = |weight: &Value| match weight {
            Value::Bulk(bytes) if self.alpha => bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec),
            Value::Bulk(bytes) => Some(bytes.clone()),
            _ => None,
        };
        reply.items().iter().map(counts).collect()
    }
}

/// A range by name.
struct Lex {
    count: bool,
    reverse: bool,
    min: Vec<u8>,
    max: Vec<u8>,
    limit: Option<(i64, i64)>,
}

impl Lex {
    /// Of a well-formed request.
    fn of(request: &[Vec<u8>]) -> Self {
        let name = request[0].to_ascii_lowercase();
        let reverse = name.starts_with(b"zrev") || has(request, b"rev");
        let (first, second) = (request[2].clone(), request[3].clone());
        let (min, max) = if reverse { (second, first) } else { (first, second) };
        let number = |word: &Vec<u8>| String::from_utf8_lossy(word).parse().expect("a number");
        // The last one counts.
        let at = request.iter().rposition(|word| word.eq_ignore_ascii_case(b"limit"));
        let limit = at.map(|at| (number(&request[at + 1]), number(&request[at + 2])));
        Self { count: name == b"zlexcount", reverse, min, max, limit }
    }

    /// Not too low.
    fn above(&self, name: &[u8]) -> bool {
        match self.min.split_first() {
            Some((b'-', _)) => true,
            Some((b'[', min)) => name >= min,
            Some((b'(', min)) => name > min,
            _ => false,
        }
    }

    /// Not too high.
    fn below(&self, name: &[u8]) -> bool {
        match self.max.split_first() {
            Some((b'+', _)) => true,
            Some((b'[', max)) => name <= max,
            Some((b'(', max)) => name < max,
            _ => false,
        }
    }

    /// Holds nothing whatever the set is.
    fn is_empty(&self) -> bool {
        let (min, max) = (&self.min, &self.max);
        match (min[0], max[0]) {
            (b'+', _) | (_, b'-') => true,
            (b'-', _) | (_, b'+') => false,
            (b'[', b'[') => min[1..] > max[1..],
            _ => min[1..] >= max[1..],
        }
    }

    /// All replies that a skiplist with these names in this order may give.
    fn replies(&self, names: &[Vec<u8>]) -> BTreeSet<String> {
        let nothing = || if self.count { Value::Int(0) } else { Value::Array(Vec::new()) };
        let holds = !self.is_empty() && self.above(&names[names.len() - 1]) && self.below(&names[0]);
        if !holds {
            return BTreeSet::from([format!("{:?}", nothing())]);
        }
        let all = 0..names.len();
        let lasts = all
            .clone()
            .filter(|at| self.below(&names[*at]) && names.get(at + 1).is_none_or(|next| !self.below(next)));
        let lasts: Vec<usize> = lasts.collect();
        let firsts = all.filter(|at| self.above(&names[*at]) && (*at == 0 || !self.above(&names[at - 1])));
        let firsts: Vec<usize> = firsts.collect();
        let replies: Vec<Value> = if self.count {
            firsts.iter().flat_map(|first| lasts.iter().map(|last| self.counted(names, *first, *last))).collect()
        } else {
            self.begins(names.len(), &firsts, &lasts).map(|begin| self.walked(names, begin)).collect()
        };
        replies.iter().map(|reply| format!("{reply:?}")).collect()
    }

    /// A skiplist reckons with two places. (Where the last one is in front of the first, it answers a negative number.)
    fn counted(&self, names: &[Vec<u8>], first: usize, last: usize) -> Value {
        let behind = if self.above(&names[last]) { last + 1 } else { names.len() };
        let count = if self.below(&names[first]) { behind.saturating_sub(first) } else { 0 };
        Value::Int(i64::try_from(count).expect("a count"))
    }

    /// Where walks may begin; `None` is nowhere. A negative offset counts from the other end.
    fn begins(&self, len: usize, firsts: &[usize], lasts: &[usize]) -> impl Iterator<Item = Option<usize>> {
        let offset = self.limit.map_or(0, |(offset, _)| offset);
        let (skip, other_end) = if offset < 0 { (!offset, true) } else { (offset, false) };
        let skip = usize::try_from(skip).expect("not negative");
        let from_first = self.reverse == other_end;
        let edges = if from_first { firsts } else { lasts };
        let begins: Vec<_> = edges
            .iter()
            .map(|edge| {
                let begin = if from_first { edge.checked_add(skip) } else { edge.checked_sub(skip) };
                begin.filter(|begin| *begin < len)
            })
            .collect();
        begins.into_iter()
    }

    /// From here on to the first that does not fit.
    fn walked(&self, names: &[Vec<u8>], begin: Option<usize>) -> Value {
        let limit = self.limit.map_or(-1, |(_, count)| count);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // What is looked up by its place has to fit the end that the place was counted from.
        let fits = |at: usize| match self.limit {
            Some((offset, _)) if offset < 0 => self.above(&names[at]) && self.below(&names[at]),
            _ => true,
        };
        let Some(begin) = begin.filter(|begin| fits(*begin)) else { return Value::Array(Vec::new()) };
        let bulk = |name: &Vec<u8>| Value::Bulk(name.clone());
        let up = names[begin..].iter().take_while(|name| self.below(name));
        let down = names[..=begin].iter().rev().take_while(|name| self.above(name));
        let walked =
            if self.reverse { down.take(limit).map(bulk).collect() } else { up.take(limit).map(bulk).collect() };
        Value::Array(walked)
    }
}
