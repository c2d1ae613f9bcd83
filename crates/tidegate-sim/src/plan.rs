//! What is to be written for one call: a head and a body, as bytes already in the provider's form.
//!
//! The providers' modules make plans, `play` performs them. A plan knows neither sockets nor the time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::scenario::{Scenario, word};

/// A response's status and headers; the headers of HTTP's own framing are added by the connection.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Head {
    pub(crate) fn new(status: u16, content_type: &'static str) -> Self {
        let mut headers = Vec::with_capacity(16);
        headers.push((Cow::Borrowed("content-type"), Cow::Borrowed(content_type)));
        Self { status, headers }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) scenario: Scenario,
}

impl Plan {
    /// A plan that answers at once, whatever faults the scenario has.
    pub(crate) fn prompt_answer(head: Head, body: impl Into<Bytes>) -> Self {
        let body = Body::Whole { bytes: body.into(), thinking: Duration::ZERO, completion: 0 };
        Self { head, body, scenario: Scenario::default() }
    }
}

#[derive(Debug)]
pub(crate) enum Body {
    /// One document, after the time that generating it takes.
    Whole { bytes: Bytes, thinking: Duration, completion: u64 },
    /// Frame after frame.
    Stream(Stream),
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) segments: Vec<Segment>,
    /// Tokens that the provider generates without showing them; they take time and are in its usage.
    pub(crate) hidden: u32,
    /// The provider's form of an error inside the stream.
    pub(crate) failure: Bytes,
    /// A frame that does not parse.
    pub(crate) malformed: Bytes,
}

#[derive(Debug)]
pub(crate) enum Segment {
    /// Frames that carry no token and are sent without waiting.
    Fixed(Vec<Bytes>),
    /// Frames that carry one token each.
    Listed(Vec<Bytes>),
    /// Content tokens, numbered from `first`.
    Content { frames: ContentFrames, first: u32, count: u32 },
}

/// Makes a content token's frame without building JSON.
#[derive(Clone, Debug)]
pub(crate) enum ContentFrames {
    /// An SSE event around the token's text; `padding` is the event's own field against length side channels.
    Sse(Arc<SseTemplate>),
    /// The same with the event's number in front of the text.
    Numbered(Arc<NumberedTemplate>),
    /// Frames used over and over; as many as the built-in text has words.
    Cycle(Arc<[Bytes]>),
}

#[derive(Debug)]
pub(crate) struct SseTemplate {
    pub(crate) before_text: String,
    pub(crate) after_text: String,
    /// What follows the padding; without padding `after_text` is the end.
    pub(crate) after_padding: Option<String>,
    /// Bytes of text per token; 0 means whole words.
    pub(crate) text: usize,
}

/// An event that says its own number.
#[derive(Debug)]
pub(crate) struct NumberedTemplate {
    pub(crate) before_number: String,
    /// Of token 0's event.
    pub(crate) first: u64,
    pub(crate) rest: SseTemplate,
}

impl ContentFrames {
    /// The frame of token `index`, made in `scratch` if it is not at hand.
    pub(crate) fn frame<'a>(&'a self, index: u32, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::Cycle(frames) => match frames.get(index as usize % frames.len().max(1)) {
                Some(frame) => frame,
                None => &[],
            },
            Self::Numbered(template) => {
                scratch.clear();
                scratch.extend_from_slice(template.before_number.as_bytes());
                let number = template.first + u64::from(index);
                scratch.extend_from_slice(number.to_string().as_bytes());
                template.rest.write(index, scratch);
                scratch
            }
            Self::Sse(template) => {
                scratch.clear();
                template.write(index, scratch);
                scratch
            }
        }
    }
}

impl SseTemplate {
    fn write(&self, index: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(self.before_text.as_bytes());
        match self.text {
            0 => into.extend_from_slice(word(index).as_bytes()),
            bytes => into.extend(word(index).bytes().cycle().take(bytes)),
        }
        into.extend_from_slice(self.after_text.as_bytes());
        if let Some(after_padding) = &self.after_padding {
            into.extend_from_slice(padding(index).as_bytes());
            into.extend_from_slice(after_padding.as_bytes());
        }
    }
}

/// Padding of a length that differs from frame to frame, 3 to 62 bytes: a prefix of what Bedrock pads with.
pub(crate) fn padding(index: u32) -> &'static str {
    let length = 3 + (index as usize * 23) % 60;
    PADDING.get(..length).unwrap_or(PADDING)
}

const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
