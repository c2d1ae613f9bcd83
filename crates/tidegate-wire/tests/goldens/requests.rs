//! What the callers ask, each in its own dialect: a first turn of every case, and a second that gives back what was answered, with the
//! results of the tools that were called.

use serde_json::{Value, json};
use tidegate_wire::client::ClientDialect;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Text,
    Tools,
    Reasoning,
    Image,
    Structured,
    /// The backend fails in the middle of its stream, or refuses a reply that is not to be one.
    Error,
}

impl Case {
    pub(crate) const ALL: [Self; 6] =
        [Self::Text, Self::Tools, Self::Reasoning, Self::Image, Self::Structured, Self::Error];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Tools => "tools",
            Self::Reasoning => "reasoning",
            Self::Image => "image",
            Self::Structured => "structured",
            Self::Error => "error mid-stream",
        }
    }

    fn has_tools(self) -> bool {
        matches!(self, Self::Tools | Self::Reasoning)
    }

    fn prompt(self) -> &'static str {
        match self {
            Self::Text | Self::Error => "When is low tide?",
            Self::Tools | Self::Reasoning => "When is low tide in Brest, and when in Cadiz?",
            Self::Image => "Is this low tide?",
            Self::Structured => "When is low tide in Brest? As JSON.",
        }
    }
}

/// A picture of one pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
pub(crate) const RESULT: &str = "06:12";
const SYSTEM: &str = "You know the tides.";

/// A first turn.
pub(crate) fn first(client: ClientDialect, case: Case, streaming: bool) -> Value {
    match client {
        ClientDialect::OpenaiChat => chat(case, streaming),
        ClientDialect::OpenaiResponses => responses(case, streaming),
        ClientDialect::AnthropicMessages => messages(case, streaming),
        ClientDialect::Gemini(_) => gemini(case),
        ClientDialect::BedrockConverse => converse(case),
    }
}

/// The second: the first, the reply that its caller got, and what the tools said.
pub(crate) fn second(client: ClientDialect, mut first: Value, reply: &Value) -> Value {
    let conversation = match client {
        ClientDialect::OpenaiResponses => "input",
        ClientDialect::Gemini(_) => "contents",
        _ => "messages",
    };
    let turns = first[conversation].as_array_mut().unwrap();
    match client {
        ClientDialect::OpenaiChat => {
            let message = &reply["choices"][0]["message"];
            turns.push(message.clone());
            for call in message["tool_calls"].as_array().unwrap() {
                turns.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": RESULT }));
            }
        }
        ClientDialect::OpenaiResponses => {
            let output = reply["output"].as_array().unwrap();
            turns.extend(output.iter().cloned());
            for call in output.iter().filter(|item| item["type"] == "function_call") {
                let result =
                    json!({ "type": "function_call_output", "call_id": call["call_id"], "output": RESULT });
                turns.push(result);
            }
        }
        ClientDialect::AnthropicMessages => {
            let content = &reply["content"];
            turns.push(json!({ "role": "assistant", "content": content }));
            let calls = content.as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
            let result =
                |call: &Value| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": RESULT });
            turns.push(json!({ "role": "user", "content": calls.map(result).collect::<Vec<_>>() }));
        }
        ClientDialect::Gemini(_) => {
            let content = &reply["candidates"][0]["content"];
            turns.push(content.clone());
            let calls =
                content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
            let result = |call: &Value| {
                let mut response = json!({ "name": call["name"], "response": { "result": RESULT } });
                if let Some(id) = call.get("id") {
                    response["id"] = id.clone();
                }
                json!({ "functionResponse": response })
            };
            turns.push(json!({ "role": "user", "parts": calls.map(result).collect::<Vec<_>>() }));
        }
        ClientDialect::BedrockConverse => {
            let message = &reply["output"]["message"];
            turns.push(message.clone());
            let blocks = message["content"].as_array().unwrap();
            let calls = blocks.iter().filter_map(|block| block.get("toolUse"));
            let result = |call: &Value| json!({ "toolResult": { "toolUseId": call["toolUseId"], "content": [{ "text": RESULT }] } });
            turns.push(json!({ "role": "user", "content": calls.map(result).collect::<Vec<_>>() }));
        }
    }
    first
}

/// Schema of a tool's arguments.
fn place() -> Value {
    json!({ "type": "object", "properties": { "place": { "type": "string" } }, "required": ["place"],
        "additionalProperties": false })
}

/// Schema of an answer.
fn answer() -> Value {
    json!({ "type": "object", "properties": { "place": { "type": "string" }, "time": { "type": "string" } },
        "required": ["place", "time"], "additionalProperties": false })
}

const TOOL: &str = "low_tide";
const TOOL_DOES: &str = "Time of the next low tide.";

fn chat(case: Case, streaming: bool) -> Value {
    let content = match case {
        Case::Image => json!([{ "type": "text", "text": case.prompt() },
            { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG}") } }]),
        _ => case.prompt().into(),
    };
    let mut body = json!({ "model": "asked", "max_completion_tokens": 4096, "messages":
        [{ "role": "system", "content": SYSTEM }, { "role": "user", "content": content }] });
    if streaming {
        body["stream"] = true.into();
        body["stream_options"] = json!({ "include_usage": true });
    }
    if case == Case::Text {
        body["temperature"] = json!(0.5);
        body["stop"] = json!(["END"]);
    }
    if case.has_tools() {
        let function = json!({ "name": TOOL, "description": TOOL_DOES, "parameters": place() });
        body["tools"] = json!([{ "type": "function", "function": function }]);
        body["tool_choice"] = "auto".into();
    }
    if case == Case::Reasoning {
        body["reasoning_effort"] = "low".into();
    }
    if case == Case::Structured {
        let schema = json!({ "name": "tide", "schema": answer(), "strict": true });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
    }
    body
}

fn responses(case: Case, streaming: bool) -> Value {
    let content = match case {
        Case::Image => json!([{ "type": "input_text", "text": case.prompt() },
            { "type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "auto" }]),
        _ => case.prompt().into(),
    };
    let mut body = json!({ "model": "asked", "instructions": SYSTEM, "max_output_tokens": 4096, "store": false,
        "input": [{ "role": "user", "content": content }] });
    if streaming {
        body["stream"] = true.into();
    }
    if case == Case::Text {
        body["temperature"] = json!(0.5);
    }
    if case.has_tools() {
        body["tools"] = json!([{ "type": "function", "name": TOOL, "description": TOOL_DOES,
            "parameters": place(), "strict": false }]);
        body["tool_choice"] = "auto".into();
    }
    if case == Case::Reasoning {
        body["reasoning"] = json!({ "effort": "low", "summary": "auto" });
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if case == Case::Structured {
        body["text"] = json!({ "format": { "type": "json_schema", "name": "tide", "schema": answer(), "strict": true } });
    }
    body
}

fn messages(case: Case, streaming: bool) -> Value {
    let content = match case {
        Case::Image => json!([{ "type": "text", "text": case.prompt() },
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } }]),
        _ => case.prompt().into(),
    };
    let mut body = json!({ "model": "asked", "max_tokens": 4096, "system": SYSTEM,
        "messages": [{ "role": "user", "content": content }] });
    if streaming {
        body["stream"] = true.into();
    }
    if case == Case::Text {
        body["temperature"] = json!(0.5);
        body["stop_sequences"] = json!(["END"]);
    }
    if case.has_tools() {
        body["tools"] = json!([{ "name": TOOL, "description": TOOL_DOES, "input_schema": place() }]);
        body["tool_choice"] = json!({ "type": "auto" });
    }
    if case == Case::Reasoning {
        body["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
    }
    if case == Case::Structured {
        body["output_config"] = json!({ "format": { "type": "json_schema", "schema": answer() } });
    }
    body
}

fn gemini(case: Case) -> Value {
    let mut parts = vec![json!({ "text": case.prompt() })];
    if case == Case::Image {
        parts.push(json!({ "inlineData": { "mimeType": "image/png", "data": PNG } }));
    }
    let mut settings = json!({ "maxOutputTokens": 4096 });
    if case == Case::Text {
        settings["temperature"] = json!(0.5);
        settings["stopSequences"] = json!(["END"]);
    }
    if case == Case::Reasoning {
        settings["thinkingConfig"] = json!({ "includeThoughts": true, "thinkingLevel": "LOW" });
    }
    if case == Case::Structured {
        settings["responseMimeType"] = "application/json".into();
        settings["responseJsonSchema"] = answer();
    }
    let mut body = json!({ "systemInstruction": { "parts": [{ "text": SYSTEM }] },
        "contents": [{ "role": "user", "parts": parts }], "generationConfig": settings });
    if case.has_tools() {
        let function = json!({ "name": TOOL, "description": TOOL_DOES, "parametersJsonSchema": place() });
        body["tools"] = json!([{ "functionDeclarations": [function] }]);
        body["toolConfig"] = json!({ "functionCallingConfig": { "mode": "AUTO" } });
    }
    body
}

fn converse(case: Case) -> Value {
    let mut content = vec![json!({ "text": case.prompt() })];
    if case == Case::Image {
        content.push(json!({ "image": { "format": "png", "source": { "bytes": PNG } } }));
    }
    let mut settings = json!({ "maxTokens": 4096 });
    if case == Case::Text {
        settings["temperature"] = json!(0.5);
        settings["stopSequences"] = json!(["END"]);
    }
    let mut body = json!({ "system": [{ "text": SYSTEM }], "messages": [{ "role": "user", "content": content }],
        "inferenceConfig": settings });
    if case.has_tools() {
        let spec = json!({ "name": TOOL, "description": TOOL_DOES, "inputSchema": { "json": place() } });
        body["toolConfig"] = json!({ "tools": [{ "toolSpec": spec }], "toolChoice": { "auto": {} } });
    }
    if case == Case::Reasoning {
        body["additionalModelRequestFields"] =
            json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    }
    if case == Case::Structured {
        let schema = json!({ "name": "tide", "schema": answer().to_string() });
        body["outputConfig"] =
            json!({ "textFormat": { "type": "json_schema", "structure": { "jsonSchema": schema } } });
    }
    body
}
