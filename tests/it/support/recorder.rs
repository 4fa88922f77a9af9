//! A second replica of the master that only writes down the stream: what a failed random run leaves behind, to be
//! looked at and sent again.

use super::client::encode;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Records until dropped; a test that fails leaves the snapshot and the stream in `target/failed`.
#[derive(Debug)]
pub struct Recorder {
    name: String,
    stream: TcpStream,
    recorded: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Follows the master at this port from now on. `name` tells whose stream it is.
    pub fn of(master: u16, name: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", master)).expect("the master");
        stream
            .write_all(&encode(&["REPLCONF", "capa", "eof", "version", "9.1.0"]))
            .expect("sending to the master");
        // PSYNC is refused as long as a reply is on its way.
        let answered = stream.read(&mut [0; 256]).expect("the master's reply");
        assert!(answered > 0, "the master closed the connection");
        stream.write_all(&encode(&["PSYNC", "?", "-1"])).expect("sending to the master");
        let (mut reading, mut writing) =
            (stream.try_clone().expect("a socket"), stream.try_clone().expect("a socket"));
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&recorded);
        std::thread::spawn(move || {
            let mut chunk = [0; 65536];
            while let Ok(n @ 1..) = reading.read(&mut chunk) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..n]);
            }
        });
        // A master starts its stream at an ACK; an offset of 0 asks for nothing.
        std::thread::spawn(move || {
            while writing.write_all(&encode(&["REPLCONF", "ACK", "0"])).is_ok() {
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self { name: name.to_string(), stream, recorded }
    }

    /// Bytes so far.
    fn recorded(&self) -> Vec<u8> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if std::thread::panicking() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/failed");
            let file = folder.join(format!("{}.stream.bin", self.name));
            let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, self.recorded()));
            eprintln!("--- the replies and the stream of the master are in {} ({written:?})", file.display());
        }
    }
}
