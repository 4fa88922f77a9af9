//! The requests that a session has queued since MULTI.

use crate::command::args::{Args, Span};
use crate::command::table::Indexed;
use crate::limits::{MULTI_BYTES_MAX, MULTI_REQUESTS_MAX};

/// Requests in order, each with its row. An aborted queue holds none.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    requests: Vec<Queued>,
    aborted: bool,
    /// Holds one that must not run while the data are too stale to be shown.
    not_stale: bool,
    /// Holds one that must not run while nothing is loaded.
    not_loading: bool,
}

/// One queued request: its row, how many words its name takes, where its words are.
#[derive(Clone, Copy, Debug)]
struct Queued {
    found: Indexed,
    named: usize,
    first_span: usize,
}

/// The queue has reached a bound of `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl Queue {
    /// Adds a request that passed the checks; with `fresh` it must not run while the data are too stale to be shown. After
    /// an error nothing is kept, as it will not run.
    pub fn push(&mut self, found: Indexed, named: usize, args: &Args<'_>, fresh: bool) -> Result<(), QueueFull> {
        if self.aborted {
            return Ok(());
        }
        let more: usize = args.words().map(<[u8]>::len).sum();
        if self.requests.len() >= MULTI_REQUESTS_MAX || self.cost() + more > MULTI_BYTES_MAX {
            return Err(QueueFull);
        }
        self.requests.push(Queued { found, named, first_span: self.spans.len() });
        for word in args.words() {
            // MULTI_BYTES_MAX fits into 32 bits.
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(word);
            self.spans.push(Span { start, end: self.bytes.len() as u32 });
        }
        self.not_stale |= fresh;
        self.not_loading |= !found.row.loading;
        Ok(())
    }

    /// An error at queueing: EXEC will refuse, so what is queued is let go. Which refusal that is still depends on it (as
    /// redis).
    pub fn abort(&mut self) {
        let Self { not_stale, not_loading, .. } = *self;
        *self = Self { aborted: true, not_stale, not_loading, ..Self::default() };
    }

    /// Was there an error at queueing?
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Holds a request that must not run while the data are too stale to be shown.
    pub fn needs_fresh(&self) -> bool {
        self.not_stale
    }

    /// Holds a request that must not run before anything is loaded.
    pub fn needs_data(&self) -> bool {
        self.not_loading
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes that the queue takes.
    pub fn cost(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>() + self.requests.len() * size_of::<Queued>()
    }

    /// The requests in order: the row, how many words its name takes, all words with the cursor behind the name.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = (Indexed, usize, Args<'_>)> {
        self.requests.iter().enumerate().map(|(at, queued)| {
            let end = self.requests.get(at + 1).map_or(self.spans.len(), |next| next.first_span);
            let args = Args::new(&self.bytes, &self.spans[queued.first_span..end], queued.named);
            (queued.found, queued.named, args)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    fn push(queue: &mut Queue, words: &[&str]) -> Result<(), QueueFull> {
        let (found, named) = table::find(words[0].as_bytes(), None).expect("a row");
        let bytes = words.concat();
        let mut at = 0;
        let span = |word: &&str| {
            let start = at;
            at += word.len() as u32;
            Span { start, end: at }
        };
        let spans: Vec<Span> = words.iter().map(span).collect();
        queue.push(found, named, &Args::new(bytes.as_bytes(), &spans, named), !found.row.stale)
    }

    #[test]
    fn requests_come_out_as_they_went_in() {
        let mut queue = Queue::default();
        for words in [&["ping"][..], &["mget", "a", "", "c"], &["get", "k"]] {
            assert_eq!(push(&mut queue, words), Ok(()));
        }
        let all: Vec<_> =
            queue.requests().map(|(found, _, args)| (found.row.name, args.collect::<Vec<_>>())).collect();
        assert_eq!(all[1], ("mget", vec![&b"a"[..], b"", b"c"]));
        assert_eq!(all[2], ("get", vec![&b"k"[..]]));
        assert_eq!((all.len(), all[0].1.len()), (3, 0));
        assert!(queue.needs_fresh() && queue.needs_data());
    }

    #[test]
    fn an_aborted_queue_keeps_nothing() {
        let mut queue = Queue::default();
        let _ = push(&mut queue, &["get", "k"]);
        queue.abort();
        assert_eq!(push(&mut queue, &["get", "k"]), Ok(()));
        assert!(queue.is_aborted() && queue.is_empty() && queue.cost() == 0);
    }

    #[test]
    fn a_queue_is_bounded_in_requests_and_in_bytes() {
        let mut queue = Queue::default();
        let long = "x".repeat(MULTI_BYTES_MAX / 4);
        let pushed = (0..5).map_while(|_| push(&mut queue, &["get", &long]).ok()).count();
        assert_eq!(pushed, 3, "the fourth and its share of bookkeeping do not fit");
        let mut queue = Queue::default();
        let pushed = (0..=MULTI_REQUESTS_MAX).map_while(|_| push(&mut queue, &["ping"]).ok()).count();
        assert_eq!(pushed, MULTI_REQUESTS_MAX);
    }
}
