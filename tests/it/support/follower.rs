//! A sub-replica that a test speaks for: it says what the script says and shows the bytes it gets.

use super::client::{encode, words};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a line or bytes may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection to a master.
#[derive(Debug)]
pub struct Follower {
    stream: TcpStream,
    buf: Vec<u8>,
    /// Empty lines so far: keep-alives.
    pub newlines: usize,
}

/// What a full resync brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Synced {
    pub replid: String,
    pub offset: u64,
    pub snapshot: Vec<u8>,
    /// `$EOF:` and not `$length`.
    pub by_mark: bool,
}

impl Follower {
    /// Connects, without a word.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connecting");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buf: Vec::new(), newlines: 0 }
    }

    /// Connects and introduces itself as a Redis 8 does.
    #[track_caller]
    pub fn introduced(port: u16) -> Self {
        Self::introduced_as(port, &["REPLCONF capa eof capa psync2 capa rdb-channel-repl"])
    }

    /// Connects and says these lines, each of which must be answered OK.
    #[track_caller]
    pub fn introduced_as(port: u16, lines: &[&str]) -> Self {
        let mut follower = Self::connect(port);
        for line in lines {
            assert_eq!(follower.ask(line), "+OK", "{line}");
        }
        follower
    }

    /// Sends a request.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.stream.write_all(&encode(&words(line))).expect("sending");
    }

    /// Sends a request, and returns the line that answers it.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// `REPLCONF ACK offset`.
    pub fn ack(&mut self, offset: u64) {
        self.say(&format!("REPLCONF ACK {offset}"));
    }

    /// Acknowledges until the stream begins: a real master hears it only once it has noticed that its child is done.
    #[track_caller]
    pub fn ack_until_stream(&mut self, offset: u64) {
        let end = Instant::now() + PATIENCE;
        while self.buf.is_empty() {
            assert!(Instant::now() < end, "no stream begins");
            self.ack(offset);
            assert!(self.read(Duration::from_millis(50)), "the stream, not the end");
        }
    }

    /// The next line that is not empty.
    #[track_caller]
    pub fn line(&mut self) -> String {
        loop {
            while !self.buf.contains(&b'\n') {
                assert!(
                    self.read(PATIENCE),
                    "a line, not the end; so far {:?}",
                    self.buf.escape_ascii().to_string()
                );
            }
            let end = self.buf.iter().position(|byte| *byte == b'\n').expect("a line");
            let line: Vec<u8> = self.buf.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if !line.is_empty() {
                return line;
            }
            self.newlines += 1;
        }
    }

    /// `PSYNC ? -1`, and everything up to the last byte of the snapshot.
    #[track_caller]
    pub fn full_sync(&mut self) -> Synced {
        self.say("PSYNC ? -1");
        self.synced()
    }

    /// The same, keeping nothing: a bench measures the master and not its own copies. Only by end mark.
    #[track_caller]
    #[allow(dead_code, reason = "the tests do not use it")]
    pub fn full_sync_unkept(&mut self) {
        let line = self.ask("PSYNC ? -1");
        assert!(line.starts_with("+FULLRESYNC "), "+FULLRESYNC, not {line}");
        let line = self.line();
        let mark = line.strip_prefix("$EOF:").unwrap_or_else(|| panic!("an end mark, not {line}")).to_owned();
        while memchr::memmem::find(&self.buf, mark.as_bytes()).is_none() {
            let seen = (self.buf.len() + 1).saturating_sub(mark.len());
            self.buf.drain(..seen);
            assert!(self.read(PATIENCE), "the end mark, not the end");
        }
    }

    /// From `+FULLRESYNC` to the last byte of the snapshot.
    #[track_caller]
    pub fn synced(&mut self) -> Synced {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        let ["+FULLRESYNC", replid, offset] = words[..] else { panic!("+FULLRESYNC, not {line}") };
        let (snapshot, by_mark) = self.snapshot();
        Synced { replid: replid.to_owned(), offset: offset.parse().expect("an offset"), snapshot, by_mark }
    }

    /// A wrapped snapshot.
    #[track_caller]
    pub fn snapshot(&mut self) -> (Vec<u8>, bool) {
        let line = self.line();
        let Some(mark) = line.strip_prefix("$EOF:") else {
            let length = line.strip_prefix('$').and_then(|text| text.parse().ok());
            return (self.bytes(length.unwrap_or_else(|| panic!("a snapshot's first line, not {line}"))), false);
        };
        let mut searched = 0;
        let at = loop {
            if let Some(at) = memchr::memmem::find(&self.buf[searched..], mark.as_bytes()) {
                break searched + at;
            }
            searched = (self.buf.len() + 1).saturating_sub(mark.len());
            assert!(self.read(PATIENCE), "the end mark, not the end");
        };
        let snapshot = self.buf.drain(..at).collect();
        self.buf.drain(..mark.len());
        (snapshot, true)
    }

    /// So many bytes.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buf.len() < count {
            assert!(self.read(PATIENCE), "{count} bytes, not {} and the end", self.buf.len());
        }
        self.buf.drain(..count).collect()
    }

    /// Reads so many bytes and forgets them.
    #[track_caller]
    pub fn drain(&mut self, mut count: usize) {
        while count > 0 {
            if self.buf.is_empty() {
                assert!(self.read(PATIENCE), "{count} more bytes, not the end");
            }
            let now = count.min(self.buf.len());
            self.buf.drain(..now);
            count -= now;
        }
    }

    /// Fails when anything comes within this time.
    #[track_caller]
    pub fn silent_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let left = end.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            assert!(self.read(left), "silence, not the end");
            assert_eq!(self.buf.escape_ascii().to_string(), "", "silence");
        }
    }

    /// Waits until the other side closes; returns what came before.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        while self.read(PATIENCE) {
            assert!(Instant::now() < end, "the connection is still open");
        }
        std::mem::take(&mut self.buf)
    }

    /// Reads once, up to this long; `false` at the end.
    fn read(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit.max(Duration::from_millis(1)))).expect("a read timeout");
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.buf.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(limit < PATIENCE, "nothing within {limit:?}");
                true
            }
            Err(_) => false,
        }
    }
}
