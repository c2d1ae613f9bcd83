//! The cheap look at what is relayed, a chunk or a whole reply: one pass without allocation that says "an ordinary piece
//! of an answer, and so much of it", or nothing. Whatever is not plainly ordinary (an error, Azure's oddities, a form not
//! seen before, broken JSON; in a chunk also usage and a finish, in a whole reply tool calls) is left to the decoder.
//!
//! Never decides anything on its own: what it lets pass is valid JSON, and counts exactly as the decoder would count it.
//! It is more lenient in one thing: types of fields that nobody reads here are not looked at.

use crate::{dialect::openai_chat::usage, hub::Usage, json::Cursor};

/// An ordinary chunk's content, per answer.
#[derive(Debug, Default)]
pub(super) struct Plain {
    answers: [Piece; MAX_ANSWERS],
    length: usize,
}

/// What a chunk holds of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub(super) choice: u32,
    /// Lengths of its texts, decoded: reasoning, content, refusal, and a tool call's arguments.
    pub(super) texts: [usize; 4],
}

/// A chunk with more answers than this is left to the decoder; recorded chunks have one.
const MAX_ANSWERS: usize = 4;

impl Plain {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.answers.iter().take(self.length)
    }

    fn push(&mut self, piece: Piece) -> Option<()> {
        *self.answers.get_mut(self.length)? = piece;
        self.length += 1;
        Some(())
    }
}

/// Looks at the data of one event. `None`: not plainly ordinary.
pub(super) fn scan(data: &[u8]) -> Option<Plain> {
    let mut cursor = Cursor::new(data)?;
    let mut plain = Plain::default();
    cursor.fields(|cursor, key| match key {
        b"choices" => cursor.items(|cursor| {
            let piece = choice(cursor)?;
            plain.push(piece)
        }),
        b"usage" => cursor.null(),
        b"error" => None,
        b"object" => (!cursor.string()?.is_empty()).then_some(()),
        _ => cursor.skip(),
    })?;
    (plain.length > 0 && cursor.is_at_end()).then_some(plain)
}

/// What a whole reply says of itself; strings as they stand in it, without escapes.
#[derive(Debug, Default)]
pub(super) struct PlainReply<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) usage: Option<Usage>,
    /// All answers, each of which has finished.
    pub(super) answers: Plain,
}

/// Looks at a whole reply. `None`: not plainly ordinary.
pub(super) fn scan_whole(body: &[u8]) -> Option<PlainReply<'_>> {
    let mut cursor = Cursor::new(body)?;
    let mut reply = PlainReply::default();
    cursor.fields(|cursor, key| {
        match key {
            b"id" => reply.id = Some(cursor.plain_text()?),
            b"model" => reply.model = Some(cursor.plain_text()?),
            b"choices" => cursor.items(|cursor| {
                let answer = answer(cursor)?;
                reply.answers.push(answer)
            })?,
            b"usage" => reply.usage = Some(usage(cursor)?),
            b"object" if cursor.string()? == b"chat.completion" => {}
            b"error" | b"object" | b"x_groq" => return None,
            _ => cursor.skip()?,
        }
        Some(())
    })?;
    (reply.answers.length > 0 && cursor.is_at_end()).then_some(reply)
}

fn answer(cursor: &mut Cursor<'_>) -> Option<Piece> {
    let mut piece = Piece::default();
    let (mut has_index, mut has_message, mut finished) = (false, false, false);
    cursor.fields(|cursor, key| match key {
        b"index" => {
            has_index = true;
            piece.choice = index(cursor)?;
            Some(())
        }
        b"message" => {
            has_message = true;
            piece.texts = delta(cursor, |cursor| cursor.empty_or_null().map(|()| 0))?;
            Some(())
        }
        b"finish_reason" => {
            finished = true;
            (!matches!(cursor.string()?, b"" | b"error")).then_some(())
        }
        b"delta" => None,
        _ => cursor.skip(),
    })?;
    (has_index && has_message && finished).then_some(piece)
}

fn choice(cursor: &mut Cursor<'_>) -> Option<Piece> {
    let mut piece = Piece::default();
    let (mut has_index, mut has_delta) = (false, false);
    cursor.fields(|cursor, key| match key {
        b"index" => {
            has_index = true;
            piece.choice = index(cursor)?;
            Some(())
        }
        b"delta" => {
            has_delta = true;
            piece.texts = delta(cursor, tool_calls)?;
            Some(())
        }
        b"finish_reason" => cursor.null(),
        b"message" => None,
        _ => cursor.skip(),
    })?;
    (has_index && has_delta).then_some(piece)
}

/// A plain whole number; other forms of one are left to the decoder.
fn index(cursor: &mut Cursor<'_>) -> Option<u32> {
    u32::try_from(cursor.count()??).ok()
}

/// The lengths of a message's texts, or of a piece of one; `tool_calls` reads the calls.
fn delta(
    cursor: &mut Cursor<'_>,
    tool_calls: impl Fn(&mut Cursor<'_>) -> Option<usize>,
) -> Option<[usize; 4]> {
    let (mut named, mut short, mut content, mut refusal, mut arguments) = (0, 0, 0, 0, 0);
    cursor.fields(|cursor, key| {
        match key {
            b"content" => content = cursor.text_or_null()?,
            b"refusal" => refusal = cursor.text_or_null()?,
            b"reasoning_content" => named = cursor.text_or_null()?,
            b"reasoning" => short = cursor.text_or_null()?,
            b"tool_calls" => arguments = tool_calls(cursor)?,
            _ => cursor.skip()?,
        }
        Some(())
    })?;
    let reasoning = if named > 0 { named } else { short };
    Some([reasoning, content, refusal, arguments])
}

/// One tool call with function arguments; anything else is left to the decoder.
fn tool_calls(cursor: &mut Cursor<'_>) -> Option<usize> {
    if cursor.take_null() {
        return Some(0);
    }
    let (mut calls, mut length) = (0, 0);
    cursor.items(|cursor| {
        calls += 1;
        cursor.fields(|cursor, key| match key {
            b"function" => cursor.fields(|cursor, key| match key {
                b"arguments" => {
                    length = cursor.text_or_null()?;
                    Some(())
                }
                _ => cursor.skip(),
            }),
            // A new call, to be numbered by the decoder.
            b"id" => cursor.null(),
            b"custom" => None,
            _ => cursor.skip(),
        })
    })?;
    (calls == 1).then_some(length)
}
