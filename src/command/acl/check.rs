//! May this user do this? Decided from the user's selectors and the words of the request, without I/O.

use super::known::{self, Channels, Command};
use super::selector::Selector;
use super::user::User;
use crate::command::keys_of::places_of;
use crate::command::table::Indexed;
use crate::glob;
use crate::number::parse_integer;
use crate::position::DbIndex;

/// What a request was refused for; with the place of the word, among all words, that names it. Later ones tell more, so
/// of several selectors the greatest reason is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command.
    Command,
    /// The database: the word that names it, 0 if it is the selected one.
    Database(usize),
    /// This key.
    Key(usize),
    /// This channel.
    Channel(usize),
}

/// How a command uses one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyUse {
    at: usize,
    read: bool,
    write: bool,
}

/// Checks a request (all its words, the name first) of a client whose selected database is `db`.
pub(super) fn check(user: &User, found: Indexed, words: &[&[u8]], db: DbIndex) -> Result<(), Denied> {
    let number = known::of_row(found.index);
    let command = &known::all()[number];
    let mut keys = None;
    let mut worst = Denied::Command;
    for selector in user.selectors() {
        let verdict = check_command(selector, command, number, words)
            .and_then(|()| check_database(selector, command, words, db))
            .and_then(|()| {
                if selector.all_keys {
                    return Ok(());
                }
                let keys = keys.get_or_insert_with(|| key_uses(found, words));
                check_keys(selector, keys, words)
            })
            .and_then(|()| check_channels(selector, command, words));
        match verdict {
            Ok(()) => return Ok(()),
            Err(denied) => worst = worst.max(denied),
        }
    }
    Err(worst)
}

/// A user of all commands, keys and databases, but not of all channels, and a command that names no channel: most that
/// users with `acl-pubsub-default resetchannels` ask.
pub(super) fn needs_no_look(user: &User, found: Indexed) -> bool {
    let root = user.root();
    let whole = root.all_commands && root.all_keys && root.databases.is_none();
    whole && known::all()[known::of_row(found.index)].channels.is_none()
}

/// May the user read every key? BY and GET of SORT reach keys that no argument names.
pub(super) fn reads_all_keys(user: &User, found: Indexed, words: &[&[u8]], db: DbIndex) -> bool {
    let number = known::of_row(found.index);
    let command = &known::all()[number];
    user.selectors().any(|selector| {
        let whole = selector.all_keys || selector.keys.iter().any(|known| known.read && &*known.pattern == b"*");
        whole
            && check_command(selector, command, number, words).is_ok()
            && check_database(selector, command, words, db).is_ok()
    })
}

fn check_command(selector: &Selector, command: &Command, number: usize, words: &[&[u8]]) -> Result<(), Denied> {
    let first_arg = words.get(if command.is_sub { 2 } else { 1 }).copied();
    if command.for_all || selector.allows(number, first_arg) { Ok(()) } else { Err(Denied::Command) }
}

/// As valkey 9.1: what reads or writes data needs the selected database, or those that its arguments name.
fn check_database(selector: &Selector, command: &Command, words: &[&[u8]], db: DbIndex) -> Result<(), Denied> {
    let Some(allowed) = &selector.databases else { return Ok(()) };
    let named = |at: usize| words.get(at).and_then(|word| parse_integer(word)).and_then(|n| u32::try_from(n).ok());
    let check_named = |at: usize| match named(at) {
        Some(db) if !allowed.contains(&db) => Err(Denied::Database(at)),
        _ => Ok(()),
    };
    match command.name.as_str() {
        "select" => return check_named(1),
        "swapdb" => return check_named(1).and_then(|()| check_named(2)),
        "flushall" => return Err(Denied::Database(0)),
        "move" => check_named(2)?,
        "copy" => {
            let option = words.iter().skip(3).position(|word| word.eq_ignore_ascii_case(b"db"));
            option.map_or(Ok(()), |at| check_named(at + 4))?;
        }
        _ => {}
    }
    if command.data && !allowed.contains(&db.0) { Err(Denied::Database(0)) } else { Ok(()) }
}

fn check_keys(selector: &Selector, keys: &[KeyUse], words: &[&[u8]]) -> Result<(), Denied> {
    let allowed = |key: &KeyUse| {
        let name = words.get(key.at).copied().unwrap_or_default();
        selector.keys.iter().any(|known| {
            (known.read || !key.read) && (known.write || !key.write) && glob::matches(&known.pattern, name)
        })
    };
    match keys.iter().find(|key| !allowed(key)) {
        Some(key) => Err(Denied::Key(key.at)),
        None => Ok(()),
    }
}

fn check_channels(selector: &Selector, command: &Command, words: &[&[u8]]) -> Result<(), Denied> {
    let (Some(channels), false) = (command.channels, selector.all_channels) else { return Ok(()) };
    let last = if channels == Channels::First { 2 } else { words.len() };
    let allowed = |at: &usize| {
        let name = words.get(*at).copied().unwrap_or_default();
        channel_is_allowed(&selector.channels, name, channels == Channels::Patterns)
    };
    match (1..last).find(|at| !allowed(at)) {
        Some(at) => Err(Denied::Channel(at)),
        None => Ok(()),
    }
}

/// A channel matches a pattern; a pattern that is subscribed to must be one of them literally.
pub(super) fn channel_is_allowed<P: AsRef<[u8]>>(patterns: &[P], name: &[u8], is_pattern: bool) -> bool {
    patterns
        .iter()
        .map(AsRef::as_ref)
        .any(|known| if is_pattern { known == name } else { glob::matches(known, name) })
}

/// The keys of a request and what is done with them. Where they cannot be told the command refuses too.
fn key_uses(found: Indexed, words: &[&[u8]]) -> Vec<KeyUse> {
    let places = places_of(found, words).unwrap_or_default();
    let places = places.into_iter().filter(|(_, flags)| !flags.starts_with("not_key"));
    places
        .map(|(at, flags)| {
            let has = |flag: &str| flags.split(',').any(|word| word == flag);
            let (mut read, mut write) = (has("access"), has("insert") || has("delete") || has("update"));
            // Two commands whose options decide.
            let mut options = words.iter().skip(2);
            match found.row.name {
                "set" => read = options.any(|word| word.eq_ignore_ascii_case(b"get")),
                "bitfield" => (read, write) = (true, !only_gets(words)),
                _ => {}
            }
            KeyUse { at, read, write }
        })
        // MIGRATE with KEYS has an empty word where a key would stand.
        .filter(|key| found.row.name != "migrate" || words.get(key.at).is_some_and(|word| !word.is_empty()))
        .collect()
}

/// Are all operations of this BITFIELD GET?
pub(in crate::command) fn only_gets(words: &[&[u8]]) -> bool {
    let mut at = 2;
    while let Some(word) = words.get(at) {
        match word.to_ascii_lowercase().as_slice() {
            b"get" if words.len() > at + 2 => at += 3,
            b"overflow" if words.len() > at + 1 => at += 2,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    /// The verdict on a line for a user with these rules, in database 0.
    fn verdict(rules: &[&str], line: &str) -> Result<(), Denied> {
        let mut user = User::new(b"u", false);
        for rule in rules {
            user.apply(rule.as_bytes(), false).unwrap_or_else(|why| panic!("{rule}: {why}"));
        }
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (found, _) = table::find(words[0], words.get(1).copied()).unwrap_or_else(|| panic!("{line}"));
        check(&user, found, &words, DbIndex(0))
    }

    #[test]
    fn commands_keys_and_channels_are_checked_in_this_order() {
        let check = |rules: &[&str], line: &str, expected: Result<(), Denied>| {
            assert_eq!(verdict(rules, line), expected, "{rules:?} {line}");
        };
        check(&[], "get a", Err(Denied::Command));
        check(&[], "auth a", Ok(()));
        check(&["+get"], "get a", Err(Denied::Key(1)));
        check(&["+get", "~a"], "get a", Ok(()));
        check(&["+mget", "~a*"], "mget a ab b", Err(Denied::Key(3)));
        check(&["+get", "%R~a"], "get a", Ok(()));
        check(&["+get", "%W~a"], "get a", Err(Denied::Key(1)));
        check(&["+exists", "%W~a"], "exists a", Ok(()));
        check(&["+set", "%W~a"], "set a 1", Ok(()));
        check(&["+set", "%W~a"], "set a 1 get", Err(Denied::Key(1)));
        check(&["+bitfield", "%R~a"], "bitfield a get u8 0", Ok(()));
        check(&["+bitfield", "%R~a"], "bitfield a set u8 0 1", Err(Denied::Key(1)));
        check(&["+bitfield", "%R~a"], "bitfield a overflow sat get u8 0", Ok(()));
        check(&["+bitfield", "%R~a"], "bitfield a get", Err(Denied::Key(1)));
        check(&["+xread", "~a"], "xread streams a b 0 0", Err(Denied::Key(3)));
        check(&["+xread", "~*"], "xread streams a b 0 0", Ok(()));
        check(&["+publish", "&a*"], "publish ab x", Ok(()));
        check(&["+publish", "&a*"], "publish b x", Err(Denied::Channel(1)));
        check(&["+spublish", "&a*"], "spublish ab x", Ok(()));
        check(&["+subscribe", "&a*"], "subscribe ab b", Err(Denied::Channel(2)));
        check(&["+psubscribe", "&a*"], "psubscribe ab", Err(Denied::Channel(1)));
        check(&["+psubscribe", "&a*"], "psubscribe a*", Ok(()));
        check(&["+punsubscribe"], "punsubscribe b*", Ok(()));
        check(&["+config|get"], "config get x", Ok(()));
        check(&["+config|get"], "config set x 1", Err(Denied::Command));
    }

    #[test]
    fn one_selector_must_allow_all_of_a_request() {
        let rules = ["+get", "~a", "(+mget ~b)", "(+get ~c)"];
        assert_eq!(verdict(&rules, "get a"), Ok(()));
        assert_eq!(verdict(&rules, "get c"), Ok(()));
        assert_eq!(verdict(&rules, "mget b"), Ok(()));
        assert_eq!(verdict(&rules, "mget a b"), Err(Denied::Key(1)));
        assert_eq!(verdict(&rules, "get b"), Err(Denied::Key(1)));
        assert_eq!(verdict(&rules, "strlen a"), Err(Denied::Command));
    }

    #[test]
    fn databases_are_checked_as_valkey_does() {
        let all = |db: &'static str| ["+@all", "~*", "&*", db];
        let check = |db: &'static str, line: &str, expected: Result<(), Denied>| {
            assert_eq!(verdict(&all(db), line), expected, "{db} {line}");
        };
        check("db=0", "get a", Ok(()));
        check("db=1", "get a", Err(Denied::Database(0)));
        check("db=1", "ping", Ok(()));
        check("db=1", "select 1", Ok(()));
        check("db=1", "select 0", Err(Denied::Database(1)));
        check("db=1", "select x", Ok(()));
        check("db=0", "flushall", Err(Denied::Database(0)));
        check("db=0,1", "swapdb 0 2", Err(Denied::Database(2)));
        check("db=1", "swapdb 1 1", Ok(()));
        check("db=0", "move a 2", Err(Denied::Database(2)));
        check("db=0", "copy a b DB 1", Err(Denied::Database(4)));
        check("db=1", "copy a b DB 1", Err(Denied::Database(0)));
        check("db=1", "dbsize", Err(Denied::Database(0)));
        check("resetdbs", "keys *", Err(Denied::Database(0)));
        assert_eq!(verdict(&["+get", "~a", "db=0", "(+get ~b db=1)"], "get b"), Err(Denied::Key(1)));
    }
}
