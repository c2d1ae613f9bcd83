//! The cheap look at what is relayed, a chunk or a whole reply: one pass without allocation that says "an ordinary piece
//! of an answer, and so much of it", or nothing. Whatever is not plainly ordinary (an error, Azure's oddities, a form not
//! seen before, broken JSON; in a chunk also usage and a finish, in a whole reply tool calls) is left to the decoder.
//!
//! Never decides anything on its own: what it lets pass is valid JSON, and counts exactly as the decoder would count it.
//! It is more lenient in one thing: types of fields that nobody reads here are not looked at.

use memchr::memchr2;

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
    cursor.space();
    (plain.length > 0 && cursor.at == data.len()).then_some(plain)
}

/// What a whole reply says of itself; strings as they stand in it, without escapes.
#[derive(Debug, Default)]
pub(super) struct PlainReply<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    /// The usage object's JSON.
    pub(super) usage: Option<&'a str>,
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
            b"usage" => reply.usage = Some(cursor.object()?),
            b"object" if cursor.string()? == b"chat.completion" => {}
            b"error" | b"object" | b"x_groq" => return None,
            _ => cursor.skip()?,
        }
        Some(())
    })?;
    cursor.space();
    (reply.answers.length > 0 && cursor.at == body.len()).then_some(reply)
}

fn answer(cursor: &mut Cursor<'_>) -> Option<Piece> {
    let mut piece = Piece::default();
    let (mut has_index, mut has_message, mut finished) = (false, false, false);
    cursor.fields(|cursor, key| match key {
        b"index" => {
            has_index = true;
            piece.choice = cursor.number()?;
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
            piece.choice = cursor.number()?;
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

/// Reads JSON forward. Every method is `None` where the bytes are not what it expects.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `None`: not UTF-8.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).is_ok().then_some(Self { bytes, at: 0 })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space, which has to be this one.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// An object: `each` is called behind each key's colon and has to read the value.
    fn fields(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.expect(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            each(self, key)?;
            if self.expect(b',').is_none() {
                return self.expect(b'}');
            }
        }
    }

    /// An array: `each` has to read one value.
    fn items(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.expect(b']').is_some() {
            return Some(());
        }
        loop {
            each(self)?;
            if self.expect(b',').is_none() {
                return self.expect(b']');
            }
        }
    }

    /// A string without its quotes, escapes as they are.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            if self.peek()? == b'"' {
                let text = self.bytes.get(start..self.at)?;
                self.at += 1;
                // Without a branch, so that it is done many bytes at a time.
                let control = text.iter().fold(false, |control, byte| control | (*byte < b' '));
                return (!control).then_some(text);
            }
            let escape = self.bytes.get(self.at + 1..)?;
            self.at += match escape.first()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                b'u' if escape.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 6,
                _ => return None,
            };
        }
    }

    /// A string without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        let text = self.string()?;
        if memchr::memchr(b'\\', text).is_some() { None } else { std::str::from_utf8(text).ok() }
    }

    /// An object, as JSON text.
    fn object(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at;
        self.fields(|cursor, _| cursor.skip())?;
        std::str::from_utf8(self.bytes.get(start..self.at)?).ok()
    }

    fn empty_or_null(&mut self) -> Option<()> {
        if self.take_null() { Some(()) } else { self.items(|_| None) }
    }

    fn null(&mut self) -> Option<()> {
        self.take_null().then_some(())
    }

    fn take_null(&mut self) -> bool {
        self.space();
        let null = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"null"));
        if null {
            self.at += 4;
        }
        null
    }

    /// A plain whole number; other forms of one are left to the decoder.
    fn number(&mut self) -> Option<u32> {
        self.space();
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = self.bytes.get(start..self.at)?;
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// A string's length when decoded; null is nothing.
    fn text_or_null(&mut self) -> Option<usize> {
        if self.take_null() { Some(0) } else { decoded_length(self.string()?) }
    }

    /// Any value, nested no deeper than `MAX_DEPTH`.
    fn skip(&mut self) -> Option<()> {
        self.skip_to(MAX_DEPTH)
    }

    fn skip_to(&mut self, depth: u32) -> Option<()> {
        let inner = depth.checked_sub(1)?;
        self.space();
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.fields(|cursor, _| cursor.skip_to(inner)),
            b'[' => self.items(|cursor| cursor.skip_to(inner)),
            _ => self.word(),
        }
    }

    /// A number or one of the three words.
    fn word(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        match self.bytes.get(start..self.at)? {
            b"null" | b"true" | b"false" | b"0" => Some(()),
            [b'1'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Some(()),
            word => serde_json::from_slice::<f64>(word).ok().map(|_| ()),
        }
    }
}

/// Deeper values are left to the decoder. Recorded chunks nest to 8.
const MAX_DEPTH: u32 = 32;

/// `None` for escapes that can't be counted one by one: surrogate halves.
fn decoded_length(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        length += at;
        let escape = rest.get(at + 1..)?;
        let (bytes, used) = match escape.first()? {
            b'u' => match u16::from_str_radix(std::str::from_utf8(escape.get(1..5)?).ok()?, 16).ok()? {
                0..0x80 => (1, 5),
                0x80..0x800 => (2, 5),
                0xD800..0xE000 => return None,
                _ => (3, 5),
            },
            _ => (1, 1),
        };
        length += bytes;
        rest = escape.get(used..)?;
    }
    Some(length + rest.len())
}
