//! One set of permissions: commands, keys, channels, databases. A user has a root selector and any number of further
//! ones, of which one must allow all of a request.

use super::known;
use super::rule::RuleError;
use crate::config::split_words;
use crate::number::parse_integer;
use std::collections::{BTreeMap, BTreeSet};

/// What may be done with which keys, channels and databases.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    /// Every command, also what is not known yet; nothing was taken away since.
    pub(super) all_commands: bool,
    /// The description begins with `+@all`.
    starts_with_all: bool,
    /// One bit a command.
    allowed: Vec<u64>,
    /// Words of which one must be the first argument, for commands that are not allowed as a whole.
    first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    /// Commands and categories in the order in which they were given and taken: `+get`, `-@write`.
    rules: Vec<String>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Box<[u8]>>,
    /// The databases; `None` is all.
    pub(super) databases: Option<BTreeSet<u32>>,
}

/// Keys that may be read, written, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Box<[u8]>,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Selector {
    /// No command, no key; all channels if `acl-pubsub-default` says so.
    pub(super) fn new(all_channels: bool) -> Self {
        Self { all_channels, allowed: vec![0; known::all().len().div_ceil(64)], ..Self::default() }
    }

    /// Reads the rules of `(...)`.
    pub(super) fn parse(text: &[u8], all_channels: bool) -> Result<Self, RuleError> {
        let inside = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        let mut selector = Self::new(all_channels);
        for rule in split_words(inside).ok_or(RuleError::Syntax)? {
            selector.apply(&rule)?;
        }
        Ok(selector)
    }

    /// Everything is allowed.
    pub(super) fn is_unlimited(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.databases.is_none()
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.set_all_keys(true),
            b"resetkeys" => self.set_all_keys(false),
            b"allchannels" | b"&*" => self.set_all_channels(true),
            b"resetchannels" => self.set_all_channels(false),
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            b"alldbs" => self.databases = None,
            b"resetdbs" => self.databases = Some(BTreeSet::new()),
            [b'd', b'b', b'=', list @ ..] => self.databases = Some(databases(list)?),
            [b'~', ..] => return self.add_keys(rule.get(1..).unwrap_or_default(), true, true),
            [b'%', rights @ ..] => {
                let (read, write, skipped) = rights_of(rights)?;
                return self.add_keys(rule.get(1 + skipped..).unwrap_or_default(), read, write);
            }
            [b'&', ..] => return self.add_channels(rule.get(1..).unwrap_or_default()),
            [b'+', b'@', name @ ..] => return self.change_category(name, true),
            [b'-', b'@', name @ ..] => return self.change_category(name, false),
            [b'+', name @ ..] => return self.allow(name),
            [b'-', name @ ..] => {
                let number = known::find(name).ok_or(RuleError::UnknownCommand)?;
                self.change(number, false);
                self.note(&known::all()[number].name, false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    fn set_all_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    fn set_all_commands(&mut self, all: bool) {
        self.all_commands = all;
        self.starts_with_all = all;
        self.allowed.fill(if all { u64::MAX } else { 0 });
        self.first_args.clear();
        self.rules.clear();
    }

    fn add_keys(&mut self, pattern: &[u8], read: bool, write: bool) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => {
                known.read |= read;
                known.write |= write;
            }
            None => self.keys.push(KeyPattern { pattern: pattern.into(), read, write }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// `+command`, `+container|sub`, or `+command|first-argument`.
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&c| c == b'|') else {
            let number = known::find(name).ok_or(RuleError::UnknownCommand)?;
            self.change(number, true);
            self.note(&known::all()[number].name, true);
            return Ok(());
        };
        let (parent, sub) = (&name[..bar], &name[bar + 1..]);
        let parent = known::find(parent).ok_or(RuleError::UnknownCommand)?;
        if known::all()[parent].is_sub {
            return Err(RuleError::FirstArgOfSub);
        }
        if sub.is_empty() {
            return Err(RuleError::Syntax);
        }
        if known::all()[parent].subs.is_empty() {
            let words = self.first_args.entry(parent).or_default();
            if !words.iter().any(|known| **known == *sub) {
                words.push(sub.into());
            }
        } else {
            self.change(known::find(name).ok_or(RuleError::UnknownCommand)?, true);
        }
        self.note(&String::from_utf8_lossy(name), true);
        Ok(())
    }

    fn change_category(&mut self, name: &[u8], allow: bool) -> Result<(), RuleError> {
        let category = known::category(name).ok_or(RuleError::UnknownCommand)?;
        for (number, command) in known::all().iter().enumerate() {
            if command.categories & category != 0 {
                self.change(number, allow);
            }
        }
        self.note(&format!("@{}", String::from_utf8_lossy(name)), allow);
        Ok(())
    }

    /// Gives or takes a command with its subcommands.
    fn change(&mut self, number: usize, allow: bool) {
        self.first_args.remove(&number);
        for number in std::iter::once(&number).chain(&known::all()[number].subs) {
            let bit = 1_u64 << (number % 64);
            if allow {
                self.allowed[number / 64] |= bit;
            } else {
                self.allowed[number / 64] &= !bit;
                self.all_commands = false;
            }
        }
    }

    /// Keeps the description: the new rule stands behind all others, and those it makes void are gone.
    fn note(&mut self, name: &str, allow: bool) {
        let name = name.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let rule = &rule[1..];
            rule.strip_prefix(name.as_str()).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('|'))
        });
        self.rules.push(format!("{}{name}", if allow { '+' } else { '-' }));
    }

    /// May this command run, at least with some first argument?
    pub(super) fn allows(&self, number: usize, first_arg: Option<&[u8]>) -> bool {
        if self.all_commands || self.allowed.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1) {
            return true;
        }
        let (Some(words), Some(arg)) = (self.first_args.get(&number), first_arg) else { return false };
        words.iter().any(|word| word.eq_ignore_ascii_case(arg))
    }

    /// `-@all +get -@write`
    pub(super) fn describe_commands(&self) -> String {
        let mut text = String::from(if self.starts_with_all { "+@all" } else { "-@all" });
        for rule in &self.rules {
            text.push(' ');
            text.push_str(rule);
        }
        text
    }

    /// `~a %R~b`
    pub(super) fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let one = |known: &KeyPattern| {
            let rights: &[u8] = match (known.read, known.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [rights, &known.pattern].concat()
        };
        self.keys.iter().map(one).collect::<Vec<_>>().join(&b' ')
    }

    /// `&a &b`
    pub(super) fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// `alldbs`, `db=0,1`, or nothing.
    pub(super) fn describe_databases(&self) -> String {
        match &self.databases {
            None => "alldbs".into(),
            Some(list) if list.is_empty() => String::new(),
            Some(list) => format!("db={}", list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        }
    }

    /// All rules that make this selector, as ACL LIST and files have them.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        let mut add = |part: &[u8]| {
            if !part.is_empty() {
                out.extend_from_slice(part);
                out.push(b' ');
            }
        };
        add(&self.describe_keys());
        if !self.all_channels {
            add(b"resetchannels");
        }
        add(&self.describe_channels());
        match &self.databases {
            None => {}
            Some(list) if list.is_empty() => add(b"resetdbs"),
            Some(_) => add(self.describe_databases().as_bytes()),
        }
        out.extend_from_slice(self.describe_commands().as_bytes());
    }
}

/// Spaces and zero bytes would break a rule in a file.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|&c| c.is_ascii_whitespace() || c == 0x0b || c == 0)
}

/// `R`, `W`, `RW` up to the tilde: reading, writing, bytes skipped.
fn rights_of(text: &[u8]) -> Result<(bool, bool, usize), RuleError> {
    let (mut read, mut write) = (false, false);
    for (at, &c) in text.iter().enumerate() {
        match c {
            b'r' if !read => read = true,
            b'w' if !write => write = true,
            b'~' if read || write => return Ok((read, write, at + 1)),
            _ => return Err(RuleError::Syntax),
        }
    }
    // As redis 8.0: without a tilde the pattern is the empty key.
    if read || write { Ok((read, write, text.len())) } else { Err(RuleError::Syntax) }
}

/// The numbers of `db=0,1`.
fn databases(list: &[u8]) -> Result<BTreeSet<u32>, RuleError> {
    let number = |word| {
        let number = parse_integer(word).ok_or(RuleError::Syntax)?;
        u32::try_from(number).map_err(|_| RuleError::DatabaseOutOfRange)
    };
    list.split(|&c| c == b',').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rules: &str) -> Result<Selector, RuleError> {
        let mut selector = Selector::new(false);
        rules.split(' ').filter(|rule| !rule.is_empty()).try_for_each(|rule| selector.apply(rule.as_bytes()))?;
        Ok(selector)
    }

    fn described(rules: &str) -> String {
        let mut text = Vec::new();
        after(rules).unwrap_or_else(|why| panic!("{rules}: {why}")).describe(&mut text);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn rules_are_described_as_the_servers_do() {
        for (rules, text) in [
            ("", "resetchannels -@all"),
            ("+@all ~* &*", "~* &* +@all"),
            ("+get -get +@read -@write +config|get", "resetchannels -@all -get +@read -@write +config|get"),
            ("+config|get +config|set +config", "resetchannels -@all +config"),
            ("+config +configx", ""),
            ("+GET +@READ +Select|1", "resetchannels -@all +get +@read +select|1"),
            ("~a* %R~b* %W~c* %RW~d* %r~e %w~e", "~a* %R~b* %W~c* ~d* ~e resetchannels -@all"),
            ("%R", "%R~ resetchannels -@all"),
            ("&a &b &a", "resetchannels &a &b -@all"),
            ("+@all -@admin +config|get allcommands -debug", "resetchannels +@all -debug"),
            ("db=2,1,1,0", "resetchannels db=0,1,2 -@all"),
            ("db=2 resetdbs", "resetchannels resetdbs -@all"),
            ("db=2 alldbs", "resetchannels -@all"),
        ] {
            if text.is_empty() {
                assert!(after(rules).is_err(), "{rules}");
            } else {
                assert_eq!(described(rules), text, "{rules}");
                assert_eq!(described(text), text, "a description makes itself");
            }
        }
    }

    #[test]
    fn malformed_rules_are_refused() {
        use RuleError::{
            ChannelsAfterAll, DatabaseOutOfRange, FirstArgOfSub, KeysAfterAll, Syntax, UnknownCommand,
        };
        for (rules, why) in [
            ("foo", Syntax),
            ("%X~a", Syntax),
            ("%RR~a", Syntax),
            ("%", Syntax),
            ("%~a", Syntax),
            (")", Syntax),
            ("+get|", Syntax),
            ("+foo", UnknownCommand),
            ("+", UnknownCommand),
            ("-select|1", UnknownCommand),
            ("+@foo", UnknownCommand),
            ("+object|nosuch", UnknownCommand),
            ("+object|encoding|x", FirstArgOfSub),
            ("allkeys ~a", KeysAfterAll),
            ("allchannels &a", ChannelsAfterAll),
            ("db=", Syntax),
            ("db=1,,2", Syntax),
            ("db=-1", DatabaseOutOfRange),
        ] {
            assert_eq!(after(rules).err(), Some(why), "{rules}");
        }
        assert!(Selector::new(false).apply(b"~a b").is_err() && Selector::new(false).apply(b"&a\0").is_err());
    }

    #[test]
    fn commands_are_allowed_as_the_last_rule_says() {
        let allows = |rules: &str, name: &str, arg: Option<&str>| {
            let number = known::find(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            after(rules).expect("rules").allows(number, arg.map(str::as_bytes))
        };
        assert!(allows("+@read", "get", None) && !allows("+@read", "set", None));
        assert!(!allows("+@read -get", "get", None) && allows("+@read -get +get", "get", None));
        assert!(allows("+config", "config|get", None) && !allows("+config|get", "config|set", None));
        assert!(
            !allows("+config -config|set", "config|set", None)
                && allows("+config -config|set", "config|get", None)
        );
        assert!(allows("+select|1", "select", Some("1")) && !allows("+select|1", "select", Some("2")));
        assert!(!allows("+select|1 -select", "select", Some("1")));
        assert!(after("+@all ~* &*").expect("rules").is_unlimited());
        assert!(!after("+@all -get +get ~* &*").expect("rules").is_unlimited());
    }
}
