//! JSON read forward, in one pass and without allocation, for the few fields of a large document that somebody needs.
//!
//! Beside serde_json, not instead of it: for the looks that are taken at every chunk of every stream, and for values that
//! must not fail because of a neighbour's type. Knows no dialect. Called by [`crate::reply`] and the openai-chat dialect.

use memchr::{memchr, memchr2};

pub(crate) mod raw;

#[cfg(test)]
mod tests;

/// A place in a JSON text. Every method is `None` where the text is not what it expects; there is no way on from there.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    /// `at <= text.len()`
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `None`: not UTF-8.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(Self::over)
    }

    pub(crate) fn over(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Whether nothing but space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    pub(crate) fn is_at_object(&mut self) -> bool {
        self.space();
        self.peek() == Some(b'{')
    }

    /// An object: `each` is called behind each key's colon and has to read the value. Keys come as they are written: one
    /// with escapes is nobody's.
    pub(crate) fn fields(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
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
    pub(crate) fn items(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
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
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let rest = bytes.get(start..)?;
        let near = rest.get(..SHORT).unwrap_or(rest);
        let Some(stop) = first_special(near) else { return self.long_string(start, start + near.len()) };
        match near.get(stop)? {
            b'"' => {
                self.at = start + stop + 1;
                near.get(..stop)
            }
            b'\\' => self.long_string(start, start + stop),
            _ => None,
        }
    }

    /// The string from `start`, of which everything before `at` is known to be ordinary.
    fn long_string(&mut self, start: usize, mut at: usize) -> Option<&'a [u8]> {
        let bytes = self.text.as_bytes();
        let ordinary = at;
        loop {
            at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if *bytes.get(at)? == b'"' {
                self.at = at + 1;
                // Without a branch, so that it is done many bytes at a time.
                let control =
                    bytes.get(ordinary..at)?.iter().fold(false, |control, byte| control | (*byte < b' '));
                return if control { None } else { bytes.get(start..at) };
            }
            let escape = bytes.get(at + 1..)?;
            at += match escape.first()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                b'u' if escape.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 6,
                _ => return None,
            };
        }
    }

    /// A string without escapes.
    pub(crate) fn plain_text(&mut self) -> Option<&'a str> {
        let text = self.string()?;
        if memchr(b'\\', text).is_some() { None } else { std::str::from_utf8(text).ok() }
    }

    /// A string's length when decoded; null is nothing.
    pub(crate) fn text_or_null(&mut self) -> Option<usize> {
        if self.take_null() { Some(0) } else { decoded_length(self.string()?) }
    }

    /// What `read` reads, as JSON text.
    pub(crate) fn raw(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a str> {
        self.space();
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at)
    }

    pub(crate) fn empty_or_null(&mut self) -> Option<()> {
        if self.take_null() { Some(()) } else { self.items(|_| None) }
    }

    pub(crate) fn null(&mut self) -> Option<()> {
        self.take_null().then_some(())
    }

    pub(crate) fn take_null(&mut self) -> bool {
        self.space();
        let null = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b"null"));
        if null {
            self.at += 4;
        }
        null
    }

    /// Any value; what it counts, if it is a plain whole number.
    pub(crate) fn count(&mut self) -> Option<Option<u64>> {
        self.raw(Self::skip).map(|value| value.parse().ok())
    }

    /// Any value, nested no deeper than `MAX_DEPTH`.
    pub(crate) fn skip(&mut self) -> Option<()> {
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
        match self.text.as_bytes().get(start..self.at)? {
            b"null" | b"true" | b"false" | b"0" => Some(()),
            [b'1'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Some(()),
            word => serde_json::from_slice::<f64>(word).ok().map(|_| ()),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
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
}

/// Keys, ids and the text of one token are shorter than this: a few words are read before a search is set up.
const SHORT: usize = 32;

/// Where the first quote, backslash or control character stands.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words = words.iter().zip((0..).step_by(8)).find_map(|(word, at)| Some(at + special_of_8(*word)?));
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    in_words.or_else(|| tail.iter().position(is_special).map(|at| words.len() * 8 + at))
}

/// The same for eight bytes at once: in each byte of `stops` the highest bit tells. Borrows from one byte's subtraction can
/// reach only the bytes above it, so the lowest bit that is set is right.
fn special_of_8(word: [u8; 8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u8| word.wrapping_sub(EACH * u64::from(bound)) & !word & (EACH << 7);
    let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let stops = below(word, b' ') | equal(b'"') | equal(b'\\');
    (stops != 0).then(|| stops.trailing_zeros() as usize / 8)
}

/// Recorded chunks nest to 8. The bound is for the stack's sake.
const MAX_DEPTH: u32 = 32;

/// `None` for escapes that can't be counted one by one: surrogate halves.
fn decoded_length(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
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
