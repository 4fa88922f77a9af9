//! Section about the threads that serve clients, which Redis 8.0 has. The first worker stands where its main thread does.

use super::Text;
use crate::command::context::SessionCx;

pub(super) fn threads(cx: &SessionCx<'_>, text: &mut Text) {
    let mut clients: Vec<usize> = Vec::new();
    for client in cx.server.clients.all() {
        let worker = client.endpoint.worker;
        if clients.len() <= worker {
            clients.resize(worker + 1, 0);
        }
        clients[worker] += 1;
    }
    for (number, thread) in cx.server.status.totals().threads.iter().enumerate() {
        let clients = clients.get(number).copied().unwrap_or(0);
        let (reads, writes) = (thread.reads, thread.writes);
        text.field(
            &format!("io_thread_{number}"),
            format_args!("clients={clients},reads={reads},writes={writes}"),
        );
    }
}
