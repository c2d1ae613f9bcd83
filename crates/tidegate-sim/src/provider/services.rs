//! What providers do besides chat: legacy completions, embeddings, reranking, speech, images, files and so on, in OpenAI's form;
//! embeddings and reranking also in Google's, Cohere's and Bedrock's. And an echo, which tells what it was sent.
//!
//! Vectors are made of their texts, so that whoever reads them can tell which text is whose ([`vector`]). Shapes from the
//! recordings, and for speech, images, files and batches from the OpenAI SDK 3.54.

use std::sync::Arc;

use aws_smithy_types::base64;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{Ask, chat, decoded, measure, quoted, thinking, unix_seconds};
use crate::journal::Backend;
use crate::plan::{Body, ContentFrames, Head, Plan, Segment, SseTemplate, Stream};
use crate::scenario::Scenario;

/// A request for something besides chat, as its head tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    kind: Kind,
    pub(super) backend: Backend,
    /// Where the path names it.
    pub(super) model: Option<String>,
    method: Method,
    path: String,
    query: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Completions,
    Embeddings(Form),
    Moderations,
    Rerank,
    Speech,
    Transcription,
    Image,
    /// Things kept under an id: files, batches.
    Kept,
    OneModel,
    Echo,
}

/// Whose form vectors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Openai,
    GoogleBatch,
    GoogleOne,
    Predict,
    Cohere,
    Titan,
    Nova,
}

impl Service {
    /// `None`: the path is of none of these.
    pub(super) fn of(method: &Method, path: &str, query: Option<&str>) -> Option<Self> {
        let (kind, backend, model) = Self::by_path(method, path)?;
        let query = query.unwrap_or_default().to_owned();
        Some(Self { kind, backend, model, method: method.clone(), path: path.to_owned(), query })
    }

    fn by_path(method: &Method, path: &str) -> Option<(Kind, Backend, Option<String>)> {
        let post = *method == Method::POST;
        if let Some(rest) = path.strip_prefix("/model/").and_then(|rest| rest.strip_suffix("/invoke")) {
            let model = decoded(rest);
            let kind = match &*model {
                model if model.contains("titan-embed") => Kind::Embeddings(Form::Titan),
                model if model.contains("cohere.embed") => Kind::Embeddings(Form::Cohere),
                model if model.contains("nova") && model.contains("embed") => Kind::Embeddings(Form::Nova),
                model if model.contains("rerank") => Kind::Rerank,
                _ => return None,
            };
            return post.then_some((kind, Backend::Bedrock, Some(model)));
        }
        if path.starts_with("/v1beta/models/") || path.starts_with("/v1beta1/projects/") {
            let (model, operation) = path.rsplit_once("/models/")?.1.split_once(':')?;
            let form = match operation {
                "batchEmbedContents" => Form::GoogleBatch,
                "embedContent" => Form::GoogleOne,
                "predict" => Form::Predict,
                _ => return None,
            };
            return post.then(|| (Kind::Embeddings(form), Backend::Gemini, Some(decoded(model))));
        }
        match path {
            "/v2/embed" if post => return Some((Kind::Embeddings(Form::Cohere), Backend::Openai, None)),
            "/v2/rerank" if post => return Some((Kind::Rerank, Backend::Openai, None)),
            _ => {}
        }
        if let Some((deployment, rest)) =
            path.strip_prefix("/openai/deployments/").and_then(|rest| rest.split_once('/'))
        {
            return Some((Self::by_name(rest, method)?, Backend::Azure, Some(decoded(deployment))));
        }
        let (backend, rest) = match path.strip_prefix("/openai/") {
            Some(rest) => (Backend::Azure, rest.strip_prefix("v1/").unwrap_or(rest)),
            None => (Backend::Openai, path.strip_prefix("/v1/")?),
        };
        Some((Self::by_name(rest, method)?, backend, None))
    }

    fn by_name(rest: &str, method: &Method) -> Option<Kind> {
        let first = rest.split('/').next().unwrap_or_default();
        match (first, *method == Method::POST) {
            ("files" | "batches" | "vector_stores", _) => return Some(Kind::Kept),
            ("echo", _) => return Some(Kind::Echo),
            ("models", false) if rest.len() > "models/".len() => return Some(Kind::OneModel),
            (_, false) => return None,
            (_, true) => {}
        }
        Some(match rest {
            "completions" => Kind::Completions,
            "embeddings" => Kind::Embeddings(Form::Openai),
            "moderations" => Kind::Moderations,
            "rerank" => Kind::Rerank,
            "audio/speech" => Kind::Speech,
            "audio/transcriptions" | "audio/translations" => Kind::Transcription,
            "images/generations" | "images/edits" | "images/variations" => Kind::Image,
            _ => return None,
        })
    }

    /// What the planners need to know.
    pub(super) fn ask(&self, body: &[u8]) -> Result<Ask, String> {
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let field = |name: &str| match json.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => form_field(body, name),
        };
        let named = self.model.clone().or_else(|| field("model"));
        let wants_model =
            !matches!(self.kind, Kind::Kept | Kind::Echo | Kind::OneModel | Kind::Image | Kind::Moderations);
        if named.is_none() && wants_model {
            return Err("you must provide a model parameter".to_owned());
        }
        Ok(Ask {
            model: named.unwrap_or_default(),
            streaming: field("stream").as_deref() == Some("true") || self.kind == Kind::Speech,
            include_usage: json
                .pointer("/stream_options/include_usage")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            padded: false,
            prompt: measure(body),
            tool: None,
        })
    }
}

pub(super) fn plan(
    service: &Service,
    ask: &Ask,
    body: &[u8],
    headers: &HeaderMap,
    scenario: Scenario,
) -> Plan {
    let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let whole = |value: Value, scenario: Scenario| {
        let completion = u64::from(scenario.tokens);
        let body = Body::Whole { bytes: value.to_string().into(), thinking: thinking(&scenario), completion };
        Plan { head: head(service, ask, "application/json"), body, scenario }
    };
    match service.kind {
        Kind::Completions if ask.streaming => {
            streamed(service, ask, completion_stream(ask, &scenario), scenario)
        }
        Kind::Transcription if ask.streaming => {
            streamed(service, ask, transcript_stream(ask, &scenario), scenario)
        }
        Kind::Image if ask.streaming => streamed(service, ask, image_stream(ask, &scenario), scenario),
        Kind::Completions => whole(completion(ask, &scenario), scenario),
        Kind::Embeddings(form) => {
            let value = embeddings(form, &json, ask);
            let mut plan = whole(value, scenario);
            if service.backend == Backend::Bedrock {
                plan.head = plan.head.with("x-amzn-bedrock-input-token-count", ask.prompt.to_string());
            }
            plan
        }
        Kind::Moderations => whole(
            json!({ "id": "modr-1", "model": "omni-moderation-latest", "results": [{ "flagged": false, "categories": {}, "category_scores": {}, "category_applied_input_types": {} }] }),
            scenario,
        ),
        Kind::Rerank => whole(rerank(&json), scenario),
        Kind::Transcription => {
            let text = scenario.whole_text();
            whole(
                json!({ "text": text, "usage": { "type": "tokens", "input_tokens": ask.prompt, "output_tokens": scenario.tokens, "total_tokens": ask.prompt + u64::from(scenario.tokens) } }),
                scenario,
            )
        }
        Kind::Image => whole(
            json!({ "created": unix_seconds(), "data": [{ "b64_json": "aW1hZ2U=" }], "usage": { "input_tokens": ask.prompt, "output_tokens": scenario.tokens, "total_tokens": ask.prompt + u64::from(scenario.tokens) } }),
            scenario,
        ),
        Kind::Kept => whole(kept(service), scenario),
        Kind::OneModel => whole(
            json!({ "id": decoded(service.path.rsplit('/').next().unwrap_or_default()), "object": "model", "created": 1, "owned_by": "system" }),
            scenario,
        ),
        Kind::Echo => whole(echo(service, headers, body), scenario),
        Kind::Speech => {
            let count = scenario.tokens;
            let frames = ContentFrames::Cycle(Arc::from(vec![Bytes::from_static(&SOUND)]));
            let stream = Stream {
                segments: vec![Segment::Content { frames, first: 0, count }],
                hidden: 0,
                failure: Bytes::new(),
                malformed: Bytes::new(),
            };
            Plan { head: head(service, ask, "audio/mpeg"), body: Body::Stream(stream), scenario }
        }
    }
}

fn head(service: &Service, ask: &Ask, media: &'static str) -> Head {
    match service.backend {
        Backend::Azure => chat::azure_head(200, media, &ask.model),
        Backend::Openai => chat::openai_head(200, media).with("set-cookie", "simulated=1"),
        _ => Head::new(200, media).with("date", super::date()),
    }
}

fn streamed(service: &Service, ask: &Ask, segments: Vec<Segment>, scenario: Scenario) -> Plan {
    let stream = Stream {
        segments,
        hidden: 0,
        failure: event(
            &json!({ "type": "error", "error": { "message": "The server had an error.", "type": "server_error" } }),
        ),
        malformed: Bytes::from_static(b"data: {\"choices\":[{\"ind\n\n"),
    };
    Plan {
        head: head(service, ask, "text/event-stream; charset=utf-8"),
        body: Body::Stream(stream),
        scenario,
    }
}

/// Token after token between two pieces of JSON, and what follows the last.
fn tokens(before: String, after: &str, scenario: &Scenario, behind: Vec<Bytes>) -> Vec<Segment> {
    let template = SseTemplate {
        before_text: format!("data: {before}"),
        after_text: format!("{after}\n\n"),
        after_padding: None,
        text: scenario.text,
    };
    let frames = ContentFrames::Sse(Arc::new(template));
    vec![Segment::Content { frames, first: 0, count: scenario.tokens }, Segment::Fixed(behind)]
}

fn completion_stream(ask: &Ask, scenario: &Scenario) -> Vec<Segment> {
    let model = quoted(&ask.model);
    let same = format!(
        r#"{{"id":"cmpl-{}","object":"text_completion","created":{},"model":{model}"#,
        chat::hexadecimal(),
        unix_seconds()
    );
    let mut behind = vec![Bytes::from(format!(
        "data: {same},\"choices\":[{{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
    ))];
    if ask.include_usage {
        behind.push(Bytes::from(format!(
            "data: {same},\"choices\":[],\"usage\":{}}}\n\n",
            usage(ask, scenario)
        )));
    }
    behind.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let after = r#"","index":0,"logprobs":null,"finish_reason":null}]}"#;
    tokens(format!(r#"{same},"choices":[{{"text":""#), after, scenario, behind)
}

fn completion(ask: &Ask, scenario: &Scenario) -> Value {
    json!({
        "id": format!("cmpl-{}", chat::hexadecimal()), "object": "text_completion", "created": unix_seconds(), "model": ask.model,
        "choices": [{ "text": scenario.whole_text(), "index": 0, "logprobs": null, "finish_reason": "stop" }],
        "usage": usage(ask, scenario),
    })
}

fn usage(ask: &Ask, scenario: &Scenario) -> Value {
    let completion = u64::from(scenario.tokens);
    json!({ "prompt_tokens": ask.prompt, "completion_tokens": completion, "total_tokens": ask.prompt + completion })
}

fn transcript_stream(ask: &Ask, scenario: &Scenario) -> Vec<Segment> {
    let done = json!({
        "type": "transcript.text.done", "text": scenario.whole_text(),
        "usage": { "type": "tokens", "input_tokens": ask.prompt, "output_tokens": scenario.tokens, "total_tokens": ask.prompt + u64::from(scenario.tokens) },
    });
    tokens(r#"{"type":"transcript.text.delta","delta":""#.to_owned(), r#""}"#, scenario, vec![event(&done)])
}

fn image_stream(ask: &Ask, scenario: &Scenario) -> Vec<Segment> {
    let done = json!({
        "type": "image_generation.completed", "b64_json": "aW1hZ2U=", "created_at": unix_seconds(),
        "usage": { "input_tokens": ask.prompt, "output_tokens": scenario.tokens, "total_tokens": ask.prompt + u64::from(scenario.tokens) },
    });
    let before = r#"{"type":"image_generation.partial_image","partial_image_index":0,"b64_json":""#;
    tokens(before.to_owned(), r#""}"#, scenario, vec![event(&done)])
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// The vector of a text: its length, and halves of it.
fn vector(text: &str, length: usize) -> Vec<f32> {
    (0..length).map(|index| text.len() as f32 / 2_f32.powi(i32::try_from(index).unwrap_or(0))).collect()
}

fn embeddings(form: Form, request: &Value, ask: &Ask) -> Value {
    let texts = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect(),
            Some(Value::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    };
    let at = |pointer: &str| request.pointer(pointer);
    let length =
        |pointer: &str| at(pointer).and_then(Value::as_u64).map_or(DIMENSIONS, |length| length as usize);
    let prompt = ask.prompt;
    match form {
        Form::Openai => {
            let base64 = at("/encoding_format").and_then(Value::as_str) == Some("base64");
            let data: Vec<Value> = texts(at("/input"))
                .iter()
                .enumerate()
                .map(|(index, text)| {
                    let numbers = vector(text, length("/dimensions"));
                    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    let embedding = if base64 { json!(base64::encode(bytes)) } else { json!(numbers) };
                    json!({ "object": "embedding", "index": index, "embedding": embedding })
                })
                .collect();
            json!({ "object": "list", "data": data, "model": ask.model, "usage": { "prompt_tokens": prompt, "total_tokens": prompt } })
        }
        Form::GoogleBatch => {
            let requests = at("/requests").and_then(Value::as_array).cloned().unwrap_or_default();
            let values: Vec<Value> = requests.iter().map(google_values).collect();
            json!({ "embeddings": values, "usageMetadata": { "promptTokenCount": prompt } })
        }
        Form::GoogleOne => {
            json!({ "embedding": google_values(request), "usageMetadata": { "promptTokenCount": prompt, "totalTokenCount": prompt } })
        }
        Form::Predict => {
            let instances = at("/instances").and_then(Value::as_array).cloned().unwrap_or_default();
            let counted = prompt / instances.len().max(1) as u64;
            let predictions: Vec<Value> = instances
                .iter()
                .map(|instance| {
                    let text = instance.get("content").and_then(Value::as_str).unwrap_or_default();
                    let values = vector(text, length("/parameters/outputDimensionality"));
                    json!({ "embeddings": { "statistics": { "truncated": false, "token_count": counted }, "values": values } })
                })
                .collect();
            json!({ "predictions": predictions, "metadata": { "billableCharacterCount": 29 } })
        }
        Form::Cohere => {
            let texts = texts(at("/texts"));
            let vectors: Vec<Vec<f32>> =
                texts.iter().map(|text| vector(text, length("/output_dimension"))).collect();
            json!({
                "id": chat::guid(), "texts": texts, "embeddings": { "float": vectors },
                "meta": { "api_version": { "version": "2" }, "billed_units": { "input_tokens": prompt } },
                "response_type": "embeddings_by_type",
            })
        }
        Form::Titan => {
            let text = at("/inputText").and_then(Value::as_str).unwrap_or_default();
            json!({ "embedding": vector(text, length("/dimensions")), "inputTextTokenCount": prompt })
        }
        Form::Nova => {
            let text = at("/singleEmbeddingParams/text/value").and_then(Value::as_str).unwrap_or_default();
            let numbers = vector(text, length("/singleEmbeddingParams/embeddingDimension"));
            json!({ "embeddings": [{ "embeddingType": "TEXT", "embedding": numbers }] })
        }
    }
}

fn google_values(request: &Value) -> Value {
    let text = request.pointer("/content/parts/0/text").and_then(Value::as_str).unwrap_or_default();
    let length = request
        .get("outputDimensionality")
        .and_then(Value::as_u64)
        .map_or(DIMENSIONS, |length| length as usize);
    json!({ "values": vector(text, length) })
}

/// The longest document first.
fn rerank(request: &Value) -> Value {
    let documents = request.get("documents").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut order: Vec<(usize, usize)> =
        documents.iter().map(|document| document.to_string().len()).enumerate().collect();
    order.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    let top = request.get("top_n").and_then(Value::as_u64).map_or(order.len(), |top| top as usize);
    let results: Vec<Value> = order
        .iter()
        .take(top)
        .map(|(index, length)| json!({ "index": index, "relevance_score": *length as f64 / 1000.0 }))
        .collect();
    json!({ "id": chat::guid(), "results": results, "meta": { "api_version": { "version": "2" }, "billed_units": { "search_units": 1 } } })
}

/// A file or a batch, a list of them, or what a file holds.
fn kept(service: &Service) -> Value {
    let mut steps = service
        .path
        .trim_start_matches("/openai")
        .trim_start_matches("/v1")
        .trim_start_matches('/')
        .split('/');
    let (kind, id, below) = (steps.next().unwrap_or_default(), steps.next(), steps.next());
    let batch = kind == "batches";
    let object = |id: &str| match batch {
        true => json!({
            "id": id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-1", "completion_window": "24h",
            "status": if below == Some("cancel") { "cancelling" } else { "validating" }, "created_at": 1,
        }),
        false => json!({
            "id": id, "object": "file", "bytes": 120, "created_at": 1, "filename": "tide.jsonl", "purpose": "batch", "status": "processed",
        }),
    };
    match (id, &service.method, below) {
        (Some(_), _, Some("content")) => json!({ "line": 1 }),
        (Some(id), &Method::DELETE, _) => json!({ "id": id, "object": "file", "deleted": true }),
        (Some(id), _, _) => object(id),
        (None, &Method::POST, _) => object(if batch { "batch_1" } else { "file-1" }),
        (None, _, _) => {
            let only = object(if batch { "batch_1" } else { "file-1" });
            json!({ "object": "list", "data": [only], "has_more": false, "first_id": null, "last_id": null })
        }
    }
}

/// What was sent.
fn echo(service: &Service, headers: &HeaderMap, body: &[u8]) -> Value {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    json!({
        "method": service.method.as_str(), "path": service.path, "query": service.query, "headers": headers,
        "body": String::from_utf8_lossy(body),
    })
}

/// The value of a form's field.
fn form_field(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once(&format!("name=\"{name}\""))?;
    let (_, value) = rest.split_once("\r\n\r\n")?;
    Some(value.split("\r\n").next().unwrap_or_default().to_owned())
}

/// Length of a vector where the request does not say.
const DIMENSIONS: usize = 4;
/// A frame of an MP3 file, as far as its first bytes go.
static SOUND: [u8; 1024] = {
    let mut frame = [0x55; 1024];
    frame[0] = 0xff;
    frame[1] = 0xfb;
    frame
};
