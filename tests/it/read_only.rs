//! Every write row is refused to clients: arity first, then READONLY. `replies::refused` compares with real replicas.

use crate::support::client::{Client, encode};
use crate::support::fixture::Fixture;
use crate::support::remora::Remora;
use crate::support::script::Master;
use remora::command::row::Row;
use remora::command::table;

/// A request of `count` words for this row.
fn request(row: &Row, count: usize) -> Vec<u8> {
    let mut words: Vec<&str> = row.name.split(' ').collect();
    words.resize(count.max(words.len()), "1");
    encode(&words)
}

/// Requests that fit the row, and those that are too short or too long.
fn requests(row: &Row) -> (Vec<u8>, Vec<Vec<u8>>) {
    let wanted = usize::from(row.arity.unsigned_abs());
    let named = row.name.split(' ').count();
    let mut unfit = Vec::new();
    if wanted > named {
        unfit.push(request(row, wanted - 1));
    }
    if row.arity > 0 {
        unfit.push(request(row, wanted + 1));
    }
    (request(row, wanted), unfit)
}

fn ask(client: &mut Client, request: &[u8]) -> String {
    client.send_raw(request);
    client.raw_reply().escape_ascii().to_string()
}

#[test]
fn every_write_row_is_refused_after_its_arity() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let mut client = remora.client();
    let before = client.digest();
    let mut rows = 0;
    for row in table::rows().filter(|row| row.is_write()) {
        let (fitting, unfit) = requests(row);
        let refusal = ask(&mut client, &fitting);
        assert_eq!(refusal, "-READONLY You can\\'t write against a read only replica.\\r\\n", "{}", row.name);
        for request in unfit {
            let refusal = ask(&mut client, &request);
            assert!(refusal.starts_with("-ERR wrong number of arguments for"), "{}: {refusal}", row.name);
        }
        rows += 1;
    }
    assert!(rows > 100, "only {rows} write rows");
    assert_eq!(client.digest(), before, "nothing was written");
}
