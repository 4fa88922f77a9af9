//! A TCP proxy between remora and its master that cuts, stalls and counts. It cuts and stalls the connection of the lag
//! probe with the link, but counts only the link's bytes.

use super::ports;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running proxy; everything is cut when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: u16,
    /// Bytes that may still pass from the master, `i64::MAX` for any number; at zero the connection is cut.
    budget: AtomicI64,
    stalled: AtomicBool,
    refusing: AtomicBool,
    ended: AtomicBool,
    down_bytes: AtomicU64,
    cuts: AtomicU64,
    /// Both sockets of each open connection, with its number.
    live: Mutex<Vec<(usize, TcpStream)>>,
}

/// How often a waiting pump looks whether something has changed.
const TICK: Duration = Duration::from_millis(20);

impl Proxy {
    /// A proxy in front of a port of the loopback.
    pub fn to(target: u16) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the proxy's port");
        let state = Arc::new(State {
            target,
            budget: AtomicI64::new(i64::MAX),
            stalled: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            down_bytes: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            live: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, state }
    }

    /// Cuts what is connected now.
    pub fn cut(&self) {
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
        self.state.cut();
    }

    /// Cuts as soon as this many further bytes of the master have passed, in the middle of whatever it is.
    pub fn cut_after(&self, bytes: u64) {
        self.state.budget.store(i64::try_from(bytes).expect("a small number"), Ordering::SeqCst);
    }

    /// Holds back (or lets go) what the master sends.
    pub fn stall(&self, yes: bool) {
        self.state.stalled.store(yes, Ordering::SeqCst);
    }

    /// Closes new connections at once, or no longer.
    pub fn refuse(&self, yes: bool) {
        self.state.refusing.store(yes, Ordering::SeqCst);
    }

    /// Bytes that came from the master and passed.
    pub fn down_bytes(&self) -> u64 {
        self.state.down_bytes.load(Ordering::SeqCst)
    }

    /// Connections cut so far.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn cut(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, stream) in live.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn forget(&self, connection: usize) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number != connection);
    }

    /// Takes up to `wanted` bytes from the budget; fewer than wanted means: cut behind them.
    fn take(&self, wanted: usize) -> usize {
        let wanted_signed = i64::try_from(wanted).expect("a small number");
        let before = self.budget.load(Ordering::SeqCst);
        if before == i64::MAX {
            return wanted;
        }
        let granted = before.clamp(0, wanted_signed);
        let left = if granted < wanted_signed || before == granted { i64::MAX } else { before - granted };
        self.budget.store(left, Ordering::SeqCst);
        usize::try_from(granted).expect("not negative")
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for (number, stream) in listener.incoming().enumerate() {
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(replica) = stream else { continue };
        if state.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(master) = TcpStream::connect(("127.0.0.1", state.target)) else { continue };
        let pairs = [(&replica, &master), (&master, &replica)];
        let clones =
            pairs.map(|(from, to)| (from.try_clone().expect("a socket"), to.try_clone().expect("a socket")));
        state.live.lock().unwrap_or_else(PoisonError::into_inner).extend([(number, replica), (number, master)]);
        let counted = Arc::new(AtomicBool::new(true));
        for ((from, to), down) in clones.into_iter().zip([false, true]) {
            let (state, counted) = (Arc::clone(state), Arc::clone(&counted));
            std::thread::spawn(move || {
                pump(from, to, &state, &counted, down);
                state.forget(number);
            });
        }
    }
}

/// Carries bytes one way until either side closes or the budget is used up.
fn pump(mut from: TcpStream, mut to: TcpStream, state: &State, counted: &AtomicBool, down: bool) {
    let _ = from.set_read_timeout(Some(TICK));
    let _ = to.set_nodelay(true);
    let mut chunk = vec![0; 65536];
    let mut first = true;
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        if !down && std::mem::take(&mut first) {
            // A link begins with PING; what begins with AUTH or INFO is the lag probe.
            counted.store(!chunk.starts_with(b"*2") && !chunk.starts_with(b"*3"), Ordering::SeqCst);
        }
        while down && state.stalled.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
        }
        let counts = down && counted.load(Ordering::SeqCst);
        let granted = if counts { state.take(n) } else { n };
        let passed = to.write_all(&chunk[..granted]).is_ok();
        if counts {
            state.down_bytes.fetch_add(granted as u64, Ordering::SeqCst);
        }
        if granted < n {
            state.cuts.fetch_add(1, Ordering::SeqCst);
            state.cut();
        }
        if !passed || granted < n {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
