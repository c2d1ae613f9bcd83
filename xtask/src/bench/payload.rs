//! What load and mock say to each other: requests of a realistic size and OpenAI-shaped replies, made once.
//!
//! Pure. Gateways see the same bytes from the same mock, so that only the gateway differs between two columns.

/// How the mock answers; chosen by the model's name, which callers may have to prefix for their gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// One JSON reply.
    Unary,
    /// [`CHUNKS`] chunks, each flushed by itself with nothing between, then usage if asked for, then `[DONE]`.
    Stream,
    /// As [`Model::Stream`], but with a pause behind the first chunk, as a backend has between any two. Without it
    /// the mock would still be writing, on the core that the caller needs to notice the chunk.
    FirstThenRest,
    /// The first chunk, then nothing until the peer closes.
    Held,
}

impl Model {
    pub(crate) const ALL: [Self; 4] = [Self::Unary, Self::Stream, Self::FirstThenRest, Self::Held];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unary => "bench-unary",
            Self::Stream => "bench-stream",
            Self::FirstThenRest => "bench-first",
            Self::Held => "bench-held",
        }
    }

    /// The model that a request's body names.
    pub(crate) fn of_body(body: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|model| memchr::memmem::find(body, model.name().as_bytes()).is_some())
    }
}

/// Where a gateway listens and what it wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) socket: std::net::SocketAddr,
    /// In front of the model's name, as in `openai/bench-unary`.
    pub(crate) model_prefix: &'static str,
    /// Header lines beyond the usual ones, each with its line end.
    pub(crate) headers: String,
}

impl Address {
    /// The bytes of a whole request for `model`.
    pub(crate) fn request(&self, model: Model) -> Vec<u8> {
        let body = request_body(&format!("{}{}", self.model_prefix, model.name()), model != Model::Unary);
        let (socket, headers) = (self.socket, &self.headers);
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {socket}\r\naccept: application/json\r\n\
             content-type: application/json\r\nuser-agent: OpenAI/Python 3.54.0\r\n\
             authorization: Bearer sk-bench\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// About 1 KiB: a system prompt, a turn of history and a question.
fn request_body(model: &str, stream: bool) -> String {
    let streaming = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let context = "The harbour wall was raised after the flood; the gate turns with the tide. ".repeat(8);
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You are a helpful assistant. Answer in one paragraph, name your sources."}},{{"role":"user","content":"What is a tide gate?"}},{{"role":"assistant","content":"A door in a sea wall that the turning water pushes shut."}},{{"role":"user","content":"Summarise this: {context}"}}],"temperature":0.7,"max_tokens":256{streaming}}}"#
    )
}

/// The head and body of the non-streaming reply, about 600 bytes of JSON.
pub(crate) fn unary_reply() -> Vec<u8> {
    let body = r#"{"id":"chatcmpl-BenchReply0000000000000000000","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"A tide gate lets the river out at ebb and closes by itself when the sea comes in.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":212,"completion_tokens":19,"total_tokens":231,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_0123456789"}"#;
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{COMMON_HEADERS}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The head of a streaming reply with its first chunk, then one piece per flush.
pub(crate) fn stream_pieces(with_usage: bool) -> Vec<Vec<u8>> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{COMMON_HEADERS}\
         transfer-encoding: chunked\r\n\r\n"
    );
    let mut pieces: Vec<Vec<u8>> = (0..CHUNKS).map(|index| http_chunk(&event(index))).collect();
    if let Some(first) = pieces.first_mut() {
        first.splice(0..0, head.into_bytes());
    }
    if with_usage {
        pieces.push(http_chunk(USAGE_EVENT));
    }
    // The last event and the end of the body come in one segment from most servers.
    pieces.push([http_chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat());
    pieces
}

fn http_chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn event(index: usize) -> String {
    let (delta, finish) = match index {
        0 => (r#"{"role":"assistant","content":"","refusal":null}"#.to_owned(), "null"),
        _ if index + 1 == CHUNKS => ("{}".to_owned(), r#""stop""#),
        _ => (format!(r#"{{"content":" word{index}"}}"#), "null"),
    };
    format!(
        "data: {{{CHUNK_HEAD},\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
         \"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
    )
}

/// Content chunks of a stream, the opening and the finishing one included.
pub(crate) const CHUNKS: usize = 100;
/// Events of a whole stream as the caller sees it: the chunks, usage and `[DONE]`.
pub(crate) const EVENTS: u64 = CHUNKS as u64 + 2;

const CHUNK_HEAD: &str = r#""id":"chatcmpl-BenchStream00000000000000000","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_0123456789""#;
const USAGE_EVENT: &str = "data: {\"id\":\"chatcmpl-BenchStream00000000000000000\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[],\"usage\":{\"prompt_tokens\":212,\"completion_tokens\":98,\"total_tokens\":310}}\n\n";
const COMMON_HEADERS: &str = "x-request-id: req_0123456789abcdef0123456789abcdef\r\nopenai-processing-ms: 12\r\n\
    openai-version: 2020-10-01\r\nx-ratelimit-remaining-requests: 9999\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::http1::ResponseReader;

    fn read_whole(bytes: &[u8]) -> ResponseReader {
        let mut reader = ResponseReader::default();
        assert_eq!(reader.feed(bytes).unwrap(), bytes.len());
        assert!(reader.is_done());
        reader
    }

    #[test]
    fn a_stream_has_every_event_and_each_is_json() {
        let pieces = stream_pieces(true);
        assert_eq!(pieces.len() as u64, EVENTS);
        assert_eq!(read_whole(&pieces.concat()).events(), EVENTS);
        let text = String::from_utf8(pieces.concat()).unwrap();
        for data in
            text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]")
        {
            serde_json::from_str::<serde_json::Value>(data).unwrap();
        }
    }

    #[test]
    fn usage_comes_only_when_asked_for() {
        assert_eq!(read_whole(&stream_pieces(false).concat()).events(), EVENTS - 1);
    }

    #[test]
    fn sizes_are_as_stated() {
        let body = request_body("openai/bench-unary", false);
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
        assert!((900..1100).contains(&body.len()), "{}", body.len());
        let reply = unary_reply();
        assert_eq!(read_whole(&reply).status(), 200);
        let body = String::from_utf8(reply).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned();
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
        assert!((550..700).contains(&body.len()), "{}", body.len());
    }

    #[test]
    fn a_model_is_found_behind_a_prefix() {
        let body = request_body("openai/bench-held", true);
        assert_eq!(Model::of_body(body.as_bytes()), Some(Model::Held));
        assert_eq!(Model::of_body(b"{}"), None);
    }
}
