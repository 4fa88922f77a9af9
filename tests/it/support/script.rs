//! A master that does what the test's script says: sends these bytes, cuts here, is silent there, and keeps all
//! that the replica says.

use super::client::encode;
use super::{ports, wait};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A replication id for scripts.
pub const REPLID: &str = "0123456789abcdef0123456789abcdef01234567";
/// Another one.
pub const OTHER_REPLID: &str = "fedcba9876543210fedcba9876543210fedcba98";
/// The end mark of scripted snapshots.
const MARK: &[u8; 40] = b"0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";

/// A listening scripted master.
#[derive(Debug)]
pub struct Master {
    pub port: u16,
    listener: TcpListener,
}

/// What a replica says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Command(Vec<Vec<u8>>),
    Newline,
    Closed,
    Silent,
}

/// A snapshot on the wire.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    /// `$<length>`.
    Length,
    /// `$EOF:<mark>`.
    Mark,
}

impl Master {
    /// Listens on a free port.
    pub fn listen() -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the script's port");
        listener.set_nonblocking(true).expect("a listener");
        Self { port, listener }
    }

    /// The next link of the replica. Its lag probe, which asks over connections of its own, is turned away.
    #[track_caller]
    pub fn accept(&self) -> Link {
        self.accept_within(Duration::from_secs(30)).expect("the replica connects")
    }

    /// The same, or `None` when none comes in time.
    pub fn accept_within(&self, limit: Duration) -> Option<Link> {
        let start = Instant::now();
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                let link = Link::new(stream);
                if link.is_probe() {
                    continue;
                }
                return Some(link);
            }
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Accepts, answers the handshake as a Redis does, and gives the snapshot at this offset.
    #[track_caller]
    pub fn serve(&self, snapshot: &[u8], offset: u64) -> Link {
        let mut link = self.accept();
        link.handshake();
        link.full_resync(REPLID, offset, snapshot, Framing::Length);
        link
    }
}

/// One connection of the replica.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    buf: Vec<u8>,
    /// Every command received, in order.
    pub heard: Vec<Vec<Vec<u8>>>,
}

impl Link {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buf: Vec::new(), heard: Vec::new() }
    }

    /// A link begins with PING, a probe with AUTH or INFO, or with nothing if it is given up. Looks without taking.
    fn is_probe(&self) -> bool {
        let mut head = [0; 2];
        self.stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a read timeout");
        wait::within(Duration::from_secs(30), || self.stream.peek(&mut head).unwrap_or(0) != 1);
        head != *b"*1"
    }

    /// Sends bytes; a replica that has gone already is noticed at the next `next`.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends commands of the stream, one a line, and returns their length.
    pub fn stream(&mut self, lines: &[&str]) -> u64 {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| encode(&super::client::words(line))).collect();
        self.say(&bytes);
        bytes.len() as u64
    }

    /// The same connection for another thread to write to.
    #[allow(dead_code, reason = "the benches do not use it")]
    pub fn pen(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket")
    }

    /// What the replica says next, waiting up to `limit`.
    pub fn next_within(&mut self, limit: Duration) -> Said {
        let end = Instant::now() + limit;
        loop {
            if let Some(said) = self.take_said() {
                if let Said::Command(words) = &said {
                    self.heard.push(words.clone());
                }
                return said;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Said::Silent;
            }
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Said::Closed,
                Ok(n) => self.buf.extend_from_slice(&chunk[..n]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Said::Closed,
            }
        }
    }

    /// The next command, newlines skipped; fails when none comes.
    #[track_caller]
    pub fn command(&mut self) -> Vec<String> {
        loop {
            match self.next_within(Duration::from_secs(30)) {
                Said::Command(words) => {
                    return words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                }
                Said::Newline => {}
                end => panic!("a command of the replica, not {end:?}; so far {:?}", self.heard_text()),
            }
        }
    }

    /// Answers everything up to PSYNC as a Redis does, and returns what PSYNC asks for.
    #[track_caller]
    pub fn handshake(&mut self) -> (String, i64) {
        loop {
            let words = self.command();
            match words[0].to_uppercase().as_str() {
                "PING" => self.say("+PONG\r\n"),
                "REPLCONF" if words[1] == "version" => {
                    self.say("-ERR Unrecognized REPLCONF option: version\r\n");
                }
                "REPLCONF" if words[1].eq_ignore_ascii_case("ack") => {}
                "REPLCONF" | "AUTH" => self.say("+OK\r\n"),
                "PSYNC" => return (words[1].clone(), words[2].parse().expect("an offset")),
                _ => panic!("in a handshake: {words:?}"),
            }
        }
    }

    /// `+FULLRESYNC`, and the snapshot, which is not copied: benches measure the replica, not the script.
    pub fn full_resync(&mut self, replid: &str, offset: u64, snapshot: &[u8], framing: Framing) {
        self.say(format!("+FULLRESYNC {replid} {offset}\r\n"));
        let (first_line, end) = match framing {
            Framing::Length => (format!("${}\r\n", snapshot.len()).into_bytes(), &b""[..]),
            Framing::Mark => ([b"$EOF:", &MARK[..], b"\r\n"].concat(), &MARK[..]),
        };
        [&first_line, snapshot, end].into_iter().for_each(|bytes| self.say(bytes));
    }

    /// `+CONTINUE`, with this id.
    pub fn resume(&mut self, replid: &str) {
        self.say(format!("+CONTINUE {replid}\r\n"));
    }

    /// The offset of the next ACK.
    #[track_caller]
    pub fn ack(&mut self) -> u64 {
        let words = self.command();
        let is_ack = words[0].eq_ignore_ascii_case("replconf") && words[1].eq_ignore_ascii_case("ack");
        assert!(is_ack, "an ACK, not {words:?}");
        words[2].parse().expect("an offset")
    }

    /// Waits until the replica has acknowledged this offset; an ACK beyond it is a failure.
    #[track_caller]
    pub fn wait_ack(&mut self, offset: u64) {
        let what = format!("an ACK of {offset}");
        wait::until(&what, Duration::from_secs(30), || {
            let ack = self.ack();
            assert!(ack <= offset, "{what}, not {ack}");
            ack == offset
        });
    }

    /// Waits until the replica closes the connection.
    #[track_caller]
    pub fn wait_closed(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            match self.next_within(end.saturating_duration_since(Instant::now())) {
                Said::Closed => return,
                Said::Silent => panic!("the replica still holds the connection after {limit:?}"),
                _ => {}
            }
        }
    }

    /// Ends the connection behind what was sent, and waits until the replica has seen it all.
    #[track_caller]
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.wait_closed(Duration::from_secs(30));
    }

    /// Cuts the connection.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// All commands heard, readable.
    pub fn heard_text(&self) -> Vec<String> {
        let text = |words: &Vec<Vec<u8>>| {
            words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
        };
        self.heard.iter().map(text).collect()
    }

    fn take_said(&mut self) -> Option<Said> {
        if self.buf.first() == Some(&b'\n') {
            self.buf.remove(0);
            return Some(Said::Newline);
        }
        let (words, used) = parse_command(&self.buf)?;
        self.buf.drain(..used);
        Some(Said::Command(words))
    }
}

/// One array of bulks at the head of `buf`, and its length.
fn parse_command(buf: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut at = 0;
    let mut words = Vec::new();
    for _ in 0..header(buf, &mut at, b'*')? {
        let length = header(buf, &mut at, b'$')?;
        words.push(buf.get(at..at + length)?.to_vec());
        at += length + 2;
    }
    (at <= buf.len()).then_some((words, at))
}

/// The number of a header line (`*3`), moving `at` behind it.
fn header(buf: &[u8], at: &mut usize, kind: u8) -> Option<usize> {
    let rest = buf.get(*at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    let line = str::from_utf8(rest.get(1..end - 1)?).ok();
    assert_eq!(rest[0], kind, "the replica speaks: {:?}", String::from_utf8_lossy(rest));
    *at += end + 1;
    line.and_then(|text| text.parse().ok())
}
