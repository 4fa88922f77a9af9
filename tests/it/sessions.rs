//! What five masters once sent to a replica, byte by byte, sent again by a script: the end is the captured one.

use crate::support::chance;
use crate::support::fixture::Fixture;
use crate::support::real::for_each_master;
use crate::support::remora::Remora;
use crate::support::script::{Link, Master};
use std::time::Duration;

for_each_master!(a_captured_session_ends_with_its_digest, a_captured_session_survives_cuts_at_random_bytes);

/// A captured session, taken apart.
struct Session {
    fixture: Fixture,
    replid: String,
    start: u64,
    /// From `$` of the snapshot to its end, end mark included.
    snapshot: Vec<u8>,
    stream: Vec<u8>,
}

impl Session {
    fn load(server: &str) -> Self {
        let fixture = Fixture::load(&format!("{server}.session.bin"));
        let number = |name: &str| fixture.get(&[name]).as_u64().unwrap_or_else(|| panic!("{name} in the json"));
        let (start, stream_bytes) = (number("offset_at_snapshot"), number("stream_bytes"));
        let replid = fixture.get(&["replid"]).as_str().expect("a replid").to_string();
        let head = memchr::memmem::find(&fixture.bytes, b"+FULLRESYNC").expect("a full resync");
        let line = head + memchr::memchr(b'\n', &fixture.bytes[head..]).expect("its line end") + 1;
        let behind = fixture.bytes.len() - usize::try_from(stream_bytes).expect("it fits");
        let (snapshot, stream) = (fixture.bytes[line..behind].to_vec(), fixture.bytes[behind..].to_vec());
        Self { fixture, replid, start, snapshot, stream }
    }

    fn digest(&self) -> &str {
        self.fixture.get(&["final", "digest_of_maker"]).as_str().expect("a digest")
    }

    /// Up to the first ACK, without which a master does not start the stream.
    fn begin(&self, master: &Master, remora: &Remora) -> Link {
        let mut link = master.accept();
        assert_eq!(link.handshake(), ("?".to_string(), -1));
        link.say(format!("+FULLRESYNC {} {}\r\n", self.replid, self.start));
        link.say(&self.snapshot);
        link.wait_ack(self.start);
        remora.wait_linked();
        link
    }

    fn assert_ended(&self, remora: &Remora) {
        let mut client = remora.client();
        assert_eq!(client.digest(), self.digest(), "digest at the end of {}", self.fixture.name);
        for (db, keys) in self.fixture.get(&["final", "dbsize"]).as_object().expect("dbsize") {
            client.must(&format!("SELECT {db}"));
            assert_eq!(client.must("DBSIZE").int(), keys.as_i64().expect("a number"), "keys of database {db}");
        }
    }
}

fn a_captured_session_ends_with_its_digest(server: &str) {
    let session = Session::load(server);
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = session.begin(&master, &remora);
    link.say(&session.stream);
    link.wait_ack(session.start + session.stream.len() as u64);
    session.assert_ended(&remora);
}

fn a_captured_session_survives_cuts_at_random_bytes(server: &str) {
    let session = Session::load(server);
    let boundaries = boundaries(&session.stream);
    let mut rng = chance::seeded("a_captured_session_survives_cuts_at_random_bytes");
    let cuts = chance::size("REMORA_TEST_CUTS", 6);
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);

    let mut link = session.begin(&master, &remora);
    let mut sent = 0;
    for _ in 0..cuts {
        let next = rng.usize(sent..session.stream.len());
        link.say(&session.stream[sent..next]);
        link.finish();
        link = master.accept();
        let (replid, wanted) = link.handshake();
        assert_eq!(replid, session.replid);
        // What is complete up to the cut is kept, the rest is asked for again: half a command, an open transaction.
        let kept = boundaries[..].partition_point(|end| *end <= next);
        let kept = if kept == 0 { 0 } else { boundaries[kept - 1] };
        let wanted =
            usize::try_from(wanted).expect("an offset") - usize::try_from(session.start).expect("it fits") - 1;
        assert_eq!(wanted, kept, "asked for after {next} bytes of the stream");
        link.resume(&session.replid);
        sent = wanted;
    }
    link.say(&session.stream[sent..]);
    link.wait_ack(session.start + session.stream.len() as u64);
    session.assert_ended(&remora);
    assert_eq!(remora.metric("remora_partial_syncs_total"), cuts as f64);
    assert!(master.accept_within(Duration::ZERO).is_none(), "no further connection");
}

/// Where a replica may stand: behind each command that is not inside MULTI, and behind EXEC.
fn boundaries(stream: &[u8]) -> Vec<usize> {
    let (mut at, mut open, mut ends) = (0, false, Vec::new());
    while at < stream.len() {
        let name_at = at + line_end(&stream[at..]);
        let name_at = name_at + line_end(&stream[name_at..]);
        let count: usize = number(&stream[at + 1..]);
        at += line_end(&stream[at..]);
        for _ in 0..count {
            let length = number(&stream[at + 1..]);
            at += line_end(&stream[at..]) + length + 2;
        }
        let name = stream[name_at..].split(|byte| *byte == b'\r').next().unwrap_or_default().to_ascii_uppercase();
        open = name == b"MULTI" || (open && name != b"EXEC");
        if !open {
            ends.push(at);
        }
    }
    ends
}

fn line_end(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).expect("a line") + 1
}

fn number(bytes: &[u8]) -> usize {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}
