//! Event-stream bytes to decoded events and back, over the SDK's own framing crate, split wherever a test wants.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Buf, BytesMut};
use tidegate_wire::{
    WireError,
    dialect::{Decoder, bedrock_converse::ConverseDecoder},
    framing::Frame,
    hub::Event,
};

/// What a reply came to: its events, and what `finish` or a failing frame said.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Result<(), WireError>,
}

impl Decoded {
    /// Finished, and with the dialect's terminal event.
    pub(crate) fn is_success(&self) -> bool {
        self.outcome.is_ok() && self.events.last() == Some(&Event::End)
    }
}

/// Decodes a ConverseStream body given in pieces.
pub(crate) fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut framer = MessageFrameDecoder::new();
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let DecodedFrame::Complete(message) = framer.decode_frame(&mut buffer).expect("sound frames") {
            messages.push(message);
        }
    }
    decode_messages(&messages)
}

/// Cuts a body into its frames.
pub(crate) fn messages(body: &[u8]) -> Vec<Message> {
    let mut framer = MessageFrameDecoder::new();
    let mut rest = body;
    let mut messages = Vec::new();
    while rest.has_remaining() {
        match framer.decode_frame(&mut rest).expect("sound frames") {
            DecodedFrame::Complete(message) => messages.push(message),
            DecodedFrame::Incomplete => panic!("the body ends inside a frame"),
        }
    }
    messages
}

pub(crate) fn decode_messages(messages: &[Message]) -> Decoded {
    let mut decoder = ConverseDecoder::new();
    let mut events = Vec::new();
    for message in messages {
        let kind = header(message, ":message-type");
        let (name, payload) = match kind {
            "exception" => (header(message, ":exception-type"), &message.payload()[..]),
            "error" => (header(message, ":error-code"), header(message, ":error-message").as_bytes()),
            _ => (header(message, ":event-type"), &message.payload()[..]),
        };
        let frame = Frame::EventStream { message_type: kind, name, payload };
        if let Err(error) = decoder.frame(frame, &mut events) {
            return Decoded { events, outcome: Err(error) };
        }
    }
    let outcome = decoder.finish(&mut events);
    Decoded { events, outcome }
}

/// Decodes a Converse body.
pub(crate) fn decode_whole(body: &[u8]) -> Decoded {
    let mut decoder = ConverseDecoder::new();
    let mut events = Vec::new();
    let outcome = decoder.frame(Frame::Whole(body), &mut events).and_then(|()| decoder.finish(&mut events));
    Decoded { events, outcome }
}

/// The bytes of frames given as (message type, name, payload).
pub(crate) fn encode(frames: &[(String, String, String)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, name, payload) in frames {
        write_message_to(&message(kind, name, payload), &mut body).expect("writable frame");
    }
    body
}

fn message(kind: &str, name: &str, payload: &str) -> Message {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let name_header = match kind {
        "exception" => ":exception-type",
        "error" => ":error-code",
        _ => ":event-type",
    };
    let headers = vec![
        Header::new(name_header.to_owned(), text(name)),
        Header::new(":message-type".to_owned(), text(kind)),
    ];
    match kind {
        "error" => Message::new_from_parts(headers, Vec::new())
            .add_header(Header::new(":error-message".to_owned(), text(payload))),
        _ => Message::new_from_parts(headers, payload.as_bytes().to_vec()),
    }
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    let value = message.headers().iter().find(|header| header.name().as_str() == name).map(Header::value);
    value.and_then(|value| value.as_string().ok()).map_or("", |value| value.as_str())
}
