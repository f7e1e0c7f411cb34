//! Blocks: packets of a track, one or several laced together.

/// Number of the track, and the time in ticks from the cluster's.
pub fn start(block: &[u8]) -> Option<(u64, i16)> {
    let (number, rest) = number(block)?;
    let ticks = rest.get(..2)?;
    Some((number, i16::from_be_bytes([*ticks.first()?, *ticks.get(1)?])))
}

/// The packets in a block, none where it is damaged.
pub fn frames(block: &[u8]) -> Vec<&[u8]> {
    laced(block).unwrap_or_default()
}

fn laced(block: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, rest) = number(block)?;
    let flags = *rest.get(2)?;
    let rest = rest.get(3..)?;
    let lacing = flags >> 1 & 3;
    if lacing == 0 {
        return Some(vec![rest]);
    }
    let (count, mut rest) = rest.split_first()?;
    let others = usize::from(*count);
    let mut sizes = Vec::with_capacity(others);
    match lacing {
        1 => {
            while sizes.len() < others {
                let end = rest.iter().position(|byte| *byte != 255)?;
                sizes.push(end * 255 + usize::from(*rest.get(end)?));
                rest = rest.get(end + 1..)?;
            }
        }
        2 => sizes.resize(others, rest.len() / (others + 1)),
        _ => {
            let mut size = 0_i64;
            for index in 0..others {
                let len = rest.first()?.leading_zeros() as usize + 1;
                let (value, after) = number(rest)?;
                let value = i64::try_from(value).ok()?;
                // the first is a size, the others are differences, of which half the range is negative
                size = if index == 0 { value } else { size.checked_add(value - ((1_i64 << (7 * len - 1)) - 1))? };
                sizes.push(usize::try_from(size).ok()?);
                rest = after;
            }
        }
    }
    let mut frames = Vec::with_capacity(others + 1);
    for size in sizes {
        frames.push(rest.get(..size)?);
        rest = rest.get(size..)?;
    }
    frames.push(rest);
    Some(frames)
}

/// A number of variable length, its marker bit taken off.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let more = first.leading_zeros() as usize;
    if more > 7 {
        return None;
    }
    let rest = bytes.get(1..=more)?;
    let value = rest.iter().fold(u64::from(first) & (0x7F >> more), |value, byte| value << 8 | u64::from(*byte));
    Some((value, bytes.get(more + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lacing_gives_its_packets() {
        let track_and_time = [0x81, 0xFF, 0xFE];
        let block = |flags: u8, rest: &[u8]| [&track_and_time[..], &[flags], rest].concat();
        assert_eq!(start(&block(0, &[])), Some((1, -2)));
        assert_eq!(frames(&block(0, b"abc")), [b"abc"]);
        assert_eq!(frames(&block(2, &[2, 1, 2, b'a', b'b', b'c', b'd'])), [&b"a"[..], b"bc", b"d"]);
        assert_eq!(frames(&block(4, &[1, b'a', b'b', b'c', b'd'])), [b"ab", b"cd"]);
        // sizes 2, then one less, then what is left
        assert_eq!(frames(&block(6, &[2, 0x82, 0xBE, b'a', b'b', b'c', b'd', b'e'])), [&b"ab"[..], b"c", b"de"]);
        // sizes beyond the block
        assert!(frames(&block(2, &[1, 200, b'a'])).is_empty());
        let long = [vec![1, 255, 1], vec![7; 256], vec![8]].concat();
        assert_eq!(frames(&block(2, &long)).iter().map(|frame| frame.len()).collect::<Vec<_>>(), [256, 1]);
    }
}
