//! A small blocking client of RESP2 and RESP3: typed values, pipelines, and replies byte by byte.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply.
#[derive(Clone, PartialEq)]
pub enum Value {
    Null,
    Status(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Double(String),
    Bool(bool),
    Big(String),
    Array(Vec<Value>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// A value behind its attribute, a map.
    With(Box<Value>, Box<Value>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Status(text) => write!(f, "+{text}"),
            Value::Error(text) => write!(f, "-{text}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Value::Double(text) => write!(f, ",{text}"),
            Value::Bool(yes) => write!(f, "#{yes}"),
            Value::Big(text) => write!(f, "({text}"),
            Value::Array(items) => f.debug_list().entries(items).finish(),
            Value::Set(items) => f.debug_set().entries(items).finish(),
            Value::Push(items) => f.debug_tuple("push").field(items).finish(),
            Value::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Value::With(attribute, value) => f.debug_tuple("with").field(attribute).field(value).finish(),
        }
    }
}

impl Value {
    /// The text of a bulk, status, error, number; fails on anything else.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Status(text) | Value::Error(text) | Value::Double(text) | Value::Big(text) => text.clone(),
            Value::Int(n) => n.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Is it the bulk or status of this text?
    pub fn text_is(&self, text: &str) -> bool {
        match self {
            Value::Bulk(bytes) => bytes == text.as_bytes(),
            Value::Status(own) => own == text,
            _ => false,
        }
    }

    /// An error that starts so?
    pub fn text_starts(&self, start: &str) -> bool {
        matches!(self, Value::Error(text) if text.starts_with(start))
    }

    /// The number of an integer reply, or of a text that is one.
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            other => other.text().trim().parse().unwrap_or_else(|_| panic!("no integer: {other:?}")),
        }
    }

    /// The bytes of a bulk.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(bytes) => bytes,
            other => panic!("no bulk: {other:?}"),
        }
    }

    /// The elements of an array, set or push.
    #[track_caller]
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("no array: {other:?}"),
        }
    }

    /// An error reply?
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }

    /// The same with the elements of every aggregate that has no order (sets, maps) sorted.
    pub fn sorted(&self) -> Value {
        let all = |items: &[Value]| items.iter().map(Value::sorted).collect::<Vec<_>>();
        let by_text = |items: &mut Vec<Value>| items.sort_by_key(|item| format!("{item:?}"));
        match self {
            Value::Set(items) => {
                let mut items = all(items);
                by_text(&mut items);
                Value::Set(items)
            }
            Value::Map(pairs) => {
                let mut pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.sorted(), v.sorted())).collect();
                pairs.sort_by_key(|(k, _)| format!("{k:?}"));
                Value::Map(pairs)
            }
            Value::Array(items) => Value::Array(all(items)),
            other => other.clone(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: Box<dyn Stream>,
    buf: Vec<u8>,
    at: usize,
}

/// What a client speaks through: TCP, or TLS over it.
pub trait Stream: Read + Write + std::fmt::Debug + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// How long a reply may take: longer than the slowest thing that a test asks for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    /// Connects to a port of the loopback.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("connecting to port {port}: {error}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        Ok(Self::over(Box::new(Self::dial(port)?)))
    }

    /// A TCP connection with the limits of a client.
    pub fn dial(port: u16) -> io::Result<TcpStream> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A client on this connection.
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, buf: Vec::new(), at: 0 }
    }

    /// Connects and switches to RESP3.
    #[track_caller]
    pub fn connect_resp3(port: u16) -> Self {
        let mut client = Self::connect(port);
        let hello = client.call("HELLO 3");
        assert!(!hello.is_error(), "HELLO 3: {hello:?}");
        client
    }

    /// How long a reply may take.
    pub fn patience(&self, limit: Duration) {
        self.stream.tcp().set_read_timeout(Some(limit)).expect("a read timeout");
    }

    /// Sends a request and returns its reply.
    #[track_caller]
    pub fn command(&mut self, args: &[impl AsRef<[u8]>]) -> Value {
        self.send(args);
        self.reply()
    }

    /// The same for a line as one types it: `SET "a b" "\x00"`.
    #[track_caller]
    pub fn call(&mut self, line: &str) -> Value {
        self.command(&words(line))
    }

    /// The same, or why there is no reply.
    pub fn try_call(&mut self, line: &str) -> io::Result<Value> {
        self.try_send_raw(&encode(&words(line)))?;
        self.try_reply()
    }

    /// Sends many requests and returns all replies, some hundred under way at once.
    #[track_caller]
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> Vec<Value> {
        let mut replies = Vec::with_capacity(requests.len());
        for some in requests.chunks(200) {
            let mut bytes = Vec::new();
            some.iter().for_each(|request| encode_into(&mut bytes, request));
            self.send_raw(&bytes);
            replies.extend(some.iter().map(|_| self.reply()));
        }
        replies
    }

    /// The same, failing on an error reply.
    #[track_caller]
    pub fn must(&mut self, line: &str) -> Value {
        let reply = self.call(line);
        assert!(!reply.is_error(), "{line}: {reply:?}");
        reply
    }

    /// The fields of an INFO section.
    #[track_caller]
    pub fn info(&mut self, section: &str) -> BTreeMap<String, String> {
        let text = self.must(&format!("INFO {section}")).text();
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_string(), value.trim().to_string())).collect()
    }

    /// DEBUG DIGEST.
    #[track_caller]
    pub fn digest(&mut self) -> String {
        self.must("DEBUG DIGEST").text()
    }

    /// Sends a request, without waiting.
    #[track_caller]
    pub fn send(&mut self, args: &[impl AsRef<[u8]>]) {
        self.send_raw(&encode(args));
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).expect("sending");
    }

    /// Sends bytes as they are, or says why not.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply.
    #[track_caller]
    pub fn reply(&mut self) -> Value {
        self.try_reply().expect("a reply")
    }

    /// The next reply, or why there is none.
    pub fn try_reply(&mut self) -> io::Result<Value> {
        Ok(self.next_reply()?.0)
    }

    /// The next reply as it came.
    #[track_caller]
    pub fn raw_reply(&mut self) -> Vec<u8> {
        self.next_reply().expect("a reply").1
    }

    fn next_reply(&mut self) -> io::Result<(Value, Vec<u8>)> {
        loop {
            if let Some((value, used)) = parse(&self.buf[self.at..]) {
                let raw = self.buf[self.at..self.at + used].to_vec();
                self.at += used;
                return Ok((value, raw));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buf.drain(..self.at);
        self.at = 0;
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buf.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }

    /// Everything that still comes until the other side closes or is silent for `patience`.
    pub fn rest(&mut self, patience: Duration) -> (Vec<u8>, Ending) {
        self.patience(patience);
        let ending = loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break Ending::Silent;
                }
                Err(_) => break Ending::Closed,
            }
        };
        self.patience(PATIENCE);
        self.at = 0;
        (std::mem::take(&mut self.buf), ending)
    }
}

/// How [`Client::rest`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Silent,
}

/// A request as an array of bulks.
pub fn encode(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, args);
    out
}

/// The same behind what is there already: for pipelines.
pub fn encode_into(out: &mut Vec<u8>, args: &[impl AsRef<[u8]>]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Splits a line into words as redis-cli does: spaces part, double quotes with `\n \r \t \" \\ \xNN`, single quotes
/// with `\'`.
#[track_caller]
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim().as_bytes();
    while !rest.is_empty() {
        let (word, behind) = match rest[0] {
            b'"' => double_quoted(&rest[1..]),
            b'\'' => single_quoted(&rest[1..]),
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        words.push(word);
        rest = behind.trim_ascii_start();
    }
    words
}

fn single_quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    loop {
        let (byte, behind) = match rest {
            [b'\'', behind @ ..] => return (word, behind),
            [b'\\', b'\'', behind @ ..] => (b'\'', behind),
            [byte, behind @ ..] => (*byte, behind),
            [] => panic!("a quote is not closed"),
        };
        word.push(byte);
        rest = behind;
    }
}

fn double_quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    loop {
        let (byte, behind) = match rest {
            [b'"', behind @ ..] => return (word, behind),
            [b'\\', b'x', high, low, behind @ ..] => {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("hexadecimal digits");
                (u8::from_str_radix(digits, 16).expect("hexadecimal digits"), behind)
            }
            [b'\\', b'n', behind @ ..] => (b'\n', behind),
            [b'\\', b'r', behind @ ..] => (b'\r', behind),
            [b'\\', b't', behind @ ..] => (b'\t', behind),
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => (*byte, behind),
            [] => panic!("a quote is not closed"),
        };
        word.push(byte);
        rest = behind;
    }
}

/// A whole reply that came as these bytes.
#[track_caller]
pub fn parsed(raw: &[u8]) -> Value {
    parse(raw).expect("a whole reply").0
}

/// The first reply of `buf` and its length, or `None` if it is not whole yet.
fn parse(buf: &[u8]) -> Option<(Value, usize)> {
    let end = memchr::memchr(b'\n', buf)?;
    let line = buf.get(1..end.saturating_sub(1)).unwrap_or_default();
    let text = String::from_utf8_lossy(line).into_owned();
    let head = end + 1;
    let count = || text.parse::<i64>().unwrap_or_else(|_| panic!("a length: {text:?}"));
    Some(match buf[0] {
        b'+' => (Value::Status(text), head),
        b'-' => (Value::Error(text), head),
        b':' => (Value::Int(count()), head),
        b',' => (Value::Double(text), head),
        b'(' => (Value::Big(text), head),
        b'#' => (Value::Bool(text == "t"), head),
        b'_' => (Value::Null, head),
        b'$' | b'=' | b'!' => return parse_bulk(buf, head, count()),
        b'*' | b'~' | b'>' => return parse_items(buf, head, count()),
        b'%' => return parse_map(buf, head, count()),
        b'|' => {
            let (attribute, behind) = parse_map(buf, head, count())?;
            let (value, used) = parse(&buf[behind..])?;
            (Value::With(Box::new(attribute), Box::new(value)), behind + used)
        }
        _ => panic!("no reply: {:?}", String::from_utf8_lossy(&buf[..buf.len().min(200)])),
    })
}

fn parse_bulk(buf: &[u8], head: usize, length: i64) -> Option<(Value, usize)> {
    let Ok(length) = usize::try_from(length) else { return Some((Value::Null, head)) };
    let body = buf.get(head..head + length + 2)?;
    let body = &body[..length];
    let value = match buf[0] {
        b'!' => Value::Error(String::from_utf8_lossy(body).into_owned()),
        b'=' => Value::Bulk(body[4..].to_vec()),
        _ => Value::Bulk(body.to_vec()),
    };
    Some((value, head + length + 2))
}

fn parse_items(buf: &[u8], head: usize, count: i64) -> Option<(Value, usize)> {
    let Ok(count) = usize::try_from(count) else { return Some((Value::Null, head)) };
    let (items, used) = parse_many(&buf[head..], count)?;
    let value = match buf[0] {
        b'*' => Value::Array(items),
        b'~' => Value::Set(items),
        _ => Value::Push(items),
    };
    Some((value, head + used))
}

fn parse_map(buf: &[u8], head: usize, count: i64) -> Option<(Value, usize)> {
    let (items, used) = parse_many(&buf[head..], usize::try_from(count * 2).expect("a length"))?;
    let mut items = items.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    Some((Value::Map(pairs), head + used))
}

fn parse_many(buf: &[u8], count: usize) -> Option<(Vec<Value>, usize)> {
    let mut used = 0;
    let mut items = Vec::new();
    for _ in 0..count {
        let (item, length) = parse(buf.get(used..)?)?;
        items.push(item);
        used += length;
    }
    Some((items, used))
}
