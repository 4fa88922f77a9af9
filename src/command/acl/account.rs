//! ACL commands that look: CAT, DRYRUN, GENPASS, GETUSER, LIST, LOG, USERS, WHOAMI.

use super::check::{self, Denied};
use super::known;
use super::password;
use super::selector::Selector;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::row::Run;
use crate::command::table;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

const GENPASS_BITS: i64 = 256;
const GENPASS_BITS_MAX: i64 = 4096;
const LOG_COUNT: usize = 10;

/// More words than these subcommands take: the servers' arity is open, their complaint this one.
fn no_more(args: &Args<'_>) -> Result<(), Refusal> {
    if args.is_empty() {
        return Ok(());
    }
    let sub = String::from_utf8_lossy(args.word(1).unwrap_or_default());
    let sub: String = sub.chars().take(128).collect();
    Err(Refusal::text(format!("ERR unknown subcommand or wrong number of arguments for '{sub}'. Try ACL HELP.")))
}

/// `ACL CAT [category]`: the commands that are served here.
pub(super) fn cat(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let Some(name) = args.optional() else {
        out.array(known::CATEGORIES.len());
        known::CATEGORIES.iter().for_each(|name| out.bulk(name));
        return Ok(());
    };
    no_more(args)?;
    let Some(category) = known::category(name) else {
        let name = String::from_utf8_lossy(name.get(..128).unwrap_or(name));
        return Err(Refusal::text(format!("ERR Unknown category '{name}'")));
    };
    let members = known::all().iter().filter(|command| command.served && command.categories & category != 0);
    out.array(members.clone().count());
    members.for_each(|command| out.bulk(&command.name));
    Ok(())
}

/// `ACL DRYRUN user command [argument ...]`
pub(super) fn dryrun(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let name = args.require()?;
    let Some(user) = cx.server.users.get(name) else {
        return Err(Refusal::text(format!("ERR User '{}' not found", String::from_utf8_lossy(name))));
    };
    let words: Vec<&[u8]> = args.collect();
    let command = words.first().copied().unwrap_or_default();
    let found = table::find(command, words.get(1).copied()).map(|(found, _)| found);
    let found = found.filter(|found| !matches!(found.row.run, Run::Container) || words.len() == 1);
    let Some(found) = found else {
        return Err(Refusal::text(format!("ERR Command '{}' not found", String::from_utf8_lossy(command))));
    };
    let name = known::full_name(found.row);
    if !found.row.arity_fits(words.len()) {
        return Err(Refusal::wrong_arity(&name));
    }
    let Err(denied) = check::check(&user, found, &words, cx.session.db()) else {
        out.ok();
        return Ok(());
    };
    let shown = |at: usize| String::from_utf8_lossy(words.get(at).copied().unwrap_or_default());
    let user = String::from_utf8_lossy(&user.name);
    out.bulk(match denied {
        Denied::Command => format!("User {user} has no permissions to run the '{name}' command"),
        Denied::Database(at) => format!("User {user} has no permissions to access database {}", shown(at)),
        Denied::Key(at) => format!("User {user} has no permissions to access the '{}' key", shown(at)),
        Denied::Channel(at) => format!("User {user} has no permissions to access the '{}' channel", shown(at)),
    });
    Ok(())
}

/// `ACL GENPASS [bits]`
pub(super) fn genpass(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let more = args.remaining() > 1;
    let bits = if more || args.is_empty() { GENPASS_BITS } else { args.integer()? };
    if more {
        args.optional();
        no_more(args)?;
    }
    let bits = usize::try_from(bits).ok().filter(|bits| (1..=GENPASS_BITS_MAX as usize).contains(bits));
    let bits = bits.ok_or(Refusal::text(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
    ))?;
    let text = password::generate(bits).ok_or(Refusal::text("ERR the operating system gives no random bytes"))?;
    out.bulk(text);
    Ok(())
}

/// `ACL GETUSER name`: null if there is none.
pub(super) fn getuser(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let Some(user) = cx.server.users.get(args.require()?) else {
        out.null();
        return Ok(());
    };
    let dialect = cx.dialect();
    let with_databases = dialect.has_database_rules() || user.selectors().any(|s| s.databases.is_some());
    let fields = if with_databases { 4 } else { 3 };
    out.map(fields + 3);
    out.bulk("flags");
    let flags = user.flags(dialect);
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag));
    out.bulk("passwords");
    out.array(user.hashes().len());
    user.hashes().for_each(|hash| out.bulk(hash));
    selector(user.root(), with_databases, out);
    out.bulk("selectors");
    out.array(user.selectors().count() - 1);
    for further in user.selectors().skip(1) {
        out.map(fields);
        selector(further, with_databases, out);
    }
    Ok(())
}

/// The fields of one selector.
fn selector(selector: &Selector, with_databases: bool, out: &mut Reply) {
    out.bulk("commands");
    out.bulk(selector.describe_commands());
    out.bulk("keys");
    out.bulk(selector.describe_keys());
    out.bulk("channels");
    out.bulk(selector.describe_channels());
    if with_databases {
        out.bulk("databases");
        out.bulk(selector.describe_databases());
    }
}

/// `ACL LIST`: the users as lines of a file.
pub(super) fn list(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let users = cx.server.users.all();
    out.array(users.len());
    users.iter().for_each(|user| out.bulk(user.describe(cx.dialect())));
    Ok(())
}

pub(super) fn users(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let users = cx.server.users.all();
    out.array(users.len());
    users.iter().for_each(|user| out.bulk(&user.name));
    Ok(())
}

pub(super) fn whoami(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.bulk(&cx.session.user().name);
    Ok(())
}

/// `ACL LOG [count | RESET]`
pub(super) fn log(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let log = &cx.server.users.log;
    if args.remaining() > 1 {
        args.optional();
        return no_more(args);
    }
    if args.take("reset") {
        log.clear();
        out.ok();
        return Ok(());
    }
    let count =
        if args.is_empty() { LOG_COUNT } else { usize::try_from(args.integer()?.max(0)).unwrap_or(usize::MAX) };
    let entries = log.newest(count);
    out.array(entries.len());
    for entry in entries {
        out.map(10);
        out.bulk("count");
        out.integer(i64::try_from(entry.count).unwrap_or(i64::MAX));
        let texts: [(&str, &[u8]); 4] = [
            ("reason", entry.event.reason.word().as_bytes()),
            ("context", entry.event.context.as_bytes()),
            ("object", &entry.event.object),
            ("username", &entry.event.user),
        ];
        for (name, text) in texts {
            out.bulk(name);
            out.bulk(text);
        }
        out.bulk("age-seconds");
        out.double((cx.now.0 - entry.event.at.0) as f64 / 1000.0);
        out.bulk("client-info");
        out.bulk(entry.event.client.line(Some(cx.dialect())));
        out.bulk("entry-id");
        out.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        out.bulk("timestamp-created");
        out.integer(entry.created.0);
        out.bulk("timestamp-last-updated");
        out.integer(entry.event.at.0);
    }
    Ok(())
}
