//! What ties: of places at one distance and of elements with one weight the masters store some, by the way in which they
//! sort. Ours are the same.

use crate::support::chance;
use crate::support::compare::assert_same_digest;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::Remora;
use crate::workload::generate::{Request, request};

for_each_master!(of_what_ties_the_same_is_stored);

fn of_what_ties_the_same_is_stored(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    let mut rng = chance::seeded("of_what_ties_the_same_is_stored");
    let mut requests: Vec<Request> = Vec::new();
    for n in 0..600_i64 {
        let place = match n {
            0..20 => "g:few",
            20..120 => "g:some",
            _ => "g:many",
        };
        let degrees = [10 + rng.i64(0..4), 50 + rng.i64(0..3)];
        requests.push(request!["GEOADD", place, degrees[0], degrees[1], format!("m{n}")]);
        let kind = ["a", "b", "c"][rng.usize(..3)];
        requests.push(request!["RPUSH", ["l:few", "l:many"][usize::from(n > 25)], format!("{kind}{n}")]);
        // Three weights, and elements without any.
        if n % 4 != 0 {
            requests.push(request!["SET", format!("w:{kind}{n}"), ["light", "heavy", "0"][rng.usize(..3)]]);
        }
    }
    for n in 0..400_i64 {
        let target = format!("stored:{n}");
        let (count, order) = (rng.i64(1..60), if rng.bool() { "ASC" } else { "DESC" });
        let place = ["g:few", "g:some", "g:many"][rng.usize(..3)];
        requests.push(match rng.u32(..4) {
            0 => request!["GEORADIUS", place, "11", "51", "400", "km", "COUNT", count, order, "STORE", target],
            1 => request!["GEORADIUS", place, "11", "51", "400", "km", order, "STOREDIST", target],
            2 if server != "redis-6.0" => {
                let mut request = request!["GEOSEARCHSTORE", target, place, "FROMLONLAT", "11", "51"];
                request.extend(request!["BYBOX", "500", "500", "km", order, "COUNT", count]);
                request
            }
            _ => {
                let list = ["l:few", "l:many"][rng.usize(..2)];
                request![
                    "SORT",
                    list,
                    "BY",
                    "w:*",
                    "ALPHA",
                    "LIMIT",
                    rng.i64(0..30),
                    count,
                    order,
                    "STORE",
                    target
                ]
            }
        });
    }
    let replies = master.client().pipeline(&requests);
    let refused = requests.iter().zip(&replies).find(|(_, reply)| reply.is_error());
    assert!(refused.is_none(), "{refused:?}");
    assert_same_digest(&master, &remora);
}
