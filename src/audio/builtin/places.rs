//! Where symphonia says that channels belong.

use symphonia::core::audio::{Channels, Position};

use crate::audio::mix::Place;

/// A place for each channel, in the order of their planes.
pub fn places(channels: &Channels) -> Vec<Place> {
    match channels {
        Channels::Positioned(positions) => positions.iter().map(place).collect(),
        other => vec![Place::Anywhere; other.count()],
    }
}

fn place(position: Position) -> Place {
    let is = |of: Position| of.contains(position);
    match position {
        Position::FRONT_CENTER => Place::Centre,
        _ if is(Position::LFE1 | Position::LFE2) => Place::Bass,
        _ if is(Position::FRONT_LEFT | Position::FRONT_RIGHT) => Place::Front,
        _ if is(Position::FRONT_LEFT_CENTER | Position::FRONT_RIGHT_CENTER) => Place::Front,
        _ if is(Position::FRONT_LEFT_WIDE | Position::FRONT_RIGHT_WIDE) => Place::Front,
        _ => Place::Around,
    }
}
