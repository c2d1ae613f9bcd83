//! What a caller was told: read out of a whole reply by its dialect's own fields, and out of a stream by the dialect's decoder.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_wire::{
    client::{ClientDialect, Operation},
    host::{Dialect, Emulation, ReplyPlan, ResponseFacts},
    hub::Event,
};

/// What a reply says, whatever its dialect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// What stands in the dialect's place for a signature.
    pub(crate) signature: String,
    /// Name and arguments.
    pub(crate) calls: Vec<(String, Value)>,
    /// Of prompt, answer, prompt from a cache, and reasoning.
    pub(crate) tokens: [u64; 4],
    pub(crate) finish: String,
}

/// Of a whole reply.
pub(crate) fn of_whole(client: ClientDialect, reply: &Value) -> Facts {
    match client {
        ClientDialect::OpenaiChat => of_chat(reply),
        ClientDialect::OpenaiResponses => of_response(reply),
        ClientDialect::AnthropicMessages => of_message(reply),
        ClientDialect::Gemini(_) => of_gemini(reply),
        ClientDialect::BedrockConverse => of_converse(reply),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn all<'a>(value: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    value.as_array().into_iter().flatten().filter_map(move |item| item.get(name))
}

fn joined<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.map(text).collect()
}

fn arguments(spelled: &Value) -> Value {
    serde_json::from_str(text(spelled)).unwrap()
}

fn tokens(usage: &Value, places: [&str; 4]) -> [u64; 4] {
    places.map(|place| usage.pointer(place).and_then(Value::as_u64).unwrap_or(0))
}

fn of_chat(reply: &Value) -> Facts {
    let message = &reply["choices"][0]["message"];
    let call = |call: &Value| (text(&call["name"]).to_owned(), arguments(&call["arguments"]));
    Facts {
        text: text(&message["content"]).to_owned(),
        reasoning: text(&message["reasoning_content"]).to_owned(),
        signature: joined(all(&message["thinking_blocks"], "signature")),
        calls: all(&message["tool_calls"], "function").map(call).collect(),
        tokens: tokens(
            &reply["usage"],
            [
                "/prompt_tokens",
                "/completion_tokens",
                "/prompt_tokens_details/cached_tokens",
                "/completion_tokens_details/reasoning_tokens",
            ],
        ),
        finish: text(&reply["choices"][0]["finish_reason"]).to_owned(),
    }
}

fn of_response(reply: &Value) -> Facts {
    let items = |kind: &'static str| {
        reply["output"].as_array().unwrap().iter().filter(move |item| item["type"] == kind)
    };
    let within = |kind, name| items(kind).flat_map(move |item| all(&item[name], "text"));
    let call = |item: &Value| (text(&item["name"]).to_owned(), arguments(&item["arguments"]));
    Facts {
        text: joined(within("message", "content")),
        reasoning: joined(within("reasoning", "summary")),
        signature: joined(items("reasoning").map(|item| &item["encrypted_content"])),
        calls: items("function_call").map(call).collect(),
        tokens: tokens(
            &reply["usage"],
            [
                "/input_tokens",
                "/output_tokens",
                "/input_tokens_details/cached_tokens",
                "/output_tokens_details/reasoning_tokens",
            ],
        ),
        finish: text(&reply["status"]).to_owned(),
    }
}

fn of_message(reply: &Value) -> Facts {
    let content = &reply["content"];
    let call = |block: &Value| (text(&block["name"]).to_owned(), block["input"].clone());
    let calls = content.as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
    let [input, output, cached, reasoning] = tokens(
        &reply["usage"],
        [
            "/input_tokens",
            "/output_tokens",
            "/cache_read_input_tokens",
            "/output_tokens_details/thinking_tokens",
        ],
    );
    let written = reply["usage"]["cache_creation_input_tokens"].as_u64().unwrap_or(0);
    Facts {
        text: joined(all(content, "text")),
        reasoning: joined(all(content, "thinking")),
        signature: joined(all(content, "signature")),
        calls: calls.map(call).collect(),
        tokens: [input + cached + written, output, cached, reasoning],
        finish: text(&reply["stop_reason"]).to_owned(),
    }
}

fn of_gemini(reply: &Value) -> Facts {
    let parts = &reply["candidates"][0]["content"]["parts"];
    let texts = |thought: bool| {
        let parts = parts.as_array().unwrap().iter();
        parts.filter(move |part| (part["thought"] == true) == thought).filter_map(|part| part.get("text"))
    };
    let call = |call: &Value| (text(&call["name"]).to_owned(), call["args"].clone());
    let [prompt, candidates, cached, thoughts] = tokens(
        &reply["usageMetadata"],
        ["/promptTokenCount", "/candidatesTokenCount", "/cachedContentTokenCount", "/thoughtsTokenCount"],
    );
    Facts {
        text: joined(texts(false)),
        reasoning: joined(texts(true)),
        signature: joined(all(parts, "thoughtSignature")),
        calls: all(parts, "functionCall").map(call).collect(),
        tokens: [prompt, candidates + thoughts, cached, thoughts],
        finish: text(&reply["candidates"][0]["finishReason"]).to_owned(),
    }
}

fn of_converse(reply: &Value) -> Facts {
    let content = &reply["output"]["message"]["content"];
    let reasoning = || all(content, "reasoningContent").map(|block| &block["reasoningText"]);
    let call = |call: &Value| (text(&call["name"]).to_owned(), call["input"].clone());
    let [input, output, cached, written] = tokens(
        &reply["usage"],
        ["/inputTokens", "/outputTokens", "/cacheReadInputTokens", "/cacheWriteInputTokens"],
    );
    Facts {
        text: joined(all(content, "text")),
        reasoning: joined(reasoning().map(|block| &block["text"])),
        signature: joined(reasoning().map(|block| &block["signature"])),
        calls: all(content, "toolUse").map(call).collect(),
        // The dialect has no place for tokens of reasoning.
        tokens: [input + cached + written, output, cached, 0],
        finish: text(&reply["stopReason"]).to_owned(),
    }
}

/// Of a stream; its finish is in OpenAI's spelling.
pub(crate) fn of_stream(client: ClientDialect, body: &[u8]) -> Facts {
    let dialect = match client {
        ClientDialect::OpenaiChat => Dialect::OpenaiChat,
        ClientDialect::OpenaiResponses => Dialect::OpenaiResponses,
        ClientDialect::AnthropicMessages => Dialect::AnthropicMessages,
        ClientDialect::Gemini(_) => Dialect::Gemini,
        ClientDialect::BedrockConverse => Dialect::BedrockConverse,
    };
    let plan = ReplyPlan {
        client,
        operation: Operation::Generate,
        dialect,
        streaming: true,
        include_usage: true,
        choices: 1,
        model: "asked".to_owned(),
        emulation: Emulation::default(),
        response: ResponseFacts::default(),
    };
    let mut reply = plan.events();
    let mut told = VecDeque::new();
    let read = reply.push(Bytes::copy_from_slice(body), &mut told).and_then(|()| reply.finish(&mut told));
    assert_eq!(read, Ok(()), "{}", String::from_utf8_lossy(body));
    let mut facts = Facts::default();
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in told {
        match event {
            Event::Text { text, .. } => facts.text.push_str(&text),
            Event::Reasoning { text, .. } => facts.reasoning.push_str(&text),
            Event::ReasoningSignature { signature, .. } => facts.signature.push_str(&signature),
            Event::ChoiceExtra { name: "delta.thinking_blocks", value, .. } => {
                facts.signature.push_str(&joined(all(&value, "signature")));
            }
            Event::ToolCallStart { name, .. } => calls.push((name, String::new())),
            Event::ToolCallArguments { index, fragment, .. } => {
                calls[index as usize].1.push_str(&fragment);
            }
            Event::Usage(usage) if !usage.running => {
                let reasoning = usage.reasoning_tokens.unwrap_or(0);
                let cached = usage.cached_tokens.unwrap_or(0);
                facts.tokens = [usage.prompt_tokens, usage.completion_tokens, cached, reasoning];
            }
            Event::Finish { reason, .. } => facts.finish = reason.as_openai().to_owned(),
            _ => {}
        }
    }
    facts.calls = calls.into_iter().map(|(name, spelled)| (name, arguments(&json!(spelled)))).collect();
    facts
}
