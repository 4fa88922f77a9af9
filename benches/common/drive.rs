//! Load on a server: fifty connections that send batches of pipelined requests and read all replies before the next.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 50;

/// Asks from all connections, `depth` requests at a time out of `batches`, until about `requests` are answered, and
/// returns how many were. A reply that is an error fails the bench.
pub fn drive(port: u16, depth: usize, requests: usize, batches: Vec<Vec<u8>>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let batches = Arc::new(batches);
    runtime.block_on(async {
        let each = (requests / CONNECTIONS / depth).max(1);
        let mut tasks = Vec::new();
        for connection in 0..CONNECTIONS {
            let batches = Arc::clone(&batches);
            tasks.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connecting");
                stream.set_nodelay(true).expect("a socket");
                let mut replies = Vec::with_capacity(64 * 1024);
                for turn in 0..each {
                    stream.write_all(&batches[(connection * 7919 + turn) % batches.len()]).await.expect("sending");
                    read_replies(&mut stream, depth, &mut replies).await;
                }
                each * depth
            }));
        }
        let mut done = 0;
        for task in tasks {
            done += task.await.expect("a connection");
        }
        done
    })
}

/// Some thousand batches of requests, made before the clock runs: `request` adds one by chance.
pub fn batches(
    depth: usize,
    seed: u64,
    mut request: impl FnMut(&mut fastrand::Rng, &mut Vec<u8>),
) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut batch = || {
        let mut bytes = Vec::new();
        (0..depth).for_each(|_| request(&mut rng, &mut bytes));
        bytes
    };
    (0..20_000).map(|_| batch()).collect()
}

async fn read_replies(stream: &mut TcpStream, count: usize, replies: &mut Vec<u8>) {
    replies.clear();
    let (mut left, mut at) = (count, 0);
    while left > 0 {
        if let Some(end) = reply_end(replies, at) {
            (at, left) = (end, left - 1);
            continue;
        }
        let read = stream.read_buf(replies).await.expect("replies");
        assert!(read > 0, "the server closed the connection");
    }
    assert_eq!(at, replies.len(), "a reply too many");
}

/// Where the reply of RESP2 that begins at `at` ends, if all of it is there.
fn reply_end(bytes: &[u8], at: usize) -> Option<usize> {
    let line = at + memchr::memchr(b'\n', bytes.get(at..)?)?;
    let number = || -> i64 {
        let text = bytes.get(at + 1..line - 1).and_then(|digits| std::str::from_utf8(digits).ok());
        text.and_then(|text| text.parse().ok()).expect("a length")
    };
    match bytes[at] {
        b'+' | b':' => Some(line + 1),
        b'$' => {
            let end = usize::try_from(number()).map_or(line + 1, |len| line + 1 + len + 2);
            (end <= bytes.len()).then_some(end)
        }
        b'*' => (0..number()).try_fold(line + 1, |at, _| reply_end(bytes, at)),
        _ => panic!("not what was asked for: {}", bytes[at..line].escape_ascii()),
    }
}
