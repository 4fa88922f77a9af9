//! One unit of the stream into the dataset, each command through its row.
//!
//! What belongs to the stream itself is done here: SELECT, PING, REPLCONF GETACK. Everything else is a row of
//! `command`. A command that cannot be applied is an error that names it; it is never skipped.

use super::stream::Unit;
use crate::clock::{self, UnixMs};
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::logged::StreamSpikes;
use crate::command::row::WriteFn;
use crate::command::table::{self, Indexed};
use crate::command::transaction::Watched;
use crate::dataset::{Dataset, Since, Trash};
use crate::hub::Effects;
use crate::limits::DATABASES_MAX;
use crate::position::{DbIndex, Offset};
use crate::resp::refusal::Refusal;
use std::sync::Arc;

/// A command that could not be applied: the copy cannot be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unapplied {
    /// Its name, lower case.
    pub command: String,
    /// Its first arguments, shortened for a log line.
    pub arguments: String,
    /// Why.
    pub reason: Refusal,
}

impl std::fmt::Display for Unapplied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} could not be applied: {}", self.command, self.arguments, self.reason)
    }
}

/// What a unit asks of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// REPLCONF GETACK: answer with this offset, which does not count the GETACK itself.
    pub ack: Option<Offset>,
}

/// What applying leaves behind besides the data.
#[derive(Debug, Default)]
pub struct Aside {
    /// What was dropped.
    pub trash: Trash,
    /// What others are to hear.
    pub effects: Effects,
    /// Whoever watches a key is told at once that it changed.
    pub watched: Arc<Watched>,
    /// What took long.
    pub spikes: StreamSpikes,
    /// Commands that not all servers know: their names, once each.
    pub young: Vec<(&'static str, Since)>,
}

/// Applies one unit and moves the position behind it. On an error the position stays where it was, and so do the data:
/// of a transaction, all commands are looked up before the first runs. What shows only when a command runs (a key of
/// another type than the master's) can still end one in the middle; the dataset says then that it is torn.
pub fn unit(data: &mut Dataset, unit: &Unit<'_>, now: UnixMs, aside: &mut Aside) -> Result<Asked, Unapplied> {
    let mut asked = Asked { ack: None };
    if unit.is_transaction() {
        for args in unit.commands() {
            find(&args).map_err(|reason| unapplied(&args, reason))?;
        }
    }
    if aside.effects.shows_commands() {
        show(data.position.selected, unit, &mut aside.effects);
    }
    let began = aside.spikes.begin();
    let mut is_first = true;
    for mut args in unit.commands() {
        let applied = command(data, &mut args, now, aside);
        match applied {
            Ok(false) => {}
            Ok(true) => asked.ack = Some(data.position.offset),
            Err(reason) => {
                if !is_first {
                    data.tear();
                }
                return Err(unapplied(&args, reason));
            }
        }
        is_first = false;
    }
    if unit.is_transaction() {
        aside.spikes.end(began, None);
    }
    data.position.offset = data.position.offset.advanced(unit.bytes);
    Ok(asked)
}

/// The lines that those who monitor see, as at a real replica.
#[cold]
fn show(mut db: DbIndex, unit: &Unit<'_>, effects: &mut Effects) {
    for args in unit.all_commands() {
        let name = args.word(0).unwrap_or_default().to_ascii_lowercase();
        if name == b"select" {
            let index = args.word(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            db = index.map_or(db, DbIndex);
        }
        if name != b"replconf" {
            effects.command(clock::unix_us(), db, args.words());
        }
    }
}

/// What a command of the stream is.
enum Found {
    /// A row, how it is applied, and how many words its name takes.
    Row(Indexed, WriteFn, usize),
    Select,
    GetAck,
    /// Something that changes nothing here.
    Idle,
}

/// Looks a command up, and whether it has as many words as it needs.
fn find(args: &Args<'_>) -> Result<Found, Refusal> {
    let name = args.word(0).unwrap_or_default();
    if let Some((found, words)) = table::find(name, args.word(1))
        && let Some(apply) = found.row.apply()
    {
        if !found.row.arity_fits(args.word_count()) {
            return Err(Refusal::wrong_arity(found.row.name));
        }
        return Ok(Found::Row(found, apply, words));
    }
    let asks = || args.word(1).is_some_and(|word| word.eq_ignore_ascii_case(b"getack"));
    match &name.to_ascii_lowercase()[..] {
        b"select" => Ok(Found::Select),
        b"replconf" if asks() => Ok(Found::GetAck),
        b"ping" | b"replconf" => Ok(Found::Idle),
        _ => Err(Refusal::text("no command that the stream may hold")),
    }
}

/// Applies one command; `true` if it is a GETACK.
fn command(data: &mut Dataset, args: &mut Args<'_>, now: UnixMs, aside: &mut Aside) -> Result<bool, Refusal> {
    let (found, apply, words) = match find(args)? {
        Found::Row(found, apply, words) => (found, apply, words),
        Found::Select => return select(data, args).map(|()| false),
        Found::GetAck => return Ok(true),
        Found::Idle => return Ok(false),
    };
    args.skip_to(words);
    let db = data.position.selected;
    if found.row.since != Since::ALWAYS {
        note_young(found, &mut aside.young);
    }
    let Aside { trash, effects, watched, spikes, .. } = aside;
    let began = spikes.begin();
    let anybody_watches = !watched.is_empty();
    let place = effects.keep_changed(anybody_watches);
    if anybody_watches {
        watched.before(data, db, found, args, now);
    }
    data.begin_command(db);
    apply(&mut ApplyCx { data, db, now, trash, effects }, args)?;
    if anybody_watches {
        effects.changed_since(place).for_each(|(db, key)| watched.touch(data, db, key));
    }
    spikes.end(began, Some(found.row));
    Ok(false)
}

#[cold]
fn note_young(found: Indexed, young: &mut Vec<(&'static str, Since)>) {
    let row = found.row;
    if !young.iter().any(|(name, _)| *name == row.name) {
        young.push((row.name, row.since));
    }
}

/// A master may have more databases than we were told; they are made as they are needed.
fn select(data: &mut Dataset, args: &mut Args<'_>) -> Result<(), Refusal> {
    args.skip_to(1);
    let index = u32::try_from(args.integer()?).map_err(|_| Refusal::DB_OUT_OF_RANGE)?;
    if index as usize >= DATABASES_MAX {
        return Err(Refusal::DB_OUT_OF_RANGE);
    }
    data.grow_to(DbIndex(index));
    data.position.selected = DbIndex(index);
    Ok(())
}

fn unapplied(args: &Args<'_>, reason: Refusal) -> Unapplied {
    const WORDS: usize = 6;
    const BYTES: usize = 64;
    let word = |index| args.word(index).unwrap_or_default();
    let shown = (1..args.word_count().min(WORDS)).map(|index| word(index).get(..BYTES).unwrap_or(word(index)));
    let arguments: Vec<String> = shown.map(|word| word.escape_ascii().to_string()).collect();
    let more = if args.word_count() > WORDS { " ..." } else { "" };
    Unapplied {
        command: String::from_utf8_lossy(word(0)).to_ascii_lowercase(),
        arguments: arguments.join(" ") + more,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encodings;
    use crate::position::{Position, ReplId};
    use crate::repl::stream::Stream;

    /// Applies what these lines are as a stream, up to the first failure; then whether the data are torn, and how many
    /// keys there are.
    fn applied(lines: &[&str]) -> (Result<(), String>, bool, usize) {
        let position = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
        let mut data = Dataset::new(16, position, Encodings::default().into());
        let mut stream = Stream::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let bulk = |word: &str| format!("${}\r\n{word}\r\n", word.len());
            let bulks: String = words.iter().copied().map(bulk).collect();
            stream.extend(format!("*{}\r\n{bulks}", words.len()).as_bytes());
        }
        let mut result = Ok(());
        while result.is_ok() && stream.parse(64).unwrap() {
            let unapplied = unit(&mut data, &stream.unit().unwrap(), UnixMs(0), &mut Aside::default()).err();
            result = unapplied.map_or(Ok(()), |unapplied| Err(unapplied.command));
            stream.applied();
        }
        let keys = data.db(DbIndex(0)).unwrap().len();
        (result, data.is_torn(), keys)
    }

    #[test]
    fn a_transaction_with_an_unknown_command_changes_nothing() {
        let expected = |command: &str| (Err(command.to_string()), false, 1);
        assert_eq!(applied(&["SET a 1", "MULTI", "SET b 1", "WHATEVER x", "EXEC"]), expected("whatever"));
        assert_eq!(applied(&["SET a 1", "MULTI", "SET b 1", "APPEND x", "EXEC"]), expected("append"));
        assert_eq!(applied(&["SET a 1", "MULTI", "SET b 1", "PING", "SELECT 0", "EXEC"]), (Ok(()), false, 2));
    }

    #[test]
    fn data_that_a_transaction_changed_in_part_say_so() {
        assert_eq!(applied(&["SET a 1", "MULTI", "SET b 1", "LPUSH a x", "EXEC"]), (Err("lpush".into()), true, 2));
        assert_eq!(applied(&["SET a 1", "MULTI", "LPUSH a x", "EXEC"]), (Err("lpush".into()), false, 1));
        assert_eq!(applied(&["SET a 1", "LPUSH a x"]), (Err("lpush".into()), false, 1));
    }
}
