//! Who may do what: users, their rules, what is refused and logged, as the real servers define them.
//!
//! [`User`] is one set of rules, compiled when it changes; [`Users`] holds all of them; a session holds an `Arc` of its own and
//! looks whether the users have changed once a batch. A user that may do everything costs a request one flag; for the
//! others [`permit`] decides, in `check`, from the key specifications of the command.

mod account;
mod check;
mod file;
mod known;
mod log;
mod login;
mod manage;
mod password;
mod rule;
mod selector;
mod user;
mod users;

pub use check::Denied;
pub(super) use check::only_gets;
pub use log::Reason;
pub(in crate::command) use login::Login;
pub use user::User;
pub use users::{BadUsers, Users};

use super::args::Args;
use super::connection::Portrait;
use super::help;
use super::row::{Row, container, session};
use super::session::{Server, Session};
use super::table::Indexed;
use crate::clock::UnixMs;
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use smallvec::SmallVec;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    container("acl", -2).always(),
    session("acl cat", -2, account::cat).always(),
    session("acl deluser", -3, manage::deluser).always().redacted(),
    session("acl dryrun", -4, account::dryrun).always(),
    session("acl genpass", -2, account::genpass).always(),
    session("acl getuser", 3, account::getuser).always().redacted(),
    session("acl help", 2, help::help).always(),
    session("acl list", 2, account::list).always(),
    session("acl load", 2, manage::load).always(),
    session("acl log", -2, account::log).always(),
    session("acl save", 2, manage::save).always(),
    session("acl setuser", -3, manage::setuser).always().redacted(),
    session("acl users", 2, account::users).always(),
    session("acl whoami", 2, account::whoami).always(),
];

/// Where a request comes from: it decides how a refusal is worded and what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// From the client, inside MULTI too.
    Client,
    /// From the queue of EXEC.
    Exec,
    /// From a script.
    Script,
}

/// May the session's user do this? A refusal is counted and stands in ACL LOG. Not to be called for each request of
/// a user that may do everything ([`Session::is_unlimited`]). `now` is asked when something is logged.
pub fn permit(
    server: &Server,
    session: &Session,
    found: Indexed,
    args: &Args<'_>,
    context: Context,
    now: impl FnOnce() -> UnixMs,
) -> Result<(), Refusal> {
    let user = session.user();
    if check::needs_no_look(user, found) {
        return Ok(());
    }
    let words: SmallVec<[&[u8]; 16]> = args.words().collect();
    match check::check(user, found, &words, session.db()) {
        Ok(()) if found.row.name == "sort_ro" => permit_sort(user, found, &words, session),
        Ok(()) => Ok(()),
        Err(denied) => {
            let object = match denied {
                Denied::Command => known::full_name(found.row).into_bytes(),
                Denied::Key(at) | Denied::Channel(at) | Denied::Database(at) => {
                    words.get(at).copied().unwrap_or_default().to_vec()
                }
            };
            note(server, session, denied.into(), object, user.name.to_vec(), context, now());
            Err(worded(user, found.row, denied, context))
        }
    }
}

/// Would this user be allowed to do this? Nothing is counted or logged (redis.acl_check_cmd).
pub fn would_permit(user: &User, found: Indexed, words: &[&[u8]], db: DbIndex) -> bool {
    check::check(user, found, words, db).is_ok()
}

/// Is it a command that reads or writes data?
#[cold]
pub fn is_for_data(found: Indexed) -> bool {
    known::all()[known::of_row(found.index)].data
}

/// As redis 7.0: keys that BY and GET reach are in no argument, so whoever uses them must be allowed all.
fn permit_sort(user: &User, found: Indexed, words: &[&[u8]], session: &Session) -> Result<(), Refusal> {
    let option = |name: &str| {
        let at = words.iter().skip(2).position(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        at.and_then(|at| words.get(at + 3))
    };
    let reaches = if option("by").is_some_and(|pattern| pattern.contains(&b'*')) {
        "BY"
    } else if option("get").is_some() {
        "GET"
    } else {
        return Ok(());
    };
    if check::reads_all_keys(user, found, words, session.db()) {
        return Ok(());
    }
    Err(Refusal::text(format!("ERR {reaches} option of SORT denied due to insufficient ACL permissions.")))
}

/// A failed AUTH is counted and logged too. `object`: the command as it was typed.
pub(super) fn note_failed_login(server: &Server, session: &Session, object: &[u8], user: &[u8], now: UnixMs) {
    note(server, session, Reason::Auth, object.to_vec(), user.to_vec(), Context::Client, now);
}

fn note(
    server: &Server,
    session: &Session,
    reason: Reason,
    object: Vec<u8>,
    user: Vec<u8>,
    context: Context,
    now: UnixMs,
) {
    let context = match context {
        Context::Script => "lua",
        Context::Client if !session.is_in_multi() && !session.is_executing() => "toplevel",
        _ => "multi",
    };
    let client = Portrait::of(session.client(), None, now);
    server.users.refused(log::Event { reason, context, object, user, client, at: now });
}

/// The refusal in the words of redis 7.0 and later.
fn worded(user: &User, row: &Row, denied: Denied, context: Context) -> Refusal {
    let name = String::from_utf8_lossy(&user.name);
    if context == Context::Exec {
        let reason = match denied {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => "no permission to access one of the channels used as arguments to the command",
            Denied::Database(_) => "no permission",
        };
        return Refusal::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: {reason}"
        ));
    }
    let why = match denied {
        Denied::Command => {
            format!("User {name} has no permissions to run the '{}' command", known::full_name(row))
        }
        Denied::Key(_) => "No permissions to access a key".into(),
        Denied::Channel(_) => "No permissions to access a channel".into(),
        Denied::Database(_) => "No permissions to access database".into(),
    };
    match context {
        Context::Script => Refusal::text(format!("ERR ACL failure in script: {why}")),
        _ => Refusal::text(format!("NOPERM {why}")),
    }
}
