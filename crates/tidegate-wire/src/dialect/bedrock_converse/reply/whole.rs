//! A Converse reply: a stream of one frame, so it ends in the same events as ConverseStream's.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    WireError,
    hub::{Event, Extras},
};

use super::{
    CHOICE, ConverseDecoder,
    payload::{self, Citation, MessageStop, Metadata, SERVER_TOOL},
    push_reasoning,
};

impl ConverseDecoder {
    pub(super) fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), WireError> {
        let reply: WholeReply<'_> = payload::parse_whole(body)?;
        self.start(events);
        for block in reply.output.message.content {
            self.whole_block(block, events)?;
        }
        let stop = MessageStop {
            stop_reason: reply.stop_reason,
            additional_model_response_fields: reply.additional_model_response_fields,
        };
        self.message_stop(stop, events);
        let metadata = Metadata {
            usage: reply.usage,
            trace: reply.trace,
            performance_config: reply.performance_config,
            service_tier: reply.service_tier,
        };
        self.metadata(metadata, events);
        Ok(())
    }

    fn whole_block(&mut self, block: Block<'_>, events: &mut Vec<Event>) -> Result<(), WireError> {
        if let Some(text) = block.text {
            events.push(Event::Text { choice: CHOICE, text });
        }
        if let Some(tool) = block.tool_use {
            self.whole_tool(tool, events);
        }
        if let Some(reasoning) = block.reasoning_content {
            let shown = reasoning.reasoning_text.unwrap_or_default();
            push_reasoning(shown.text, shown.signature, reasoning.redacted_content, events);
        }
        if let Some(cited) = block.citations_content {
            for text in cited.content.into_iter().filter_map(|content| content.text) {
                events.push(Event::Text { choice: CHOICE, text });
            }
            for citation in cited.citations {
                events.push(Citation::parse(citation)?.into_event());
            }
        }
        for (name, raw) in [("delta.image", block.image), ("delta.audio", block.audio)] {
            if let Some(raw) = raw {
                events.push(payload::choice_extra(name, raw)?);
            }
        }
        Ok(())
    }

    fn whole_tool(&mut self, tool: ToolUse<'_>, events: &mut Vec<Event>) {
        if tool.kind.as_deref() == Some(SERVER_TOOL) {
            return;
        }
        let index = self.tool_call(tool.id, tool.name, events);
        // The text as it came: numbers keep the spelling that the model gave them.
        let fragment = tool.input.map_or("{}", RawValue::get).to_owned();
        events.push(Event::ToolCallArguments { choice: CHOICE, index, fragment });
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WholeReply<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    stop_reason: String,
    usage: Option<Extras>,
    trace: Option<Value>,
    additional_model_response_fields: Option<Value>,
    performance_config: Option<Value>,
    service_tier: Option<Value>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

/// A union: one field is set. Results of Bedrock's own tools (`toolResult`) are skipped with their calls.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    reasoning_content: Option<ReasoningContent>,
    #[serde(borrow)]
    citations_content: Option<CitationsContent<'a>>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(rename = "toolUseId")]
    id: String,
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Default, Deserialize)]
struct ReasoningText {
    text: Option<String>,
    signature: Option<String>,
}

/// Generated text with its sources.
#[derive(Deserialize)]
struct CitationsContent<'a> {
    #[serde(default)]
    content: Vec<GeneratedContent>,
    #[serde(borrow, default)]
    citations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeneratedContent {
    text: Option<String>,
}
