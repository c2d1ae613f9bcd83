//! A message being gathered, as far as somebody will read it.

use super::events::{self, Event};
use crate::websocket::Part;

/// The present message of one side. `kept.len()` is at most [`Event::keeps`] of what it is, or [`UNKNOWN`].
#[derive(Debug, Default)]
pub(super) struct Message {
    kept: Vec<u8>,
    length: u64,
    event: Option<Event>,
    /// The length from which on the type is looked for again.
    look_at: usize,
}

impl Message {
    /// Takes the next piece. What the message is, once it is whole.
    pub(super) fn take(&mut self, part: &Part<'_>, read: fn(&str) -> Event) -> Option<Event> {
        if part.is_first {
            *self = Self { kept: self.emptied(), look_at: FIRST_LOOK, ..Self::default() };
        }
        self.length += part.len() as u64;
        let mut from = 0;
        loop {
            let room = self.event.map_or(UNKNOWN, Event::keeps).saturating_sub(self.kept.len());
            part.append_to(&mut self.kept, from, room);
            from += room;
            if self.event.is_some() || (self.kept.len() < self.look_at && !part.is_last) {
                break;
            }
            // Each look begins at the beginning: doubled, they are linear in all.
            self.look_at = (self.kept.len() * 2).min(UNKNOWN);
            let known = events::type_of(&self.kept).map(read);
            self.event = known.or((self.kept.len() >= UNKNOWN).then_some(Event::Other));
            let Some(event) = self.event else { break };
            self.kept.truncate(event.keeps());
        }
        part.is_last.then(|| self.event.unwrap_or(Event::Other))
    }

    /// Its text, if it is whole.
    pub(super) fn text(&self) -> &[u8] {
        if self.kept.len() as u64 == self.length { &self.kept } else { &[] }
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What it was kept in, if that is worth keeping.
    fn emptied(&mut self) -> Vec<u8> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        if kept.capacity() > UNKNOWN { Vec::new() } else { kept }
    }
}

/// Events begin with their type, or their id and then their type.
const FIRST_LOOK: usize = 64;
/// How much is kept of a message whose type has not come, in bytes.
const UNKNOWN: usize = 4 * 1024;
