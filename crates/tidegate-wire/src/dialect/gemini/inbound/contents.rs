//! `contents` and `systemInstruction` into messages.
//!
//! Calls and results find each other by id or, as most of Google's clients write them, by name and order.

use serde_json::Value;

use super::{message, part, repeated};
use crate::{
    WireError,
    dialect::object::{Object, invalid, missing},
    hub::{Message, Part, Role, ToolCall, ToolKind, ToolResult},
};

pub(super) fn decode(system: Option<Value>, contents: Value) -> Result<Vec<Message>, WireError> {
    let mut history = History::default();
    if let Some(system) = system {
        history.system(system)?;
    }
    for (at, content) in repeated(contents).into_iter().enumerate() {
        history.content(content, &format!("contents[{at}]"))?;
    }
    Ok(history.messages)
}

#[derive(Default)]
struct History {
    messages: Vec<Message>,
    /// The calls so far.
    calls: Vec<Call>,
}

struct Call {
    id: String,
    name: String,
    answered: bool,
}

impl History {
    fn system(&mut self, value: Value) -> Result<(), WireError> {
        let mut fields = message(value, "systemInstruction")?;
        let parts = fields.take("parts").map(repeated).unwrap_or_default();
        let mut texts = Vec::with_capacity(parts.len());
        for (at, value) in parts.into_iter().enumerate() {
            texts.push(part::decode(message(value, &format!("systemInstruction.parts[{at}]"))?)?);
        }
        if !texts.is_empty() {
            self.messages.push(Message::of_parts(Role::System, texts));
        }
        Ok(())
    }

    fn content(&mut self, value: Value, path: &str) -> Result<(), WireError> {
        let mut fields = message(value, path)?;
        let role = fields.string("role")?;
        let parts = fields.take("parts").map(repeated).unwrap_or_default();
        let parts =
            parts.into_iter().enumerate().map(|(at, part)| message(part, &format!("{path}.parts[{at}]")));
        match role.as_deref() {
            Some("model") => self.model(parts),
            // Results had a role of their own once.
            None | Some("user" | "function" | "") => self.user(parts, path),
            Some(other) => {
                Err(invalid(&format!("{path}.role"), &format!("'{other}' is not one of user, model")))
            }
        }
    }

    /// The pieces of a streamed turn come back one by one, each in a content of its own: they are one turn, and their texts one.
    fn model(&mut self, parts: impl Iterator<Item = Result<Object, WireError>>) -> Result<(), WireError> {
        let mut said = match self.messages.pop_if(|last| last.role == Role::Assistant) {
            Some(before) => before.parts,
            None => Vec::new(),
        };
        for fields in parts {
            let mut fields = fields?;
            let part = match fields.take("functionCall") {
                Some(call) => Part::ToolCall(self.call(call, &fields.path_of("functionCall"))?),
                None => part::decode(fields)?,
            };
            match (said.last_mut(), part) {
                (Some(Part::Text { text: before, .. }), Part::Text { text, .. }) => before.push_str(&text),
                (Some(Part::Reasoning(before)), Part::Reasoning(next)) if part::joins(before, &next) => {
                    before.text.push_str(&next.text);
                    before.signature = next.signature;
                }
                (_, part) => said.push(part),
            }
        }
        said.retain(|part| !part::says_nothing(part));
        self.messages.push(Message::of_parts(Role::Assistant, said));
        Ok(())
    }

    /// Results are messages of their own in the hub, one for each, and come before what else the user says.
    fn user(
        &mut self,
        parts: impl Iterator<Item = Result<Object, WireError>>,
        path: &str,
    ) -> Result<(), WireError> {
        let mut said = Vec::new();
        let mut answers = false;
        for fields in parts {
            let mut fields = fields?;
            match fields.take("functionResponse") {
                Some(response) => {
                    let result = self.result(response, &fields.path_of("functionResponse"))?;
                    self.messages.push(Message::of_parts(Role::Tool, vec![Part::ToolResult(result)]));
                    answers = true;
                }
                None => said.push(part::decode(fields)?),
            }
        }
        match (said.is_empty(), answers) {
            (true, true) => Ok(()),
            (true, false) => Err(missing(&format!("{path}.parts"))),
            (false, _) => {
                self.messages.push(Message::of_parts(Role::User, said));
                Ok(())
            }
        }
    }

    fn call(&mut self, value: Value, path: &str) -> Result<ToolCall, WireError> {
        let mut fields = message(value, path)?;
        let name = fields.string("name")?.ok_or_else(|| missing(&fields.path_of("name")))?;
        let arguments = Value::Object(fields.object("args")?.unwrap_or_default()).to_string();
        let given = fields.string("id")?.filter(|id| !id.is_empty());
        let id = given.unwrap_or_else(|| format!("call_{}", self.calls.len()));
        self.calls.push(Call { id: id.clone(), name: name.clone(), answered: false });
        Ok(ToolCall { id, name, arguments, kind: ToolKind::Function, extras: fields.rest() })
    }

    fn result(&mut self, value: Value, path: &str) -> Result<ToolResult, WireError> {
        let mut fields = message(value, path)?;
        let id = fields.string("id")?.filter(|id| !id.is_empty());
        let name = fields.string("name")?.unwrap_or_default();
        let mut calls = self.calls.iter_mut().filter(|call| !call.answered);
        let call = match &id {
            // Ids are repeated in long conversations; the last one is meant.
            Some(id) => calls.rfind(|call| call.id == *id),
            None => calls.find(|call| call.name == name),
        };
        let Some(call) = call else {
            let which = id.map_or_else(|| format!("name '{name}'"), |id| format!("id '{id}'"));
            let message = format!("no function call before has the {which} and no response yet");
            return Err(WireError::bad_request(message).with_param(path));
        };
        call.answered = true;
        let id = call.id.clone();
        let response = fields.object("response")?.unwrap_or_default();
        let (text, is_error) = part::response_text(response);
        let mut parts = vec![Part::text(text)];
        let media = fields.take("parts").map(repeated).unwrap_or_default();
        for (at, value) in media.into_iter().enumerate() {
            parts.push(part::decode(message(value, &format!("{path}.parts[{at}]"))?)?);
        }
        for harmless in ["scheduling", "willContinue"] {
            fields.take(harmless);
        }
        match fields.rest().keys().next() {
            Some(name) => Err(invalid(&format!("{path}.{name}"), "there is no such field")),
            None => Ok(ToolResult { id, parts, is_error }),
        }
    }
}
