//! One unit of the stream into the dataset, each command through its row.
//!
//! What belongs to the stream itself is done here: SELECT, PING, REPLCONF GETACK. Everything else is a row of
//! `command`. A command that cannot be applied is an error that names it; it is never skipped.

use super::stream::Unit;
use crate::clock::{self, UnixMs};
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::table::{self, Indexed};
use crate::command::transaction::Watched;
use crate::dataset::{Dataset, Trash};
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
}

/// Applies one unit and moves the position behind it. On an error the position stays where it was.
pub fn unit(data: &mut Dataset, unit: &Unit<'_>, now: UnixMs, aside: &mut Aside) -> Result<Asked, Unapplied> {
    let mut asked = Asked { ack: None };
    if aside.effects.shows_commands() {
        show(data.position.selected, unit, &mut aside.effects);
    }
    for mut args in unit.commands() {
        let applied = command(data, &mut args, now, aside);
        match applied {
            Ok(false) => {}
            Ok(true) => asked.ack = Some(data.position.offset),
            Err(reason) => return Err(unapplied(&args, reason)),
        }
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

/// Applies one command; `true` if it is a GETACK.
fn command(data: &mut Dataset, args: &mut Args<'_>, now: UnixMs, aside: &mut Aside) -> Result<bool, Refusal> {
    let name = args.word(0).unwrap_or_default();
    if let Some((found @ Indexed { row, .. }, words)) = table::find(name, args.word(1))
        && let Some(apply) = row.apply()
    {
        if !row.arity_fits(args.word_count()) {
            return Err(Refusal::wrong_arity(row.name));
        }
        args.skip_to(words);
        let db = data.position.selected;
        let Aside { trash, effects, watched } = aside;
        let anybody_watches = !watched.is_empty();
        if anybody_watches {
            watched.before(data, db, found, args, now);
        }
        apply(&mut ApplyCx { data, db, now, trash, effects }, args)?;
        if anybody_watches {
            watched.after(data, db, found, args);
        }
        return Ok(false);
    }
    match &name.to_ascii_lowercase()[..] {
        b"select" => select(data, args).map(|()| false),
        b"ping" => Ok(false),
        b"replconf" => Ok(args.word(1).is_some_and(|word| word.eq_ignore_ascii_case(b"getack"))),
        _ => Err(Refusal::text("no command that the stream may hold")),
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
