//! File descriptors: what the process may open, against what `maxclients` promises.
//!
//! Each client takes one, and so do the links to the master and to Sentinels, probes, files and threads. Those come first:
//! a client that is told that there are too many is better than a link that cannot be made for want of a descriptor.

use crate::config::Config;
use crate::limits::{ADMIN_CONNECTIONS_MAX, FILES_OWN, FILES_PER_THREAD, THREADS_OWN};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts the soft limit to what `maxclients` needs, or lowers `maxclients` to what the hard one allows (as redis). Answers
/// what whoever runs it should know of that; the error: not one client would have room.
pub fn fit(config: &mut Config) -> Result<Option<String>, String> {
    let (own, wanted) = (own(config), wanted(config));
    let limit = lift(wanted);
    if limit >= wanted {
        return Ok(None);
    }
    let room = limit.saturating_sub(own);
    if room == 0 {
        return Err(format!("the limit of open files (ulimit -n) is {limit}, and remora itself needs {own}"));
    }
    let asked = std::mem::replace(&mut config.maxclients, usize::try_from(room).unwrap_or(usize::MAX));
    Ok(Some(format!(
        "maxclients {asked} needs {wanted} open files, and their limit (ulimit -n) is {limit}: maxclients is {room} now"
    )))
}

/// CONFIG SET: complains of more clients than there can be (as redis 7.0).
pub fn check(now: &Config, then: &Config) -> Result<(), (&'static str, String)> {
    let wanted = wanted(then);
    if then.maxclients <= now.maxclients || lift(wanted) >= wanted {
        return Ok(());
    }
    let room = lift(wanted).saturating_sub(own(then));
    let why = "The operating system is not able to handle the specified number of clients, try with";
    Err(("maxclients", format!("{why} {room}")))
}

/// Descriptors that are no client's.
fn own(config: &Config) -> u64 {
    let probes = if config.metrics_addr.is_some() { ADMIN_CONNECTIONS_MAX } else { 0 };
    (FILES_OWN + probes + (config.io_threads.max(1) + THREADS_OWN) * FILES_PER_THREAD) as u64
}

fn wanted(config: &Config) -> u64 {
    own(config).saturating_add(config.maxclients as u64)
}

/// Lifts the soft limit to `wanted`, as far as the hard one allows; answers what it is then.
fn lift(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return soft;
    }
    let lifted = wanted.min(maximum.unwrap_or(u64::MAX));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(lifted), maximum });
    if set.is_ok() { lifted } else { soft }
}
