//! What is done with foreign bytes, as functions that must not panic, hang or allocate out of proportion.
//!
//! A body also asserts what must hold of everything that was accepted. Shared by the fuzz targets and by
//! tests/it/fuzz_smoke.rs.

use bytes::Bytes;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use remora::clock::UnixMs;
use remora::dataset::digest::{self, Digest, DigestStyle};
use remora::dataset::packed::intset::Intset;
use remora::dataset::packed::listpack::{IntText, Listpack};
use remora::dataset::{Dataset, EncodingLimits, EntryRef, Keyspace};
use remora::position::{DbIndex, Offset, Position, ReplId};
use remora::rdb::legacy::{ziplist, zipmap};
use remora::rdb::load::{LoadSettings, Loaded, Progress, load};
use remora::rdb::save::{dump_payload, restore_functions, restore_payload};
use remora::rdb::source::Source;
use remora::rdb::{LoadError, lzf};
use remora::repl::apply;
use remora::repl::stream::Stream;
use remora::resp::request::{Parser, RequestError, RequestLimits};

const NOW: UnixMs = UnixMs(2_000_000_000_000);

/// A snapshot: loads the same whole and in chunks; what it holds survives DUMP and RESTORE.
pub(crate) fn snapshot(data: &[u8]) {
    let whole = load_from(Source::from_slice(data));
    let mut chunks = data.chunks(13);
    let cut = Source::new(move || Ok(chunks.next().map(Bytes::copy_from_slice)));
    let cut = load_from(cut.expecting(data.len() as u64));
    assert_eq!(whole.as_ref().map(digest_of), cut.as_ref().map(digest_of), "chunks make a difference");
    if let Ok(loaded) = whole {
        each_value_survives_its_payload(&loaded.dataset);
    }
    let limits = EncodingLimits::default();
    drop((restore_payload(data, &limits), restore_functions(data)));
}

/// A snapshot that is said to go on for ever, as its length and its master's memory say.
pub(crate) fn endless_snapshot(data: &[u8]) {
    let mut chunks = data.chunks(4096);
    let source = Source::new(move || Ok(chunks.next().map(Bytes::copy_from_slice)));
    drop(load_from(source.expecting(u64::MAX)));
}

/// A compact blob of each kind: what is accepted reads the same from both ends and stays valid when edited.
pub(crate) fn packed(data: &[u8]) {
    if let Ok(pack) = Listpack::parse(data) {
        listpack_holds(pack);
    }
    for pack in [ziplist::to_listpack(data), zipmap::to_listpack(data)].into_iter().flatten() {
        listpack_holds(pack);
    }
    if let Ok(set) = Intset::parse(data) {
        intset_holds(set);
    }
    if let Some((len, rest)) = data.split_first_chunk::<2>() {
        let _ = lzf::decompress(rest, usize::from(u16::from_le_bytes(*len)), &mut Vec::new());
    }
}

/// Requests of a client: parsed the same whole and cut anywhere; an array of bulk strings as redis-protocol reads it.
pub(crate) fn request(data: &[u8]) {
    for limits in [RequestLimits::CLIENT, RequestLimits::UNAUTHENTICATED, RequestLimits::STREAM] {
        let whole = requests(data, data.len().max(1), &limits);
        assert_eq!(whole, requests(data, 7, &limits), "pieces make a difference");
        assert_eq!(whole, requests(data, 1, &limits), "pieces make a difference");
    }
    let Ok(Some((OwnedFrame::Array(frames), _))) = decode(data) else { return };
    let word = |frame: OwnedFrame| if let OwnedFrame::BulkString(word) = frame { Some(word) } else { None };
    let Some(words) = frames.into_iter().map(word).collect::<Option<Vec<_>>>() else { return };
    if let Some(first) = requests(data, data.len(), &RequestLimits::CLIENT).0.first() {
        assert_eq!(*first, words, "redis-protocol reads it otherwise");
    }
}

/// Requests until the bytes end or are refused, fed in pieces.
fn requests(data: &[u8], piece: usize, limits: &RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    let (mut parser, mut spans, mut bytes, mut all) = (Parser::default(), Vec::new(), Vec::new(), Vec::new());
    for piece in data.chunks(piece) {
        bytes.extend_from_slice(piece);
        loop {
            match parser.parse(&mut bytes, 0, &mut spans, limits) {
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
                Ok(Some(used)) => {
                    all.push(spans.drain(..).map(|span| span.of(&bytes).to_vec()).collect());
                    bytes.drain(..used);
                }
            }
        }
    }
    (all, None)
}

/// A replication stream: applied the same in one piece and in many; what it leaves survives DUMP and RESTORE.
pub(crate) fn stream(data: &[u8]) {
    let (whole, position) = applied(data, data.len().max(1));
    let (cut, _) = applied(data, 11);
    assert!(position <= data.len() as u64, "more bytes applied than came");
    let digest = |data: &Dataset| digest::dataset(data, DigestStyle::Redis8, NOW);
    assert_eq!(digest(&whole), digest(&cut), "pieces make a difference");
    each_value_survives_its_payload(&whole);
}

fn applied(data: &[u8], piece: usize) -> (Dataset, u64) {
    let nowhere = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
    let mut dataset = Dataset::new(4, nowhere, EncodingLimits::default());
    let (mut stream, mut aside) = (Stream::default(), apply::Aside::default());
    'all: for piece in data.chunks(piece) {
        stream.extend(piece);
        while let Ok(true) = stream.parse(64) {
            while let Some(unit) = stream.unit() {
                if apply::unit(&mut dataset, &unit, NOW, &mut aside).is_err() {
                    break 'all;
                }
                stream.applied();
            }
            stream.compact();
        }
    }
    let offset = dataset.position.offset.0;
    (dataset, offset)
}

fn load_from(mut source: Source<'_>) -> Result<Loaded, LoadError> {
    let settings = LoadSettings { databases: 16, ..LoadSettings::default() };
    load(&mut source, &settings, &Progress::default())
}

fn digest_of(loaded: &Loaded) -> Digest {
    digest::dataset(&loaded.dataset, DigestStyle::Redis8, NOW)
}

fn each_value_survives_its_payload(data: &Dataset) {
    for entry in data.dbs().flat_map(|(_, db)| db.iter()) {
        let Some(payload) = dump_payload(entry.value(), data.limits.dialect) else { continue };
        let value = restore_payload(&payload, &data.limits).expect("our own payload is valid");
        let mut other = Keyspace::default();
        other.insert(entry.key(), value.expect("no empty collections are kept"), entry.expiry());
        let same = |entry: EntryRef<'_>| digest::value(entry, DigestStyle::Redis8, NOW);
        assert_eq!(other.get(entry.key()).map(same), Some(same(entry)), "a payload changed its value");
    }
}

fn listpack_holds(mut pack: Listpack) {
    let forward: Vec<Vec<u8>> = pack.iter().map(|element| element.to_vec()).collect();
    let backward: Vec<Vec<u8>> = pack.iter().rev().map(|element| element.to_vec()).collect();
    assert!(forward.iter().eq(backward.iter().rev()), "the two directions disagree");
    assert_eq!(pack.len(), forward.len());
    let (middle, mut scratch) = (forward.len() / 2, IntText::default());
    if let Some(text) = forward.get(middle) {
        let first = pack.find(text, 1).expect("an element that is there");
        assert!(first <= middle && pack.get(middle).is_some_and(|element| element.text(&mut scratch) == text));
    }
    pack.insert(middle, b"an inserted text");
    pack.replace(0, b"-4097");
    pack.remove(middle.saturating_add(1), 2);
    pack.push(b"12");
    assert_eq!(Listpack::parse(pack.as_bytes()).as_ref(), Ok(&pack), "an edit made it invalid");
}

fn intset_holds(mut set: Intset) {
    assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a < b) && set.iter().all(|n| set.contains(n)));
    for n in [0, -1, i64::MAX] {
        let added = set.insert(n);
        assert!(set.contains(n) && (!added || set.remove(n)), "{n} is not where it was put");
    }
    assert_eq!(Intset::parse(set.as_bytes()).as_ref(), Ok(&set), "an edit made it invalid");
}
