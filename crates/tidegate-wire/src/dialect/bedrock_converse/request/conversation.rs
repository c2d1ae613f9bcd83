//! Messages of the hub into `messages` and `system`.

use serde_json::Value;

use crate::{
    WireError,
    dialect::api::tool_input,
    hub::{self, Extras, Part, Role, ToolCall, ToolKind, ToolResult},
};

use super::{
    API,
    blocks::{Block, CachePointBlock, Message, ReasoningBlock, Side, ToolResultBlock, ToolUseBlock},
    media::{self, DocumentNames},
    reasoning::ModelFamily,
    tools, unsupported,
};

/// `system` and `messages` of a Converse request.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn encode(messages: &'a [hub::Message], family: ModelFamily) -> Result<Self, WireError> {
        API.check_names(messages)?;
        let mut conversation = Self::default();
        let mut names = DocumentNames::default();
        for (index, message) in messages.iter().enumerate() {
            let mut turn = Turn { path: format!("messages[{index}]"), family, names: &mut names };
            turn.check_fields(message)?;
            match message.role {
                Role::System | Role::Developer => {
                    for part in &message.parts {
                        conversation.system.extend(turn.system_block(part)?);
                    }
                }
                Role::User | Role::Tool => conversation.push(Side::User, turn.blocks(message)?),
                Role::Assistant => conversation.push(Side::Assistant, turn.blocks(message)?),
            }
        }
        conversation.accompany_documents();
        if conversation.messages.is_empty() {
            return Err(
                WireError::bad_request("there is no message besides instructions").with_param("messages")
            );
        }
        Ok(conversation)
    }

    /// Converse demands that the sides alternate.
    fn push(&mut self, role: Side, blocks: Vec<Block<'a>>) {
        match self.messages.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => self.messages.push(Message { role, content: blocks }),
        }
    }

    /// Converse refuses a message that has a document and no text.
    fn accompany_documents(&mut self) {
        for message in &mut self.messages {
            let has_text = message.content.iter().any(|block| matches!(block, Block::Text(_)));
            if !has_text && message.content.iter().any(|block| matches!(block, Block::Document(_))) {
                message.content.insert(0, Block::Text(DOCUMENT_COMPANION));
            }
        }
    }
}

/// Says no more than is evident, as it is shown to the model.
const DOCUMENT_COMPANION: &str = "Document attached.";

/// One message being encoded.
struct Turn<'n> {
    /// Its place, for errors.
    path: String,
    family: ModelFamily,
    names: &'n mut DocumentNames,
}

impl Turn<'_> {
    fn check_fields(&self, message: &hub::Message) -> Result<(), WireError> {
        API.refuse_extras(&self.path, &message.extras, OUTPUT_ONLY)
    }

    fn blocks<'a>(&mut self, message: &'a hub::Message) -> Result<Vec<Block<'a>>, WireError> {
        let mut blocks = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            self.append(message.role, part, &mut blocks)?;
        }
        // An assistant turn that was stopped before its first token is echoed empty by many clients; no one else means to
        // say nothing.
        if blocks.is_empty() && message.role != Role::Assistant {
            return Err(WireError::bad_request("Bedrock Converse takes no empty message")
                .with_param(format!("{}.content", self.path)));
        }
        Ok(blocks)
    }

    fn append<'a>(
        &mut self,
        role: Role,
        part: &'a Part,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<(), WireError> {
        match (part, role) {
            (Part::Text { text, extras }, Role::User | Role::Assistant) => {
                blocks.extend(self.text(text, extras)?);
            }
            (Part::Refusal(text), Role::Assistant) => blocks.extend(text_block(text)),
            (Part::Image(_) | Part::Document(_) | Part::Audio(_), Role::User) => {
                blocks.push(self.media(part)?);
            }
            (Part::ToolCall(call), Role::Assistant) => {
                let path = format!("{}.tool_calls[{}]", self.path, tool_calls_before(blocks));
                blocks.push(Block::ToolUse(tool_use(call, &path)?));
            }
            (Part::ToolResult(result), Role::Tool | Role::User) => self.tool_result(result, blocks)?,
            (Part::Reasoning(reasoning), Role::Assistant) => {
                blocks.extend(reasoning_block(reasoning, self.family));
            }
            (Part::CachePoint(point), _) => blocks.push(Block::CachePoint(CachePointBlock::new(point))),
            (Part::Opaque(value), _) => blocks.push(self.own_block(value, CONTENT_BLOCKS)?),
            (part, _) => return Err(API.misplaced(&self.path, part)),
        }
        Ok(())
    }

    fn system_block<'a>(&self, part: &'a Part) -> Result<Option<Block<'a>>, WireError> {
        match part {
            Part::Text { text, extras } => self.text(text, extras),
            Part::CachePoint(point) => Ok(Some(Block::CachePoint(CachePointBlock::new(point)))),
            Part::Opaque(value) => self.own_block(value, SYSTEM_BLOCKS).map(Some),
            part => Err(API.misplaced(&self.path, part)),
        }
    }

    fn text<'a>(&self, text: &'a str, extras: &Extras) -> Result<Option<Block<'a>>, WireError> {
        API.refuse_extras(&format!("{}.content", self.path), extras, OUTPUT_ONLY)?;
        Ok(text_block(text))
    }

    fn media<'a>(&mut self, part: &'a Part) -> Result<Block<'a>, WireError> {
        match part {
            Part::Image(image) => media::image(image, &self.path).map(Block::Image),
            Part::Audio(audio) => media::audio(audio, &self.path).map(Block::Audio),
            Part::Document(document) => {
                media::document(document, self.names, &self.path).map(Block::Document)
            }
            part => Err(API.misplaced(&self.path, part)),
        }
    }

    fn tool_result<'a>(
        &mut self,
        result: &'a ToolResult,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<(), WireError> {
        let mut content = Vec::with_capacity(result.parts.len());
        let mut after = Vec::new();
        for part in &result.parts {
            match part {
                Part::Text { text, extras } => content.extend(self.text(text, extras)?),
                Part::Image(_) | Part::Document(_) => content.push(self.media(part)?),
                Part::Opaque(value) => content.push(self.own_block(value, TOOL_RESULT_BLOCKS)?),
                // A result has no room for a cache point; the next place for it is behind the result.
                Part::CachePoint(point) => after.push(Block::CachePoint(CachePointBlock::new(point))),
                part => return Err(API.misplaced(&self.path, part)),
            }
        }
        blocks.push(Block::ToolResult(ToolResultBlock {
            tool_use_id: tools::tool_use_id(&result.id, &format!("{}.tool_call_id", self.path))?,
            content,
            status: result.is_error.map(|is_error| if is_error { "error" } else { "success" }),
        }));
        blocks.extend(after);
        Ok(())
    }

    /// A part that came in Converse's own spelling passes; any other dialect's is refused.
    fn own_block<'a>(&self, value: &'a Value, allowed: &[&str]) -> Result<Block<'a>, WireError> {
        let mut keys = value.as_object().into_iter().flat_map(Extras::keys);
        match (keys.next(), keys.next()) {
            (Some(key), None) if allowed.contains(&key.as_str()) => Ok(Block::Own(value)),
            _ => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
                Err(unsupported(format!("{}.content", self.path), &format!("a part of type {kind:?}")))
            }
        }
    }
}

/// Converse refuses blank text blocks, and a blank one says nothing (`"content": ""` beside tool calls is common).
fn text_block(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text(text))
}

fn tool_calls_before(blocks: &[Block<'_>]) -> usize {
    blocks.iter().filter(|block| matches!(block, Block::ToolUse(_))).count()
}

fn tool_use<'a>(call: &'a ToolCall, path: &str) -> Result<ToolUseBlock<'a>, WireError> {
    if call.kind == ToolKind::Custom {
        return Err(unsupported(path, "it has no custom tools"));
    }
    // `index` is what is left of a streamed call that a client put together.
    API.refuse_extras(path, &call.extras, &["index"])?;
    tools::check_name(&call.name, &format!("{path}.function.name"))?;
    Ok(ToolUseBlock {
        tool_use_id: tools::tool_use_id(&call.id, &format!("{path}.id"))?,
        name: &call.name,
        input: tool_input(&call.arguments, &format!("{path}.function.arguments"))?,
    })
}

/// Claude refuses reasoning that it has not signed (it came from another model, or its client lost the signature), and
/// does without it; other families have no signatures.
fn reasoning_block(reasoning: &hub::Reasoning, family: ModelFamily) -> Option<Block<'_>> {
    if let Some(redacted) = &reasoning.redacted {
        return Some(Block::ReasoningContent(ReasoningBlock::RedactedContent(redacted)));
    }
    let signature = reasoning.signature.as_deref();
    let worthless = if family.signs_reasoning() { signature.is_none() } else { reasoning.text.is_empty() };
    (!worthless).then_some(Block::ReasoningContent(ReasoningBlock::ReasoningText {
        text: &reasoning.text,
        signature,
    }))
}

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] = &["annotations", "citations"];

/// Members of Converse's ContentBlock union.
const CONTENT_BLOCKS: &[&str] = &[
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
];

/// Members of SystemContentBlock.
const SYSTEM_BLOCKS: &[&str] = &["text", "guardContent", "cachePoint"];

/// Members of ToolResultContentBlock.
const TOOL_RESULT_BLOCKS: &[&str] = &["json", "text", "image", "document", "video", "searchResult"];
