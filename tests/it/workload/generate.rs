//! Random requests of all write families, from a seed.

use super::{collections, keyspace, streams, strings};

/// A request.
pub type Request = Vec<Vec<u8>>;

/// What a word of a request may be written as.
pub trait Word {
    fn word(self) -> Vec<u8>;
}

impl Word for &str {
    fn word(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Word for String {
    fn word(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl Word for Vec<u8> {
    fn word(self) -> Vec<u8> {
        self
    }
}

impl Word for &Vec<u8> {
    fn word(self) -> Vec<u8> {
        self.clone()
    }
}

impl Word for i64 {
    fn word(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

/// A request from words of different kinds: `request!["SET", key, 5]`.
macro_rules! request {
    ($($word:expr),+ $(,)?) => { vec![$(crate::workload::generate::Word::word($word)),+] };
}
pub(crate) use request;

/// What the master at hand knows.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Redis 7.0 and later, Valkey.
    pub seven: bool,
    /// Hash field expiry (Redis 8.0, Valkey 9.1).
    pub field_expiry: bool,
    /// Valkey 8.1 and later: SET IFEQ.
    pub valkey: bool,
    /// Valkey 9.1: DELIFEQ, MSETEX.
    pub valkey_nine: bool,
    /// Scores of minus zero.
    pub minus_zero: bool,
    /// FLUSHDB and FLUSHALL without ASYNC.
    pub flush_at_once: bool,
    /// Keys and fields may expire during the test: when a master deletes them is chance.
    pub expires_soon: bool,
}

impl Features {
    /// Of a master by name.
    pub fn of(server: &str) -> Self {
        Self {
            seven: server != "redis-6.0",
            field_expiry: matches!(server, "redis-8.0" | "valkey-9.1"),
            valkey: server.starts_with("valkey"),
            valkey_nine: server == "valkey-9.1",
            minus_zero: true,
            flush_at_once: true,
            expires_soon: true,
        }
    }

    /// Without what makes a real server that takes a snapshot part from any master, a real one too: loading a sorted set
    /// that has become small, it makes a listpack of it, where minus zero is 0. And without what makes redis 8.0 forget
    /// its place in the stream: it flushes on another thread, its master's connection waits for that (BLOCKED), and if
    /// the link is lost meanwhile, it asks for everything (`no cached master`; so with a real master too).
    pub fn fit_for_a_sub_replica(self, server: &str) -> Self {
        Self { minus_zero: false, flush_at_once: server != "redis-8.0", ..self }
    }
}

/// Makes requests.
#[derive(Debug)]
pub struct Generator {
    pub rng: fastrand::Rng,
    pub has: Features,
    /// Grows with each stream entry, so that explicit ids are mostly valid.
    pub stream_clock: i64,
}

/// A family's function and how often it is asked, of the sum of all.
type Family = (u32, fn(&mut Generator) -> Request);

const FAMILIES: [Family; 10] = [
    (18, strings::plain),
    (6, strings::bitmap),
    (4, strings::hyperloglog),
    (12, keyspace::any),
    (14, collections::hash),
    (13, collections::list),
    (10, collections::set),
    (12, collections::zset),
    (3, collections::geo),
    (10, streams::any),
];

impl Generator {
    pub fn new(rng: fastrand::Rng, has: Features) -> Self {
        Self { rng, has, stream_clock: 1 }
    }

    /// Adds a step: mostly one request, at times a whole transaction or a change of the database.
    pub fn step(&mut self, out: &mut Vec<Request>) {
        match self.rng.u32(..1000) {
            0..15 => out.push(self.select()),
            15..30 => self.transaction(out),
            30..45 => out.push(keyspace::script(self)),
            45..49 => out.push(keyspace::function(self)),
            49..51 => out.push(keyspace::whole_database(self)),
            51..55 => out.push(request!["PUBLISH", "news", self.value()]),
            _ => {
                let request = self.any();
                out.push(request);
            }
        }
    }

    /// A request of any family.
    pub fn any(&mut self) -> Request {
        let sum: u32 = FAMILIES.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.u32(..sum);
        for (weight, family) in FAMILIES {
            if at < weight {
                return family(self);
            }
            at -= weight;
        }
        unreachable!("the weights add up")
    }

    fn select(&mut self) -> Request {
        let db = self.pick(&[0, 0, 0, 1, 2, 9]);
        request!["SELECT", db]
    }

    fn transaction(&mut self, out: &mut Vec<Request>) {
        out.push(request!["MULTI"]);
        for _ in 0..self.rng.usize(1..8) {
            let request = if self.chance(10) { self.select() } else { self.any() };
            out.push(request);
        }
        out.push(if self.chance(8) { request!["DISCARD"] } else { request!["EXEC"] });
    }

    /// Yes in `percent` of all cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// A key of a family (`"h"`), a few of them used much more than the others; at times a key of another family.
    pub fn key(&mut self, family: &str) -> Vec<u8> {
        // Not of HyperLogLogs: with a bit changed they are corrupt, and the servers part in what they do then.
        let family = if self.chance(2) { self.pick(&["s", "h", "l", "set", "z", "x", "b"]) } else { family };
        let n = match self.rng.u32(..10) {
            0..4 => self.rng.u32(..4),
            4..9 => self.rng.u32(..40),
            _ => self.rng.u32(..400),
        };
        match n {
            37 => format!("{family}:\u{0}\r\n\u{ff}{n}").into_bytes(),
            39 => format!("{family}:{}", "long".repeat(60)).into_bytes(),
            _ => format!("{family}:{n}").into_bytes(),
        }
    }

    /// `count` keys of a family.
    pub fn keys(&mut self, family: &str, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.key(family)).collect()
    }

    /// A value: numbers and texts, most of them short, some beyond each limit of the compact encodings.
    pub fn value(&mut self) -> Vec<u8> {
        match self.rng.u32(..200) {
            0..60 => self.integer().to_string().into_bytes(),
            60..62 => self.pick(&["", "007", "-0", "+5", " 5", "1e3", "inf"]).word(),
            62..130 => {
                let length = self.rng.usize(1..20);
                self.text(length)
            }
            130..180 => {
                let length = self.rng.usize(20..90);
                self.text(length)
            }
            180..196 => {
                let length = self.rng.usize(90..600);
                self.text(length)
            }
            196..199 => {
                let length = self.rng.usize(1000..9000);
                self.text(length)
            }
            _ => {
                let length = self.rng.usize(9000..20_000);
                self.text(length)
            }
        }
    }

    /// Bytes of this length: random, or words that compress.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        if self.chance(20) {
            return (0..length).map(|_| self.rng.u8(..)).collect();
        }
        let start = self.rng.usize(..26);
        (start..start + length).map(|i| b'a' + u8::try_from(i % 26).expect("below 26")).collect()
    }

    /// An integer: small, or near a limit of a packed form.
    pub fn integer(&mut self) -> i64 {
        match self.rng.u32(..10) {
            0..7 => self.rng.i64(-20..200),
            7 => self.rng.i64(-70_000..70_000),
            8 => self.rng.i64(..),
            _ => self.pick(&[
                127,
                128,
                4095,
                4096,
                -4096,
                -4097,
                32_767,
                -32_768,
                8_388_607,
                8_388_608,
                i64::MAX,
                i64::MIN,
            ]),
        }
    }

    /// A small member or field name, so that things meet again.
    pub fn member(&mut self) -> Vec<u8> {
        match self.rng.u32(..20) {
            0..10 => format!("m{}", self.rng.u32(..30)).into_bytes(),
            10..15 => self.rng.u32(..60).to_string().into_bytes(),
            15..19 => format!("member-{}", self.rng.u32(..900)).into_bytes(),
            _ => self.value(),
        }
    }

    /// A score or increment as text.
    pub fn score(&mut self) -> String {
        let score = self.any_score();
        let is_zero = score.parse::<f64>().is_ok_and(|score| score == 0.0);
        if is_zero && !self.has.minus_zero { "0".to_owned() } else { score }
    }

    fn any_score(&mut self) -> String {
        match self.rng.u32(..10) {
            0..4 => self.rng.i64(-5..100).to_string(),
            4..8 => format!("{:.3}", (self.rng.f64() - 0.3) * 1000.0),
            8 => format!("{:e}", (self.rng.f64() - 0.5) * 10f64.powi(self.rng.i32(-20..25))),
            _ => self.pick(&["inf", "-inf", "0", "-0", "3.5", "12472.46929", "1e21"]).to_string(),
        }
    }

    /// A number of elements: mostly few, at times enough for the next encoding.
    pub fn count(&mut self) -> usize {
        match self.rng.u32(..100) {
            0..70 => 1,
            70..97 => self.rng.usize(2..8),
            _ => self.rng.usize(50..300),
        }
    }

    /// Milliseconds until something expires: soon (during the test) or never within it.
    pub fn soon_ms(&mut self) -> i64 {
        if self.has.expires_soon && self.chance(60) {
            self.rng.i64(1..1500)
        } else {
            self.rng.i64(1_000_000..9_000_000_000)
        }
    }

    /// A moment as UNIX milliseconds: past, soon or far.
    pub fn moment_ms(&mut self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let now = i64::try_from(now.as_millis()).expect("before the end of time");
        if self.has.expires_soon && self.chance(10) { now - 5000 } else { now + self.soon_ms() }
    }
}
