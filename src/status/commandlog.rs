//! The last commands that stood out, as SLOWLOG and COMMANDLOG show them: a log for each way to stand out.

use crate::clock::UnixMs;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Arguments that an entry keeps; the last one then says how many more there were (as redis 7.0).
const ARGUMENTS_MAX: usize = 32;
/// Bytes of an argument that an entry keeps (as redis 7.0).
const ARGUMENT_BYTES_MAX: usize = 128;

/// One command that stood out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCommand {
    /// Ascending number, unique in this process.
    pub id: u64,
    /// When it ran.
    pub at: UnixMs,
    /// By how much it stood out: how long it took, microseconds, or the size of its request or reply, bytes.
    pub value: u64,
    /// Its words, cut where they are long.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub client: String,
    /// The client's name.
    pub name: Vec<u8>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    entries: VecDeque<LoggedCommand>,
}

/// Commands of one kind, newest first.
#[derive(Debug, Default)]
pub struct CommandLog(Mutex<Entries>);

impl CommandLog {
    /// Adds a command; at most `max` entries are kept.
    pub fn push<'a>(
        &self,
        max: usize,
        at: UnixMs,
        value: u64,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        client: &str,
        name: &[u8],
    ) {
        let args = shortened(args);
        let mut log = self.0.lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(LoggedCommand {
            id,
            at,
            value,
            args,
            client: client.to_owned(),
            name: name.to_vec(),
        });
        log.entries.truncate(max);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<LoggedCommand> {
        self.0.lock().entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// No entry at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; their numbers are not used again.
    pub fn clear(&self) {
        self.0.lock().entries.clear();
    }
}

fn shortened<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    let kept = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut short: Vec<Vec<u8>> = args.take(kept).map(shortened_word).collect();
    if kept < count {
        short.push(format!("... ({} more arguments)", count - kept).into_bytes());
    }
    short
}

fn shortened_word(word: &[u8]) -> Vec<u8> {
    match word.get(..ARGUMENT_BYTES_MAX) {
        Some(head) if word.len() > ARGUMENT_BYTES_MAX => {
            let more = format!("... ({} more bytes)", word.len() - ARGUMENT_BYTES_MAX);
            [head, more.as_bytes()].concat()
        }
        _ => word.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_long_ones_are_cut() {
        let log = CommandLog::default();
        let many = vec![&b"x"[..]; 40];
        let long = vec![b'y'; 130];
        for args in [vec![&b"first"[..]], many, vec![&long]] {
            log.push(2, UnixMs(5), 7, args.into_iter(), "1.2.3.4:5", b"me");
        }
        let kept = log.newest(10);
        assert_eq!(kept.iter().map(|entry| entry.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(kept[0].args[0], [&long[..128], b"... (2 more bytes)"].concat());
        assert_eq!((kept[1].args.len(), kept[1].args[31].as_slice()), (32, &b"... (9 more arguments)"[..]));
        log.clear();
        assert!(log.is_empty());
    }
}
