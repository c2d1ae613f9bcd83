//! OpenAI's legacy completions in the relays. They are chat completions with `text` in the place of a message, and read by the
//! same decoder; changed is only the usage chunk that the caller did not ask for (withheld).

use bytes::Bytes;

use super::{
    Progress,
    observe::{Observer, Verdict},
    tally::Tally,
};
use crate::{
    WireError,
    dialect::{
        Decoder,
        openai_chat::{ChatDecoder, write_error},
    },
    framing::{Frame, sse::read_block},
    hub::Event,
    json::Cursor,
};

/// Looks at one reply of legacy completions.
#[derive(Debug)]
pub struct CompletionsObserver {
    decoder: ChatDecoder,
    tally: Tally,
    include_usage: bool,
}

impl CompletionsObserver {
    /// For a request that asked for `choices` answers in all, and for a usage chunk or not.
    pub(super) fn new(choices: u32, include_usage: bool) -> Self {
        Self { decoder: ChatDecoder::new(choices), tally: Tally::new(choices), include_usage }
    }

    fn read(&mut self, frame: Frame<'_>, text: &str) -> Result<(), WireError> {
        let mut events = Vec::new();
        self.decoder.frame(frame, &mut events)?;
        each_text(text, |choice, length| self.tally.content(choice, length));
        for event in events {
            self.tally.event(&event);
            if let Event::Error(error) = event {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Observer for CompletionsObserver {
    fn event(&mut self, block: &[u8]) -> Result<Verdict, WireError> {
        let Some(fields) = read_block(false, block) else { return Ok(Verdict::Forward) };
        self.read(Frame::Sse { event: &fields.event, data: &fields.data }, &fields.data)?;
        let unasked = !self.include_usage && is_only_usage(&fields.data);
        Ok(if unasked { Verdict::Withhold } else { Verdict::Forward })
    }

    fn finish(&mut self) -> Result<Bytes, WireError> {
        self.decoder.finish(&mut Vec::new())?;
        self.tally.event(&Event::End);
        Ok(Bytes::from_static(b"data: [DONE]\n\n"))
    }

    fn whole(&mut self, body: Bytes) -> Result<Bytes, WireError> {
        let text = String::from_utf8_lossy(&body);
        self.read(Frame::Whole(&body), &text)?;
        Ok(body)
    }

    fn error_event(&mut self, error: &WireError) -> Bytes {
        let mut out = b"data: ".to_vec();
        write_error(error, &mut out);
        out.extend_from_slice(b"\n\n");
        out.into()
    }

    fn progress(&self) -> &Progress {
        &self.tally.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.tally.progress)
    }
}

/// The texts of a chunk or a whole reply: of which answer, and how long.
fn each_text(data: &str, mut each: impl FnMut(u32, usize)) -> Option<()> {
    Cursor::over(data).fields(|cursor, key| match key {
        b"choices" => cursor.items(|cursor| {
            let (mut index, mut length) = (0, 0);
            cursor.fields(|cursor, key| {
                match key {
                    b"index" => index = cursor.count()?.and_then(|index| u32::try_from(index).ok())?,
                    b"text" => length = cursor.text_or_null()?,
                    _ => cursor.skip()?,
                }
                Some(())
            })?;
            each(index, length);
            Some(())
        }),
        _ => cursor.skip(),
    })
}

/// Whether a chunk carries usage and no answer.
fn is_only_usage(data: &str) -> bool {
    let (mut usage, mut answers) = (false, false);
    let read = Cursor::over(data).fields(|cursor, key| match key {
        b"usage" => {
            usage = cursor.is_at_object();
            cursor.skip()
        }
        b"choices" => cursor.items(|cursor| {
            answers = true;
            cursor.skip()
        }),
        _ => cursor.skip(),
    });
    read.is_some() && usage && !answers
}
