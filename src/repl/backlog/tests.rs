//! At every boundary, and against a plain vector.

use super::*;
use crate::clock::UnixMs;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

fn backlog(block: usize, size: u64, held_max: u64) -> Arc<Backlog> {
    Arc::new(Backlog::with_blocks(block, size, held_max, Arc::new(Status::new(UnixMs(0)))))
}

fn at(next: u64) -> Offset {
    Offset(next)
}

/// Everything a cursor can take now.
fn drain(cursor: &mut Cursor) -> Result<Vec<u8>, Lost> {
    let mut all = Vec::new();
    while let Some(bytes) = cursor.take()? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[test]
fn there_is_nothing_to_attach_to_before_a_history() {
    let log = backlog(4, 8, 16);
    assert_eq!((log.first(), log.end(), log.append(b"abcdef")), (None, None, None));
    assert!(log.attach(at(0)).is_none() && log.attach(at(1)).is_none());
    log.reset(at(100), "full-resync");
    assert_eq!((log.first(), log.end()), (Some(at(101)), Some(at(100))));
    assert!(log.attach(at(101)).is_some());
    assert!(log.attach(at(100)).is_none() && log.attach(at(102)).is_none());
}

#[test]
fn every_place_between_first_and_end_can_be_read_from_whatever_the_batches() {
    let text = b"abcdefghijklmnopqrstuvwxyz";
    for piece in 1..=text.len() {
        let log = backlog(4, 10, 1000);
        log.reset(at(100), "full-resync");
        for bytes in text.chunks(piece) {
            log.append(bytes);
        }
        let (first, end) = (log.first().unwrap().0, log.end().unwrap().0);
        assert_eq!(end, 126, "in pieces of {piece}");
        assert!((10..=14).contains(&(end + 1 - first)), "{first} to {end}, in pieces of {piece}");
        for next in first..=end + 1 {
            let mut cursor = log.attach(at(next)).unwrap();
            assert_eq!(cursor.behind(), end + 1 - next);
            assert_eq!(drain(&mut cursor).unwrap(), &text[(next - 101) as usize..], "from {next}");
            assert_eq!((cursor.behind(), cursor.taken()), (0, at(end)));
        }
        assert!(log.attach(at(first - 1)).is_none() && log.attach(at(end + 2)).is_none());
    }
}

#[test]
fn cursors_at_the_same_place_share_one_copy() {
    let log = backlog(64, 64, 64);
    log.reset(at(0), "full-resync");
    let (mut a, mut b) = (log.attach(at(1)).unwrap(), log.attach(at(1)).unwrap());
    log.append(b"hello");
    let (x, y) = (a.take().unwrap().unwrap(), b.take().unwrap().unwrap());
    assert_eq!((&x[..], x.as_ptr()), (&b"hello"[..], y.as_ptr()));
    log.append(b" you");
    let mut late = log.attach(at(3)).unwrap();
    assert_eq!(drain(&mut late).unwrap(), b"llo you");
    assert_eq!(drain(&mut a).unwrap(), b" you");
}

#[test]
fn a_cursor_holds_its_bytes_up_to_the_bound_and_is_then_overrun() {
    let log = backlog(4, 4, 12);
    log.reset(at(0), "full-resync");
    let mut slow = log.attach(at(1)).unwrap();
    log.append(&[b'x'; 12]);
    assert_eq!((log.first(), slow.behind()), (Some(at(1)), 12));
    log.append(&[b'y'; 4]);
    assert_eq!(log.first(), Some(at(5)), "one block more than the bound");
    assert_eq!(slow.take(), Err(Lost::Overrun));
    drop(slow);
    log.append(&[b'z'; 4]);
    assert_eq!(log.first(), Some(at(17)), "nobody holds more than the size");
}

#[test]
fn a_reset_or_a_new_name_cuts_all_cursors_and_says_why() {
    let log = backlog(4, 100, 100);
    log.reset(at(0), "full-resync");
    log.append(b"abcdef");
    let mut old = log.attach(at(1)).unwrap();
    let fork = old.fork();
    log.cut_all("new-id");
    assert_eq!((old.take(), fork.cut()), (Err(Lost::Cut("new-id")), Some("new-id")));
    let mut new = log.attach(at(1)).unwrap();
    assert_eq!((drain(&mut new).unwrap(), new.cut()), (b"abcdef".to_vec(), None));
    log.reset(at(500), "full-resync");
    assert_eq!(new.take(), Err(Lost::Cut("full-resync")));
    assert_eq!((log.first(), log.end()), (Some(at(501)), Some(at(500))));
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_feeder_is_woken_once_for_what_it_has_not_seen() {
    let log = backlog(4, 100, 100);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let (mut cx, mut seen) = (Context::from_waker(&waker), Seen::default());
    assert!(log.poll_news(&mut cx, &mut seen).is_pending());
    log.publish(at(5));
    log.publish(at(6));
    assert_eq!(counter.0.load(SeqCst), 1);
    assert!(log.poll_news(&mut cx, &mut seen).is_ready() && log.poll_news(&mut cx, &mut seen).is_pending());
    log.cut_all("new-id");
    log.publish(at(6));
    assert_eq!(counter.0.load(SeqCst), 2);
    assert!(log.poll_news(&mut cx, &mut seen).is_ready());
    log.publish(at(7));
    assert_eq!(counter.0.load(SeqCst), 2, "nobody sleeps, nobody is woken");
}

/// The same operations on a ring and on a plain vector that forgets nothing.
#[test]
fn it_agrees_with_a_plain_vector() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..20 {
        let (block, size) = (rng.usize(1..40), rng.u64(1..200));
        let held_max = rng.u64(1..600).max(size);
        let log = backlog(block, size, held_max);
        let start = rng.u64(0..1000);
        log.reset(at(start), "full-resync");
        let mut all: Vec<u8> = Vec::new();
        let mut cursors: Vec<(Cursor, u64)> = Vec::new();
        for _ in 0..400 {
            match rng.u32(..10) {
                0..4 => {
                    let bytes: Vec<u8> = (0..rng.usize(..90)).map(|_| rng.u8(..)).collect();
                    log.append(&bytes);
                    all.extend(bytes);
                }
                4 => {
                    let next = rng.u64(start.saturating_sub(2)..start + all.len() as u64 + 4);
                    let there = (log.first().unwrap().0..=start + all.len() as u64 + 1).contains(&next);
                    let cursor = log.attach(at(next));
                    assert_eq!(cursor.is_some(), there, "attaching at {next}");
                    cursors.extend(cursor.map(|cursor| (cursor, next)));
                }
                5 if !cursors.is_empty() => drop(cursors.swap_remove(rng.usize(..cursors.len()))),
                _ if !cursors.is_empty() => {
                    let at = rng.usize(..cursors.len());
                    let (cursor, next) = &mut cursors[at];
                    match cursor.take() {
                        Ok(None) => assert_eq!(*next, start + all.len() as u64 + 1),
                        Ok(Some(bytes)) => {
                            let from = (*next - start - 1) as usize;
                            assert_eq!(bytes, all[from..from + bytes.len()]);
                            *next += bytes.len() as u64;
                        }
                        Err(lost) => {
                            assert_eq!(lost, Lost::Overrun);
                            assert!(start + all.len() as u64 - *next >= held_max.saturating_sub(block as u64));
                            drop(cursors.swap_remove(at));
                        }
                    }
                }
                _ => {}
            }
            let end = start + all.len() as u64;
            assert_eq!(log.end(), Some(at(end)));
            let kept = end + 1 - log.first().unwrap().0;
            assert!(kept >= size.min(all.len() as u64), "{kept} bytes kept of {size}");
            assert!(kept <= held_max + 2 * block as u64, "{kept} bytes kept, {held_max} may be held");
        }
    }
}
