//! Powers without a call or a branch, so that several are computed at once in vector registers.

/// Two to the power of a number, of one beyond 126 on either side as of that, to single precision.
#[inline(always)]
pub fn two_to(exponent: f32) -> f32 {
    /// So large that of a number added to it the whole part alone is left, in its last bits.
    const WHOLE: f32 = 12_582_912.0;
    let exponent = exponent.clamp(-126.0, 126.0);
    let shifted = exponent + WHOLE;
    let rest = exponent - (shifted - WHOLE);
    // the Taylor series of e to the power of rest times ln 2, |rest| <= 1/2: off by less than 2e-7
    let mut power = 1.540_353e-4;
    for factor in [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 0.240_226_5, std::f32::consts::LN_2, 1.0] {
        power = power * rest + factor;
    }
    power * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_right_to_single_precision() {
        for step in -125_999..=125_999 {
            let exponent = 0.001 * step as f32;
            let (ours, theirs) = (two_to(exponent), exponent.exp2());
            assert!((ours / theirs - 1.0).abs() < 5e-7, "2^{exponent}: {ours}, {theirs}");
        }
        assert!(two_to(f32::NEG_INFINITY) < 2e-38);
        assert!(two_to(f32::NAN).is_nan());
    }
}
