//! For tests of the families: a dataset that a stream writes and a client reads, both spoken in request lines.

use super::args::{Args, Span};
use super::clients::Endpoint;
use super::context::{ApplyCx, ReadCx, SessionCx};
use super::row::{Row, Run, Until};
use super::session::{After, Server, Session as ClientSession};
use super::table;
use crate::clock::UnixMs;
use crate::config::{Compat, Config, LiveConfig, Master, UseSettings};
use crate::dataset::{Dataset, EncodingLimits, Trash};
use crate::hub::Effects;
use crate::position::{DbIndex, Offset, Position, ReplId};
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};
use crate::status::Status;
use std::sync::Arc;

/// A dataset at a hand-wound time.
pub(crate) struct Bench {
    pub(crate) data: Dataset,
    pub(crate) db: DbIndex,
    pub(crate) now: UnixMs,
    pub(crate) proto: Proto,
    pub(crate) uses: UseSettings,
    pub(crate) no_touch: bool,
}

impl Bench {
    /// An empty dataset at second one million.
    pub(crate) fn new() -> Self {
        let position = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
        Self {
            data: Dataset::new(16, position, EncodingLimits::default()),
            db: DbIndex(0),
            now: UnixMs(1_000_000_000),
            proto: Proto::Resp2,
            uses: UseSettings::default(),
            no_touch: false,
        }
    }

    /// A dataset after these lines; all must apply.
    pub(crate) fn after(lines: &[&str]) -> Self {
        let mut bench = Self::new();
        for line in lines {
            bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        }
        bench
    }

    /// Applies a line as if it came with the stream.
    pub(crate) fn apply(&mut self, line: &str) -> Result<(), Refusal> {
        self.apply_words(&split(line))
    }

    /// The same with words of any bytes.
    pub(crate) fn apply_words(&mut self, words: &[Vec<u8>]) -> Result<(), Refusal> {
        self.apply_telling(words, &mut Effects::default())
    }

    /// The same; what others would hear is collected.
    pub(crate) fn apply_telling(&mut self, words: &[Vec<u8>], effects: &mut Effects) -> Result<(), Refusal> {
        let (frame, spans) = frame(words);
        let (row, skip) = row_of(words)?;
        let apply = row.apply().ok_or_else(|| Refusal::text(format!("ERR {} is not applied", row.name)))?;
        let mut trash = Trash::default();
        let (db, now) = (self.db, self.now);
        self.data.at_moment(self.uses, now);
        self.data.begin_command(db);
        let mut cx = ApplyCx { data: &mut self.data, db, now, trash: &mut trash, effects };
        apply(&mut cx, &mut Args::new(&frame, &spans, skip))
    }

    /// What a client gets for a line: the reply's bytes with spaces for line ends, `-...` for errors.
    pub(crate) fn ask(&self, line: &str) -> String {
        self.ask_words(&split(line))
    }

    /// The same with words of any bytes.
    pub(crate) fn ask_words(&self, words: &[Vec<u8>]) -> String {
        let mut reply = Reply::new(self.proto);
        reply.doubles = self.data.limits.dialect.into();
        if let Err(refusal) = self.answer(words, &mut reply) {
            reply.truncate(0);
            reply.error(&refusal);
        }
        let text = String::from_utf8_lossy(reply.bytes()).replace("\r\n", " ");
        text.strip_suffix(' ').unwrap_or(&text).to_owned()
    }

    fn read_cx(&self) -> ReadCx<'_> {
        ReadCx {
            data: &self.data,
            db: self.db,
            now: self.now,
            may_wait: true,
            compat: Compat::Auto,
            uses: self.data.uses(self.uses, self.now),
            no_touch: self.no_touch,
        }
    }

    fn answer(&self, words: &[Vec<u8>], reply: &mut Reply) -> Result<(), Refusal> {
        let (frame, spans) = frame(words);
        let (row, skip) = row_of(words)?;
        match row.run {
            Run::Read(read) => {
                let cx = self.read_cx();
                read(&cx, &mut Args::new(&frame, &spans, skip), reply)
            }
            Run::Wait(read) => {
                let cx = self.read_cx();
                let asked = read(&cx, &mut Args::new(&frame, &spans, skip), reply)?;
                if let Some(asked) = asked {
                    let text = |words: &[Vec<u8>]| String::from_utf8_lossy(&words.join(&b' ')).into_owned();
                    let until = match &asked.until {
                        Until::Changed(keys) => text(keys),
                        Until::Reached(offset) => offset.to_string(),
                    };
                    let request = text(&asked.request);
                    let told = format!("waits {:?} for [{until}] with [{request}]", asked.timeout_ms);
                    reply.buffer_mut().extend_from_slice(told.as_bytes());
                }
                Ok(())
            }
            Run::Walk(walk) => reply.deferred(Reply::array, |reply| {
                let cx = self.read_cx();
                let (mut cursor, mut all) = (0, 0);
                loop {
                    let (next, found) = walk(&cx, &mut Args::new(&frame, &spans, skip), cursor, reply)?;
                    all += found;
                    cursor = next;
                    if cursor == 0 {
                        return Ok(all);
                    }
                }
            }),
            _ => Err(Refusal::READ_ONLY),
        }
    }
}

fn row_of(words: &[Vec<u8>]) -> Result<(&'static Row, usize), Refusal> {
    let sub = words.get(1).map(Vec::as_slice);
    let (table::Indexed { row, .. }, skip) =
        table::find(&words[0], sub).ok_or_else(|| Refusal::text("ERR unknown command"))?;
    if row.arity_fits(words.len()) {
        Ok((row, skip))
    } else {
        Err(Refusal::wrong_arity(&row.name.replace(' ', "|")))
    }
}

pub(crate) fn frame(words: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut frame = Vec::new();
    let spans = words.iter().map(|word| {
        let start = frame.len() as u32;
        frame.extend_from_slice(word);
        Span { start, end: frame.len() as u32 }
    });
    let spans = spans.collect();
    (frame, spans)
}

/// A client of a server without data, for commands about the connection and the server.
pub(crate) struct Session {
    server: Arc<Server>,
    session: ClientSession,
    bench: Bench,
    after: After,
}

impl Session {
    /// The first client of a server with these settings.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let live = LiveConfig::new(Config::default());
        live.change(|config| {
            for (name, value) in settings {
                let setting = crate::config::Setting::find(name).unwrap_or_else(|| panic!("{name}"));
                setting.read_text(config, value.as_bytes()).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        });
        let master = Master { user: Some("me".into()), ..Master::tcp("master", 6379) };
        let bench = Bench::new();
        let server = Server::new(Arc::new(live), Arc::new(Status::new(bench.now)), master);
        let server = Arc::new(server.unwrap_or_else(|why| panic!("{why}")));
        let endpoint =
            Endpoint { addr: "127.0.0.1:1".into(), laddr: "127.0.0.1:6379".into(), ..Endpoint::default() };
        let session = ClientSession::new(server.clients.join(endpoint, bench.now), &server.users);
        Self { server, session, bench, after: After::Continue }
    }

    /// The reply to a line, byte for byte.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let mut reply = Reply::new(self.session.proto());
        if let Err(refusal) = self.answer(&split(line), &mut reply) {
            reply.truncate(0);
            reply.error(&refusal);
        }
        String::from_utf8_lossy(reply.bytes()).into_owned()
    }

    fn answer(&mut self, words: &[Vec<u8>], reply: &mut Reply) -> Result<(), Refusal> {
        let (frame, spans) = frame(words);
        let (row, skip) = row_of(words)?;
        let run = match row.run {
            Run::Session(run) => Some(run),
            _ => row.alone,
        };
        let run = run.ok_or_else(|| Refusal::text(format!("ERR {} is no session row", row.name)))?;
        let mut cx = SessionCx {
            data: &self.bench.data,
            now: self.bench.now,
            session: &mut self.session,
            server: &self.server,
            compat: Compat::Auto,
            after: After::Continue,
        };
        let result = run(&mut cx, &mut Args::new(&frame, &spans, skip), reply);
        self.after = cx.after;
        result
    }

    /// What the last request asked of the connection.
    pub(crate) fn after(&self) -> After {
        self.after
    }

    /// The state of its connection.
    pub(crate) fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    /// The server behind it.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The data that it reads.
    pub(crate) fn bench(&mut self) -> &mut Bench {
        &mut self.bench
    }

    /// Is AUTH behind it?
    pub(crate) fn is_authenticated(&self) -> bool {
        self.session.is_authenticated()
    }

    /// Connects anew, from this machine or from another.
    pub(crate) fn set_local(&mut self, local: bool) {
        let member = self.server.clients.join(Endpoint { local, ..Endpoint::default() }, self.bench.now);
        self.session = ClientSession::new(member, &self.server.users);
    }
}

/// Words of a line as redis-cli splits it: spaces part, double quotes hold `\xNN`, `\n` and the like.
pub(crate) fn split(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim().as_bytes();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix(b"\"") {
            Some(quoted) => split_quoted(quoted),
            None => {
                let end = rest.iter().position(|&c| c == b' ').unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        words.push(word);
        rest = tail.trim_ascii_start();
    }
    words
}

fn split_quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => panic!("a quote is missing"),
            [b'"', tail @ ..] => return (word, tail),
            [b'\\', b'x', high, low, tail @ ..] => {
                let hex = [*high, *low];
                let hex = std::str::from_utf8(&hex).expect("two hex digits");
                word.push(u8::from_str_radix(hex, 16).expect("two hex digits"));
                rest = tail;
            }
            [b'\\', c, tail @ ..] => {
                word.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    c => *c,
                });
                rest = tail;
            }
            [c, tail @ ..] => {
                word.push(*c);
                rest = tail;
            }
        }
    }
}
