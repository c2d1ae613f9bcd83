use serde_json::json;

use super::*;
use crate::hub::{
    Audio, CachePoint, Document, Image, Limits, Message, Part, Reasoning, ReasoningEffort, ResponseFormat,
    Role, Sampling, Source, StreamOptions, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};

const CLAUDE_BUDGET: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const CLAUDE_ADAPTIVE: &str = "us.anthropic.claude-sonnet-5";

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts, extras: Extras::new() }
}

fn said(role: Role, text: &str) -> Message {
    message(role, vec![Part::text(text)])
}

fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { messages, ..ChatRequest::default() }
}

fn hello() -> ChatRequest {
    request(vec![said(Role::User, "Hello")])
}

fn with_extras(extras: Value) -> ChatRequest {
    ChatRequest { extras: extras.as_object().unwrap().clone(), ..hello() }
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "add".to_owned(),
        arguments: arguments.to_owned(),
        kind: ToolKind::Function,
        extras: Extras::new(),
    })
}

fn result(id: &str, text: &str) -> Message {
    let parts = vec![Part::text(text)];
    message(Role::Tool, vec![Part::ToolResult(ToolResult { id: id.to_owned(), parts, is_error: None })])
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        parameters: None,
        strict: None,
        kind: ToolKind::Function,
        cache_point: None,
        extras: Extras::new(),
    }
}

fn encode_for(model: &str, request: &ChatRequest) -> Value {
    let bytes = encode_request(request, &EncodeOptions { model }).expect("encodes");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn encode(request: &ChatRequest) -> Value {
    encode_for("amazon.nova-micro-v1:0", request)
}

/// The parameter that a refusal names.
fn refused_for(model: &str, request: &ChatRequest) -> String {
    let error = encode_request(request, &EncodeOptions { model }).expect_err("refused");
    assert_eq!(error.class(), ErrorClass::BadRequest);
    error.param().expect("named").to_owned()
}

fn refused(request: &ChatRequest) -> String {
    refused_for("amazon.nova-micro-v1:0", request)
}

#[test]
fn a_bare_request_has_messages_and_nothing_else() {
    assert_eq!(encode(&hello()), json!({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}));
}

#[test]
fn instructions_become_system_in_their_order_wherever_they_stood() {
    let cached = message(Role::System, vec![Part::text("a"), Part::CachePoint(CachePoint::default())]);
    let body = encode(&request(vec![cached, said(Role::User, "x"), said(Role::Developer, "b")]));
    assert_eq!(body["system"], json!([{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]));
}

#[test]
fn neighbours_of_one_side_are_merged_and_tool_results_are_the_users() {
    let body = encode(&request(vec![
        said(Role::User, "a"),
        said(Role::User, "b"),
        message(Role::Assistant, vec![Part::text(""), call("t1", "{}"), call("t2", "")]),
        result("t1", "1"),
        result("t2", "2"),
        said(Role::User, "c"),
    ]));
    let call = |id: &str| json!({"toolUse": {"toolUseId": id, "name": "add", "input": {}}});
    let result = |id: &str, text: &str| json!({"toolResult": {"toolUseId": id, "content": [{"text": text}]}});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": [call("t1"), call("t2")]},
            {"role": "user", "content": [result("t1", "1"), result("t2", "2"), {"text": "c"}]},
        ])
    );
}

#[test]
fn arguments_that_are_no_json_object_are_refused_by_name() {
    for arguments in ["{\"a\":", "[1]", "5", "null"] {
        let history = vec![said(Role::User, "x"), message(Role::Assistant, vec![call("t1", arguments)])];
        assert_eq!(refused(&request(history)), "messages[1].tool_calls[0].function.arguments", "{arguments}");
    }
}

#[test]
fn argument_numbers_keep_their_spelling() {
    let history = vec![
        said(Role::User, "x"),
        message(Role::Assistant, vec![call("t1", "{\"a\": 1.00, \"b\": 123456789012345678901234567890}")]),
    ];
    let bytes = encode_request(&request(history), &EncodeOptions { model: "" }).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.contains("{\"a\": 1.00, \"b\": 123456789012345678901234567890}"), "{text}");
}

#[test]
fn overlong_or_foreign_call_ids_are_mapped_alike_in_call_and_result() {
    let fits = "functions.get_temperature:0";
    for id in [fits.to_owned(), "x".repeat(65), "call|with/slashes".to_owned(), "é".repeat(40)] {
        let history =
            vec![said(Role::User, "x"), message(Role::Assistant, vec![call(&id, "{}")]), result(&id, "1")];
        let body = encode(&request(history));
        let sent = body["messages"][1]["content"][0]["toolUse"]["toolUseId"].as_str().unwrap();
        let answered = body["messages"][2]["content"][0]["toolResult"]["toolUseId"].as_str().unwrap();
        assert_eq!(sent, answered, "{id}");
        assert!(sent.len() <= 64, "{sent}");
        assert!(sent.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte)), "{sent}");
        assert_eq!(sent == id, id == fits, "{id}");
    }
}

#[test]
fn overlong_call_ids_with_one_beginning_stay_apart() {
    let ids = [format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80))];
    let mapped = ids.each_ref().map(|id| tools::tool_use_id(id, "id").unwrap());
    assert_ne!(mapped[0], mapped[1]);
}

#[test]
fn images_go_as_bytes_and_urls_are_refused_by_name() {
    let image =
        |source| request(vec![message(Role::User, vec![Part::Image(Image { source, detail: None })])]);
    let png = Source::Base64 { media_type: "image/png".to_owned(), data: "AA==".to_owned() };
    assert_eq!(
        encode(&image(png))["messages"][0]["content"],
        json!([{"image": {"format": "png", "source": {"bytes": "AA=="}}}])
    );
    let param = "messages[0].content.image_url";
    assert_eq!(refused(&image(Source::Url("https://example.com/a.png".to_owned()))), param);
    assert_eq!(refused(&image(Source::FileId("file-1".to_owned()))), param);
    let bitmap = Source::Base64 { media_type: "image/bmp".to_owned(), data: "AA==".to_owned() };
    assert_eq!(refused(&image(bitmap)), param);
}

#[test]
fn a_document_gets_a_valid_distinct_name_and_a_text_beside_it() {
    let document = |name: Option<&str>| {
        Part::Document(Document {
            source: Source::Base64 { media_type: "application/pdf".to_owned(), data: "AA==".to_owned() },
            name: name.map(str::to_owned),
        })
    };
    let parts = [None, Some("Q1  report_v2.pdf"), Some("a/b.c.txt"), Some("日本.pdf"), Some("a/b.c.txt")];
    let body = encode(&request(vec![message(Role::User, parts.map(document).into())]));
    let content = body["messages"][0]["content"].as_array().unwrap();
    assert_eq!(content[0], json!({"text": "Document attached."}));
    let names: Vec<&Value> = content[1..].iter().map(|block| &block["document"]["name"]).collect();
    assert_eq!(names, ["Document 1", "Q1 report_v2", "a-b-c", "Document 4", "a-b-c (5)"]);
}

#[test]
fn a_documents_format_falls_back_to_its_extension() {
    let document = |name: Option<&str>| {
        let source =
            Source::Base64 { media_type: "application/octet-stream".to_owned(), data: "AA==".to_owned() };
        let document = Document { source, name: name.map(str::to_owned) };
        request(vec![message(Role::User, vec![Part::text("x"), Part::Document(document)])])
    };
    let body = encode(&document(Some("table.XLSX")));
    assert_eq!(body["messages"][0]["content"][1]["document"]["format"], "xlsx");
    assert_eq!(refused(&document(Some("movie.avi"))), "messages[0].content.file");
    assert_eq!(refused(&document(None)), "messages[0].content.file");
}

#[test]
fn audio_goes_by_format() {
    let audio = |format: &str| {
        let source = Source::Base64 { media_type: format!("audio/{format}"), data: "AA==".to_owned() };
        request(vec![message(Role::User, vec![Part::Audio(Audio { source, format: format.to_owned() })])])
    };
    let block = json!({"audio": {"format": "wav", "source": {"bytes": "AA=="}}});
    assert_eq!(encode(&audio("wav"))["messages"][0]["content"], json!([block]));
    assert_eq!(refused(&audio("pcm16")), "messages[0].content.input_audio.format");
}

#[test]
fn reasoning_is_echoed_and_unsigned_reasoning_is_not_sent_to_claude() {
    let reasoning = |signature: Option<&str>| {
        let reasoning =
            Reasoning { text: "Hm.".to_owned(), signature: signature.map(str::to_owned), redacted: None };
        request(vec![
            said(Role::User, "x"),
            message(Role::Assistant, vec![Part::Reasoning(reasoning), Part::text("4")]),
        ])
    };
    let block = |fields: Value| json!([{"reasoningContent": {"reasoningText": fields}}, {"text": "4"}]);
    let content =
        |model: &str, signature| encode_for(model, &reasoning(signature))["messages"][1]["content"].clone();
    let signed = block(json!({"text": "Hm.", "signature": "c2ln"}));
    assert_eq!(content(CLAUDE_BUDGET, Some("c2ln")), signed);
    assert_eq!(content(CLAUDE_BUDGET, None), json!([{"text": "4"}]));
    assert_eq!(content("openai.gpt-oss-120b-1:0", None), block(json!({"text": "Hm."})));
}

#[test]
fn redacted_reasoning_is_echoed() {
    let reasoning = Reasoning { redacted: Some("AAEC".to_owned()), ..Reasoning::default() };
    let body = encode_for(
        CLAUDE_BUDGET,
        &request(vec![said(Role::User, "x"), message(Role::Assistant, vec![Part::Reasoning(reasoning)])]),
    );
    assert_eq!(body["messages"][1]["content"], json!([{"reasoningContent": {"redactedContent": "AAEC"}}]));
}

#[test]
fn a_tools_cache_point_follows_it() {
    let cached = Tool {
        cache_point: Some(CachePoint { ttl: Some("1h".to_owned()) }),
        strict: Some(true),
        description: Some("Adds.".to_owned()),
        ..tool("add")
    };
    let body = encode(&ChatRequest { tools: vec![cached], ..hello() });
    let spec = json!({"name": "add", "description": "Adds.", "strict": true,
        "inputSchema": {"json": {"type": "object", "properties": {}}}});
    assert_eq!(
        body["toolConfig"]["tools"],
        json!([{"toolSpec": spec}, {"cachePoint": {"type": "default", "ttl": "1h"}}])
    );
}

#[test]
fn tool_choice_is_mapped() {
    let chosen = |choice| {
        let request = ChatRequest { tools: vec![tool("add")], tool_choice: Some(choice), ..hello() };
        encode(&request).get("toolConfig").map(|config| config["toolChoice"].clone())
    };
    assert_eq!(chosen(ToolChoice::Auto), Some(json!({"auto": {}})));
    assert_eq!(chosen(ToolChoice::Required), Some(json!({"any": {}})));
    assert_eq!(chosen(ToolChoice::Named("add".to_owned())), Some(json!({"tool": {"name": "add"}})));
    assert_eq!(chosen(ToolChoice::None), None, "no toolConfig at all");
}

#[test]
fn tools_stay_declared_while_the_history_has_tool_blocks() {
    let history =
        || vec![said(Role::User, "x"), message(Role::Assistant, vec![call("t1", "{}")]), result("t1", "1")];
    let forbidden =
        ChatRequest { tools: vec![tool("add")], tool_choice: Some(ToolChoice::None), ..request(history()) };
    let config = encode(&forbidden)["toolConfig"].clone();
    assert_eq!(config["tools"][0]["toolSpec"]["name"], "add");
    assert_eq!(config.get("toolChoice"), None);
    let undeclared = encode(&request(history()));
    assert_eq!(undeclared["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(undeclared["toolConfig"]["tools"][0]["toolSpec"]["name"], "add");
}

#[test]
fn tools_that_bedrock_has_not_are_refused_by_name() {
    let refused = |tool| refused(&ChatRequest { tools: vec![tool], ..hello() });
    assert_eq!(refused(tool("has space")), "tools[0].function.name");
    assert_eq!(refused(tool(&"x".repeat(65))), "tools[0].function.name");
    assert_eq!(refused(Tool { kind: ToolKind::Custom, ..tool("add") }), "tools[0].type");
    let extras = |value: Value| value.as_object().unwrap().clone();
    assert_eq!(refused(Tool { extras: extras(json!({"type": "web_search"})), ..tool("") }), "tools[0].type");
    assert_eq!(refused(Tool { extras: extras(json!({"defer": true})), ..tool("add") }), "tools[0].defer");
}

#[test]
fn parallel_tool_calls_are_refused_only_where_they_would_matter() {
    let request = |allowed, tools| ChatRequest { parallel_tool_calls: Some(allowed), tools, ..hello() };
    assert_eq!(refused(&request(false, vec![tool("add")])), "parallel_tool_calls");
    encode(&request(true, vec![tool("add")]));
    encode(&request(false, Vec::new()));
    let forbidden = ChatRequest { tool_choice: Some(ToolChoice::None), ..request(false, vec![tool("add")]) };
    assert_eq!(encode(&forbidden), encode(&hello()));
}

#[test]
fn limits_and_sampling_go_to_inference_config() {
    let sampling = Sampling {
        temperature: Number::from_f64(1.0),
        top_p: Number::from_f64(0.9),
        top_k: Some(5.into()),
        ..Sampling::default()
    };
    let limits = Limits { max_output_tokens: Some(7), stop: vec!["|".to_owned()], ..Limits::default() };
    let body = encode(&ChatRequest { sampling, limits, ..hello() });
    assert_eq!(
        body["inferenceConfig"],
        json!({"maxTokens": 7, "temperature": 1.0, "topP": 0.9, "stopSequences": ["|"]})
    );
    assert_eq!(body["additionalModelRequestFields"], json!({"inferenceConfig": {"topK": 5}}));
}

/// As OpenAI answers the same.
#[test]
fn one_limit_under_two_names_is_refused_as_openai_refuses_it() {
    let limits = Limits { max_output_tokens: Some(7), ..Limits::default() };
    let both = ChatRequest { limits, ..with_extras(json!({"max_tokens": 7})) };
    let error = encode_request(&both, &EncodeOptions { model: "" }).unwrap_err();
    assert_eq!((error.param(), error.code()), (Some("max_tokens"), Some("invalid_parameter_combination")));
    assert!(error.message().contains("max_completion_tokens"), "{error}");
}

#[test]
fn top_k_goes_where_the_models_family_has_it() {
    let sampling = Sampling { top_k: Some(5.into()), ..Sampling::default() };
    let request = ChatRequest { sampling, ..hello() };
    for (model, fields) in [
        (CLAUDE_BUDGET, json!({"top_k": 5})),
        ("us.amazon.nova-pro-v1:0", json!({"inferenceConfig": {"topK": 5}})),
        ("global.amazon.nova-2-lite-v1:0", json!({"inferenceConfig": {"topK": 5}})),
        ("mistral.mistral-large-2407-v1:0", json!({"top_k": 5})),
    ] {
        assert_eq!(encode_for(model, &request)["additionalModelRequestFields"], fields, "{model}");
    }
    let own = json!({"additionalModelRequestFields": {"inferenceConfig": {"topK": 6}}});
    let contradicting = ChatRequest { extras: own.as_object().unwrap().clone(), ..request.clone() };
    assert_eq!(refused(&contradicting), "top_k");
    let own = json!({"additionalModelRequestFields": {"inferenceConfig": {"other": 6}}});
    let joined = ChatRequest { extras: own.as_object().unwrap().clone(), ..request };
    assert_eq!(
        encode(&joined)["additionalModelRequestFields"],
        json!({"inferenceConfig": {"other": 6, "topK": 5}})
    );
}

#[test]
fn values_out_of_bedrocks_range_are_refused_and_not_clamped() {
    let sampling = |temperature: f64, top_p: f64| ChatRequest {
        sampling: Sampling {
            temperature: Number::from_f64(temperature),
            top_p: Number::from_f64(top_p),
            ..Sampling::default()
        },
        ..hello()
    };
    assert_eq!(refused(&sampling(1.2, 0.5)), "temperature");
    assert_eq!(refused(&sampling(0.5, -0.1)), "top_p");
    let none = Limits { max_output_tokens: Some(0), ..Limits::default() };
    assert_eq!(refused(&ChatRequest { limits: none, ..hello() }), "max_completion_tokens");
}

#[test]
fn every_parameter_that_converse_lacks_is_refused_by_name() {
    let sampled = |sampling| ChatRequest { sampling, ..hello() };
    let none = Sampling::default;
    let cases = [
        ("n", ChatRequest { limits: Limits { n: Some(2), ..Limits::default() }, ..hello() }),
        ("seed", sampled(Sampling { seed: Some(1), ..none() })),
        ("frequency_penalty", sampled(Sampling { frequency_penalty: Number::from_f64(0.5), ..none() })),
        ("presence_penalty", sampled(Sampling { presence_penalty: Some(1.into()), ..none() })),
        (
            "logit_bias",
            sampled(Sampling { logit_bias: json!({"50256": -100}).as_object().cloned(), ..none() }),
        ),
        ("logprobs", sampled(Sampling { logprobs: Some(true), ..none() })),
        ("top_logprobs", sampled(Sampling { top_logprobs: Some(2), ..none() })),
        ("store", with_extras(json!({"store": true}))),
        ("web_search_options", with_extras(json!({"web_search_options": {}}))),
        ("made_up", with_extras(json!({"made_up": 0}))),
        ("response_format", ChatRequest { response_format: Some(ResponseFormat::JsonObject), ..hello() }),
    ];
    for (param, request) in cases {
        assert_eq!(refused(&request), param);
    }
    let options = StreamOptions {
        include_usage: Some(true),
        extras: json!({"include_obfuscation": false, "made_up": 1}).as_object().unwrap().clone(),
    };
    assert_eq!(refused(&ChatRequest { stream: Some(options), ..hello() }), "stream_options.made_up");
}

#[test]
fn all_refused_parameters_are_listed_at_once() {
    let sampling = Sampling { seed: Some(1), logprobs: Some(true), ..Sampling::default() };
    let error =
        encode_request(&ChatRequest { sampling, ..hello() }, &EncodeOptions { model: "" }).unwrap_err();
    assert_eq!(error.message(), "not supported by Bedrock Converse: `seed`, `logprobs`");
}

#[test]
fn values_that_ask_for_nothing_are_no_errors() {
    let request = ChatRequest {
        limits: Limits { n: Some(1), ..Limits::default() },
        sampling: Sampling {
            frequency_penalty: Some(0.into()),
            presence_penalty: Number::from_f64(0.0),
            logit_bias: Some(Extras::new()),
            logprobs: Some(false),
            ..Sampling::default()
        },
        response_format: Some(ResponseFormat::Text),
        ..with_extras(
            json!({"store": false, "made_up": null, "modalities": ["text"], "service_tier": "auto"}),
        )
    };
    assert_eq!(encode(&request), encode(&hello()));
}

/// What these change is a price, a wait, or who is counted: no answer is another without them.
#[test]
fn hints_that_do_not_change_the_answer_are_dropped() {
    let request = with_extras(json!({
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "prediction": {"type": "content", "content": "x"},
    }));
    assert_eq!(encode(&request), encode(&hello()));
}

#[test]
fn an_image_of_any_detail_is_shown_whole() {
    for detail in ["low", "high", "auto"] {
        let source = Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        let image = Part::Image(Image { source, detail: Some(detail.to_owned()) });
        let body = encode(&request(vec![message(Role::User, vec![image])]));
        assert_eq!(body["messages"][0]["content"][0]["image"]["format"], "png", "{detail}");
    }
}

#[test]
fn names_are_dropped_unless_they_tell_speakers_apart() {
    let named = |role, name: &str| Message { name: Some(name.to_owned()), ..said(role, "x") };
    let alone = vec![named(Role::User, "Ann"), named(Role::Assistant, "Bot"), named(Role::User, "Ann")];
    let plain = vec![said(Role::User, "x"), said(Role::Assistant, "x"), said(Role::User, "x")];
    assert_eq!(encode(&request(alone)), encode(&request(plain)));
    let two = vec![named(Role::User, "Ann"), said(Role::Assistant, "x"), named(Role::User, "Ben")];
    assert_eq!(refused(&request(two)), "messages[2].name");
    let examples = vec![
        named(Role::System, "example_user"),
        named(Role::System, "example_assistant"),
        said(Role::User, "x"),
    ];
    assert_eq!(refused(&request(examples)), "messages[1].name");
}

#[test]
fn bedrocks_own_fields_pass_through() {
    let own = json!({
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "performanceConfig": {"latency": "optimized"},
        "promptVariables": {"a": {"text": "b"}},
        "requestMetadata": {"team": "a"},
        "serviceTier": {"type": "flex"},
    });
    let body = encode(&with_extras(own.clone()));
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
}

#[test]
fn metadata_and_user_become_request_metadata() {
    let request = ChatRequest {
        metadata: json!({"team": "a b"}).as_object().unwrap().clone(),
        user: Some("u-1".to_owned()),
        ..with_extras(json!({"safety_identifier": "s", "requestMetadata": {"own": "1"}}))
    };
    assert_eq!(
        encode(&request)["requestMetadata"],
        json!({"team": "a b", "user": "u-1", "safety_identifier": "s", "own": "1"})
    );
}

#[test]
fn metadata_that_bedrock_refuses_is_refused_by_name() {
    let metadata = |value: Value| ChatRequest {
        metadata: json!({ "key": value }).as_object().unwrap().clone(),
        ..hello()
    };
    assert_eq!(refused(&metadata(json!("a|b"))), "metadata.key");
    assert_eq!(refused(&metadata(json!("x".repeat(257)))), "metadata.key");
    assert_eq!(refused(&metadata(json!(5))), "metadata.key");
    let many = (0..17).map(|number| (format!("k{number}"), json!("v"))).collect();
    assert_eq!(refused(&ChatRequest { metadata: many, ..hello() }), "metadata");
}

#[test]
fn a_users_id_that_request_metadata_has_no_room_for_is_dropped() {
    let user = |user: &str| ChatRequest { user: Some(user.to_owned()), ..hello() };
    for unfit in ["é", "a|b", &"x".repeat(257)] {
        assert_eq!(encode(&user(unfit)), encode(&hello()), "{unfit}");
        assert_eq!(encode(&with_extras(json!({ "safety_identifier": unfit }))), encode(&hello()), "{unfit}");
    }
    let full: Extras = (0..16).map(|number| (format!("k{number}"), json!("v"))).collect();
    let metadata = encode(&ChatRequest { metadata: full.clone(), ..user("u") })["requestMetadata"].clone();
    assert_eq!(metadata, Value::Object(full));
    assert_eq!(refused(&with_extras(json!({ "safety_identifier": 5 }))), "safety_identifier");
}

#[test]
fn service_tier_is_translated() {
    let tier = |tier: &str| with_extras(json!({ "service_tier": tier }));
    assert_eq!(encode(&tier("flex"))["serviceTier"], json!({"type": "flex"}));
    assert_eq!(refused(&tier("scale")), "service_tier");
    assert_eq!(
        refused(&with_extras(json!({"service_tier": "flex", "serviceTier": {"type": "flex"}}))),
        "service_tier"
    );
}

#[test]
fn a_json_schema_travels_as_a_string() {
    let format = |schema: Option<Value>| ChatRequest {
        response_format: Some(ResponseFormat::JsonSchema {
            name: "City".to_owned(),
            description: None,
            schema,
            strict: Some(true),
        }),
        ..hello()
    };
    let structure = json!({"jsonSchema": {"name": "City", "schema": "{\"type\":\"object\"}"}});
    assert_eq!(
        encode(&format(Some(json!({"type": "object"}))))["outputConfig"],
        json!({"textFormat": {"type": "json_schema", "structure": structure}})
    );
    assert_eq!(refused(&format(None)), "response_format.json_schema.schema");
}

#[test]
fn reasoning_effort_is_put_as_each_family_takes_it() {
    let effort = |effort: &ReasoningEffort| ChatRequest { reasoning_effort: Some(effort.clone()), ..hello() };
    let sent = |model: &str, level: &ReasoningEffort| {
        let body = encode_for(model, &effort(level));
        (body["additionalModelRequestFields"].clone(), body["outputConfig"].clone())
    };
    use ReasoningEffort::{High, Low, Max, Medium, Minimal, None as Off, XHigh};
    let thinking = |budget: u64| json!({"thinking": {"type": "enabled", "budget_tokens": budget}});
    assert_eq!(sent(CLAUDE_BUDGET, &Low), (thinking(1024), Value::Null));
    assert_eq!(sent("anthropic.claude-3-7-sonnet-20250219-v1:0", &XHigh).0, thinking(8192));
    assert_eq!(sent("anthropic.claude-haiku-4-5-20251001-v1:0", &Medium).0, thinking(2048));
    assert_eq!(sent(CLAUDE_BUDGET, &Off), (Value::Null, Value::Null));
    let adaptive = json!({"thinking": {"type": "adaptive"}});
    assert_eq!(sent(CLAUDE_ADAPTIVE, &Max), (adaptive.clone(), json!({"effort": "max"})));
    assert_eq!(sent("anthropic.claude-opus-4-6-v1", &Minimal), (adaptive, json!({"effort": "low"})));
    assert_eq!(sent(CLAUDE_ADAPTIVE, &Off).0, json!({"thinking": {"type": "disabled"}}));
    assert_eq!(
        sent("us.amazon.nova-2-lite-v1:0", &High).0,
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}})
    );
    assert_eq!(sent("openai.gpt-oss-120b-1:0", &Medium).0, json!({"reasoning_effort": "medium"}));
    assert_eq!(sent("openai.gpt-6-sol", &Off).0, json!({"reasoning": {"effort": "none"}}));
    for (model, level) in [
        (CLAUDE_BUDGET, Max),
        ("us.amazon.nova-2-lite-v1:0", XHigh),
        ("openai.gpt-oss-120b-1:0", Off),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", Low),
        ("meta.llama3-2-1b-instruct-v1:0", Low),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/abc", Low),
    ] {
        assert_eq!(refused_for(model, &effort(&level)), "reasoning_effort", "{model}");
    }
}

#[test]
fn a_thinking_budget_leaves_room_in_the_callers_limit() {
    let limited = |limit| ChatRequest {
        reasoning_effort: Some(ReasoningEffort::High),
        limits: Limits { max_output_tokens: Some(limit), legacy_max_tokens: true, ..Limits::default() },
        ..hello()
    };
    let body = encode_for(CLAUDE_BUDGET, &limited(2000));
    assert_eq!(body["additionalModelRequestFields"]["thinking"]["budget_tokens"], 1999);
    assert_eq!(refused_for(CLAUDE_BUDGET, &limited(1024)), "max_tokens");
}

#[test]
fn parameters_that_contradict_bedrocks_own_fields_are_refused() {
    let own = json!({"additionalModelRequestFields": {"thinking": {"type": "disabled"}, "top_k": 5}});
    let contradicting =
        ChatRequest { reasoning_effort: Some(ReasoningEffort::Low), ..with_extras(own.clone()) };
    assert_eq!(refused_for(CLAUDE_BUDGET, &contradicting), "reasoning_effort");
    let agreeing = ChatRequest {
        sampling: Sampling { top_k: Some(5.into()), ..Sampling::default() },
        ..with_extras(own)
    };
    encode_for(CLAUDE_BUDGET, &agreeing);
}

#[test]
fn converses_own_blocks_pass_and_other_dialects_parts_are_refused() {
    let part = |value: Value| request(vec![message(Role::User, vec![Part::Opaque(value)])]);
    let guarded = json!({"guardContent": {"text": {"text": "x"}}});
    assert_eq!(encode(&part(guarded.clone()))["messages"][0]["content"], json!([guarded]));
    assert_eq!(refused(&part(json!({"type": "video_url", "video_url": {}}))), "messages[0].content");
    assert_eq!(refused(&part(json!({"video_url": {}}))), "messages[0].content");
}

#[test]
fn messages_that_converse_can_not_hold_are_refused_by_name() {
    assert_eq!(refused(&request(vec![said(Role::User, " ")])), "messages[0].content");
    assert_eq!(refused(&request(vec![said(Role::System, "x")])), "messages");
    let echo =
        |extras: Value| Message { extras: extras.as_object().unwrap().clone(), ..said(Role::Assistant, "x") };
    let history = |extras| request(vec![said(Role::User, "x"), echo(extras)]);
    encode(&history(json!({"annotations": [{}], "audio": null})));
    assert_eq!(refused(&history(json!({"audio": {"id": "a"}}))), "messages[1].audio");
    let picture = Image { source: Source::Url("s3://b/a.png".to_owned()), detail: None };
    let shown = message(Role::Assistant, vec![Part::Image(picture)]);
    assert_eq!(refused(&request(vec![said(Role::User, "x"), shown])), "messages[1].content");
}

#[test]
fn an_empty_assistant_turn_is_left_out() {
    let body =
        encode(&request(vec![said(Role::User, "a"), said(Role::Assistant, ""), said(Role::User, "b")]));
    assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]));
}
