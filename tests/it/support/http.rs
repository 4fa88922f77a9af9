//! One GET over plain HTTP, for probes and metrics.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Status and body of `GET path` at a port of the loopback.
#[track_caller]
pub fn get(port: u16, path: &str) -> (u16, String) {
    try_get(port, path).unwrap_or_else(|error| panic!("GET {path} at port {port}: {error}"))
}

/// The same, or why not.
pub fn try_get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, unchunked(&answer, body)))
}

fn unchunked(answer: &str, body: &str) -> String {
    if !answer.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_string();
    }
    let (mut rest, mut out) = (body, String::new());
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        out.push_str(&behind[..size]);
        rest = &behind[size + 2..];
    }
    out
}

/// The value of a sample of `/metrics`: the series whose name, labels included, starts with `name`; several add up.
pub fn metric(body: &str, name: &str) -> Option<f64> {
    let values = body.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let fits = series == name
            || (series.starts_with(name) && (name.contains('{') || series[name.len()..].starts_with('{')));
        fits.then(|| value.parse::<f64>().ok()).flatten()
    });
    values.reduce(|a, b| a + b)
}
