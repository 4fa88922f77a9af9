//! The program: flags, logging, runtime, exit code.

fn main() {}
