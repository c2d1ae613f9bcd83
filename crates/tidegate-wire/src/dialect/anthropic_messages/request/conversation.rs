//! Messages of the hub into `messages` and `system`.

use serde_json::Value;

use crate::{
    WireError,
    dialect::api::tool_input,
    hub::{self, CachePoint, Part, Reasoning, Role, ToolCall, ToolKind, ToolResult},
};

use super::{
    API,
    blocks::{Block, CacheControl, Kind, Message, Side},
    media, unsupported,
};

/// `system` and `messages` of a request.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn encode(messages: &'a [hub::Message]) -> Result<Self, WireError> {
        let mut conversation = Self::default();
        let mut names: Vec<(Role, &str)> = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let turn = Turn { path: format!("messages[{index}]"), role: message.role };
            turn.check(message, &mut names)?;
            match message.role {
                Role::System | Role::Developer => turn.append_all(message, &mut conversation.system)?,
                Role::User | Role::Tool => conversation.push(Side::User, &turn, message)?,
                Role::Assistant => conversation.push(Side::Assistant, &turn, message)?,
            }
        }
        if conversation.messages.is_empty() {
            return Err(
                WireError::bad_request("there is no message besides instructions").with_param("messages")
            );
        }
        Ok(conversation)
    }

    /// Results of parallel calls have to stand in one message, so neighbours of a side are one.
    fn push(&mut self, role: Side, turn: &Turn, message: &'a hub::Message) -> Result<(), WireError> {
        if self.messages.last().is_none_or(|last| last.role != role) {
            self.messages.push(Message { role, content: Vec::new() });
        }
        let Some(last) = self.messages.last_mut() else { return Ok(()) };
        turn.append_all(message, &mut last.content)?;
        if !last.content.is_empty() {
            return Ok(());
        }
        // An assistant turn that was stopped before its first token is echoed empty by many clients; no one else means to
        // say nothing.
        self.messages.pop();
        if role == Side::Assistant {
            return Ok(());
        }
        let empty = "Anthropic's Messages API takes no empty message";
        Err(WireError::bad_request(empty).with_param(format!("{}.content", turn.path)))
    }
}

/// One message being encoded.
struct Turn {
    /// Its place, for errors.
    path: String,
    role: Role,
}

impl Turn {
    /// Names tell speakers of one role apart, and the API has none. Where there is only one to tell, nothing is lost.
    fn check<'a>(
        &self,
        message: &'a hub::Message,
        names: &mut Vec<(Role, &'a str)>,
    ) -> Result<(), WireError> {
        API.refuse_extras(&self.path, &message.extras, OUTPUT_ONLY)?;
        // A tool message's name repeats what its call's id already says.
        let Some(name) = message.name.as_deref().filter(|_| self.role != Role::Tool) else { return Ok(()) };
        match names.iter().find(|(role, _)| *role == self.role) {
            Some((_, other)) if *other != name => {
                let why =
                    format!("its messages have no names to tell {other:?} from {name:?}; say it in the text");
                Err(unsupported(format!("{}.name", self.path), &why))
            }
            Some(_) => Ok(()),
            None => {
                names.push((self.role, name));
                Ok(())
            }
        }
    }

    fn append_all<'a>(
        &self,
        message: &'a hub::Message,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<(), WireError> {
        message.parts.iter().try_for_each(|part| self.append(part, blocks))
    }

    fn append<'a>(&self, part: &'a Part, blocks: &mut Vec<Block<'a>>) -> Result<(), WireError> {
        match (part, self.role) {
            (Part::Text { text, extras }, _) => {
                API.refuse_extras(&format!("{}.content", self.path), extras, OUTPUT_ONLY)?;
                blocks.extend(text_block(text));
            }
            (Part::Refusal(text), Role::Assistant) => blocks.extend(text_block(text)),
            (Part::Image(image), Role::User | Role::Tool) => blocks.push(media::image(image, &self.path)?),
            (Part::Document(document), Role::User | Role::Tool) => {
                blocks.push(media::document(document, &self.path)?);
            }
            (Part::ToolCall(call), Role::Assistant) => {
                let before = blocks.iter().filter(|block| matches!(block.kind, Kind::ToolUse { .. })).count();
                blocks.push(tool_use(call, &format!("{}.tool_calls[{before}]", self.path))?);
            }
            (Part::ToolResult(result), Role::Tool | Role::User) => blocks.push(self.tool_result(result)?),
            (Part::Reasoning(reasoning), Role::Assistant) => blocks.extend(thinking(reasoning)),
            (Part::CachePoint(point), _) => self.mark(point, blocks)?,
            (Part::Opaque(value), _) => blocks.push(self.own_block(value)?),
            (part, _) => return Err(API.misplaced(&self.path, part)),
        }
        Ok(())
    }

    fn tool_result<'a>(&self, result: &'a ToolResult) -> Result<Block<'a>, WireError> {
        let mut content = Vec::with_capacity(result.parts.len());
        let inside = Self { path: self.path.clone(), role: Role::Tool };
        for part in &result.parts {
            match part {
                Part::Text { .. }
                | Part::Image(_)
                | Part::Document(_)
                | Part::CachePoint(_)
                | Part::Opaque(_) => {
                    inside.append(part, &mut content)?;
                }
                part => return Err(API.misplaced(&self.path, part)),
            }
        }
        Ok(Kind::ToolResult { tool_use_id: &result.id, content, is_error: result.is_error }.into())
    }

    /// A cache point is written on the block that it follows; thinking can't have one, and what is before it is cached with it.
    fn mark<'a>(&self, point: &'a CachePoint, blocks: &mut [Block<'a>]) -> Result<(), WireError> {
        let markable = |block: &&mut Block<'a>| {
            !matches!(block.kind, Kind::Thinking { .. } | Kind::RedactedThinking { .. })
        };
        match blocks.iter_mut().rev().find(markable) {
            Some(block) => {
                block.cache_control = Some(CacheControl::new(point));
                Ok(())
            }
            None => {
                Err(unsupported(format!("{}.cache_control", self.path), "nothing before it can be cached"))
            }
        }
    }

    /// A part that came in the API's own spelling passes; any other dialect's is refused.
    fn own_block<'a>(&self, value: &'a Value) -> Result<Block<'a>, WireError> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
        let is_own =
            OWN_BLOCKS.contains(&kind) || kind.ends_with("_tool_result") || kind.starts_with("mcp_tool_");
        if is_own {
            return Ok(Kind::Own(value).into());
        }
        Err(unsupported(format!("{}.content", self.path), &format!("a part of type {kind:?}")))
    }
}

/// The API refuses blank text blocks, and a blank one says nothing (`"content": ""` beside tool calls is common).
fn text_block(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then(|| Kind::Text { text }.into())
}

/// Claude refuses reasoning that it has not signed (it came from another model, or its client lost the signature), and does
/// without it.
fn thinking(reasoning: &Reasoning) -> Option<Block<'_>> {
    if let Some(data) = &reasoning.redacted {
        return Some(Kind::RedactedThinking { data }.into());
    }
    let signature = reasoning.signature.as_deref()?;
    Some(Kind::Thinking { thinking: &reasoning.text, signature }.into())
}

fn tool_use<'a>(call: &'a ToolCall, path: &str) -> Result<Block<'a>, WireError> {
    if call.kind == ToolKind::Custom {
        return Err(unsupported(path, "it has no custom tools"));
    }
    // `index` is what is left of a streamed call that a client put together.
    API.refuse_extras(path, &call.extras, &["index"])?;
    let input = tool_input(&call.arguments, &format!("{path}.function.arguments"))?;
    Ok(Kind::ToolUse { id: &call.id, name: &call.name, input }.into())
}

/// What replies carry and clients send back, and no model reads.
const OUTPUT_ONLY: &[&str] = &["annotations", "citations", "content_blocks"];

/// Content blocks of the API (SDK 2.12) that the hub has no part for, or not with all of their fields.
const OWN_BLOCKS: &[&str] = &[
    "document",
    "image",
    "search_result",
    "container_upload",
    "server_tool_use",
    "tool_reference",
    "compaction",
];
