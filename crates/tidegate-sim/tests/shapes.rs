//! The answers' framing, headers and fields: those that WIRE-level recordings of the providers have.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod support;

use serde_json::Value;
use support::{
    AZURE, AZURE_V1, BEDROCK, CONVERSE, CONVERSE_STREAM, Client, OPENAI, STREAM, WHOLE, exchange, request,
    request_with,
};
use tidegate_sim::{Config, Scenario, SimHandle, Simulator};

fn sim() -> SimHandle {
    Simulator::start(Config::default()).unwrap()
}

fn text_of(events: &[Value]) -> String {
    events.iter().filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str()).collect()
}

#[tokio::test]
async fn openai_streams_role_content_finish_usage_done_one_chunk_each() {
    let sim = sim();
    let answer = exchange(sim.address(), &request(OPENAI, "tokens=7,prompt=11", STREAM)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    for name in
        ["x-request-id", "openai-processing-ms", "openai-version", "date", "x-ratelimit-reset-requests"]
    {
        assert!(answer.header(name).is_some(), "{name}");
    }
    let events = answer.events();
    assert_eq!(events.len(), 1 + 7 + 1 + 1);
    assert_eq!(answer.chunks.len(), events.len() + 1, "each frame is one HTTP chunk");
    assert!(answer.body.ends_with(b"}\n\ndata: [DONE]\n\n"));
    assert_eq!(
        events[0]["choices"][0]["delta"],
        serde_json::json!({"role":"assistant","content":"","refusal":null})
    );
    assert_eq!(text_of(&events), Scenario { tokens: 7, ..Scenario::default() }.whole_text());
    assert_eq!(events[8]["choices"][0]["finish_reason"], "stop");
    assert!(events[..9].iter().all(|event| event.get("usage") == Some(&Value::Null)));
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk" && event["model"] == "gpt-4o-mini")
    );
    assert!(events[..9].iter().all(|event| event["obfuscation"].is_string()));
    let usage = &events[9]["usage"];
    assert_eq!(events[9]["choices"], serde_json::json!([]));
    assert_eq!((usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()), (Some(11), Some(7)));
    assert_eq!(usage["total_tokens"], 18);
}

#[tokio::test]
async fn openai_sends_no_usage_and_no_padding_unless_asked() {
    let sim = sim();
    let body = STREAM.replace(r#""include_usage":true"#, r#""include_obfuscation":false"#);
    let events = exchange(sim.address(), &request(OPENAI, "tokens=2", &body)).await.events();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.get("usage").is_none() && event.get("obfuscation").is_none()));
}

#[tokio::test]
async fn azure_streams_the_prompt_filter_first_and_filter_results_on_each_choice() {
    let sim = sim();
    for path in [AZURE, AZURE_V1] {
        let answer = exchange(sim.address(), &request(path, "tokens=3", STREAM)).await;
        for name in
            ["apim-request-id", "x-request-id", "x-ms-region", "x-ms-rai-invoked", "x-ms-deployment-name"]
        {
            assert!(answer.header(name).is_some(), "{name}");
        }
        assert_eq!(answer.header("x-ms-deployment-name"), Some("gpt-4o-mini"));
        let events = answer.events();
        assert_eq!(events.len(), 1 + 1 + 3 + 1 + 1);
        assert_eq!(
            (&events[0]["id"], &events[0]["model"], &events[0]["created"]),
            (&"".into(), &"".into(), &0.into())
        );
        assert!(events[0]["prompt_filter_results"][0]["content_filter_results"]["hate"].is_object());
        assert!(events[1..6].iter().all(|event| event["choices"][0]["content_filter_results"].is_object()));
        assert_eq!(text_of(&events), " A tide gate");
        assert_eq!(events[6]["usage"]["completion_tokens"], 3);
    }
}

#[tokio::test]
async fn azure_versions_before_stream_options_never_send_usage() {
    let sim = sim();
    let path = AZURE.replace("2024-12-01-preview", "2024-02-01");
    let events = exchange(sim.address(), &request(&path, "tokens=3", STREAM)).await.events();
    assert_eq!(events.len(), 6);
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn azure_asynchronous_filter_sends_verdicts_without_a_delta_also_after_the_finish() {
    let sim = sim();
    let events = exchange(sim.address(), &request(AZURE, "tokens=4,async_filter=1", STREAM)).await.events();
    let verdicts: Vec<usize> = (0..events.len())
        .filter(|&at| events[at]["choices"][0].get("content_filter_offsets").is_some())
        .collect();
    assert_eq!(verdicts, [4, 8]);
    assert!(
        verdicts.iter().all(|&at| events[at]["choices"][0].get("delta").is_none() && events[at]["id"] == "")
    );
    assert_eq!(events[7]["choices"][0]["finish_reason"], "stop");
    assert!(events[1]["choices"][0].get("content_filter_results").is_none());
    assert_eq!(text_of(&events), " A tide gate is");
    assert!(events[9]["usage"].is_object());
}

#[tokio::test]
async fn azure_filter_stop_sends_no_usage_and_a_blocked_prompt_is_400_with_its_verdicts() {
    let sim = sim();
    let events =
        exchange(sim.address(), &request(AZURE, "tokens=2,finish=content_filter", STREAM)).await.events();
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
    let blocked = exchange(sim.address(), &request(AZURE, "error=400,finish=content_filter", STREAM)).await;
    assert_eq!(blocked.status, 400);
    assert_eq!(blocked.header("content-type"), Some("application/json"));
    let error = &blocked.json()["error"];
    assert_eq!(
        (&error["code"], &error["param"], &error["type"]),
        (&"content_filter".into(), &"prompt".into(), &Value::Null)
    );
    assert_eq!(error["innererror"]["content_filter_result"]["jailbreak"]["filtered"], true);
}

#[tokio::test]
async fn whole_answers_have_the_text_the_usage_and_the_length() {
    let sim = sim();
    for path in [OPENAI, AZURE] {
        let answer = exchange(sim.address(), &request(path, "tokens=5,prompt=9,reasoning=4", WHOLE)).await;
        let json = answer.json();
        assert_eq!(json["object"], "chat.completion");
        assert_eq!(json["choices"][0]["message"]["content"], " A tide gate is one");
        assert_eq!(json["choices"][0]["finish_reason"], "stop");
        assert_eq!(json["usage"]["completion_tokens"], 9);
        assert_eq!(json["usage"]["completion_tokens_details"]["reasoning_tokens"], 4);
        assert_eq!(json["usage"]["total_tokens"], 18);
    }
    let json =
        exchange(sim.address(), &request(CONVERSE, "tokens=5,prompt=9,cached=4", BEDROCK)).await.json();
    assert_eq!(json["output"]["message"]["content"][0]["text"], " A tide gate is one");
    assert_eq!(json["stopReason"], "end_turn");
    let usage = &json["usage"];
    let sum =
        ["inputTokens", "cacheReadInputTokens", "outputTokens"].map(|name| usage[name].as_u64().unwrap());
    assert_eq!((sum, usage["totalTokens"].as_u64()), ([5, 4, 5], Some(14)));
}

/// The frames of an event stream as (`:message-type`, event or exception type, payload).
fn frames(mut body: &[u8]) -> Vec<(String, String, Value)> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let message = aws_smithy_eventstream::frame::read_message_from(&mut body)
            .expect("a frame with right checksums");
        let header = |name: &str| {
            let found = message.headers().iter().find(|header| header.name().as_str() == name);
            found.map(|header| header.value().as_string().unwrap().as_str().to_owned())
        };
        let kind = header(":event-type").or_else(|| header(":exception-type")).unwrap();
        assert_eq!(header(":content-type").as_deref(), Some("application/json"));
        let payload = serde_json::from_slice(message.payload()).unwrap();
        frames.push((header(":message-type").unwrap(), kind, payload));
    }
    frames
}

#[tokio::test]
async fn bedrock_streams_frames_with_padding_and_the_metadata_last() {
    let sim = sim();
    let answer =
        exchange(sim.address(), &request(CONVERSE_STREAM, "tokens=3,reasoning=2,tools=1,prompt=8", BEDROCK))
            .await;
    assert_eq!(answer.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert!(answer.header("x-amzn-requestid").is_some());
    let frames = frames(&answer.body);
    assert_eq!(answer.chunks.len(), frames.len(), "each frame is one HTTP chunk");
    let kinds: Vec<&str> = frames.iter().map(|(_, kind, _)| kind.as_str()).collect();
    let mut expected = vec!["messageStart"];
    expected.extend(["contentBlockDelta"; 3]);
    expected.push("contentBlockStop");
    expected.extend(["contentBlockDelta"; 3]);
    expected.extend(["contentBlockStop", "contentBlockStart"]);
    expected.extend(["contentBlockDelta"; 5]);
    expected.extend(["contentBlockStop", "messageStop", "metadata"]);
    assert_eq!(kinds, expected);
    assert!(frames.iter().all(|(message, _, payload)| message == "event" && payload["p"].is_string()));
    let text: String = frames.iter().filter_map(|(_, _, p)| p.pointer("/delta/text")?.as_str()).collect();
    assert_eq!(text, " A tide gate");
    let arguments: String =
        frames.iter().filter_map(|(_, _, p)| p.pointer("/delta/toolUse/input")?.as_str()).collect();
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        serde_json::json!({"harbour": "Delfzijl"})
    );
    assert!(frames.iter().any(|(_, _, p)| p.pointer("/delta/reasoningContent/signature").is_some()));
    let usage = &frames.last().unwrap().2["usage"];
    assert_eq!((usage["inputTokens"].as_u64(), usage["outputTokens"].as_u64()), (Some(8), Some(3 + 2 + 6)));
    assert_eq!(frames[frames.len() - 2].2["stopReason"], "tool_use");
}

#[tokio::test]
async fn a_tool_call_is_streamed_in_pieces_with_the_callers_own_tool() {
    let sim = sim();
    let body = STREAM.replace(
        r#""messages""#,
        r#""tools":[{"type":"function","function":{"name":"high_water","parameters":{}}}],"messages""#,
    );
    let events = exchange(sim.address(), &request(OPENAI, "tokens=0,tools=2", &body)).await.events();
    let calls: Vec<&Value> =
        events.iter().filter_map(|e| e.pointer("/choices/0/delta/tool_calls/0")).collect();
    assert_eq!(calls[0]["function"]["name"], "high_water");
    assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
    let second: String = calls
        .iter()
        .filter(|c| c["index"] == 1)
        .filter_map(|c| c["function"]["arguments"].as_str())
        .collect();
    assert_eq!(second, r#"{"harbour":"Delfzijl"}"#);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 12);
}

#[tokio::test]
async fn each_provider_refuses_a_missing_or_bad_credential_in_its_own_words() {
    let sim = sim();
    for (path, status, pointer, value) in [
        (OPENAI, 401, "/error/type", "invalid_request_error"),
        (AZURE, 401, "/error/code", "401"),
        (CONVERSE, 403, "/message", "Missing Authentication Token"),
    ] {
        let answer = exchange(sim.address(), &request_with(path, "accept: */*", WHOLE)).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.json().pointer(pointer), Some(&value.into()), "{path}");
    }
    let bad = exchange(sim.address(), &request_with(OPENAI, "authorization: Bearer bad-key", WHOLE)).await;
    assert_eq!((bad.status, &bad.json()["error"]["code"]), (401, &"invalid_api_key".into()));
    let unsigned = "authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    let bad = exchange(sim.address(), &request_with(CONVERSE, unsigned, BEDROCK)).await;
    assert_eq!(bad.status, 403);
    assert!(bad.header("x-amzn-errortype").unwrap().starts_with("UnrecognizedClientException:http"));
    let bearer = exchange(sim.address(), &request_with(CONVERSE, "authorization: Bearer key", BEDROCK)).await;
    assert_eq!(bearer.status, 200);
    let kinds: Vec<&str> = sim.observations().iter().map(|seen| seen.authorization_kind).collect();
    assert_eq!(kinds, ["none", "none", "none", "bearer", "sigv4", "bearer"]);
}

#[tokio::test]
async fn an_error_status_comes_in_the_providers_form_with_its_retry_headers() {
    let sim = sim();
    let scenario = "error=429,retry_after=3,retry_after_ms=0";
    for (path, body, pointer, value) in [
        (OPENAI, STREAM, "/error/code", "rate_limit_exceeded"),
        (AZURE, STREAM, "/error/code", "RateLimitReached"),
        (CONVERSE_STREAM, BEDROCK, "/message", "Too many requests, please wait before trying again."),
    ] {
        let answer = exchange(sim.address(), &request(path, scenario, body)).await;
        assert_eq!(answer.status, 429);
        assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("3"), Some("0")));
        assert_eq!(answer.json().pointer(pointer), Some(&value.into()), "{path}");
        if path == CONVERSE_STREAM {
            assert!(answer.header("x-amzn-errortype").unwrap().starts_with("ThrottlingException:"));
        }
    }
}

#[tokio::test]
async fn models_are_listed_and_other_urls_are_unknown() {
    let sim = sim();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\r\n");
    let models = exchange(sim.address(), &get("/v1/models")).await.json();
    assert_eq!((&models["object"], &models["data"][0]["object"]), (&"list".into(), &"model".into()));
    for path in
        ["/", "/v1/nothing", "/openai/deployments/x/chat/completions", "/model/x/invoke", "/_sim/nothing"]
    {
        assert_eq!(exchange(sim.address(), &get(path)).await.status, 404, "{path}");
    }
    let classic_without_version = request("/openai/deployments/x/chat/completions", "", WHOLE);
    assert_eq!(exchange(sim.address(), &classic_without_version).await.json()["error"]["code"], "404");
}

#[tokio::test]
async fn one_connection_serves_many_calls_and_the_control_urls() {
    let sim = sim();
    let mut client = Client::connect(sim.address()).await;
    for (path, body) in [(OPENAI, STREAM), (CONVERSE, BEDROCK), (AZURE, WHOLE)] {
        client.send(&request(path, "tag=same", body)).await;
        assert_eq!(client.answer().await.status, 200);
    }
    client.send("GET /_sim/calls?tag=same HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let calls = client.answer().await.json();
    assert_eq!(calls.as_array().unwrap().len(), 3);
    assert_eq!((&calls[0]["backend"], &calls[1]["backend"]), (&"openai".into(), &"bedrock".into()));
    assert_eq!((&calls[0]["phase_at_close"], &calls[0]["tokens_written"]), (&"complete".into(), &20.into()));
    client.send("DELETE /_sim/calls HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.answer().await;
    assert!(sim.observations().is_empty());
    assert_eq!(sim.connections(), 1);
}

#[tokio::test]
async fn gemini_ends_its_stream_behind_the_finish_reason_and_counts_on_the_way() {
    let sim = sim();
    let path = "/v1beta1/projects/p/locations/global/publishers/google/models/gemini-3-flash";
    let body = r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#;
    let stream = request(
        &format!("{path}:streamGenerateContent?alt=sse"),
        "tokens=3,reasoning=2,tools=1,prompt=11",
        body,
    );
    let answer = exchange(sim.address(), &stream).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert!(answer.body.ends_with(b"}\r\n\r\n") && !answer.text().contains("[DONE]"));
    let events: Vec<Value> = answer
        .text()
        .split("\r\n\r\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    assert_eq!(events.len(), 2 + 3 + 1 + 1);
    let part = |at: usize, name: &str| events[at]["candidates"][0]["content"]["parts"][0][name].clone();
    assert_eq!((part(0, "thought"), part(2, "thought")), (true.into(), Value::Null));
    assert_eq!(part(5, "functionCall")["args"]["harbour"], "Delfzijl");
    assert!(part(5, "thoughtSignature").is_string());
    assert_eq!(events[2]["usageMetadata"]["totalTokenCount"], 11);
    assert_eq!(events[6]["candidates"][0]["finishReason"], "STOP");
    let usage = &events[6]["usageMetadata"];
    assert_eq!(
        (&usage["candidatesTokenCount"], &usage["thoughtsTokenCount"], &usage["totalTokenCount"]),
        (&4.into(), &2.into(), &17.into())
    );
    let whole =
        exchange(sim.address(), &request(&format!("{path}:generateContent"), "tokens=3,prompt=11", body))
            .await;
    assert_eq!(
        whole.json()["usageMetadata"],
        serde_json::json!({"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14})
    );
}

#[tokio::test]
async fn responses_are_numbered_and_told_whole_at_their_end() {
    let sim = sim();
    let path = "/v1/responses";
    let body = r#"{"model":"gpt-6","stream":true,"input":"Hi"}"#;
    let answer =
        exchange(sim.address(), &request(path, "tokens=3,reasoning=2,tools=1,prompt=11", body)).await;
    assert!(!answer.text().contains("[DONE]"));
    let events: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    let deltas = |kind: &str| -> String {
        events
            .iter()
            .filter(|event| event["type"] == kind)
            .filter_map(|event| event["delta"].as_str())
            .collect()
    };
    assert_eq!(deltas("response.output_text.delta"), " A tide gate");
    assert_eq!(deltas("response.function_call_arguments.delta"), r#"{"harbour":"Delfzijl"}"#);
    let response = &events.last().unwrap()["response"];
    let kinds: Vec<&str> =
        response["output"].as_array().unwrap().iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(response["output"][1]["content"][0]["text"], " A tide gate");
    let usage = &response["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&11.into(), &(3 + 2 + 6).into()));
    let whole =
        exchange(sim.address(), &request(path, "tokens=3,finish=length", &body.replace("true", "false")))
            .await
            .json();
    assert_eq!(whole["status"], "incomplete");
    let kept = format!("{path}/resp_7");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\r\n");
    assert_eq!(exchange(sim.address(), &get(&kept)).await.json()["id"], "resp_7");
    let again = exchange(sim.address(), &get(&format!("{kept}?stream=true"))).await;
    assert!(again.text().ends_with("}\n\n") && again.text().contains("event: response.completed"));
}

#[tokio::test]
async fn cohere_ends_its_message_with_the_finish_reason_and_both_counts() {
    let sim = sim();
    let body = r#"{"model":"command-a-03-2025","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let scenario = "tokens=3,reasoning=2,tools=1,prompt=11,cached=4";
    let answer = exchange(sim.address(), &request("/v2/chat", scenario, body)).await;
    assert!(answer.body.ends_with(b"\n\ndata: [DONE]\n\n"));
    let events = answer.events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((kinds[0], kinds.last()), ("message-start", Some(&"message-end")));
    let pieces =
        |path: &str| -> String { events.iter().filter_map(|event| event.pointer(path)?.as_str()).collect() };
    assert_eq!(pieces("/delta/message/content/text"), " A tide gate");
    assert_eq!(pieces("/delta/message/content/thinking"), " A tide");
    assert_eq!(pieces("/delta/message/tool_calls/function/arguments"), r#"{"harbour":"Delfzijl"}"#);
    let ending = &events.last().unwrap()["delta"];
    assert_eq!(ending["finish_reason"], "TOOL_CALL");
    assert_eq!(
        ending["usage"]["tokens"],
        serde_json::json!({"input_tokens":11,"output_tokens":11,"reasoning_tokens":2})
    );
    assert_eq!(
        (&ending["usage"]["billed_units"]["input_tokens"], &ending["usage"]["cached_tokens"]),
        (&6.into(), &4.into())
    );
    let whole =
        exchange(sim.address(), &request("/v2/chat", scenario, &body.replace("true", "false"))).await.json();
    assert_eq!(whole["usage"], ending["usage"]);
    assert_eq!(whole["message"]["content"][1]["text"], " A tide gate");
    let refused = exchange(sim.address(), &request("/v2/chat", "error=429", body)).await;
    assert_eq!((refused.status, refused.json()["message"].is_string()), (429, true));
}

#[tokio::test]
async fn ollama_writes_a_line_for_each_piece_and_counts_on_the_last() {
    let sim = sim();
    let body = r#"{"model":"qwen3","messages":[{"role":"user","content":"Hi"}]}"#;
    let scenario = "tokens=3,reasoning=2,tools=1,prompt=11";
    let answer = exchange(sim.address(), &request("/api/chat", scenario, body)).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2 + 3 + 1 + 1, "a stream unless told otherwise");
    let pieces =
        |name: &str| -> String { lines.iter().filter_map(|line| line["message"][name].as_str()).collect() };
    assert_eq!((pieces("content").as_str(), pieces("thinking").as_str()), (" A tide gate", " A tide"));
    assert_eq!(lines[5]["message"]["tool_calls"][0]["function"]["arguments"]["harbour"], "Delfzijl");
    let done: Vec<bool> = lines.iter().filter_map(|line| line["done"].as_bool()).collect();
    assert_eq!(done, [false, false, false, false, false, false, true]);
    assert_eq!((&lines[6]["prompt_eval_count"], &lines[6]["eval_count"]), (&11.into(), &6.into()));
    let plain = body.replace(r#""messages""#, r#""stream":false,"messages""#);
    let whole = exchange(sim.address(), &request("/api/chat", scenario, &plain)).await.json();
    assert_eq!((&whole["message"]["content"], &whole["done"]), (&" A tide gate".into(), &true.into()));
    let keyless = exchange(sim.address(), &request_with("/api/chat", "accept: */*", &plain)).await;
    assert_eq!(keyless.status, 200);
    let wrong =
        exchange(sim.address(), &request_with("/api/chat", "authorization: Bearer bad", &plain)).await;
    assert_eq!((wrong.status, wrong.json()), (401, serde_json::json!({"error":"Unauthorized"})));
}

#[tokio::test]
async fn invoke_model_has_anthropics_own_document_events_and_count() {
    let sim = sim();
    let body = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"[sim tokens=3,prompt=11]"}]}"#;
    let path = "/model/anthropic.claude-v2/invoke";
    let whole = exchange(sim.address(), &request(path, "", body)).await;
    assert_eq!(whole.header("x-amzn-bedrock-input-token-count"), Some("11"));
    assert_eq!(whole.json()["content"][0]["text"], " A tide gate");
    let stream = exchange(sim.address(), &request(&format!("{path}-with-response-stream"), "", body)).await;
    assert_eq!(stream.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let text = String::from_utf8_lossy(&stream.body).into_owned();
    let chunks = text.split(r#"{"bytes":""#).skip(1).filter_map(|rest| rest.split('"').next());
    let events: Vec<Value> = chunks
        .map(|chunk| serde_json::from_slice(&aws_smithy_types::base64::decode(chunk).unwrap()).unwrap())
        .collect();
    let said: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(said, " A tide gate");
    assert_eq!(events.last().unwrap()["amazon-bedrock-invocationMetrics"]["inputTokenCount"], 11);
    let inside =
        format!(r#"{{"input":{{"invokeModel":{{"body":"{}"}}}}}}"#, aws_smithy_types::base64::encode(body));
    let count =
        exchange(sim.address(), &request("/model/anthropic.claude-v2/count-tokens", "", &inside)).await;
    assert_eq!(count.json(), serde_json::json!({"inputTokens":11}));
    let extra = body.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\"");
    assert_eq!(exchange(sim.address(), &request(path, "", &extra)).await.status, 400);
    let vertex = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-5:streamRawPredict";
    let events = exchange(sim.address(), &request(vertex, "", &extra)).await.events();
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}
