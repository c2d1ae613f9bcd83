//! The few events that are read, by their type, and what is read of them.

use super::message::Message;
use crate::json::Cursor;

/// What a message is to the observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `session.created`, `transcription_session.created`.
    SessionCreated,
    /// `response.created`.
    ResponseCreated,
    /// `response.done`.
    ResponseDone,
    /// `conversation.item.input_audio_transcription.completed`.
    Transcribed,
    /// Generated text, a transcript of what is said, or arguments of a call.
    TextDelta,
    /// Generated audio.
    AudioDelta,
    /// `input_audio_buffer.append`.
    InputAudio,
    /// Anything else.
    Other,
}

impl Event {
    pub(super) fn of_backend(kind: &str) -> Self {
        match kind {
            "session.created" | "transcription_session.created" => Self::SessionCreated,
            "response.created" => Self::ResponseCreated,
            "response.done" => Self::ResponseDone,
            "conversation.item.input_audio_transcription.completed" => Self::Transcribed,
            // The second is the name that previews have.
            "response.output_audio.delta" | "response.audio.delta" => Self::AudioDelta,
            _ if kind.starts_with("response.") && kind.ends_with(".delta") => Self::TextDelta,
            _ => Self::Other,
        }
    }

    pub(super) fn of_caller(kind: &str) -> Self {
        match kind {
            "input_audio_buffer.append" => Self::InputAudio,
            _ => Self::Other,
        }
    }

    /// How much of such a message is kept, in bytes.
    pub(super) fn keeps(self) -> usize {
        match self {
            // It repeats all that the response said.
            Self::ResponseDone => 1024 * 1024,
            // It repeats the session's instructions and tools.
            Self::SessionCreated | Self::Transcribed => 256 * 1024,
            Self::TextDelta => 16 * 1024,
            Self::ResponseCreated | Self::AudioDelta | Self::InputAudio | Self::Other => 0,
        }
    }

    /// How much text it is worth, in bytes.
    pub(super) fn worth(self, message: &Message) -> u64 {
        match self {
            Self::TextDelta => delta(message.text()).unwrap_or(message.length()),
            Self::AudioDelta => message.length().div_ceil(GENERATED_AUDIO),
            Self::InputAudio => message.length().div_ceil(INPUT_AUDIO),
            _ => message.length(),
        }
    }
}

/// The type of an event of which the beginning is there.
pub(super) fn type_of(beginning: &[u8]) -> Option<&str> {
    let whole = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    let mut kind = None;
    Cursor::over(whole).fields(|cursor, key| {
        if key == b"type" {
            kind = cursor.plain_text();
            return None;
        }
        cursor.skip()
    });
    kind
}

/// Length of a delta's text, decoded.
fn delta(event: &[u8]) -> Option<u64> {
    let mut length = None;
    Cursor::new(event)?.fields(|cursor, key| match key {
        b"delta" => {
            length = Some(cursor.text_or_null()? as u64);
            Some(())
        }
        _ => cursor.skip(),
    })?;
    length
}

/// Id and model of a session.
pub(super) fn session(event: &[u8]) -> (Option<String>, Option<String>) {
    let (mut id, mut model) = (None, None);
    inside(event, b"session", |cursor, key| {
        match key {
            b"id" => id = Some(cursor.plain_text()?.to_owned()),
            b"model" if cursor.take_null() => {}
            b"model" => model = Some(cursor.plain_text()?.to_owned()),
            _ => cursor.skip()?,
        }
        Some(())
    });
    (id, model)
}

/// `response.usage`, as JSON text. `None`: it can't be found. A response that was cancelled before it began has none, or null:
/// that is usage of nothing.
pub(super) fn response_usage(event: &[u8]) -> Option<String> {
    let mut usage = String::new();
    inside(event, b"response", |cursor, key| match key {
        b"usage" => object(cursor, &mut usage),
        _ => cursor.skip(),
    })?;
    Some(usage)
}

/// `usage`, likewise.
pub(super) fn usage(event: &[u8]) -> Option<String> {
    let mut usage = String::new();
    Cursor::new(event)?.fields(|cursor, key| match key {
        b"usage" => object(cursor, &mut usage),
        _ => cursor.skip(),
    })?;
    Some(usage)
}

fn object(cursor: &mut Cursor<'_>, into: &mut String) -> Option<()> {
    if cursor.take_null() {
        return Some(());
    }
    cursor.raw(Cursor::skip)?.clone_into(into);
    Some(())
}

/// The fields of the object in field `name`.
fn inside(
    event: &[u8],
    name: &[u8],
    mut each: impl FnMut(&mut Cursor<'_>, &[u8]) -> Option<()>,
) -> Option<()> {
    let mut found = None;
    Cursor::new(event)?.fields(|cursor, key| {
        if key == name && cursor.is_at_object() {
            found = Some(());
            return cursor.fields(&mut each);
        }
        cursor.skip()
    })?;
    found
}

/// Bytes of an event with audio for one byte of text. A token of generated audio lasts 50 ms, which is 3,200 bytes of 24 kHz
/// PCM in base64, and a token of text is four bytes.
const GENERATED_AUDIO: u64 = 800;
/// A token of audio that is listened to lasts 100 ms.
const INPUT_AUDIO: u64 = 1600;
