//! Chance with a seed: printed by every random test, given again with `REMORA_TEST_SEED`.

/// A generator for the test of this name; prints the seed that makes it again.
pub fn seeded(test: &str) -> fastrand::Rng {
    let seed = match std::env::var("REMORA_TEST_SEED") {
        Ok(text) => text.parse().expect("REMORA_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("{test}: seed {seed} (again: REMORA_TEST_SEED={seed} tests/run {test})");
    fastrand::Rng::with_seed(seed)
}

/// A number from the environment, for runs that are longer than usual.
pub fn size(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}
