//! Running a reply machine over bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_wire::{WireError, reply::Reply};

/// Feeds a machine to its end.
pub(crate) fn run<I>(mut reply: Box<dyn Reply<Item = I>>, pieces: &[Bytes]) -> Outcome<I> {
    let mut items = VecDeque::new();
    let mut result = Ok(());
    for piece in pieces {
        result = reply.push(piece.clone(), &mut items);
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        result = reply.finish(&mut items);
    }
    Outcome { items: items.into(), result, progress: reply.progress().clone() }
}

pub(crate) struct Outcome<I> {
    pub(crate) items: Vec<I>,
    pub(crate) result: Result<(), WireError>,
    pub(crate) progress: tidegate_wire::reply::Progress,
}

impl Outcome<Bytes> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.items.concat()
    }
}
