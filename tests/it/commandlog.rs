//! COMMANDLOG beside a real replica of valkey 9.1: what is logged with which size, and the settings.

use crate::support::beside::Beside;
use crate::support::client::{Client, parsed, words};
use crate::support::remora::SOON;
use crate::support::wait;

/// The sizes and words of the entries.
fn shown(reply: &[u8]) -> String {
    let entries = parsed(reply);
    entries.items().iter().map(|entry| format!("{:?} {:?}\n", entry.items()[2], entry.items()[3])).collect()
}

#[test]
fn commandlog_is_that_of_a_real_replica() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    let script = "
        master: SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        CONFIG GET commandlog-*
        COMMANDLOG HELP
        COMMANDLOG GET 1
        COMMANDLOG GET x slow
        COMMANDLOG GET -2 slow
        COMMANDLOG GET 1 foo
        COMMANDLOG GET x foo
        COMMANDLOG LEN
        COMMANDLOG LEN foo
        COMMANDLOG RESET foo
        COMMANDLOG RESET slow x
        COMMANDLOG foo
        CONFIG SET commandlog-request-larger-than -2
        CONFIG SET commandlog-reply-larger-than 60 commandlog-request-larger-than 60
        GET k
        STRLEN k
        MGET k k k
        GET missing
        MGET a b c d e f g h i j k l m n o p q r s t u v w x y z
        KEYS *
        ECHO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        AUTH default hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2
        CONFIG SET commandlog-request-larger-than -1 commandlog-reply-larger-than -1
        COMMANDLOG LEN large-request
        COMMANDLOG GET 20 large-request
        COMMANDLOG GET 20 large-reply
        COMMANDLOG RESET large-reply
        COMMANDLOG LEN large-reply
        COMMANDLOG GET -1 large-reply
        CONFIG GET commandlog-re*";
    let seen = |line: &str, reply: &[u8]| {
        assert!(!reply.windows(7).any(|bytes| bytes == b"hunter2"), "{}", String::from_utf8_lossy(reply));
        match line {
            "COMMANDLOG GET 20 large-request" | "COMMANDLOG GET 20 large-reply" => {
                // Whether the change of a limit itself is logged depends on which limit is asked.
                shown(reply).lines().filter(|entry| !entry.contains("-larger-than")).collect::<Vec<_>>().join("\n")
            }
            // For the same reason.
            "COMMANDLOG LEN large-request" => String::new(),
            // The order of settings is of no meaning.
            _ if line.starts_with("CONFIG GET") => {
                let mut words: Vec<&[u8]> = reply.split(|byte| *byte == b'\n').collect();
                words.sort_unstable();
                String::from_utf8_lossy(&words.concat()).into_owned()
            }
            _ => String::from_utf8_lossy(reply).into_owned(),
        }
    };
    for resp3 in [false, true] {
        let wrong = beside.differences(script, resp3, seen);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    let mut client = beside.remora.client();
    client.must("CONFIG SET commandlog-reply-larger-than 60 commandlog-request-larger-than 40");
    client.must("EVAL \"return string.rep('x', 100)\" 0");
    client.must("CONFIG SET commandlog-reply-larger-than -1 commandlog-request-larger-than -1");
    for (kind, nth) in [("large-request", 1), ("large-reply", 0)] {
        let newest = client.call(&format!("COMMANDLOG GET 2 {kind}"));
        assert!(newest.items()[nth].items()[3].items()[0].text_is("EVAL"));
    }
}

/// While a script is busy the logs can be looked at here; a real replica answers BUSY. Once it is killed both have it.
#[test]
fn a_script_that_was_killed_is_logged_as_at_a_real_replica() {
    let settings = ["--busy-reply-threshold", "50"];
    let Some(beside) = Beside::start("valkey-9.1", &[&settings.join(" ")], &settings) else { return };
    let logged = [beside.replica.port, beside.remora.port].map(|port| {
        let (mut busy, mut client) = (Client::connect(port), Client::connect(port));
        client.must("SLOWLOG RESET");
        busy.send(&words("EVAL \"while true do end\" 0 argument"));
        let is_busy = |client: &mut Client| client.call("EVAL \"return 1\" 0").text_starts("BUSY");
        wait::until("the script is busy", SOON, || is_busy(&mut client));
        if port == beside.remora.port {
            assert!(client.must("SLOWLOG LEN").int() >= 0 && client.must("COMMANDLOG LEN slow").int() >= 0);
        }
        client.must("SCRIPT KILL");
        assert!(busy.reply().is_error());
        wait::until_some("it is logged", SOON, || {
            let entries = client.must("COMMANDLOG GET -1 slow");
            let mut words = entries.items().iter().map(|entry| format!("{:?}", entry.items()[3]));
            words.find(|words| words.contains("while true"))
        })
    });
    assert_eq!(logged[0], logged[1]);
}
