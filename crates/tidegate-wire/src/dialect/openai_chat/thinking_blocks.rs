//! Reasoning with its signature in a reply, as LiteLLM's proxy tells it (`thinking_blocks` beside the text of the reasoning), for
//! callers of another dialect, whose next turn has to give it back.
//!
//! Called by the decoder. What is no list of such blocks is nothing.

use serde_json::Value;

use crate::hub::Event;

/// The events of a streamed piece's blocks: signatures, and what is withheld. Their text was told beside them.
pub(super) fn of_piece(choice: u32, blocks: &Value, events: &mut Vec<Event>) {
    for block in blocks.as_array().into_iter().flatten() {
        events.extend(seal(choice, block));
    }
}

/// The events of a whole reply's blocks, each with its own text. Whether they tell more than the text beside them does.
pub(super) fn of_whole(choice: u32, blocks: &Value, events: &mut Vec<Event>) -> bool {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    if !blocks.iter().any(|block| seal(choice, block).is_some()) {
        return false;
    }
    for block in blocks {
        let text = said(block, "thinking").map(|text| Event::Reasoning { choice, text });
        events.extend(text);
        events.extend(seal(choice, block));
    }
    true
}

fn seal(choice: u32, block: &Value) -> Option<Event> {
    let signature = said(block, "signature").map(|signature| Event::ReasoningSignature { choice, signature });
    signature.or_else(|| said(block, "data").map(|data| Event::ReasoningRedacted { choice, data }))
}

fn said(block: &Value, name: &str) -> Option<String> {
    block.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
