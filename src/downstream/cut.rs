//! Why a sub-replica's link ended.

use crate::resp::request::RequestError;
use std::fmt;
use std::io;

/// Why a sub-replica's link ended.
#[derive(Debug)]
pub(super) enum Cut {
    /// It closed the connection.
    Closed,
    /// The connection broke.
    Io(io::Error),
    /// Nothing came from it for `repl-timeout`, or it took nothing for as long.
    Silent { seconds: u64 },
    /// More waited to be sent than `client-output-buffer-limit replica` allows.
    Hard { waiting_bytes: u64, limit_bytes: u64 },
    /// The same for the soft limit, and for too long.
    Soft { waiting_bytes: u64, limit_bytes: u64, seconds: u64 },
    /// Our own history was renamed or replaced.
    History(&'static str),
    /// Other remoras are above us than it was told of.
    Chain,
    /// What it sent is no request.
    Protocol(RequestError),
    /// CLIENT KILL.
    Killed,
    /// It cannot hold the data.
    Unfit(String),
    /// Its snapshot could not be made.
    Snapshot(String),
    /// There is nothing for it yet.
    Later,
    /// It wanted a snapshot only, and has it.
    Served,
    /// We stop.
    Shutdown,
}

impl Cut {
    /// A short word for the metric.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Io(_) => "io",
            Self::Silent { .. } => "timeout",
            Self::Hard { .. } => "output-buffer-hard",
            Self::Soft { .. } => "output-buffer-soft",
            Self::History(why) => why,
            Self::Chain => "chain",
            Self::Protocol(_) => "protocol",
            Self::Killed => "killed",
            Self::Unfit(_) => "unfit",
            Self::Snapshot(_) => "snapshot",
            Self::Later => "later",
            Self::Served => "served",
            Self::Shutdown => "shutdown",
        }
    }

    /// Worth a warning: somebody may want to change something.
    pub(super) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. }
                | Self::Hard { .. }
                | Self::Soft { .. }
                | Self::Protocol(_)
                | Self::Unfit(_)
                | Self::Snapshot(_)
        )
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it closed the connection"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::Silent { seconds } => write!(f, "nothing was heard of it for repl-timeout ({seconds} s)"),
            Self::Hard { waiting_bytes, limit_bytes } => write!(
                f,
                "{waiting_bytes} bytes wait for it: over the hard limit of client-output-buffer-limit replica \
                 ({limit_bytes})"
            ),
            Self::Soft { waiting_bytes, limit_bytes, seconds } => write!(
                f,
                "{waiting_bytes} bytes wait for it: over the soft limit of client-output-buffer-limit replica \
                 ({limit_bytes}) for {seconds} s"
            ),
            Self::History(why) => write!(f, "our own history has changed ({why})"),
            Self::Chain => f.write_str("we follow another chain of remoras than before: it is to hear of it"),
            Self::Protocol(error) => write!(f, "it does not speak the protocol: {error}"),
            Self::Killed => f.write_str("CLIENT KILL"),
            Self::Unfit(why) => write!(f, "it cannot hold the data: {why}"),
            Self::Snapshot(why) => write!(f, "its snapshot could not be made: {why}"),
            Self::Later => f.write_str("there is nothing for it yet: it is to come again"),
            Self::Served => f.write_str("it has its snapshot and wanted no stream"),
            Self::Shutdown => f.write_str("we stop"),
        }
    }
}
