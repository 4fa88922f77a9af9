//! CLIENT and its kin: replies as a real replica's, pauses, muted replies, redirections.

use crate::support::beside::{Beside, whole};
use crate::support::client::{Client, Ending, Value, words};
use crate::support::real::for_each_master;
use crate::support::wait;
use std::time::{Duration, Instant};

for_each_master!(client_commands_answer_as_on_a_real_replica);

/// Filters that match nobody, and what is wrong with others; options of the other subcommands.
const SCRIPT: &str = "
    CLIENT LIST ID 999
    CLIENT LIST TYPE normal ID 99
    CLIENT LIST FOO
    CLIENT LIST TYPE
    CLIENT LIST TYPE foo
    CLIENT LIST TYPE pubsub
    CLIENT LIST USER nobody
    CLIENT LIST MAXAGE x
    CLIENT LIST SKIPME foo
    CLIENT LIST FLAGS x
    CLIENT LIST FLAGS NZ
    CLIENT LIST FLAGS
    CLIENT LIST NAME foo
    CLIENT LIST IDLE x
    CLIENT LIST IDLE 0
    CLIENT LIST MAXAGE 0
    CLIENT LIST MAXAGE 99999
    CLIENT LIST DB x
    CLIENT LIST DB 99
    CLIENT LIST DB -1
    CLIENT LIST CAPA r
    CLIENT LIST CAPA x
    CLIENT LIST IP 1.2.3.4
    CLIENT LIST ID x
    CLIENT LIST ID 0
    CLIENT LIST ID
    CLIENT LIST ID 77 x
    CLIENT LIST ID 77 TYPE foo
    CLIENT LIST NOT-ID x
    CLIENT LIST NOT-MAXAGE 1
    CLIENT LIST NOT-SKIPME yes
    CLIENT LIST NOT-IDLE 1
    CLIENT KILL NOT-USER nobody
    CLIENT KILL NOT-DB 99
    CLIENT KILL NOT-LIB-NAME x ID 99
    CLIENT KILL ID 0
    CLIENT KILL ID -1
    CLIENT KILL ID x
    CLIENT KILL ID 98 99
    CLIENT KILL ID 98 TYPE pubsub
    CLIENT KILL USER nobody
    CLIENT KILL FLAGS Z
    CLIENT KILL DB 99
    CLIENT KILL IP 1.2.3.4
    CLIENT KILL MAXAGE 0
    CLIENT KILL MAXAGE x
    CLIENT KILL TYPE foo
    CLIENT KILL TYPE pubsub
    CLIENT KILL SKIPME foo
    CLIENT KILL ADDR 1:1 LADDR 2:2
    CLIENT KILL ADDR
    CLIENT KILL FOO 1
    CLIENT KILL LIB-NAME x
    CLIENT KILL NAME x IDLE 1
    CLIENT KILL 1.1.1.1:1
    CLIENT PAUSE
    CLIENT PAUSE x
    CLIENT PAUSE -1
    CLIENT PAUSE 0
    CLIENT PAUSE 0 FOO
    CLIENT PAUSE 0 WRITE
    CLIENT PAUSE 0 WRITE x
    CLIENT UNPAUSE
    CLIENT UNPAUSE x
    CLIENT REPLY
    CLIENT REPLY FOO
    CLIENT REPLY ON
    CLIENT IMPORT-SOURCE on
    CLIENT NO-TOUCH foo
    CLIENT NO-EVICT foo
    CLIENT FOO
    ASKING
    CLIENT CAPA
    CLIENT CAPA foo
    GET a
";

fn client_commands_answer_as_on_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    for resp3 in [false, true] {
        let wrong = beside.differences(SCRIPT, resp3, whole);
        let known = |difference: &&String| {
            // Redis refuses what only Valkey has, older servers what they do not know yet.
            let real = difference.lines().find(|line| line.starts_with("  real")).unwrap_or_default();
            let unknown = real.contains("nknown subcommand") || real.contains("unknown command");
            let young = real.contains("syntax error") || difference.contains("CLIENT KILL ID -1\n");
            let young = young || ["KILL ID 0\n", "KILL ID x\n"].iter().any(|line| difference.contains(line));
            let older = !matches!(server, "redis-8.0" | "valkey-9.1") && young;
            unknown || older
        };
        let wrong: Vec<&String> = wrong.iter().filter(|difference| !known(difference)).collect();
        assert!(wrong.is_empty(), "{server}: {wrong:#?}");
    }
}

/// Sends the lines at once, and answers all replies that come before a last ECHO's.
fn replies(client: &mut Client, lines: &[&str]) -> Vec<String> {
    let requests: Vec<_> = lines.iter().chain(&["CLIENT REPLY ON", "ECHO end"]).map(|line| words(line)).collect();
    requests.iter().for_each(|request| client.send(request));
    let mut all = Vec::new();
    loop {
        let reply = client.reply();
        if reply.text_is("end") {
            return all;
        }
        all.push(format!("{reply:?}"));
    }
}

#[test]
fn replies_are_left_out_as_on_a_real_replica() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    beside.master.client().must("SET a 1");
    beside.settle();
    for lines in [
        &["CLIENT REPLY OFF", "GET a", "NOSUCH", "KEYS *", "PING"][..],
        &["CLIENT REPLY SKIP", "GET a", "PING"],
        &["CLIENT REPLY SKIP", "NOSUCH", "PING"],
        &["CLIENT REPLY SKIP", "KEYS *", "PING"],
        &["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "GET a", "PING"],
        &["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "GET a", "PING"],
        &["CLIENT REPLY SKIP", "MULTI", "GET a", "EXEC", "PING"],
        &["MULTI", "CLIENT REPLY OFF", "GET a", "EXEC", "PING"],
        &["CLIENT REPLY OFF", "MULTI", "GET a", "EXEC"],
        &["CLIENT REPLY OFF", "RESET", "PING"],
        &["CLIENT REPLY OFF", "SUBSCRIBE a b", "GET a", "UNSUBSCRIBE b", "SSUBSCRIBE", "UNSUBSCRIBE", "PING"],
        &["CLIENT REPLY SKIP", "PSUBSCRIBE a*", "PUNSUBSCRIBE", "PING"],
    ] {
        let mut twins = beside.twins(false);
        assert_eq!(replies(&mut twins.ours, lines), replies(&mut twins.real, lines), "{lines:?}");
    }
}

#[test]
fn a_pause_holds_up_what_it_says_and_can_be_ended() {
    let Some(beside) = Beside::start("redis-8.0", &[], &[]) else { return };
    for port in [beside.replica.port, beside.remora.port] {
        let [mut admin, mut reader, mut writer, mut queueing] = [(); 4].map(|()| Client::connect(port));
        ["MULTI", "EVAL \"return 1\" 0"].iter().for_each(|line| drop(queueing.must(line)));
        admin.must("CLIENT PAUSE 60000 WRITE");
        reader.must("GET a");
        assert!(reader.call("SET a 1").text_starts("READONLY"));
        // A script with flags is known to be no write, or refused as one.
        assert_eq!(reader.must("EVAL \"#!lua flags=no-writes\\nreturn 1\" 0").int(), 1);
        assert!(reader.call("EVAL \"#!lua\\nreturn 1\" 0").text_starts("READONLY"));
        writer.send(&words("PUBLISH c m"));
        let (came, ending) = writer.rest(Duration::from_millis(200));
        assert!(came.is_empty() && ending == Ending::Silent);
        queueing.send(&words("EXEC"));
        let (came, ending) = queueing.rest(Duration::from_millis(200));
        assert!(came.is_empty() && ending == Ending::Silent);
        admin.must("CLIENT UNPAUSE");
        assert_eq!(writer.reply().int(), 0);
        assert_eq!(queueing.reply().items(), [Value::Int(1)]);
        // All of them: it ends by itself.
        let began = Instant::now();
        admin.must("CLIENT PAUSE 2000");
        assert!(reader.call("SET a 1").text_starts("READONLY") && reader.call("GET").is_error());
        assert!(began.elapsed() < Duration::from_millis(1990), "what is refused is told at once");
        reader.must("PING");
        assert!(began.elapsed() >= Duration::from_millis(1990), "{:?}", began.elapsed());
    }
}

#[test]
fn a_client_that_can_be_redirected_is() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    let script = r##"
        CLIENT CAPA redirect
        GET a
        SET a 1
        PING
        CLIENT GETNAME
        MULTI
        GET a
        EXEC
        READONLY
        GET a
        SET a 1
        EVAL "return 1" 1 a
        EVAL "#!lua\nreturn 1" 1 a
        READWRITE
        GET a
        EVAL "return 1" 0
        EVAL "return 1" 1 a
        EVAL_RO "return 1" 1 a
        EVAL "#!lua\nreturn 1" 0
        EVAL "#!lua\nreturn 1" 1 a
        EVAL "#!lua flags=no-writes\nreturn 1" 0
        EVAL "#!other\nreturn 1" 0
        EVALSHA 0123456789012345678901234567890123456789 0
        FCALL none 0
        RESET
        GET a
        CLIENT CAPA redirect
        EVAL "return 1" 0
        EVAL "#!lua\nreturn 1" 0
        EVAL "#!lua flags=no-writes\nreturn 1" 0
        EVAL_RO "return 1" 0
        EVAL_RO "#!lua\nreturn 1" 0
        EVALSHA 00 0
        EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        FCALL writing 0
        FCALL reading 0
        FCALL nosuch 0
        FCALL_RO writing 0
        FCALL_RO reading 0
        READONLY
        EVAL_RO "return 1" 0
        EVAL_RO "#!lua\nreturn 1" 0
        FCALL writing 0
        FCALL_RO writing 0
        FCALL_RO reading 0"##;
    let library = "#!lua name=l\nserver.register_function('writing', function() return 1 end)\n\
                   server.register_function{function_name='reading', callback=function() return 1 end, flags={'no-writes'}}";
    assert!(!beside.master.client().command(&["FUNCTION", "LOAD", library]).is_error());
    beside.settle();
    for resp3 in [false, true] {
        let wrong = beside.differences(script, resp3, whole);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_client_that_kills_itself_is_spared_unless_it_says_otherwise() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    for port in [beside.replica.port, beside.remora.port] {
        let mut client = Client::connect(port);
        let id = client.must("CLIENT ID").int();
        for filter in ["SKIPME yes ID", "ID", "NOT-TYPE replica ID", "DB 0 IP 127.0.0.1 ID"] {
            assert_eq!(client.must(&format!("CLIENT KILL {filter} {id}")).int(), 0, "{filter}");
        }
        assert_eq!(client.must(&format!("CLIENT KILL SKIPME no ID {id}")).int(), 1);
        assert!(client.try_call("PING").is_err());
    }
}

#[test]
fn a_killed_client_is_in_no_list_any_more() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    for port in [beside.replica.port, beside.remora.port] {
        let mut asking = Client::connect(port);
        for _ in 0..20 {
            let mut other = Client::connect(port);
            let id = other.must("CLIENT ID").int();
            for line in ["KILL ID", "KILL ID", "LIST ID"] {
                asking.send(&words(&format!("CLIENT {line} {id}")));
            }
            let replies = [asking.reply(), asking.reply(), asking.reply()];
            assert_eq!(replies.map(|reply| reply.text()), ["1", "0", ""], "of client {id} at {port}");
        }
    }
}

#[test]
fn filters_find_the_clients_that_they_mean() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    let remora = &beside.remora;
    let mut asking = remora.client();
    let mut one = remora.client();
    for line in
        ["CLIENT SETNAME one", "CLIENT SETINFO lib-name lib", "CLIENT SETINFO lib-ver 1", "SELECT 3", "MULTI"]
    {
        one.must(line);
    }
    let mut two = remora.client();
    for line in ["ACL SETUSER u on nopass +@all", "AUTH u x", "CLIENT CAPA redirect", "CLIENT SETNAME two"] {
        two.must(line);
    }
    let mut three = remora.client();
    three.must("CLIENT SETNAME three");
    three.must("SUBSCRIBE news");
    let mut found = |filter: &str| {
        let text = asking.must(&format!("CLIENT LIST {filter}")).text();
        let names =
            text.split(' ').filter_map(|field| field.strip_prefix("name=")).filter(|name| !name.is_empty());
        names.collect::<Vec<_>>().join(" ")
    };
    for (filter, names) in [
        ("", "one two three"),
        ("NAME one", "one"),
        ("NOT-NAME one", "two three"),
        ("LIB-NAME lib LIB-VER 1", "one"),
        ("LIB-NAME lib LIB-VER 2", ""),
        ("DB 3", "one"),
        ("NOT-DB 3", "two three"),
        ("FLAGS x", "one"),
        ("FLAGS P", "three"),
        ("NOT-FLAGS P", "one two"),
        ("USER u", "two"),
        ("NOT-USER u", "one three"),
        ("CAPA r", "two"),
        ("TYPE pubsub", "three"),
        ("NOT-TYPE pubsub", "one two"),
        ("IP 127.0.0.1 TYPE normal", "one two"),
        ("NOT-IP 127.0.0.1", ""),
        ("IDLE 1000", ""),
        ("MAXAGE 1000", ""),
    ] {
        assert_eq!(found(filter), names, "{filter}");
    }
    assert_eq!(asking.must("CLIENT KILL NAME two").int(), 1);
    assert!(two.try_call("PING").is_err());
    assert_eq!(asking.must("CLIENT KILL USER u").int(), 0);
    assert_eq!(asking.must("CLIENT KILL TYPE pubsub").int(), 1);
    assert!(one.must("PING").text_is("QUEUED"));
}

#[test]
fn the_list_shows_what_a_client_leaves_unread() {
    let Some(beside) = Beside::start("redis-8.0", &[], &[]) else { return };
    beside.master.client().must(&format!("SET big {}", "x".repeat(1 << 20)));
    beside.settle();
    let mut lazy = beside.remora.client();
    lazy.must("CLIENT SETNAME lazy");
    (0..64).for_each(|_| lazy.send(&words("GET big")));
    let mut asking = beside.remora.client();
    let field = |line: &str, name: &str| -> u64 {
        let value = line.split(' ').find_map(|field| field.strip_prefix(&format!("{name}="))).expect("the field");
        value.parse().expect("a number")
    };
    wait::until("a megabyte waits to be sent", Duration::from_secs(30), || {
        let text = asking.must("CLIENT LIST").text();
        let line = text.lines().find(|line| line.contains("name=lazy")).expect("its line").to_string();
        field(&line, "omem") > 0 && field(&line, "oll") == 1 && field(&line, "tot-mem") > field(&line, "omem")
    });
}
