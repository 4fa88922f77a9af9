//! Stream bytes to commands, counting, cut into units that are applied as a whole: one command, or MULTI to EXEC.
//!
//! Comes in: bytes as the master sent them. Goes out: units with their length in bytes. It does not look at what
//! a command does; `apply` does.

use crate::command::args::Args;
use crate::resp::request::{Parser, RequestError, RequestLimits, Span};

/// Unparsed bytes are moved to the front when this many applied ones lie before them.
const COMPACT_BYTES: usize = 64 * 1024;

/// One command of the stream. Its words are told from its first byte on, so that a transaction may be longer than 32 bits
/// count.
#[derive(Clone, Copy, Debug)]
struct Command {
    first_span: usize,
    spans: usize,
    /// Position of its first byte.
    start: usize,
    /// Position behind its last byte.
    end: usize,
    transaction: Transaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    Opens,
    Closes,
    Neither,
    /// MULTI inside MULTI, EXEC without MULTI: bytes to count, nothing to do.
    Stray,
}

/// The stream as received and not yet applied.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Applied up to here.
    applied: usize,
    /// Parsed up to here.
    parsed: usize,
    parser: Parser,
    spans: Vec<Span>,
    commands: Vec<Command>,
    /// Commands at the front of `commands` that are done with.
    done: usize,
    /// The first `whole` commands form complete units.
    whole: usize,
    /// Index of the MULTI that has no EXEC yet.
    open: Option<usize>,
    /// What came behind the last command makes no sense; told once everything before it is applied.
    fault: Option<RequestError>,
}

/// A unit: to be applied in one step. The offset moves by `bytes` with it.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    stream: &'a Stream,
    first: usize,
    last: usize,
    /// Length in the stream, with empty lines before it.
    pub bytes: u64,
}

impl Stream {
    /// Takes bytes from the wire.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The buffer itself, for reading from a socket to its end.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes received and not yet applied.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.applied
    }

    /// A transaction is open at the end of what has been parsed.
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Parses until `commands` commands are ready or the bytes end; a transaction is parsed to its EXEC if that has
    /// arrived. Answers whether any unit is ready. Bytes that make no sense are an error once all units before them
    /// are applied.
    pub fn parse(&mut self, commands: usize) -> Result<bool, RequestError> {
        while self.fault.is_none() && self.whole - self.done < commands {
            match self.parse_one() {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => self.fault = Some(fault),
            }
        }
        match self.fault {
            Some(fault) if self.whole == self.done => Err(fault),
            _ => Ok(self.whole > self.done),
        }
    }

    /// Parses one command; `false` if it is not complete.
    fn parse_one(&mut self) -> Result<bool, RequestError> {
        let mark = self.spans.len();
        let rest = self.bytes.get_mut(self.parsed..).unwrap_or_default();
        let Some(used) = self.parser.parse(rest, 0, &mut self.spans, &RequestLimits::STREAM)? else {
            return Ok(false);
        };
        let start = self.parsed;
        self.parsed += used;
        self.push(mark, start);
        Ok(true)
    }

    /// Adds the command whose words start at span `mark`. An empty line counts as one byte of offset and is
    /// a unit of its own, or part of the open transaction.
    fn push(&mut self, mark: usize, start: usize) {
        let spans = self.spans.len() - mark;
        let name = self.spans.get(mark).map_or(&b""[..], |span| span.of(&self.bytes[start..]));
        let transaction = match spans {
            1 if name.eq_ignore_ascii_case(b"multi") => Transaction::Opens,
            1 if name.eq_ignore_ascii_case(b"exec") => Transaction::Closes,
            _ => Transaction::Neither,
        };
        let index = self.commands.len();
        self.commands.push(Command { first_span: mark, spans, start, end: self.parsed, transaction });
        match (transaction, self.open) {
            // Seen from redis 6.0 under a random workload. Real replicas answer an error that nobody reads and go on:
            // nothing is lost by it, each command still comes once and in order.
            (Transaction::Opens, Some(_)) => {
                tracing::warn!("the master sent MULTI inside MULTI");
                self.commands[index].transaction = Transaction::Stray;
            }
            (Transaction::Closes, None) => {
                tracing::warn!("the master sent EXEC without MULTI");
                self.commands[index].transaction = Transaction::Stray;
                self.whole = index + 1;
            }
            (Transaction::Opens, None) => self.open = Some(index),
            (Transaction::Closes, Some(_)) => {
                self.open = None;
                self.whole = index + 1;
            }
            (Transaction::Neither | Transaction::Stray, None) => self.whole = index + 1,
            (Transaction::Neither | Transaction::Stray, Some(_)) => {}
        }
    }

    /// The next whole unit, without taking it.
    pub fn unit(&self) -> Option<Unit<'_>> {
        if self.done >= self.whole {
            return None;
        }
        let first = self.done;
        let mut last = first;
        if self.commands[first].transaction == Transaction::Opens {
            while self.commands[last].transaction != Transaction::Closes {
                last += 1;
            }
        }
        let bytes = (self.commands[last].end - self.applied) as u64;
        Some(Unit { stream: self, first, last, bytes })
    }

    /// The first argument of each command that is ready, mostly its key: for asking memory early.
    pub fn likely_keys(&self) -> impl Iterator<Item = &[u8]> {
        let ready = self.commands[self.done..self.whole].iter().filter(|command| command.spans > 1);
        ready.map(|command| self.spans[command.first_span + 1].of(&self.bytes[command.start..]))
    }

    fn args(&self, command: &Command) -> Args<'_> {
        let spans = &self.spans[command.first_span..command.first_span + command.spans];
        Args::new(&self.bytes[command.start..command.end], spans, 0)
    }

    /// The unit that `unit` showed has been applied. Answers its number of commands.
    pub fn applied(&mut self) -> usize {
        let Some(Unit { first, last, .. }) = self.unit() else { return 0 };
        self.done = last + 1;
        self.applied = self.commands[last].end;
        last + 1 - first
    }

    /// The position behind the applied bytes, for [`Stream::applied_since`]. Good until the next `compact`.
    pub fn mark(&self) -> usize {
        self.applied
    }

    /// The bytes applied since this mark, as the master sent them.
    pub fn applied_since(&self, mark: usize) -> &[u8] {
        self.bytes.get(mark..self.applied).unwrap_or_default()
    }

    /// Frees what has been applied. To be called between batches; moves bytes only now and then.
    pub fn compact(&mut self) {
        if self.done == self.commands.len() && self.applied == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(4 * COMPACT_BYTES);
        } else if self.applied < COMPACT_BYTES || self.applied < self.bytes.len() / 2 {
            return;
        } else {
            self.bytes.drain(..self.applied);
        }
        self.forget_done();
    }

    /// Moves the bookkeeping of what is left to the front, as the bytes were.
    fn forget_done(&mut self) {
        let (gone, done) = (self.applied, self.done);
        let first_span = self.commands.get(done).map_or(self.spans.len(), |c| c.first_span);
        self.spans.drain(..first_span);
        self.commands.drain(..done);
        for command in &mut self.commands {
            command.first_span -= first_span;
            command.start -= gone;
            command.end -= gone;
        }
        self.parsed -= gone;
        self.whole -= done;
        self.open = self.open.map(|open| open - done);
        (self.applied, self.done) = (0, 0);
    }
}

impl<'a> Unit<'a> {
    /// All that was sent, MULTI and EXEC too; empty lines are left out.
    pub fn all_commands(&self) -> impl Iterator<Item = Args<'a>> + use<'a> {
        let stream = self.stream;
        stream.commands[self.first..=self.last]
            .iter()
            .filter(|command| command.spans > 0)
            .map(|command| stream.args(command))
    }

    /// MULTI to EXEC?
    pub fn is_transaction(&self) -> bool {
        self.first < self.last
    }

    /// The commands in order, each with the words of its request; MULTI and EXEC and empty lines are left out.
    pub fn commands(&self) -> impl Iterator<Item = Args<'a>> + use<'a> {
        let stream = self.stream;
        stream.commands[self.first..=self.last]
            .iter()
            .filter(|command| command.spans > 0 && command.transaction == Transaction::Neither)
            .map(|command| stream.args(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &[u8] = b"*1\r\n$4\r\nPING\r\n\n*1\r\n$5\r\nmulti\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n\
        *2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";

    /// Units as (bytes, names), fed in pieces; compacts after each unit.
    fn units(input: &[u8], piece: usize) -> Vec<(u64, Vec<String>)> {
        let (mut stream, mut out) = (Stream::default(), vec![]);
        for bytes in input.chunks(piece) {
            stream.extend(bytes);
            while stream.parse(2).unwrap() {
                let unit = stream.unit().unwrap();
                let name = |args: Args<'_>| String::from_utf8_lossy(args.word(0).unwrap()).into_owned();
                out.push((unit.bytes, unit.commands().map(name).collect()));
                stream.applied();
                stream.compact();
                if stream.applied > 0 && stream.applied * 2 >= stream.bytes.len() {
                    stream.bytes.drain(..stream.applied);
                    stream.forget_done();
                }
            }
        }
        out
    }

    #[test]
    fn a_transaction_is_one_unit_whatever_the_pieces() {
        let expected = vec![
            (14, vec!["PING".to_owned()]),
            (1, vec![]),
            (15 + 20 + 21 + 14, vec!["DEL".to_owned(), "INCR".to_owned()]),
            (23, vec!["SELECT".to_owned()]),
        ];
        for piece in 1..=INPUT.len() {
            assert_eq!(units(INPUT, piece), expected, "pieces of {piece}");
        }
        assert_eq!(expected.iter().map(|unit| unit.0).sum::<u64>(), INPUT.len() as u64);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_transaction_may_be_longer_than_32_bits_count() {
        const LONG: usize = u32::MAX as usize + 10;
        let (head, tail) =
            (&b"*1\r\n$5\r\nMULTI\r\n"[..], &b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*1\r\n$4\r\nEXEC\r\n"[..]);
        let mut stream = Stream::default();
        stream.extend(head);
        assert_eq!(stream.parse(64), Ok(false));
        // As if other commands had come in between: zeros that nobody looks at take no memory.
        stream.bytes = vec![0; LONG + tail.len()];
        stream.bytes[LONG..].copy_from_slice(tail);
        stream.parsed = LONG;
        assert_eq!(stream.parse(64), Ok(true));
        let unit = stream.unit().unwrap();
        let words: Vec<Vec<&[u8]>> = unit.commands().map(|args| args.words().collect()).collect();
        assert_eq!((unit.bytes, words), ((LONG + tail.len()) as u64, vec![vec![&b"DEL"[..], b"k"]]));
        stream.applied();
        stream.compact();
        assert_eq!(stream.pending_bytes(), 0);
    }

    #[test]
    fn an_open_transaction_is_no_unit() {
        let mut stream = Stream::default();
        stream.extend(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
        assert_eq!(stream.parse(64), Ok(false));
        assert!(stream.in_transaction() && stream.unit().is_none());
    }

    #[test]
    fn a_stray_multi_or_exec_counts_and_does_nothing() {
        let input =
            b"*1\r\n$4\r\nEXEC\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n\
            *1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nEXEC\r\n";
        for piece in 1..=input.len() {
            let expected = vec![(14, vec![]), (15 + 15 + 20 + 14, vec!["DEL".to_owned()]), (14, vec![])];
            assert_eq!(units(input, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_an_error() {
        for (input, text) in [
            (&b"+OK\r\n"[..], "inline command in the replication stream"),
            (b"*1\r\n+OK\r\n", "expected '$', got '+'"),
        ] {
            let mut stream = Stream::default();
            stream.extend(input);
            assert_eq!(stream.parse(64).unwrap_err().to_string(), text);
        }
    }
}
