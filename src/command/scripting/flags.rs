//! What scripts and functions declare of themselves: flags, and the first line that names the engine. From that follows
//! which requests are refused before they run or are queued.

use super::cache::Sha;
use crate::command::args::Args;
use crate::command::session::Server;
use crate::dataset::{Dataset, Dialect};
use crate::resp::refusal::Refusal;
use crate::status::Stale;

/// Declared flags, as bits in the order of `NAMES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

const NAMES: [&str; 5] = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];
const NO_WRITES: u8 = 1;
const ALLOW_STALE: u8 = 1 << 2;

impl Flags {
    /// Redis 6 knows none. As if each script had those of one that may begin here, and needs data that are not stale.
    const OF_REDIS_6: Self = Self(NO_WRITES);

    /// Adds a flag by its name; `false` if there is none of it.
    pub fn add(&mut self, name: &[u8]) -> bool {
        let found = NAMES.iter().position(|known| known.as_bytes() == name);
        self.0 |= found.map_or(0, |at| 1 << at);
        found.is_some()
    }

    /// The names of those that are set, in the servers' order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0).map(|(_, name)| name)
    }

    /// It promises not to write.
    pub fn no_writes(self) -> bool {
        self.0 & NO_WRITES != 0
    }

    /// It can cope with data that are too stale to be shown.
    pub fn allow_stale(self) -> bool {
        self.0 & ALLOW_STALE != 0
    }
}

/// What is asked when a request comes in, before it runs or is queued.
#[derive(Clone, Copy)]
pub struct Declaring<'a> {
    pub data: &'a Dataset,
    pub server: &'a Server,
    /// As which server, of which release, it is answered.
    pub dialect: Dialect,
    /// The answer must be known now: libraries that have not been looked at yet are loaded on this thread.
    pub at_once: bool,
}

/// What the source of an EVAL declares; `None` where it declares nothing or what is no flag: that is told when it runs.
pub(super) fn of_eval(asked: &Declaring<'_>, args: &Args<'_>) -> Option<Flags> {
    if asked.dialect.is_before_redis_7() {
        return Some(Flags::OF_REDIS_6);
    }
    let source = args.word(1)?;
    match of_script(source, asked.dialect) {
        Ok((flags, _)) => flags,
        // Valkey looks for the engine later, and until then takes the script for one that writes.
        Err(_) => (asked.dialect.is_valkey() && names_another_engine(source)).then(Flags::default),
    }
}

/// What the script of an EVALSHA declares, if it is known.
pub(super) fn of_evalsha(asked: &Declaring<'_>, args: &Args<'_>) -> Option<Flags> {
    if asked.dialect.is_before_redis_7() {
        return Some(Flags::OF_REDIS_6);
    }
    let sha = Sha::parse(args.word(1)?)?;
    of_script(asked.server.scripts.cache().peek(&sha)?, asked.dialect).ok()?.0
}

/// What the function of an FCALL declares, if there is one of its name.
pub(super) fn of_fcall(asked: &Declaring<'_>, args: &Args<'_>) -> Option<Flags> {
    let name = args.word(1)?.to_ascii_lowercase();
    asked.server.scripts.registered(asked)?.flags.get(&name).copied()
}

/// Why the data are too stale for a script, if they are.
pub fn stale(server: &Server) -> Option<Stale> {
    server.status.stale(server.config.get().replica_serve_stale_data)
}

/// The flags in a script's first line, if it has one that begins with `#!`, and where the script begins behind it. To
/// Redis 6 that is no Lua.
pub fn of_script(source: &[u8], dialect: Dialect) -> Result<(Option<Flags>, &[u8]), Refusal> {
    if !source.starts_with(b"#!") || dialect.is_before_redis_7() {
        return Ok((None, source));
    }
    let end = source.iter().position(|&c| c == b'\n');
    let (line, rest) = source.split_at(end.ok_or(Refusal::text("ERR Invalid script shebang"))?);
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let complain =
        |what: &str, word: &[u8]| Err(Refusal::text(format!("ERR {what}: {}", String::from_utf8_lossy(word))));
    match words.next() {
        Some(b"#!lua") => {}
        Some(engine) if dialect.is_valkey() => {
            let engine = String::from_utf8_lossy(&engine[2..]);
            return Err(Refusal::text(format!("ERR Could not find scripting engine '{engine}'")));
        }
        Some(engine) => return complain("Unexpected engine in script shebang", engine),
        None => return Err(Refusal::text("ERR Invalid engine in script shebang")),
    }
    let mut flags = Flags::default();
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return complain("Unknown lua shebang option", word);
        };
        for name in list.split(|&c| c == b',').filter(|_| !list.is_empty()) {
            if !flags.add(name) {
                return complain("Unexpected flag in script shebang", name);
            }
        }
    }
    Ok((Some(flags), rest))
}

/// Its first line is whole and begins with another engine's name.
fn names_another_engine(source: &[u8]) -> bool {
    let mut words = source.split(u8::is_ascii_whitespace);
    source.contains(&b'\n') && words.next().is_some_and(|word| word.starts_with(b"#!") && word != b"#!lua")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_declares_its_flags() {
        let check = |source: &str, expected: Result<Option<&[&str]>, &str>| {
            let found = of_script(source.as_bytes(), Dialect::default())
                .map(|(flags, _)| flags.map(|flags| flags.names().collect::<Vec<_>>()))
                .map_err(|refusal| refusal.to_string());
            let expected = expected.map(|names| names.map(<[&str]>::to_vec)).map_err(ToString::to_string);
            assert_eq!(found, expected, "{source}");
        };
        check("return 1", Ok(None));
        check("#!lua\nreturn 1", Ok(Some(&[])));
        check("#!lua flags=\nreturn 1", Ok(Some(&[])));
        check("#!lua flags=allow-stale,no-writes\n", Ok(Some(&["no-writes", "allow-stale"])));
        check("#!lua", Err("ERR Invalid script shebang"));
        check("#!python\n", Err("ERR Unexpected engine in script shebang: #!python"));
        check("#!lua flags=x\n", Err("ERR Unexpected flag in script shebang: x"));
        check("#!lua name=x\n", Err("ERR Unknown lua shebang option: name=x"));
        assert_eq!(
            of_script(b"#!lua\nreturn 1", Dialect::default()).unwrap().1,
            b"\nreturn 1",
            "line numbers stay"
        );
        assert_eq!(of_script(b"#!lua\n", Dialect::Redis(6, 0)), Ok((None, &b"#!lua\n"[..])));
    }
}
