//! MONITOR: clients that see every command, those of other clients and those of the master.

use super::Hub;
use super::mailbox::{Mailbox, Posted};
use crate::clock::UnixMs;
use crate::position::DbIndex;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct Monitors {
    count: AtomicUsize,
    clients: Mutex<BTreeMap<u64, Arc<Mailbox>>>,
    /// `host:port` of the master, as its commands are marked.
    master: Mutex<Arc<str>>,
}

/// A client that monitors; ends when dropped.
#[derive(Debug)]
pub struct Monitor {
    hub: Arc<Hub>,
    id: u64,
}

impl Monitor {
    /// Sees every command from now on.
    pub fn new(hub: &Arc<Hub>, mailbox: &Arc<Mailbox>) -> Self {
        hub.monitors.clients.lock().insert(mailbox.id, Arc::clone(mailbox));
        hub.monitors.count.fetch_add(1, Relaxed);
        mailbox.set_monitor(true);
        Self { hub: Arc::clone(hub), id: mailbox.id }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(mailbox) = self.hub.monitors.clients.lock().remove(&self.id) {
            mailbox.set_monitor(false);
        }
        self.hub.monitors.count.fetch_sub(1, Relaxed);
    }
}

impl Hub {
    /// Does anybody monitor?
    pub fn is_monitored(&self) -> bool {
        self.monitors.count.load(Relaxed) > 0
    }

    /// The master is at `host:port` from now on.
    pub fn set_master(&self, address: &str) {
        *self.monitors.master.lock() = address.into();
    }

    pub(super) fn master(&self) -> Arc<str> {
        Arc::clone(&self.monitors.master.lock())
    }

    /// Shows a command of a client.
    pub fn show_command<'a>(&self, at_us: i64, db: DbIndex, from: &str, words: impl Iterator<Item = &'a [u8]>) {
        let mut quoted = Vec::new();
        words.for_each(|word| quote(word, &mut quoted));
        self.show_line(at_us, db, from, &quoted);
    }

    /// Shows a command whose words are quoted already, each with a space in front.
    pub(super) fn show_line(&self, at_us: i64, db: DbIndex, from: &str, quoted: &[u8]) {
        let mut line = format!("+{}.{:06} [{} {from}]", at_us / 1_000_000, at_us % 1_000_000, db.0).into_bytes();
        line.extend_from_slice(quoted);
        line.extend_from_slice(b"\r\n");
        let limits = self.config.get().output_limits;
        for mailbox in self.monitors.clients.lock().values() {
            if mailbox.post(&line, &limits, UnixMs(at_us / 1000)) == Posted::Cut {
                self.count_cut(mailbox);
            }
        }
    }
}

/// A word in quotes behind a space, as the servers write it.
pub(super) fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b" \"");
    for &c in word {
        match c {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', c]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(c),
            // Writing to memory does not fail.
            c => _ = write!(out, "\\x{c:02x}"),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hub, mail};
    use super::*;

    #[test]
    fn a_monitor_sees_commands_as_the_servers_write_them() {
        let hub = hub();
        let mailbox = Arc::new(Mailbox::new(1));
        let monitor = Monitor::new(&hub, &mailbox);
        assert!(hub.is_monitored() && mailbox.is_monitor());
        let words = [&b"SET"[..], b"a\"\\\x00\n\xff b"];
        hub.show_command(1_700_000_000_000_123, DbIndex(3), "127.0.0.1:5", words.into_iter());
        assert_eq!(mail(&mailbox), "+1700000000.000123 [3 127.0.0.1:5] \"SET\" \"a\\\"\\\\\\x00\\n\\xff b\" ");
        drop(monitor);
        assert!(!hub.is_monitored() && !mailbox.is_monitor());
    }
}
