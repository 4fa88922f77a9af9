//! Settings of TLS that cannot work: named at the start, with exit code 64.

use crate::settings::check_refused;
use crate::support::certificates::Authority;
use crate::support::ports;

#[test]
fn what_cannot_work_is_named_at_the_start() {
    let ca = Authority::new("ca");
    let (one, two, port) = (ca.issue("one", &["localhost"]), ca.issue("two", &["localhost"]), ports::free());
    let (port, authority) = (port.to_string(), ca.ca());
    let check = |args: &[&str], named: &str| {
        let mut all = vec!["--port", &port, "--metrics-addr", "none"];
        all.extend(args);
        check_refused(&all, named);
    };
    let serve = ["--replicaof", "127.0.0.1 2", "--tls-port", "1"];
    let with = |more: &[&str], named: &str| check(&[&serve[..], more].concat(), named);
    with(&[], "tls-cert-file: tls-port needs one");
    with(&["--tls-cert-file", &one.certificate], "tls-key-file: tls-cert-file needs it");
    with(
        &["--tls-cert-file", "/nowhere", "--tls-key-file", &one.key, "--tls-auth-clients", "no"],
        "tls-cert-file: /no",
    );
    with(
        &["--tls-cert-file", &one.certificate, "--tls-key-file", &one.key],
        "tls-ca-cert-file: tls-auth-clients needs",
    );
    let both = ["--tls-cert-file", &one.certificate, "--tls-key-file", &two.key, "--tls-ca-cert-file", &authority];
    with(&both, "tls-key-file: the key is not the certificate's");
    with(&[&both[..], &["--tls-key-file-pass", "hunter2"]].concat(), "tls-key-file-pass: encrypted keys");
    with(&["--tls-protocols", "TLSv1"], "--tls-protocols");
    check(&["--replicaof", "rediss://127.0.0.1:1"], "tls-ca-cert-file: TLS with the master needs it");
    check(
        &["--replicaof", "127.0.0.1 2", "--tls-replication", "yes"],
        "tls-ca-cert-file: TLS with the master needs it",
    );
    let trusting = ["--replicaof", "rediss://127.0.0.1:1", "--tls-ca-cert-file", &authority];
    check(&[&trusting[..], &["--tls-expected-peer-name", "not a name"]].concat(), "tls-expected-peer-name");
    check_refused(
        &["--replicaof", "h 1", "--port", "0", "--metrics-addr", "none"],
        "port: there is nowhere to listen",
    );
}
