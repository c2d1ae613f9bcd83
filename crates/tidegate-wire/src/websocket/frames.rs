//! Frames (RFC 6455, section 5), in pieces as they come.

/// Whose frames they are: a client's are masked, a server's are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The side that opened the connection.
    Client,
    /// The other.
    Server,
}

/// What a message is, whichever of its frames says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of text.
    Text,
    /// A message of bytes.
    Binary,
    /// The end of what its sender has to say.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or shows life unasked.
    Pong,
}

/// A piece of a message that came in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Of what.
    pub kind: Kind,
    /// Whether the message begins with it.
    pub is_first: bool,
    /// Whether the message ends with it.
    pub is_last: bool,
    /// As it came, masked if its sender is the client.
    payload: &'a [u8],
    /// The mask of its first four bytes.
    mask: [u8; 4],
}

impl Part<'_> {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// Appends the payload from `from` on, at most `most` bytes of it, without its mask.
    pub fn append_to(&self, into: &mut Vec<u8>, from: usize, most: usize) {
        let masks = self.mask.iter().cycle().skip(from % 4);
        let payload = self.payload.iter().skip(from).take(most);
        into.extend(payload.zip(masks).map(|(byte, mask)| byte ^ mask));
    }
}

/// Bytes that are no frame, or not one that may stand where it does. What follows can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongFrame(pub &'static str);

/// Looks at the frames of one direction of a connection. The work is linear in the bytes, and nothing is kept but a frame's
/// header.
#[derive(Debug)]
pub struct FrameReader {
    sender: Sender,
    /// The beginning of a header. `have <= header.len()`.
    header: [u8; LONGEST_HEADER],
    have: usize,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message of several frames that has begun and not ended, between whose frames others may stand.
    message: Option<Kind>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_first: bool,
    is_last: bool,
    left: u64,
    mask: [u8; 4],
}

impl FrameReader {
    /// Before the first frame of `sender`.
    pub fn new(sender: Sender) -> Self {
        Self { sender, header: [0; LONGEST_HEADER], have: 0, frame: None, message: None }
    }

    /// Whether everything so far was whole frames, so that another may be put here. It may stand inside a message of several
    /// frames if it is a control frame.
    pub fn is_at_border(&self) -> bool {
        self.frame.is_none() && self.have == 0
    }

    /// Takes the next piece off `bytes`. `None`: they are used up.
    ///
    /// # Errors
    /// They break the protocol. Of a frame that does nothing but the beginning of its header can have been passed on before.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Part<'a>>, WrongFrame> {
        let mut frame = match self.frame {
            Some(frame) => frame,
            None => {
                let is_new = self.have == 0;
                match self.begin(bytes) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return Ok(None),
                    Err(wrong) => {
                        // What nobody has passed on is not begun.
                        self.have = if is_new { 0 } else { self.have };
                        return Err(wrong);
                    }
                }
            }
        };
        let length = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
        if length == 0 && frame.left > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        let (payload, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        *bytes = rest;
        frame.left -= length as u64;
        let part = Part {
            kind: frame.kind,
            is_first: frame.is_first,
            is_last: frame.is_last && frame.left == 0,
            payload,
            mask: frame.mask,
        };
        frame.is_first = false;
        frame.mask.rotate_left(length % 4);
        self.frame = (frame.left > 0).then_some(frame);
        Ok(Some(part))
    }

    /// Reads a header. `None`: it has not come whole.
    fn begin(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, WrongFrame> {
        loop {
            let length = self.header_length();
            if self.have >= 2 {
                // Said as soon as it is known, and before more of it is passed on.
                self.check()?;
                if self.have == length {
                    return self.frame_of_header().map(Some);
                }
            }
            let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
            if let Some(place) = self.header.get_mut(self.have) {
                *place = *first;
            }
            self.have += 1;
            *bytes = rest;
        }
    }

    /// How long the header is, by what is there of it.
    fn header_length(&self) -> usize {
        let [_, second, ..] = self.header;
        let (extended, mask) = match self.have {
            0 | 1 => (0, 0),
            _ => (
                match second & 0x7f {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                },
                if second & MASKED == 0 { 0 } else { 4 },
            ),
        };
        2 + extended + mask
    }

    /// Looks at the first two bytes of a header.
    fn check(&self) -> Result<(), WrongFrame> {
        let [first, second, ..] = self.header;
        let is_control = first & 0x08 != 0;
        let wrong = match (self.sender, second & MASKED != 0) {
            _ if first & RESERVED != 0 => "a frame has a reserved bit, and no extension was agreed on",
            (Sender::Client, false) => "a client's frame is not masked",
            (Sender::Server, true) => "a server's frame is masked",
            _ if !matches!(first & 0x0f, 0..=2 | 8..=10) => "a frame has an unknown opcode",
            _ if is_control && first & FIN == 0 => "a control frame is in pieces",
            _ if is_control && second & 0x7f > 125 => "a control frame is longer than 125 bytes",
            _ if first & 0x0f == 0 && self.message.is_none() => "a frame continues no message",
            _ if matches!(first & 0x0f, 1 | 2) && self.message.is_some() => {
                "a message begins inside another one"
            }
            _ if first & 0x0f == 8 && second & 0x7f == 1 => "a close frame has half a code",
            _ => return Ok(()),
        };
        Err(WrongFrame(wrong))
    }

    fn frame_of_header(&mut self) -> Result<Frame, WrongFrame> {
        let header = self.header.get(..self.have).unwrap_or_default();
        let [first, second, ..] = self.header;
        let masked = second & MASKED != 0;
        let mask = if masked { header.last_chunk().copied().unwrap_or_default() } else { [0; 4] };
        let extended = header.get(2..header.len() - if masked { 4 } else { 0 }).unwrap_or_default();
        let left = match second & 0x7f {
            length @ ..126 => u64::from(length),
            _ => extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if left > u64::MAX >> 1 {
            return Err(WrongFrame("a frame is longer than frames can be"));
        }
        self.have = 0;
        let fin = first & FIN != 0;
        let (kind, is_first) = match (first & 0x0f, self.message) {
            (0, Some(kind)) => (kind, false),
            (0 | 1, _) => (Kind::Text, true),
            (2, _) => (Kind::Binary, true),
            (8, _) => (Kind::Close, true),
            (9, _) => (Kind::Ping, true),
            _ => (Kind::Pong, true),
        };
        if matches!(kind, Kind::Text | Kind::Binary) {
            self.message = (!fin).then_some(kind);
        }
        Ok(Frame { kind, is_first, is_last: fin, left, mask })
    }
}

/// A server's close frame. Of `reason` as much as fits is sent: 123 bytes.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let fitting = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 123).last();
    let reason = reason.get(..fitting.unwrap_or(0)).unwrap_or_default();
    let length = u8::try_from(2 + reason.len()).unwrap_or(2);
    let [high, low] = code.to_be_bytes();
    let mut frame = vec![FIN | 8, length, high, low];
    frame.extend_from_slice(reason.as_bytes());
    frame
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Two bytes, a length of eight, a mask of four.
const LONGEST_HEADER: usize = 14;
