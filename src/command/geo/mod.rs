//! Places in sorted sets: coordinates, distances, who is near.

mod apply;
mod query;
mod read;
mod samples;
mod text;

use super::row::{Keys, Row, read, write};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("geopos", -2, Keys::One(1), read::geopos).samples(samples::GEOPOS),
    read("geodist", -4, Keys::One(1), read::geodist).samples(samples::GEODIST),
    read("geohash", -2, Keys::One(1), read::geohash).samples(samples::GEOHASH),
    read("geosearch", -7, Keys::One(1), read::geosearch).samples(samples::GEOSEARCH),
    read("georadius_ro", -6, Keys::One(1), read::georadius_ro).samples(samples::GEORADIUS_RO),
    read("georadiusbymember_ro", -5, Keys::One(1), read::georadiusbymember_ro)
        .samples(samples::GEORADIUSBYMEMBER_RO),
    write("geoadd", -5, Keys::One(1), apply::geoadd),
    write("georadius", -6, Keys::WithStore, apply::georadius),
    write("georadiusbymember", -5, Keys::WithStore, apply::georadiusbymember),
    write("geosearchstore", -8, Keys::Range(1, 2, 1), apply::geosearchstore).since(Some((6, 2)), Some((7, 2))),
];
