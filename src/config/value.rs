//! Values of settings: text to types and back. Complaints are worded as the real servers word them, so that
//! CONFIG SET can pass them on.

use crate::limits::{REPLY_BYTES_FREE, REPLY_BYTES_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A password. Prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps a password.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The password itself, for the wire and for CONFIG GET. Never for a log.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Is `guess` the password? Takes as long for a wrong guess as for a right one of the same length.
    pub fn matches(&self, guess: &[u8]) -> bool {
        let differing = self.0.iter().zip(guess).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differing) == 0 && self.0.len() == guess.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What stands behind `user` in the file: a name and rules. Prints as stars, as rules may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct UserLine(Vec<Vec<u8>>);

impl UserLine {
    /// Wraps the words.
    pub fn new(words: &[&[u8]]) -> Self {
        Self(words.iter().map(|word| word.to_vec()).collect())
    }

    /// The name and the rules.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for UserLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What CONFIG REWRITE does about a user. Prints as stars, as rules may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct UserChange {
    /// The user's name.
    pub name: Vec<u8>,
    /// The line, `user` included; `None`: there is no such user any more.
    pub line: Option<Vec<u8>>,
}

impl fmt::Debug for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One address of `bind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address; `*` is all of IPv4, `::*` all of IPv6.
    pub ip: IpAddr,
    /// Written with a leading `-`: not an error where the machine does not have it.
    pub optional: bool,
}

impl BindAddress {
    /// The default: this machine only, as the redis.conf that real servers ship has it.
    pub fn loopback() -> Vec<Self> {
        vec![
            Self { ip: Ipv4Addr::LOCALHOST.into(), optional: false },
            Self { ip: Ipv6Addr::LOCALHOST.into(), optional: true },
        ]
    }

    /// Reads `127.0.0.1`, `-::1`, `*`, `-::*` or `localhost`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (optional, name) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let ip = match name {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "::*" => Ipv6Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            _ => name.parse().map_err(|_| format!("'{text}' is not an IP address"))?,
        };
        Ok(Self { ip, optional })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = if self.optional { "-" } else { "" };
        match self.ip {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => write!(f, "{dash}*"),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => write!(f, "{dash}::*"),
            ip => write!(f, "{dash}{ip}"),
        }
    }
}

/// Declares an enumeration of words: its names, reading and printing.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The value as it is written in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads one of the words, in either case.
            pub fn parse(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($text) { return Ok(Self::$variant); })*
                Err(format!("argument(s) must be one of the following: {}", [$($text),*].join(", ")))
            }
        }
    };
}

pub(super) use words;

words! {
    /// Where a snapshot of the master is loaded while there are old data.
    DisklessLoad {
        /// Beside them; they answer until it is complete.
        Swap = "swap",
        /// In their place; they are dropped first.
        Flush = "flush",
        /// Beside them if memory has room for both, else in their place.
        Auto = "auto",
    }
}

words! {
    /// How much is logged; the words are redis.conf's.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Connections and conversations.
        Verbose = "verbose",
        /// What changes.
        Notice = "notice",
        /// What needs a look.
        Warning = "warning",
        /// No line at all.
        Nothing = "nothing",
    }
}

words! {
    /// The form of log lines.
    LogFormat {
        /// For people.
        Text = "text",
        /// For machines.
        Json = "json",
    }
}

words! {
    /// What acks tell the master.
    AckMode {
        /// The offset that is applied.
        Exact = "exact",
        /// 0: alive, and never counted.
        Observer = "observer",
    }
}

words! {
    /// Which channels a new user may use (as redis 7.0: `acl-pubsub-default`).
    PubsubDefault {
        /// All.
        AllChannels = "allchannels",
        /// None.
        ResetChannels = "resetchannels",
    }
}

impl PubsubDefault {
    /// All channels?
    pub fn is_all(self) -> bool {
        self == Self::AllChannels
    }
}

words! {
    /// Who may use DEBUG (as redis 7.0: `enable-debug-command`).
    DebugCommand {
        /// Nobody.
        No = "no",
        /// Clients on this machine.
        Local = "local",
        /// Everybody.
        Yes = "yes",
    }
}

/// Limits of what waits to be sent to one client; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Above this the client is cut at once.
    pub hard_bytes: u64,
    /// Above this it is cut after `soft_s`.
    pub soft_bytes: u64,
    /// How long it may stay above the soft limit, seconds.
    pub soft_s: u64,
}

impl OutputLimit {
    /// Bytes of replies that may wait for one client.
    pub fn reply_bytes(&self) -> usize {
        let hard = usize::try_from(self.hard_bytes).unwrap_or(usize::MAX);
        if hard == 0 { REPLY_BYTES_MAX } else { hard.max(REPLY_BYTES_FREE) }
    }
}

/// `client-output-buffer-limit` by class of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    pub replica: OutputLimit,
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    fn default() -> Self {
        let limit = |hard_mib: u64, soft_mib: u64| OutputLimit {
            hard_bytes: hard_mib << 20,
            soft_bytes: soft_mib << 20,
            soft_s: 60,
        };
        Self { normal: OutputLimit::default(), replica: limit(256, 64), pubsub: limit(32, 8) }
    }
}

impl OutputLimits {
    /// Changes the classes that `words` name: `normal 0 0 0 replica 256mb 64mb 60`.
    pub(super) fn change(&mut self, words: &[&str]) -> Result<(), String> {
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut changed = *self;
        for group in words.chunks_exact(4) {
            let [class, hard, soft, seconds] = *group else { continue };
            let limit = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut changed.normal,
                "replica" | "slave" => &mut changed.replica,
                "pubsub" => &mut changed.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            let wrong = || "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned();
            *limit = OutputLimit {
                hard_bytes: memory(hard).ok_or_else(wrong)?,
                soft_bytes: memory(soft).ok_or_else(wrong)?,
                soft_s: seconds.parse().map_err(|_| wrong())?,
            };
        }
        *self = changed;
        Ok(())
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The wire word of redis 8.0 for the class of replicas.
        let classes = [("normal", self.normal), (" slave", self.replica), (" pubsub", self.pubsub)];
        classes.iter().try_for_each(|(class, limit)| {
            write!(f, "{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_s)
        })
    }
}

/// A percentile of times, in millionths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile(u32);

impl Percentile {
    const PER_PERCENT: f64 = 1e6;

    /// 50, 99 and 99.9, as the servers have it.
    pub(super) fn defaults() -> Vec<Self> {
        [50_000_000, 99_000_000, 99_900_000].map(Self).into()
    }

    /// How many of `count` are within it, 1 at least.
    pub fn of(self, count: u64) -> u64 {
        const ALL: u128 = 100_000_000;
        let within = (u128::from(count) * u128::from(self.0)).div_ceil(ALL).max(1);
        u64::try_from(within).unwrap_or(u64::MAX)
    }

    /// Reads any number of them; a single empty word is none.
    pub(super) fn parse_all(words: &[&str]) -> Result<Vec<Self>, String> {
        if words == [""] {
            return Ok(Vec::new());
        }
        words.iter().map(|word| Self::parse(word)).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let percent = text.parse::<f64>().ok().filter(|percent| !percent.is_nan());
        let percent = percent.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&percent) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        Ok(Self((percent * Self::PER_PERCENT).round() as u32))
    }
}

impl fmt::Display for Percentile {
    /// Six digits behind the point at most, without the zeros at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", f64::from(self.0) / Self::PER_PERCENT);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// `compat`: as whose server clients are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// As what the master is.
    #[default]
    Auto,
    /// As a Redis.
    Redis,
    /// As a Valkey.
    Valkey,
}

impl Compat {
    const ALL: [(Self, &str); 3] = [(Self::Auto, "auto"), (Self::Redis, "redis"), (Self::Valkey, "valkey")];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name));
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        found
            .map(|(compat, _)| *compat)
            .ok_or_else(|| format!("argument(s) must be one of the following: {}", names()))
    }

    /// The word of the setting.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(compat, _)| *compat == self).map_or("auto", |(_, name)| name)
    }
}

/// `sub-replica-dialect`: whose snapshots sub-replicas are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubReplicaDialect {
    /// By what each of them says of itself.
    #[default]
    Auto,
    Redis60,
    Redis70,
    Redis80,
    Valkey81,
    Valkey91,
}

impl SubReplicaDialect {
    const ALL: [(Self, &str); 6] = [
        (Self::Auto, "auto"),
        (Self::Redis60, "redis-6.0"),
        (Self::Redis70, "redis-7.0"),
        (Self::Redis80, "redis-8.0"),
        (Self::Valkey81, "valkey-8.1"),
        (Self::Valkey91, "valkey-9.1"),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name));
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        found
            .map(|(dialect, _)| *dialect)
            .ok_or_else(|| format!("argument(s) must be one of the following: {}", names()))
    }

    /// The word of the setting.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(dialect, _)| *dialect == self).map_or("auto", |(_, name)| name)
    }
}

/// `yes` or `no`.
pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

/// A whole number within bounds.
pub(super) fn number<T: TryFrom<i64>>(text: &str, min: i64, max: i64) -> Result<T, String> {
    let parsed: i64 = text.parse().map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
    let fitting = (min..=max).contains(&parsed).then_some(parsed).and_then(|n| T::try_from(n).ok());
    fitting.ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))
}

/// An octal number, as file permissions are written.
pub(super) fn octal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "argument couldn't be parsed into an octal number up to 777".into())
}

/// A number of bytes within bounds, with a unit if wanted: `1k` is 1000, `1kb` 1024.
pub(super) fn bytes<T: TryFrom<u64>>(text: &str, min: u64) -> Result<T, String> {
    let parsed = memory(text).ok_or_else(|| "argument must be a memory value".to_owned())?;
    let fitting = (parsed >= min).then_some(parsed).and_then(|n| T::try_from(n).ok());
    fitting.ok_or_else(|| format!("argument must be between {min} and {} inclusive", i64::MAX))
}

pub(super) fn memory(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|n| i64::try_from(*n).is_ok())
}

/// An empty text is "not set".
pub(super) fn unless_empty<'a, T: From<&'a str>>(text: &'a str) -> Option<T> {
    (!text.is_empty()).then(|| text.into())
}

/// Cuts a value of several words as redis.conf does; `None` if its quotes are not balanced.
///
/// Outside of quotes white space separates. Inside `"..."` the escapes `\n \r \t \b \a \\ \" \xHH` count, inside
/// `'...'` only `\'`. A closing quote must be followed by white space or the end.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = match rest.split_first() {
            Some((&quote @ (b'"' | b'\''), tail)) => quoted(tail, quote, &mut word)?,
            _ => bare(rest, &mut word)?,
        };
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

/// A value as one word of the file: in quotes if it needs them.
pub(super) fn as_word(text: &[u8]) -> Vec<u8> {
    let bare = |c: &u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\'' | b'\\');
    if !text.is_empty() && text[0] != b'#' && text.iter().all(bare) {
        return text.to_vec();
    }
    let mut out = b"\"".to_vec();
    for &c in text {
        match c {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', c]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b' '..=b'~' => out.push(c),
            c => out.extend_from_slice(format!("\\x{c:02x}").as_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// A word that starts without a quote; a quote inside of it opens a quoted rest (`ab"c d"`), as in redis 7.0.
fn bare<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    while let Some((&c, tail)) = rest.split_first() {
        match c {
            c if c.is_ascii_whitespace() => break,
            b'"' | b'\'' => return quoted(tail, c, word),
            c => word.push(c),
        }
        rest = tail;
    }
    Some(rest)
}

/// The inside of a quoted word up to its closing quote; answers what follows it.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&c, tail) = rest.split_first()?;
        rest = match (c, tail) {
            (c, tail) if c == quote => return tail.first().is_none_or(u8::is_ascii_whitespace).then_some(tail),
            (b'\\', tail) if quote == b'"' => escape(tail, word)?,
            (b'\\', [b'\'', tail @ ..]) => {
                word.push(b'\'');
                tail
            }
            (c, tail) => {
                word.push(c);
                tail
            }
        }
    }
}

/// What follows a backslash inside `"..."`; a letter that means nothing special is itself.
fn escape<'a>(rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    if let [b'x', high, low, tail @ ..] = rest
        && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
    {
        word.push(u8::try_from(high * 16 + low).ok()?);
        return Some(tail);
    }
    let (&c, tail) = rest.split_first()?;
    word.push(match c {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        c => c,
    });
    Some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_values_have_units_of_a_thousand_and_of_1024() {
        let check = |text: &str, expected| assert_eq!(memory(text), expected, "{text}");
        check("0", Some(0));
        check("1k", Some(1000));
        check("1KB", Some(1024));
        check("64mb", Some(64 << 20));
        check("1gb", Some(1 << 30));
        check("1b", Some(1));
        check("", None);
        check("mb", None);
        check("-1", None);
        check("1tb", None);
        check("99999999999gb", None);
    }

    #[test]
    fn words_are_cut_and_unquoted_as_in_redis_conf() {
        let check = |line: &str, expected: Option<&[&[u8]]>| {
            let words = split_words(line.as_bytes());
            assert_eq!(words, expected.map(|w| w.iter().map(|w| w.to_vec()).collect()), "{line}");
        };
        check("", Some(&[]));
        check("  port\t6380 ", Some(&[b"port", b"6380"]));
        check(r#"a "b c" d"#, Some(&[b"a", b"b c", b"d"]));
        check(r#""\x00\xfF\n\q\"""#, Some(&[b"\x00\xff\nq\""]));
        check(r#""\xzz""#, Some(&[b"xzz"]));
        check(r"'it\'s' '\n'", Some(&[b"it's", br"\n"]));
        check(r#"ab"c d""#, Some(&[b"abc d"]));
        check(r#"save """#, Some(&[b"save", b""]));
        check(r#""open"#, None);
        check(r#""a"b"#, None);
        check(r"'a\", None);
    }

    #[test]
    fn output_limits_change_by_class_and_all_or_none() {
        let mut limits = OutputLimits::default();
        assert_eq!(limits.to_string(), "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        limits.change(&["replica", "1mb", "1kb", "5", "normal", "7", "0", "0"]).expect("two groups");
        assert_eq!(limits.to_string(), "normal 7 0 0 slave 1048576 1024 5 pubsub 33554432 8388608 60");
        let before = limits;
        assert!(limits.change(&["normal", "1", "1", "1", "foo", "1", "1", "1"]).is_err());
        assert!(limits.change(&["normal", "1", "1"]).is_err());
        assert!(limits.change(&["normal", "1", "x", "1"]).is_err());
        assert_eq!(limits, before);
    }

    #[test]
    fn percentiles_are_read_and_shown_as_by_the_servers() {
        let shown = |words: &[&str]| {
            let read = Percentile::parse_all(words)?;
            Ok::<_, String>(read.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(shown(&["50", "99", "99.9"]), Ok("50 99 99.9".into()));
        assert_eq!(shown(&["99.9999999", "1e1", "0", "100"]), Ok("100 10 0 100".into()));
        assert_eq!(shown(&[""]), Ok(String::new()));
        let invalid = Err("Invalid latency-tracking-info-percentiles parameters".to_owned());
        ["abc", "50,99", "nan", ""]
            .into_iter()
            .for_each(|word| assert_eq!(shown(&["50", word]), invalid, "{word}"));
        let outside =
            Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned());
        ["101", "-1", "inf"].into_iter().for_each(|word| assert_eq!(shown(&[word]), outside, "{word}"));
    }

    #[test]
    fn a_percentile_of_a_count_is_rounded_up() {
        let check = |percent: &str, count: u64, within: u64| {
            assert_eq!(Percentile::parse(percent).map(|percentile| percentile.of(count)), Ok(within), "{percent}");
        };
        check("50", 3, 2);
        check("99", 100, 99);
        check("99.9", 100, 100);
        check("0", 9, 1);
        check("100", u64::MAX, u64::MAX);
    }

    #[test]
    fn bind_knows_stars_and_optional_addresses() {
        let check = |text: &str| assert_eq!(BindAddress::parse(text).expect("an address").to_string(), text);
        ["127.0.0.1", "-::1", "*", "-::*", "10.0.0.7"].into_iter().for_each(check);
        assert!(BindAddress::parse("example.com").is_err());
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter") && !secret.matches(b"hunter3"));
    }
}
