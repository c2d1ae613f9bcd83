//! OpenAI's chat completions as OpenAI and as Azure send them.
//!
//! Both are one JSON with different key orders and extras; [`ChunkForm`] holds the difference, so that a chunk is a
//! concatenation. Shapes from the recordings: OpenAI chunks of 2025 with `obfuscation`, Azure chunks in alphabetical
//! key order with the prompt's filter results first.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{Ask, AzureRoute, date, quoted, thinking, unix_seconds};
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, SseTemplate, Stream, padding};
use crate::scenario::Scenario;

pub(super) fn plan(ask: &Ask, azure: Option<&AzureRoute>, scenario: Scenario) -> Plan {
    let media = if ask.streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    let head = match azure {
        Some(_) => azure_head(200, media, &ask.model),
        None => openai_head(200, media),
    };
    let body = if ask.streaming {
        Body::Stream(stream(ask, azure, &scenario))
    } else {
        Body::Whole {
            bytes: Bytes::from(document(ask, azure.is_some(), &scenario)),
            thinking: thinking(&scenario),
            completion: completion_tokens(&scenario),
        }
    };
    Plan { head, body, scenario }
}

/// The list of models; both providers' v1 form.
pub(super) fn models(azure: bool) -> Plan {
    let entries: Vec<String> = ["gpt-4o-mini", "sim-t20", "sim-t100-i5ms"]
        .iter()
        .map(|id| format!(r#"{{"id":"{id}","object":"model","created":1721172741,"owned_by":"system"}}"#))
        .collect();
    let body = format!(r#"{{"object":"list","data":[{}]}}"#, entries.join(","));
    let head =
        if azure { azure_head(200, "application/json", "") } else { openai_head(200, "application/json") };
    Plan::prompt_answer(head, body)
}

pub(super) fn openai_head(status: u16, media: &'static str) -> Head {
    Head::new(status, media)
        .with("date", date())
        .with("openai-processing-ms", "12")
        .with("openai-version", "2020-10-01")
        .with("x-envoy-upstream-service-time", "14")
        .with("x-ratelimit-limit-requests", "30000")
        .with("x-ratelimit-limit-tokens", "150000000")
        .with("x-ratelimit-remaining-requests", "29999")
        .with("x-ratelimit-remaining-tokens", "149999967")
        .with("x-ratelimit-reset-requests", "2ms")
        .with("x-ratelimit-reset-tokens", "0s")
        .with("x-request-id", format!("req_{}", hexadecimal()))
}

pub(super) fn azure_head(status: u16, media: &'static str, deployment: &str) -> Head {
    // A deployment's name comes from the URL; only what may stand in a header is repeated.
    let deployment: String = deployment.chars().filter(|c| c.is_ascii_graphic()).collect();
    let head = Head::new(status, media).with("date", date()).with("apim-request-id", guid());
    if status == 401 || status == 404 {
        return head;
    }
    head.with("x-request-id", guid())
        .with("x-ms-region", "Sweden Central")
        .with("x-ms-deployment-name", deployment)
        .with("x-ms-rai-invoked", "true")
        .with("x-ms-is-spilled-over", "false")
        .with("azureml-model-session", "d016-20250930181259")
        .with("skip-error-remapping", "true")
        .with("x-accel-buffering", "no")
        .with("x-ratelimit-limit-requests", "300")
        .with("x-ratelimit-limit-tokens", "30000")
        .with("x-ratelimit-remaining-requests", "299")
        .with("x-ratelimit-remaining-tokens", "29948")
        .with("x-ratelimit-reset-requests", "0")
        .with("x-ratelimit-reset-tokens", "0")
        .with("x-ratelimit-renewalperiod-requests", "60")
        .with("x-ratelimit-renewalperiod-tokens", "60")
        .with("x-ratelimit-abusepenalty-active", "False")
}

fn stream(ask: &Ask, azure: Option<&AzureRoute>, scenario: &Scenario) -> Stream {
    let form = ChunkForm::of(ask, azure, scenario);
    let mut segments = vec![Segment::Fixed(opening(&form, azure.is_some()))];
    segments.extend(content(&form, azure.is_some(), scenario));
    if scenario.tools > 0 {
        segments.push(Segment::Listed(tool_chunks(&form, ask, scenario)));
    }
    segments.push(Segment::Fixed(closing(&form, ask, azure.is_some(), scenario)));
    Stream {
        segments,
        hidden: scenario.reasoning,
        failure: event(if azure.is_some() { AZURE_FAILURE } else { OPENAI_FAILURE }),
        malformed: event(r#"{"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"ind"#),
    }
}

fn opening(form: &ChunkForm, azure: bool) -> Vec<Bytes> {
    let role = form.chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null", 1);
    if !azure {
        return vec![role];
    }
    let filter = format!(
        r#"{{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{PROMPT_VERDICT}}}]}}"#
    );
    vec![event(&filter), role]
}

/// The content tokens; with Azure's asynchronous filter a verdict comes in the middle.
fn content(form: &ChunkForm, azure: bool, scenario: &Scenario) -> Vec<Segment> {
    let frames = ContentFrames::Sse(Arc::new(form.template(scenario.text)));
    let count = scenario.tokens;
    if !(azure && scenario.async_filter) {
        return vec![Segment::Content { frames, first: 0, count }];
    }
    let half = count / 2;
    vec![
        Segment::Content { frames: frames.clone(), first: 0, count: half },
        Segment::Fixed(vec![annotation(
            r#"{"protected_material_text":{"detected":false,"filtered":false}}"#,
        )]),
        Segment::Content { frames, first: half, count: count - half },
    ]
}

/// A verdict of the asynchronous filter: a choice without a delta, on a chunk without an id.
fn annotation(verdict: &str) -> Bytes {
    event(&format!(
        r#"{{"choices":[{{"content_filter_offsets":{{"check_offset":65,"start_offset":65,"end_offset":340}},"content_filter_results":{verdict},"finish_reason":null,"index":0}}],"created":0,"id":"","model":"","object":""}}"#
    ))
}

fn closing(form: &ChunkForm, ask: &Ask, azure: bool, scenario: &Scenario) -> Vec<Bytes> {
    let finish = finish_reason(scenario);
    let mut frames = vec![form.chunk("{}", &quoted(finish), 5)];
    if azure && scenario.async_filter {
        frames.push(annotation(VERDICT));
    }
    // A stream that Azure's filter stops never reports its usage.
    if ask.include_usage && form.usage && !(azure && finish == "content_filter") {
        frames.push(form.usage_chunk(&usage(ask, scenario)));
    }
    frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
    frames
}

fn tool_chunks(form: &ChunkForm, ask: &Ask, scenario: &Scenario) -> Vec<Bytes> {
    let name = quoted(tool_name(ask));
    let mut chunks = Vec::new();
    for tool in 0..scenario.tools {
        chunks.push(form.chunk(
            &format!(
                r#"{{"tool_calls":[{{"index":{tool},"id":"{}","type":"function","function":{{"name":{name},"arguments":""}}}}]}}"#,
                call_id(tool)
            ),
            "null",
            tool,
        ));
        for piece in TOOL_ARGUMENTS {
            let delta = format!(
                r#"{{"tool_calls":[{{"index":{tool},"function":{{"arguments":{}}}}}]}}"#,
                quoted(piece)
            );
            chunks.push(form.chunk(&delta, "null", tool + 2));
        }
    }
    chunks
}

fn document(ask: &Ask, azure: bool, scenario: &Scenario) -> String {
    let text = if scenario.tokens == 0 { "null".to_owned() } else { quoted(&scenario.whole_text()) };
    let tools: Vec<String> = (0..scenario.tools)
        .map(|tool| {
            let (name, arguments) = (quoted(tool_name(ask)), quoted(&TOOL_ARGUMENTS.concat()));
            let id = call_id(tool);
            format!(
                r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":{arguments}}}}}"#
            )
        })
        .collect();
    let tools =
        if tools.is_empty() { String::new() } else { format!(r#","tool_calls":[{}]"#, tools.join(",")) };
    let message =
        format!(r#"{{"role":"assistant","content":{text},"refusal":null,"annotations":[]{tools}}}"#);
    let finish = quoted(finish_reason(scenario));
    let (id, created, usage) = (completion_id(), unix_seconds(), usage(ask, scenario));
    if azure {
        return format!(
            r#"{{"choices":[{{"content_filter_results":{VERDICT},"finish_reason":{finish},"index":0,"logprobs":null,"message":{message}}}],"created":{created},"id":"{id}","model":"{AZURE_MODEL}","object":"chat.completion","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{PROMPT_VERDICT}}}],"system_fingerprint":"fp_f97eff32c5","usage":{usage}}}"#
        );
    }
    let model = quoted(&ask.model);
    format!(
        r#"{{"id":"{id}","object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{message},"logprobs":null,"finish_reason":{finish}}}],"usage":{usage},"service_tier":"default","system_fingerprint":null}}"#
    )
}

/// The parts of a chunk around its delta, its finish reason and its padding.
struct ChunkForm {
    before_delta: String,
    after_delta: &'static str,
    after_finish: String,
    /// From the padding's value on; `None` where the chunk has no padding.
    after_padding: Option<String>,
    /// What precedes and follows the usage object in a usage chunk.
    usage_around: (String, String),
    /// Whether this URL's version reports usage in streams at all.
    usage: bool,
}

impl ChunkForm {
    fn of(ask: &Ask, azure: Option<&AzureRoute>, scenario: &Scenario) -> Self {
        match azure {
            Some(route) => Self::azure(ask, route, scenario),
            None => Self::openai(ask),
        }
    }

    fn openai(ask: &Ask) -> Self {
        let common = format!(
            r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":null,"choices":["#,
            completion_id(),
            unix_seconds(),
            quoted(&ask.model)
        );
        let null_usage = if ask.include_usage { r#","usage":null"# } else { "" };
        let pad = if ask.padded { r#","obfuscation":""# } else { "}" };
        Self {
            before_delta: format!(r#"{common}{{"index":0,"delta":"#),
            after_delta: r#","finish_reason":"#,
            after_finish: format!("}}]{null_usage}{pad}"),
            after_padding: ask.padded.then(|| r#""}"#.to_owned()),
            usage_around: (format!(r#"{common}],"usage":"#), "}".to_owned()),
            usage: true,
        }
    }

    fn azure(ask: &Ask, route: &AzureRoute, scenario: &Scenario) -> Self {
        // Classic URLs know `stream_options` from this version on; the v1 URL has no version.
        let usage = route.api_version.as_deref().is_none_or(|version| version >= "2024-09-01");
        let verdict = if scenario.async_filter {
            Cow::Borrowed("")
        } else {
            Cow::Owned(format!(r#""content_filter_results":{VERDICT},"#))
        };
        let same =
            format!(r#","created":{},"id":"{}","model":"{AZURE_MODEL}""#, unix_seconds(), completion_id());
        let tail = r#","object":"chat.completion.chunk","system_fingerprint":"fp_f97eff32c5""#;
        let null_usage = if ask.include_usage && usage { r#","usage":null"# } else { "" };
        let end = format!("{tail}{null_usage}}}");
        let pad = if ask.padded { r#","obfuscation":""# } else { &end };
        Self {
            before_delta: format!(r#"{{"choices":[{{{verdict}"delta":"#),
            after_delta: r#","finish_reason":"#,
            after_finish: format!(r#","index":0,"logprobs":null}}]{same}{pad}"#),
            after_padding: ask.padded.then(|| format!(r#""{end}"#)),
            usage_around: (format!(r#"{{"choices":[]{same}{tail},"usage":"#), "}".to_owned()),
            usage,
        }
    }

    fn chunk(&self, delta: &str, finish: &str, index: u32) -> Bytes {
        let mut json = String::with_capacity(512);
        for part in [&self.before_delta, delta, self.after_delta, finish, &self.after_finish] {
            json.push_str(part);
        }
        if let Some(after_padding) = &self.after_padding {
            json.push_str(padding(index));
            json.push_str(after_padding);
        }
        event(&json)
    }

    fn usage_chunk(&self, usage: &str) -> Bytes {
        event(&[&self.usage_around.0, usage, &self.usage_around.1].concat())
    }

    fn template(&self, text: usize) -> SseTemplate {
        let padded = self.after_padding.as_ref();
        let after_text = format!(r#""}}{}null{}"#, self.after_delta, self.after_finish);
        SseTemplate {
            before_text: format!(r#"data: {}{{"content":""#, self.before_delta),
            after_text: if padded.is_some() { after_text } else { after_text + "\n\n" },
            after_padding: padded.map(|after| format!("{after}\n\n")),
            text,
        }
    }
}

fn event(json: &str) -> Bytes {
    let mut bytes = Vec::with_capacity(json.len() + 8);
    bytes.extend_from_slice(b"data: ");
    bytes.extend_from_slice(json.as_bytes());
    bytes.extend_from_slice(b"\n\n");
    Bytes::from(bytes)
}

fn usage(ask: &Ask, scenario: &Scenario) -> String {
    let (prompt, completion) = (ask.prompt, completion_tokens(scenario));
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        prompt + completion,
        scenario.cached,
        scenario.reasoning
    )
}

/// Tokens of a whole answer; the chunk that opens a tool call counts as one too.
fn completion_tokens(scenario: &Scenario) -> u64 {
    let per_tool = TOOL_ARGUMENTS.len() as u64 + 1;
    u64::from(scenario.tokens) + u64::from(scenario.reasoning) + u64::from(scenario.tools) * per_tool
}

fn finish_reason(scenario: &Scenario) -> &str {
    let usual = if scenario.tools > 0 { "tool_calls" } else { "stop" };
    scenario.finish.as_deref().unwrap_or(usual)
}

fn tool_name(ask: &Ask) -> &str {
    ask.tool.as_deref().unwrap_or("tide_table")
}

fn call_id(tool: u32) -> String {
    format!("call_{tool:02}{:022x}", next_number())
}

fn completion_id() -> String {
    format!("chatcmpl-{:029x}", next_number())
}

/// 32 hexadecimal digits that no other call of this process has.
pub(super) fn hexadecimal() -> String {
    let mut digits = String::with_capacity(32);
    // Writing to a string does not fail.
    let _infallible = write!(digits, "{:016x}{:016x}", next_number(), next_number());
    digits
}

pub(super) fn guid() -> String {
    let number = next_number();
    format!(
        "{:08x}-{:04x}-4000-8000-{:012x}",
        number >> 32,
        (number >> 16) & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

/// Numbers that look arbitrary and never repeat within a process: a counter times an odd constant.
fn next_number() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Azure names the model's version in its answers, not the deployment.
const AZURE_MODEL: &str = "gpt-4o-mini-2024-07-18";

const VERDICT: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
const PROMPT_VERDICT: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

const OPENAI_FAILURE: &str = r#"{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}"#;
const AZURE_FAILURE: &str = r#"{"error":{"code":"InternalServerError","message":"The server had an error while processing your request.","type":"server_error","param":null}}"#;

/// The pieces of a tool call's arguments, one token each.
pub(super) const TOOL_ARGUMENTS: [&str; 5] = ["{\"", "harbour", "\":\"", "Delfzijl", "\"}"];
