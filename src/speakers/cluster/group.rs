//! Voices that are one speaker's, and which of them become one.

use ndarray::Array2;

use crate::speakers::embedding::{SIZE, Voice};

/// More groups are not compared with each other: what is left of ten hours of many voices is far less.
pub const MOST: usize = 512;

/// Voices that are one speaker's.
#[derive(Debug, Clone)]
pub struct Group {
    /// Sum of the directions, each by its seconds.
    pub sum: Voice,
    /// Of all of them.
    pub secs: f32,
}

impl Group {
    /// Takes another one in.
    pub fn absorb(&mut self, other: &Self) {
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, more)| *sum += more);
        self.secs += other.secs;
    }

    /// Between its middle and a direction.
    pub fn cosine(&self, other: &Voice) -> f32 {
        let length = (dot(&self.sum, &self.sum) * dot(other, other)).sqrt();
        if length > 0.0 { dot(&self.sum, other) / length } else { 0.0 }
    }
}

/// Joins the two most alike as long as `goes_on`, told how many groups there are and how alike those two are. At most
/// [`MOST`] groups: all pairs are held, and looked at in each step.
pub fn join(groups: &mut Vec<Group>, goes_on: impl Fn(usize, f32) -> bool) {
    let mut kept: Vec<Option<Group>> = std::mem::take(groups).into_iter().map(Some).collect();
    let alike = |kept: &[Option<Group>], a: usize, b: usize| {
        let pair = kept.get(a.min(b)).zip(kept.get(a.max(b))).filter(|_| a != b);
        let both = pair.and_then(|(a, b)| a.as_ref().zip(b.as_ref()));
        both.map_or(f32::NEG_INFINITY, |(a, b)| a.cosine(&b.sum))
    };
    let mut cosines = Array2::from_shape_fn((kept.len(), kept.len()), |(a, b)| alike(&kept, a, b));
    for count in (2..=kept.len()).rev() {
        let best = cosines.indexed_iter().max_by(|(_, x), (_, y)| x.total_cmp(y));
        let Some(((a, b), _)) = best.filter(|(_, cosine)| goes_on(count, **cosine)) else { break };
        let other = kept.get_mut(b).and_then(Option::take);
        if let (Some(other), Some(Some(group))) = (other, kept.get_mut(a)) {
            group.absorb(&other);
        }
        for at in 0..kept.len() {
            for changed in [a, b] {
                let cosine = alike(&kept, at, changed);
                cosines[[at, changed]] = cosine;
                cosines[[changed, at]] = cosine;
            }
        }
    }
    groups.extend(kept.into_iter().flatten());
}

/// Gives the smallest away, each to the one it is most like, as long as `goes_on`, told how many groups there are and how
/// many seconds the smallest has.
pub fn dissolve(groups: &mut Vec<Group>, goes_on: impl Fn(usize, f32) -> bool) {
    while groups.len() > 1 {
        let smallest = groups.iter().enumerate().min_by(|(_, a), (_, b)| a.secs.total_cmp(&b.secs));
        let smallest = smallest.filter(|(_, group)| goes_on(groups.len(), group.secs)).map(|(index, _)| index);
        let Some(small) = smallest.map(|index| groups.swap_remove(index)) else { return };
        let nearest = groups.iter_mut().max_by(|a, b| a.cosine(&small.sum).total_cmp(&b.cosine(&small.sum)));
        if let Some(nearest) = nearest {
            nearest.absorb(&small);
        }
    }
}

/// The product of two directions: eight sums side by side, which a processor adds at once.
pub fn dot(a: &Voice, b: &Voice) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    const { assert!(SIZE.is_multiple_of(8)) };
    sums.iter().sum()
}
