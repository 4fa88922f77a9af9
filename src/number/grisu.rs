//! Digits of a double by Grisu2: short in nearly all cases, and wrong by one digit too many in exactly the cases in
//! which the servers' printer is. A shortest-float printer would differ from them (protocol: 12472.46929).
//!
//! Everything is decided by the arithmetic below: 64 bit significands, products of which the upper 64 bits are kept
//! rounded, cached powers of ten in steps of eight.

/// Most digits that come out.
pub(super) const DIGITS_MAX: usize = 18;

/// Decimal digits (0 to 9) of a finite double that is not zero, sign ignored: `value = digits * 10^exponent`.
pub(super) struct Decimal {
    digits: [u8; DIGITS_MAX],
    len: usize,
    pub(super) exponent: i32,
}

/// `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Float {
    significand: u64,
    exponent: i32,
}

impl Float {
    fn normalised(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self { significand: self.significand << shift, exponent: self.exponent - shift.cast_signed() }
    }

    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self { significand: (product >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

impl Decimal {
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    pub(super) fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let exact = match biased {
            0 => Float { significand: fraction, exponent: -1074 },
            _ => Float { significand: fraction | 1 << 52, exponent: biased - 1075 },
        };
        let (low, high) = boundaries(exact);
        let (power, power_exponent) = cached_power(high.exponent);
        let (exact, low, high) = (exact.normalised().times(power), low.times(power), high.times(power));
        let (low, top) = (low.significand + 1, high.significand - 1);
        let mut decimal = Self { digits: [0; DIGITS_MAX], len: 0, exponent: -power_exponent };
        decimal.generate(Float { significand: top, ..high }, top - exact.significand, top - low);
        decimal
    }

    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.len > 0) && self.len < DIGITS_MAX {
            self.digits[self.len] = digit as u8;
            self.len += 1;
        }
    }

    /// Digits of `top` until what is left is below `delta`; then the last one is lowered towards the exact value,
    /// which is `distance` below `top`.
    fn generate(&mut self, top: Float, distance: u64, mut delta: u64) {
        let shift = (-top.exponent).cast_unsigned();
        let mask = (1_u64 << shift) - 1;
        let (mut whole, mut part) = (top.significand >> shift, top.significand & mask);
        for place in (0..10_u32).rev() {
            let unit = 10_u64.pow(place);
            self.push(whole / unit);
            whole %= unit;
            let rest = (whole << shift) + part;
            if rest <= delta {
                self.exponent += place.cast_signed();
                return self.settle(rest, unit << shift, distance, delta);
            }
        }
        let mut unit = 1_u64;
        loop {
            part *= 10;
            delta *= 10;
            unit *= 10;
            self.exponent -= 1;
            self.push(part >> shift);
            part &= mask;
            if part < delta {
                return self.settle(part, mask + 1, distance.wrapping_mul(unit), delta);
            }
        }
    }

    fn settle(&mut self, mut rest: u64, unit: u64, wanted: u64, delta: u64) {
        while rest < wanted
            && delta - rest >= unit
            && (rest + unit < wanted || wanted - rest > rest + unit - wanted)
        {
            self.digits[self.len.saturating_sub(1)] -= 1;
            rest += unit;
        }
    }
}

/// The middles between a double and its neighbours, with one exponent.
fn boundaries(exact: Float) -> (Float, Float) {
    let high = Float { significand: 2 * exact.significand + 1, exponent: exact.exponent - 1 }.normalised();
    // below a power of two the neighbour is nearer
    let shift = if exact.significand == 1 << 52 { 2 } else { 1 };
    let low = (exact.significand << shift) - 1;
    let low = Float { significand: low << (exact.exponent - shift - high.exponent), exponent: high.exponent };
    (low, high)
}

const POWER_FIRST: i32 = -348;
const POWER_STEP: i32 = 8;

/// A power of ten that brings a number of this binary exponent into the window -60 to -32, and its exponent.
fn cached_power(exponent: i32) -> (Float, i32) {
    const LOG10_OF_2: f64 = 0.301_029_995_663_981_14;
    let about = (f64::from(-(exponent + 87)) * LOG10_OF_2) as i32;
    let mut index = (about - POWER_FIRST) / POWER_STEP;
    loop {
        let decimal = POWER_FIRST + POWER_STEP * index;
        let power = Float { significand: POWERS[index as usize], exponent: ((decimal * 1_741_647) >> 19) - 63 };
        match exponent + power.exponent + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, decimal),
        }
    }
}

/// 10^-348, 10^-340, ... 10^340: the upper 64 bits, rounded. The exponent is floor(log2 of it) - 63.
const POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288,
    0xbaaee17fa23ebf76,
    0x8b16fb203055ac76,
    0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d,
    0xe61acf033d1a45df,
    0xab70fe17c79ac6ca,
    0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c,
    0x8dd01fad907ffc3c,
    0xd3515c2831559a83,
    0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb,
    0xaecc49914078536d,
    0x823c12795db6ce57,
    0xc21094364dfb5637,
    0x9096ea6f3848984f,
    0xd77485cb25823ac7,
    0xa086cfcd97bf97f4,
    0xef340a98172aace5,
    0xb23867fb2a35b28e,
    0x84c8d4dfd2c63f3b,
    0xc5dd44271ad3cdba,
    0x936b9fcebb25c996,
    0xdbac6c247d62a584,
    0xa3ab66580d5fdaf6,
    0xf3e2f893dec3f126,
    0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b,
    0xc9bcff6034c13053,
    0x964e858c91ba2655,
    0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f,
    0xf8a95fcf88747d94,
    0xb94470938fa89bcf,
    0x8a08f0f8bf0f156b,
    0xcdb02555653131b6,
    0x993fe2c6d07b7fac,
    0xe45c10c42a2b3b06,
    0xaa242499697392d3,
    0xfd87b5f28300ca0e,
    0xbce5086492111aeb,
    0x8cbccc096f5088cc,
    0xd1b71758e219652c,
    0x9c40000000000000,
    0xe8d4a51000000000,
    0xad78ebc5ac620000,
    0x813f3978f8940984,
    0xc097ce7bc90715b3,
    0x8f7e32ce7bea5c70,
    0xd5d238a4abe98068,
    0x9f4f2726179a2245,
    0xed63a231d4c4fb27,
    0xb0de65388cc8ada8,
    0x83c7088e1aab65db,
    0xc45d1df942711d9a,
    0x924d692ca61be758,
    0xda01ee641a708dea,
    0xa26da3999aef774a,
    0xf209787bb47d6b85,
    0xb454e4a179dd1877,
    0x865b86925b9bc5c2,
    0xc83553c5c8965d3d,
    0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3,
    0xa59bc234db398c25,
    0xf6c69a72a3989f5c,
    0xb7dcbf5354e9bece,
    0x88fcf317f22241e2,
    0xcc20ce9bd35c78a5,
    0x98165af37b2153df,
    0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396,
    0xfb9b7cd9a4a7443c,
    0xbb764c4ca7a44410,
    0x8bab8eefb6409c1a,
    0xd01fef10a657842c,
    0x9b10a4e5e9913129,
    0xe7109bfba19c0c9d,
    0xac2820d9623bf429,
    0x80444b5e7aa7cf85,
    0xbf21e44003acdd2d,
    0x8e679c2f5e44ff8f,
    0xd433179d9c8cb841,
    0x9e19db92b4e31ba9,
    0xeb96bf6ebadf77d9,
    0xaf87023b9bf0ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binary_exponent_has_a_power_in_the_window() {
        for exponent in -1138..=960 {
            let (power, _) = cached_power(exponent);
            assert!((-60..=-32).contains(&(exponent + power.exponent + 64)), "{exponent}");
        }
    }

    #[test]
    fn one_digit_too_many_is_kept_where_the_servers_have_it() {
        let decimal = Decimal::of(12472.46929);
        assert_eq!(decimal.digits(), [1, 2, 4, 7, 2, 4, 6, 9, 2, 8, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(decimal.exponent, -12);
    }
}
