//! The words that generated requests are made of: keys and members that are there, and what lies at the edges.

use crate::support::client::Client;
use crate::support::compare::all_keys;
use std::collections::BTreeMap;

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "10",
    "100",
    "-1",
    "-2",
    "-3",
    "-10",
    "-100",
    "1000000",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "4611686018427387904",
    "",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "1.0",
    "1.5",
    "1e3",
    "0x10",
    "abc",
    "nan",
    "1000000000000000000000",
];
const DOUBLES: &[&str] = &[
    "0",
    "1",
    "-1",
    "1.5",
    "2",
    "10",
    "100.25",
    "200",
    "5000",
    "0.1",
    "-0",
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "nan",
    "1e400",
    "1e-400",
    "1e308",
    "-1.7976931348623157e308",
    "5e-324",
    "3.0",
    "90",
    "-90",
    "85.05112878",
    "180",
    "-180",
    "180.1",
    "0x1p3",
    ".5",
    "5.",
    "1e",
    "",
    " 1",
    "1 ",
    "(1",
    "abc",
    "12345678901234567890",
];
const BOUNDS: &[&str] = &[
    "-inf", "+inf", "inf", "(-inf", "(inf", "(1", "(2", "1", "2", "3", "0", "10", "(10", "1e20", "-1.5", "[a",
    "(a", "[c", "(c", "-", "+", "[", "(", "[m001", "(l010", "[l100", "a", "", "nan", "(nan", "( 1", "--", "++",
    "-+", "[\u{ff}", "0x1", "-1", "-2", "-3",
];
const IDS: &[&str] = &[
    "-",
    "+",
    "$",
    ">",
    "0",
    "1",
    "2",
    "3",
    "1-1",
    "2-1",
    "2-2",
    "3-1",
    "5-2",
    "5-3",
    "(1-1",
    "(2",
    "(3-1",
    "(5-3",
    "(-",
    "(+",
    "0-0",
    "(0-0",
    "12-0",
    "9-0",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "(18446744073709551615-18446744073709551615",
    "18446744073709551616",
    "1-",
    "-1",
    "1-1-1",
    "1-*",
    "*",
    "abc",
    "",
    "1-18446744073709551616",
    "00-01",
    "(",
    "+1",
];
const PATTERNS: &[&str] = &[
    "*",
    "?",
    "",
    "s:*",
    "z:*",
    "[a-c]*",
    "[^a]*",
    "m0?[0-5]",
    "*1*",
    "\\*",
    "[",
    "[a",
    "[]",
    "[^]",
    "h:*->name",
    "w:*",
    "w:*->",
    "*->name",
    "#",
    "nosort",
    "nosuch:*",
    "set:*",
    "**",
    "a*b*c",
    "\\",
];
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "one",
    "two",
    "name",
    "number",
    "soon",
    "late",
    "never",
    "3",
    "7",
    "007",
    "",
    "m001",
    "f1",
    "Palermo",
    "Catania",
    "station1",
    "London",
    "nobody",
    "g",
    "empty",
    "d",
    "read",
    "element-5",
    "\u{1}\u{2}\r\n",
];
const ENCODINGS: &[&str] =
    &["u8", "i8", "u1", "u63", "i64", "u64", "i65", "u0", "i0", "x8", "u", "", "I8", "u08", "i-1"];
const TYPES: &[&str] =
    &["string", "list", "set", "zset", "hash", "stream", "none", "ZSET", "nosuch", "", "vectorset"];
const GROUPS: &[&str] = &["g", "empty", "read", "nope", ""];
const CONSUMERS: &[&str] = &["c", "d", "nope", ""];
const COUNTS: &[&str] = &["1", "2", "3", "5", "10", "100", "1000"];
/// Options of many commands, to be met where they do not belong.
const OPTIONS: &[&str] = &[
    "COUNT",
    "LIMIT",
    "WITHSCORES",
    "BY",
    "REV",
    "MATCH",
    "WEIGHTS",
    "AGGREGATE",
    "FIELDS",
    "STREAMS",
    "STORE",
    "ASC",
    "ANY",
    "LEN",
    "GET",
    "IDLE",
    "FULL",
    "RANK",
    "MAXLEN",
    "BYSCORE",
    "BYLEX",
    "NX",
    "XX",
    "WITHVALUES",
    "NOVALUES",
    "TYPE",
    "BIT",
    "BYTE",
    "ALPHA",
    "WITHDIST",
];

/// Keys and members of the data that the requests ask about.
#[derive(Debug)]
pub(super) struct Lexicon {
    by_type: BTreeMap<String, Vec<Vec<u8>>>,
    keys: Vec<Vec<u8>>,
    members: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Lexicon {
    /// What this server's database 0 holds.
    pub(super) fn of(client: &mut Client) -> Self {
        let mut all = Self { by_type: BTreeMap::new(), keys: all_keys(client), members: BTreeMap::new() };
        all.keys.sort();
        for key in &all.keys {
            let kind = client.command(&[&b"TYPE"[..], key]).text();
            let asked: &[&[u8]] = match kind.as_str() {
                "hash" => &[b"HKEYS", key],
                "set" => &[b"SMEMBERS", key],
                "zset" => &[b"ZRANGE", key, b"0", b"9"],
                "list" => &[b"LRANGE", key, b"0", b"9"],
                _ => &[b"ECHO", b""],
            };
            if let reply @ (crate::support::client::Value::Array(_) | crate::support::client::Value::Set(_)) =
                client.command(asked)
            {
                let mut members: Vec<Vec<u8>> = reply.items().iter().map(|item| item.bytes().to_vec()).collect();
                members.sort();
                members.truncate(12);
                all.members.insert(key.clone(), members);
            }
            all.by_type.entry(kind).or_default().push(key.clone());
        }
        assert!(all.by_type.len() >= 6, "keys of all types: {:?}", all.by_type.keys());
        all
    }

    /// A key for a command of this group: rather one of its type.
    pub(super) fn key(&self, random: &mut fastrand::Rng, group: &str) -> Vec<u8> {
        let (kind, prefix) = match group {
            "sorted-set" => ("zset", "z:"),
            "geo" => ("zset", "z:geo"),
            "bitmap" => ("string", "bits:"),
            "hyperloglog" => ("string", "hll:"),
            "string" => ("string", "s:"),
            other => (other, ""),
        };
        let fitting = self.by_type.get(kind).filter(|_| random.u8(..8) < 6);
        if let Some(keys) = fitting {
            let named: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix.as_bytes())).collect();
            if let Some(key) = random.choice(named).filter(|_| random.u8(..5) != 0) {
                return key.clone();
            }
            return random.choice(keys).cloned().unwrap_or_default();
        }
        match random.u8(..4) {
            0 => b"missing".to_vec(),
            _ => random.choice(&self.keys).cloned().unwrap_or_default(),
        }
    }

    /// A value for an argument of this name and type.
    pub(super) fn word(
        &self,
        random: &mut fastrand::Rng,
        (name, kind): (&str, &str),
        key: &[u8],
        group: &str,
    ) -> Vec<u8> {
        let pool = match (name, kind, group) {
            ("count" | "limit", _, _) if random.bool() => COUNTS,
            ("encoding", ..) => ENCODINGS,
            ("type", _, "generic") => TYPES,
            ("group", ..) => GROUPS,
            ("consumer", ..) => CONSUMERS,
            ("min" | "max" | "start" | "stop", "string" | "double", "sorted-set") => BOUNDS,
            (_, "string", "stream") => IDS,
            (_, "integer" | "unix-time", _) => INTEGERS,
            (_, "double", _) => DOUBLES,
            (_, "pattern", _) => PATTERNS,
            _ => {
                let own = self.members.get(key).filter(|_| random.u8(..3) != 0);
                if let Some(member) = own.and_then(|members| random.choice(members)) {
                    return member.clone();
                }
                WORDS
            }
        };
        // Small numbers stand first, and come more often.
        let all = if random.bool() { pool.len() } else { pool.len().min(14) };
        pool[random.usize(..all)].as_bytes().to_vec()
    }

    /// Any word at all.
    pub(super) fn odd(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let pools = [INTEGERS, DOUBLES, BOUNDS, IDS, PATTERNS, WORDS, OPTIONS, OPTIONS];
        let pool = pools[random.usize(..pools.len())];
        pool[random.usize(..pool.len())].as_bytes().to_vec()
    }
}
