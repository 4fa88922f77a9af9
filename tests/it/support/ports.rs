//! Free ports on the loopback.

use std::net::TcpListener;

/// A port that nobody listens on now. They are taken by chance from below the range that the system gives to
/// outgoing connections, so that tests running side by side do not meet.
pub fn free() -> u16 {
    for _ in 0..1000 {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on the loopback");
}
