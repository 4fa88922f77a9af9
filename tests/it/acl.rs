//! ACL: users, rules, refusals, the log; each beside a real replica.

use crate::support::beside::{Beside, Twins, whole};
use crate::support::client::{Client, Value, encode, words};
use crate::support::folder;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON, program};
use crate::support::{ports, wait};
use remora::command::row::Run;
use remora::command::table;
use std::process::Stdio;

/// The newest of both families: their texts and forms are followed.
const NEWEST: [&str; 2] = ["redis-8.0", "valkey-9.1"];

/// Rules, well formed and not, and what is shown of the user after each.
const RULES: &str = "
    ACL WHOAMI
    ACL LIST
    ACL USERS
    ACL GETUSER default
    ACL GETUSER nobody
    ACL SETUSER u
    ACL SETUSER u on >pw +get -get +@read -@write +config|get ~a* %R~b* %W~c* %RW~d* %r~e &ch* (~x* +get)
    ACL SETUSER u +GET +@ALL -@Admin +Select|1 -select +select|1 +select|2 +config -config|set
    ACL SETUSER u -@all +@all -@dangerous -debug
    ACL SETUSER u +debug|object +DEBUG|x +debug|object
    ACL SETUSER u skip-sanitize-payload
    ACL SETUSER u sanitize-payload
    ACL SETUSER u resetkeys ~x %R~x ~y %W~z %R~z
    ACL SETUSER u allkeys
    ACL SETUSER u ~a
    ACL SETUSER u resetkeys ~a %W~b
    ACL SETUSER u resetchannels &a &b &a
    ACL SETUSER u allchannels
    ACL SETUSER u &a
    ACL SETUSER u >a >b >a #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4
    ACL SETUSER u <a
    ACL SETUSER u <nosuch
    ACL SETUSER u !30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4
    ACL SETUSER u #30C952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4
    ACL SETUSER u #123
    ACL SETUSER u nopass
    ACL SETUSER u >x
    ACL SETUSER u resetpass
    ACL SETUSER u (+get ~a) (+set ~b &c) clearselectors (+mget allkeys)
    ACL SETUSER u (~a +get
    ACL SETUSER u (~a +foo)
    ACL SETUSER u ()
    ACL SETUSER u (
    ACL SETUSER u )
    ACL SETUSER u +foo
    ACL SETUSER u +@foo
    ACL SETUSER u foo
    ACL SETUSER u %X~a
    ACL SETUSER u %RR~a
    ACL SETUSER u %R
    ACL SETUSER u '~a b'
    ACL SETUSER u '&a b'
    ACL SETUSER u ''
    ACL SETUSER u +object|nosuch
    ACL SETUSER u +object|encoding|x
    ACL SETUSER u +object|encoding -object|freq
    ACL SETUSER u -select|1
    ACL SETUSER u +get|
    ACL SETUSER u +
    ACL SETUSER u on off on
    ACL SETUSER u reset
    ACL SETUSER 'a b'
    ACL SETUSER
    ACL DELUSER default u
    ACL DELUSER u nobody
    ACL DELUSER
    ACL LOG RESET
    ACL LOG
    ACL LOG x
    ACL LOG -5
    ACL LOG 1 2
    ACL GENPASS 0
    ACL GENPASS 4097
    ACL GENPASS x
    ACL GENPASS 1 2
    ACL LOAD
    ACL SAVE
    ACL CAT
    ACL CAT foo
    ACL CAT read bar
    ACL HELP
    ACL FOO
    ACL
    ACL USERS x
    ACL WHOAMI x
    ACL GETUSER
    ACL DRYRUN nobody get a
    ACL DRYRUN default nosuch
    ACL DRYRUN default get
    ACL DRYRUN default get a
    ACL DRYRUN default config
    ACL DRYRUN default config foo
    ACL DRYRUN default config get x
    AUTH x
    AUTH nobody x
    AUTH a b c
    HELLO 2 AUTH nobody x
    AUTH default x
";

#[test]
fn rules_and_users_are_shown_as_on_a_real_replica() {
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        for resp3 in [false, true] {
            let mut twins = beside.twins(resp3);
            for line in RULES.lines().map(str::trim).filter(|line| !line.is_empty()) {
                twins.compare(line, &whole);
                if line.starts_with("ACL SETUSER u") {
                    twins.compare("ACL GETUSER u", &whole);
                    twins.compare("ACL LIST", &whole);
                }
            }
            assert!(twins.wrong.is_empty(), "{server}: {}", twins.wrong.join("\n"));
        }
    }
}

#[test]
fn databases_in_rules_are_those_of_valkey() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    let script = "
        ACL SETUSER d on nopass +@all ~* &* db=2,1,1
        ACL GETUSER d
        ACL LIST
        ACL SETUSER d db=
        ACL SETUSER d db=x
        ACL SETUSER d db=1,,2
        ACL SETUSER d db=-1
        ACL SETUSER d (db=3,1 +get ~z)
        ACL GETUSER d
        ACL SETUSER d ALLDBS
        ACL GETUSER d
        ACL SETUSER d clearselectors resetdbs
        ACL LIST
        ACL SETUSER d DB=1
        ACL DRYRUN d get a
        ACL DRYRUN d select 0
        ACL DRYRUN d select x
        ACL DRYRUN d flushall
        ACL DRYRUN d swapdb 0 1
        ACL DRYRUN d swapdb 1 1
        ACL DRYRUN d move a 2
        ACL DRYRUN d copy a b DB 1
        ACL DRYRUN d copy a b DB 0
        ACL DRYRUN d publish a b
        ACL SETUSER f on nopass -@all +select +get ~a db=1 (+get ~b db=2) (+select)
        AUTH d x
        GET a
        SELECT 1
        GET a
        SELECT 0
        DBSIZE
        KEYS *
        SET a b
        FLUSHALL
        FLUSHDB
        COPY a b DB 0
        MULTI
        GET a
        SELECT 0
        EXEC
        WATCH a
        PING
        AUTH f x
        SELECT 1
        GET a
        GET b
        SELECT 2
        GET a
        GET b";
    for resp3 in [false, true] {
        let wrong = beside.differences(script, resp3, whole);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Users with their rules, for the table of users and commands.
const USERS: [&str; 9] = [
    "reset on nopass +@all ~* &*",
    "reset on nopass",
    "reset on nopass +@read ~1",
    "reset on nopass +@read ~2",
    "reset on nopass +@all -@dangerous -@write ~* resetchannels",
    "reset on nopass +@all %R~1 resetchannels &1",
    "reset on nopass +@all %W~1 resetchannels &2",
    "reset on nopass +@connection +config|get +select|1 +@pubsub allchannels",
    "reset on nopass +get ~nothing (+@all -get ~1) (+@all %R~2)",
];

/// Every row with a few requests that fit its arity: DRYRUN as on a real server, and so is the answer of a real call
/// where it is a refusal for lack of rights.
#[test]
fn every_command_is_allowed_to_whom_a_real_replica_allows_it() {
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let mut admin = beside.twins(false);
        let mut asked = 0;
        for rules in USERS {
            admin.compare(&format!("ACL SETUSER u {rules}"), &whole);
            let mut user = beside.twins(false);
            user.compare("AUTH u x", &whole);
            for request in requests() {
                let dryrun: Vec<Vec<u8>> =
                    words("ACL DRYRUN u").into_iter().chain(request.iter().cloned()).collect();
                let (real, ours) = ask(&mut admin, &dryrun);
                // Where real servers cannot tell the keys they check none; here it is one.
                if request.len() == 2 && request[0] == b"pfmerge" {
                    continue;
                }
                if real.text_starts("ERR Command") || ours.text_starts("ERR Command") {
                    continue;
                }
                asked += 1;
                let line = request.join(&b' ').escape_ascii().to_string();
                // Redis spells the names of vector sets' commands in capitals.
                if format!("{real:?}").to_lowercase() != format!("{ours:?}").to_lowercase() {
                    admin.wrong.push(format!("{rules}: {line}: real {real:?}, remora {ours:?}"));
                } else if !real.text_is("OK") && !real.is_error() {
                    let (real, ours) = ask(&mut user, &request);
                    if format!("{real:?}").to_lowercase() != format!("{ours:?}").to_lowercase() {
                        admin.wrong.push(format!("{rules}: really {line}: real {real:?}, remora {ours:?}"));
                    }
                }
            }
            admin.wrong.append(&mut user.wrong);
        }
        assert!(asked > 2000, "only {asked}");
        assert!(admin.wrong.is_empty(), "{server}: {} of {asked}:\n{}", admin.wrong.len(), admin.wrong.join("\n"));
    }
}

/// Requests for each row: all arguments "1", of the least number and a few more; and some that are made by hand.
fn requests() -> Vec<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<Vec<u8>>> = Vec::new();
    for row in table::rows().filter(|row| !matches!(row.run, Run::Container)) {
        let least = usize::from(row.arity.unsigned_abs());
        for count in if row.arity < 0 { least..least + 3 } else { least..least + 1 } {
            let mut request: Vec<Vec<u8>> = row.name.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            request.resize(count.max(request.len()), b"1".to_vec());
            all.push(request);
        }
    }
    let by_hand = [
        "SET 1 2 GET",
        "SET 1 2 EX 5",
        "BITFIELD 1 GET u8 0",
        "BITFIELD 1 SET u8 0 1",
        "BITFIELD 1 OVERFLOW FAIL INCRBY u8 0 1",
        "XREAD STREAMS 1 2 0 0",
        "XREAD COUNT 1 STREAMS 1 0",
        "XREADGROUP GROUP g c STREAMS 1 >",
        "SORT 1 STORE 2",
        "SORT_RO 1",
        "SORT 1 BY x GET y",
        "GEORADIUS 1 0 0 1 m STORE 2",
        "GEORADIUS_RO 1 0 0 1 m",
        "ZUNIONSTORE 1 2 2 3",
        "ZUNION 2 1 2",
        "ZINTERCARD 2 1 2",
        "SINTERCARD 1 1",
        "EVAL x 1 1",
        "EVAL x 0",
        "EVAL_RO x 2 1 2",
        "FCALL f 1 1",
        "MIGRATE h 1 1 0 5",
        "MIGRATE h 1 \"\" 0 5 KEYS 1 2",
        "SUBSCRIBE 1 2",
        "PSUBSCRIBE 1",
        "PSUBSCRIBE 1*",
        "SSUBSCRIBE 2 1",
        "PUBLISH 2 x",
        "SPUBLISH 1 x",
        "RENAME 1 2",
        "COPY 1 2",
        "LMOVE 1 2 LEFT LEFT",
        "BLMPOP 0 2 1 2 LEFT",
        "MSET 1 x 2 y",
        "SELECT 1",
        "SELECT 2",
        "OBJECT ENCODING 1",
        "XINFO STREAM 1",
        "XGROUP CREATE 1 g 0",
        "MEMORY USAGE 1 SAMPLES x",
        "CONFIG GET maxmemory",
        "CONFIG SET maxmemory 0",
    ];
    all.extend(by_hand.iter().map(|line| words(line)));
    all
}

fn ask(twins: &mut Twins, request: &[Vec<u8>]) -> (Value, Value) {
    let bytes = encode(request);
    let ask = |client: &mut Client| {
        client.send_raw(&bytes);
        client.reply()
    };
    (ask(&mut twins.real), ask(&mut twins.ours))
}

#[test]
fn categories_hold_the_commands_that_they_hold_on_the_real_servers() {
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let (mut real, mut ours) = (beside.replica.client(), beside.remora.client());
        let names = |client: &mut Client, line: &str| -> std::collections::BTreeSet<String> {
            client.must(line).items().iter().map(Value::text).collect()
        };
        let commands = |client: &mut Client| names(client, "COMMAND LIST");
        let both: Vec<String> = commands(&mut real).intersection(&commands(&mut ours)).cloned().collect();
        let known = |name: &String| both.iter().any(|known| name.split('|').next() == Some(known));
        for category in real.must("ACL CAT").items() {
            let line = format!("ACL CAT {}", category.text());
            let (expected, found) = (names(&mut real, &line), names(&mut ours, &line));
            // Subcommands that only one of both has are no matter of categories.
            let differing: Vec<_> = found.difference(&expected).filter(|name| known(name)).collect();
            let strange = differing
                .iter()
                .filter(|name| real.call(&format!("COMMAND INFO {name}")).items()[0] != Value::Null);
            assert_eq!(strange.collect::<Vec<_>>(), Vec::<&&String>::new(), "{server} {line}");
            let missing: Vec<_> = expected.difference(&found).filter(|name| known(name)).collect();
            let missing =
                missing.iter().filter(|name| ours.call(&format!("COMMAND INFO {name}")).items()[0] != Value::Null);
            assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&String>::new(), "{server} {line}");
        }
    }
}

/// Fields of ACL LOG and CLIENT INFO that say when and where from are left out.
fn without_time(line: &str, reply: &[u8]) -> String {
    if line != "ACL LOG" {
        return whole(line, reply);
    }
    let mut shown = Vec::new();
    for entry in crate::support::client::parsed(reply).items() {
        let Value::Map(pairs) = entry else { panic!("{entry:?}") };
        let kept = pairs.iter().filter(|(name, _)| {
            !["age-seconds", "client-info", "timestamp-created", "timestamp-last-updated"].contains(&&*name.text())
        });
        shown.push(format!("{:?}", kept.collect::<Vec<_>>()));
        let (_, info) = pairs.iter().find(|(name, _)| name.text() == "client-info").expect("client-info");
        let user = info.text().split(' ').find(|field| field.starts_with("user=")).map(str::to_owned);
        shown.push(user.expect("user="));
    }
    shown.join("\n")
}

#[test]
fn refusals_and_their_log_are_those_of_a_real_replica() {
    let script = "
        ACL LOG RESET
        ACL SETUSER u reset on >pw +get +mget +multi +exec +watch +set +publish +subscribe +sort_ro ~a* resetchannels &c*
        AUTH u wrong
        auth nobody wrong
        HELLO 3 AUTH u wrong
        AUTH u pw
        GET a
        GET b
        GET b
        MGET a1 b a2
        STRLEN a
        CONFIG GET x
        CONFIG NOSUCH
        NOSUCH
        GET
        PUBLISH c1 m
        PUBLISH d m
        SET a 1
        SET b 1
        SORT_RO a
        SORT_RO a BY x
        SORT_RO a BY x*
        SORT_RO a GET #
        SORT_RO a GET y*
        SORT_RO b BY x*
        MULTI
        GET a
        GET b
        EXEC
        MULTI
        STRLEN a
        DISCARD
        WATCH b
        RESET
        ACL WHOAMI
        ACL SETUSER u off
        AUTH u pw
        ACL SETUSER u on nopass
        AUTH u whatever
        ACL WHOAMI
        RESET
        INFO stats";
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let seen = |line: &str, reply: &[u8]| match line {
            "INFO stats" => {
                let text = String::from_utf8_lossy(reply).into_owned();
                let kept = |line: &&str| line.starts_with("acl_") && !line.contains("tls_cert");
                text.lines().filter(kept).collect::<Vec<_>>().join(" ")
            }
            _ => without_time(line, reply),
        };
        let wrong = beside.differences(script, false, seen);
        assert!(wrong.is_empty(), "{server}: {}", wrong.join("\n"));
        let mut twins = beside.twins(true);
        twins.compare("ACL LOG", &without_time);
        assert!(twins.wrong.is_empty(), "{server}: {}", twins.wrong.join("\n"));
    }
}

#[test]
fn rules_that_change_while_a_client_is_there_hold_at_once() {
    let Some(beside) = Beside::start("redis-8.0", &[], &[]) else { return };
    let mut admin = beside.twins(false);
    let mut user = beside.twins(false);
    let mut listener = beside.twins(false);
    let step = |who: &mut Twins, line: &str| who.compare(line, &whole);
    step(&mut admin, "ACL SETUSER u on nopass +@all ~* &*");
    for who in [&mut user, &mut listener] {
        step(who, "AUTH u x");
    }
    step(&mut listener, "SUBSCRIBE news");
    step(&mut user, "GET a");
    step(&mut user, "MULTI");
    step(&mut user, "GET a");
    step(&mut user, "PING");
    step(&mut admin, "ACL SETUSER u -get");
    step(&mut user, "EXEC");
    step(&mut user, "GET a");
    // It loses the right to listen: the listener is cut, the other one stays.
    step(&mut admin, "ACL SETUSER u resetchannels &other");
    for client in [&mut listener.real, &mut listener.ours] {
        assert!(client.try_reply().is_err(), "the listener is cut");
    }
    step(&mut user, "PING");
    // Its own rules.
    step(&mut user, "ACL SETUSER u -ping");
    step(&mut user, "PING");
    step(&mut user, "ACL WHOAMI");
    step(&mut admin, "ACL DELUSER u");
    for client in [&mut user.real, &mut user.ours] {
        assert!(client.try_call("ECHO x").is_err(), "the user's client is cut");
    }
    for twins in [admin, user, listener] {
        assert!(twins.wrong.is_empty(), "{}", twins.wrong.join("\n"));
    }
}

#[test]
fn a_password_of_the_default_user_can_come_and_go() {
    let script = "
        ACL GETUSER default
        PING
        AUTH wrong
        CONFIG SET requirepass sesame
        PING
        ACL GETUSER default
        RESET
        PING
        AUTH default wrong
        HELLO 3
        AUTH sesame
        ACL SETUSER default >second
        AUTH second
        ACL SETUSER default off
        PING
        RESET
        PING
        AUTH second";
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let mut keeper = beside.twins(false);
        keeper.compare("ACL SETUSER keeper on nopass +@all", &whole);
        keeper.compare("AUTH keeper x", &whole);
        let wrong = beside.differences(script, false, whole);
        assert!(wrong.is_empty(), "{server}: {}", wrong.join("\n"));
        keeper.compare("ACL SETUSER default on", &whole);
        keeper.compare("CONFIG SET requirepass ''", &whole);
        let wrong = beside.differences("PING\nACL GETUSER default", false, whole);
        assert!(wrong.is_empty() && keeper.wrong.is_empty(), "{server}: {wrong:?} {:?}", keeper.wrong);
    }
}

#[test]
fn files_of_users_are_read_and_written_as_real_servers_do() {
    let folder = folder::temporary();
    let paths = ["real.acl", "ours.acl"].map(|name| folder.path().join(name).display().to_string());
    let write = |text: &str| paths.iter().for_each(|path| std::fs::write(path, text).expect("written"));
    for server in NEWEST {
        write("user default on nopass ~* &* +@all\nuser reader on >secret ~cache:* +@read\n");
        let aclfile = |path: &String| format!("--aclfile {path}");
        let (real, ours) = (aclfile(&paths[0]), aclfile(&paths[1]));
        let ours: Vec<&str> = ours.split(' ').collect();
        let Some(beside) = Beside::start(server, &[&real], &ours) else { return };
        let seen =
            |_: &str, reply: &[u8]| whole("", reply).replace("real.acl", "FILE").replace("ours.acl", "FILE");
        let mut twins = beside.twins(false);
        for line in ["ACL LIST", "AUTH reader secret", "GET cache:1", "GET other", "AUTH default x"] {
            twins.compare(line, &seen);
        }
        twins.compare("ACL SETUSER more on >x ~a (+get ~b)", &seen);
        twins.compare("ACL SAVE", &seen);
        assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), std::fs::read_to_string(&paths[1]).unwrap());
        for text in [
            "user default on nopass ~* &* +@all\nuser reader off\n\n",
            "user default on nopass ~* &* +@all\nuser a +foo #secret foo +bar\nusr b\nuser a\n",
            "user default on nopass ~* &* +@all\nuser a (+get\n",
            "",
            "# comment\n",
            "user default on nopass ~* &* +@all",
        ] {
            write(text);
            twins.compare("ACL LOAD", &seen);
            twins.compare("ACL LIST", &seen);
        }
        assert!(twins.wrong.is_empty(), "{server}: {}", twins.wrong.join("\n"));
    }
}

#[test]
fn before_auth_clients_hear_what_a_real_replica_says() {
    for server in ["redis-8.0", "valkey-8.1", "valkey-9.1"] {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        beside.twins(false).compare("CONFIG SET requirepass secret", &whole);
        let mut twins = beside.twins(false);
        for line in [
            "PING",
            "NOSUCH a",
            "OBJECT nosuch",
            "CONFIG NOSUCH",
            "GET",
            "GET a b",
            "MULTI",
            "CLIENT",
            "AUTH",
            "AUTH a b c",
            "AUTH wrong",
            "HELLO 9",
            "HELLO 3",
            "AUTH secret",
            "NOSUCH a",
            "GET",
        ] {
            twins.compare(line, &whole);
        }
        assert!(twins.wrong.is_empty(), "{server}: {}", twins.wrong.join("\n"));
    }
}

#[test]
fn users_can_stand_in_the_configuration_file() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let folder = folder::temporary();
    let path = folder.path().join("remora.conf").display().to_string();
    let lines = format!(
        "replicaof 127.0.0.1 {}\nuser default off\nuser reader on >secret ~a* ( ~b +get ) +@read\nuser me on nopass +@all ~*\n",
        master.port
    );
    std::fs::write(&path, lines).expect("written");
    let remora = Remora::start(&[&path]);
    let mut client = remora.client();
    assert!(client.call("PING").text_starts("NOAUTH"));
    assert!(client.call("AUTH reader wrong").text_starts("WRONGPASS"));
    client.must("AUTH reader secret");
    wait::until("the link is up", SOON, || !client.call("GET a").is_error());
    client.must("GET b");
    assert!(client.call("GET c").text_starts("NOPERM No permissions to access a key"));
    assert!(client.call("CONFIG GET x").text_starts("NOPERM User reader has no permissions"));
    assert!(!remora.log().contains("secret"));
}

#[test]
fn malformed_users_end_the_start_with_a_reason_and_without_their_passwords() {
    let folder = folder::temporary();
    let file = folder.path().join("users.acl").display().to_string();
    let conf = folder.path().join("remora.conf").display().to_string();
    let run = |flags: &[&str]| {
        let mut command = program();
        let port = ports::free().to_string();
        command.args(flags).args(["--replicaof", "127.0.0.1 1", "--port", &port, "--metrics-addr", "none"]);
        let output = command.stdin(Stdio::null()).output().expect("running remora");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    std::fs::write(&file, "user a +nosuch\nuser b #hunter2\n").expect("written");
    let (code, said) = run(&["--aclfile", &file]);
    assert!(code == Some(64) && said.contains("users.acl:1") && said.contains("'+nosuch'"), "{code:?} {said}");
    assert!(!said.contains("hunter2"));
    std::fs::write(&conf, "user a #hunter2\n").expect("written");
    let (code, said) = run(&[&conf]);
    assert!(code == Some(64) && said.contains("user a: The password hash must be"), "{code:?} {said}");
    std::fs::write(&conf, "user a on\n").expect("written");
    let (code, said) = run(&[&conf, "--aclfile", &file]);
    assert!(code == Some(64) && said.contains("aclfile is set too"), "{code:?} {said}");
    let (code, said) = run(&["--aclfile", "/nonexistent/users.acl"]);
    assert!(code == Some(64) && said.contains("No such file"), "{code:?} {said}");
}

#[test]
fn passwords_are_not_shown_in_the_slow_log() {
    for server in NEWEST {
        let Some(beside) = Beside::start(server, &[], &[]) else { return };
        let script = "
            CONFIG SET slowlog-log-slower-than 0
            AUTH default hunter2
            HELLO 2 AUTH default hunter2 SETNAME foo
            ACL SETUSER u on >hunter2 +get
            ACL GETUSER u
            ACL DELUSER u x
            CONFIG SET requirepass hunter2 masterauth hunter2
            CONFIG SET slowlog-log-slower-than -1
            SLOWLOG GET 20";
        let seen = |line: &str, reply: &[u8]| {
            if line != "SLOWLOG GET 20" {
                return String::new();
            }
            assert!(!reply.windows(7).any(|bytes| bytes == b"hunter2"), "{}", whole("", reply));
            let entries = crate::support::client::parsed(reply);
            // Whether the change of the limit itself is slow depends on which limit is asked.
            let shown = entries.items().iter().map(|entry| format!("{:?}\n", entry.items()[3]));
            // And a real replica logs what its master says.
            let of_the_link =
                |words: &str| ["[\"PING\"]", "[\"REPLCONF\""].iter().any(|start| words.starts_with(start));
            shown.filter(|words| !words.contains("slowlog-log") && !of_the_link(words)).collect()
        };
        let wrong = beside.differences(script, false, seen);
        assert!(wrong.is_empty(), "{server}: {}", wrong.join("\n"));
    }
}
