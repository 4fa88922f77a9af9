//! From registers to a number: Ertl's improved estimator, in doubles as the servers compute it.

use super::{HASH_BITS, REGISTERS, Registers};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimated number of different elements.
pub fn estimate(registers: &Registers) -> u64 {
    let mut histogram = [0_u32; 64];
    registers.iter().for_each(|value| histogram[usize::from(value & 63)] += 1);
    let m = REGISTERS as f64;
    let share = |value: usize| f64::from(histogram[value]) / m;
    let highest = HASH_BITS as usize + 1;
    let mut z = m * tau((m - f64::from(histogram[highest])) / m);
    for value in (1..highest).rev() {
        z = (z + f64::from(histogram[value])) * 0.5;
    }
    z += m * sigma(share(0));
    (ALPHA * m * m / z).round() as u64
}

fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
