//! The bounds of requests, before and after authentication, are those of a real server, to the byte; so are those of
//! replies.

use crate::support::client::{Client, Ending};
use crate::support::fixture::Fixture;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::script::{Link, Master};
use crate::support::wait;
use std::time::Duration;

fn loaded(flags: &[&str]) -> (Master, Remora, Link) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, flags);
    let link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    remora.wait_logged(&["snapshot is in place"]);
    (master, remora, link)
}

/// What comes back from both for these bytes, and whether they then closed. One of them may be late.
fn answers(ports: [u16; 2], bytes: &[u8]) -> [(String, Ending); 2] {
    let mut clients = ports.map(Client::connect);
    clients.iter_mut().for_each(|client| drop(client.try_send_raw(bytes)));
    let pause = Duration::from_millis(400);
    let mut heard = clients.each_mut().map(|client| client.rest(pause));
    wait::within(SOON, || {
        if heard[0] == heard[1] {
            return true;
        }
        for (client, (said, ending)) in clients.iter_mut().zip(&mut heard) {
            if *ending == Ending::Silent {
                let (more, end) = client.rest(pause);
                said.extend(more);
                *ending = end;
            }
        }
        false
    });
    heard.map(|(said, ending)| (said.escape_ascii().to_string(), ending))
}

fn malformed() -> Vec<Vec<u8>> {
    let inline = "x".repeat(70_000);
    let requests: [&[u8]; 22] = [
        b"*3000000000\r\n",
        b"*abc\r\n",
        b"*-5\r\nPING\r\n",
        b"*0\r\nPING\r\n",
        b"\r\nPING\r\n",
        b"\n\nPING\n",
        b"*1\r\n+PING\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$abc\r\n",
        b"*1\r\n$536870913\r\n",
        b"*2\r\n$4\r\nECHO\r\n$99999999999999999999\r\n",
        b"PING \"unbalanced\r\n",
        b"ECHO \"a\\x41b\\n\"\r\n",
        b"ECHO 'it\\'s'\r\n",
        b"ECHO \"a\"b\r\n",
        b"   PING   \r\n",
        b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPINGXX",
        b"NOSUCH a b\r\n",
        b"*2\r\n$4\r\nPING\r\n",
        b"$4\r\nPING\r\n",
        inline.as_bytes(),
    ];
    let mut all: Vec<Vec<u8>> = requests.iter().map(|bytes| bytes.to_vec()).collect();
    // Forms that a browser was made to send.
    all.extend([&b"POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n"[..], b"host: x\r\nPING\r\n"].map(<[u8]>::to_vec));
    all.push([b"*", "1".repeat(70_000).as_bytes()].concat());
    all.push([b"*1\r\n$", "1".repeat(70_000).as_bytes()].concat());
    all
}

#[test]
fn malformed_requests_get_the_answers_of_a_real_server() {
    let Some(real) = Real::start("redis-8.0", &[]) else { return };
    let (_master, remora, _link) = loaded(&[]);
    for bytes in malformed() {
        let shown = bytes[..bytes.len().min(60)].escape_ascii().to_string();
        let [expected, found] = answers([real.port, remora.port], &bytes);
        assert_eq!(expected, found, "left redis, right remora: {shown}");
    }
}

#[test]
fn limits_before_authentication_are_those_of_a_real_server() {
    let Some(real) = Real::start("redis-8.0", &["--requirepass pw"]) else { return };
    let (_master, remora, _link) = loaded(&["--requirepass", "pw"]);
    let requests: [&[u8]; 9] = [
        b"PING\r\n",
        b"GET k\r\n",
        b"*11\r\n",
        b"*10\r\n$4\r\nPING\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n",
        b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n",
        b"AUTH pw\r\nPING\r\n",
        b"AUTH default pw\r\nECHO x\r\n",
    ];
    for bytes in requests {
        let shown = bytes.escape_ascii().to_string();
        let [expected, found] = answers([real.port, remora.port], bytes);
        assert_eq!(expected, found, "left redis, right remora: {shown}");
    }
}

#[test]
fn clients_beyond_maxclients_are_told_so_and_closed() {
    let (_master, remora, _link) = loaded(&["--maxclients", "3"]);
    wait::until("the start's own connections are gone", SOON, || remora.metric("remora_clients") == 0.0);
    let mut admitted: Vec<Client> = (0..3).map(|_| remora.client()).collect();
    admitted.iter_mut().for_each(|client| drop(client.must("PING")));
    let (refusal, ending) = remora.client().rest(SOON);
    assert_eq!((&refusal[..], ending), (&b"-ERR max number of clients reached\r\n"[..], Ending::Closed));
    admitted.pop();
    wait::until("a place is free again", SOON, || {
        Client::connect(remora.port).try_call("PING").is_ok_and(|reply| !reply.is_error())
    });
}

#[test]
fn a_pipeline_of_ten_thousand_requests_is_answered_in_order() {
    let (_master, remora, _link) = loaded(&[]);
    let mut client = remora.client();
    let requests: Vec<Vec<String>> = (0..10_000).map(|n| vec!["ECHO".to_string(), n.to_string()]).collect();
    for (n, reply) in client.pipeline(&requests).iter().enumerate() {
        assert!(reply.text_is(&n.to_string()), "reply {n}: {reply:?}");
    }
}

#[test]
fn a_request_cut_into_single_bytes_is_understood() {
    let (_master, remora, _link) = loaded(&[]);
    let mut client = remora.client();
    for byte in b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\nPING\r\n" {
        client.send_raw(&[*byte]);
    }
    assert!(client.reply().text_is("hello"));
    assert!(client.reply().text_is("PONG"));
}

/// EXEC of reads of `big`, and MGET of it, of 6 MB each.
fn too_much() -> [Vec<u8>; 2] {
    let exec = [&b"MULTI\r\n"[..], &b"GET big\r\n".repeat(20), b"EXEC\r\n"].concat();
    let mget = [&b"MGET"[..], &b" big".repeat(20), b"\r\n"].concat();
    [exec, mget]
}

#[test]
fn a_client_whose_replies_are_over_the_limit_is_closed_as_by_a_real_server() {
    let limit = "normal 2mb 0 0";
    let Some(real) = Real::start("redis-8.0", &[&format!("--client-output-buffer-limit {limit}")]) else { return };
    let (_master, remora, mut link) = loaded(&["--client-output-buffer-limit", limit]);
    let write = "SETRANGE big 299999 x";
    real.client().must(write);
    link.stream(&["SELECT 0", write]);
    let mut client = remora.client();
    wait::until("the key is there", SOON, || client.must("STRLEN big").int() == 300_000);
    for (bytes, count) in too_much().iter().zip(1..) {
        for port in [real.port, remora.port] {
            let mut greedy = Client::connect(port);
            let _ = greedy.try_send_raw(bytes);
            assert_eq!(greedy.rest(SOON).1, Ending::Closed, "{}", bytes[..20].escape_ascii());
        }
        let cut = client.info("stats")["client_output_buffer_limit_disconnections"].clone();
        assert_eq!(cut, count.to_string());
    }
    remora.wait_logged(&["client id=", "closed for overcoming of output buffer limits"]);
    // One after the other they are sent before there are too many.
    let replies = client.pipeline(&vec![vec!["GET", "big"]; 20]);
    assert!(replies.iter().all(|reply| reply.bytes().len() == 300_000));
}

#[test]
fn replies_that_stay_over_the_soft_limit_close_the_client() {
    let (_master, remora, mut link) = loaded(&["--client-output-buffer-limit", "normal 0 100kb 1"]);
    link.stream(&["SELECT 0", "SETRANGE big 299999 x"]);
    let mut client = remora.client();
    wait::until("the key is there", SOON, || client.must("STRLEN big").int() == 300_000);
    let mut silent = remora.client();
    silent.send_raw(&[&b"MGET"[..], &b" big".repeat(200), b"\r\n"].concat());
    remora.wait_logged(&["closed for overcoming of output buffer limits"]);
    assert_eq!(silent.rest(SOON).1, Ending::Closed);
    assert_eq!(client.must("MGET big big").items().len(), 2, "whoever reads may have more");
}
