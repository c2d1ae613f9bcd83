//! Events of a streamed reply, as chunks that users of LiteLLM know: `ModelResponseStream`.
//!
//! One chunk for each event that says something. The first of an answer has its role; the last has the reason of its end
//! and no text. The usage is a chunk of its own, after all others, for those who asked for it.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyList, PyType},
};
use serde_json::{Value, json};
use tidegate::{Event, FinishReason, Usage, hub::ToolKind};
use tidegate_wire::host::{Dialect, row};

use crate::{attempts::Origin, convert, shapes::Shapes, whole};

/// Makes the chunks of one reply.
pub(crate) struct Chunks {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    /// Whether reasoning comes in signed blocks, to be given back as they are.
    signs_reasoning: bool,
    /// What every chunk says; made for the first one.
    common: Option<Py<PyDict>>,
    extras: Vec<(String, Value)>,
    /// Answers that have told their role.
    begun: Vec<u32>,
    /// Custom tool calls, whose pieces are called `input`.
    custom_calls: Vec<(u32, u32)>,
    usage: Option<Usage>,
}

impl Chunks {
    pub(crate) fn new(call_id: &str, origin: &Origin) -> Self {
        Self {
            id: call_id.to_owned(),
            created: now(),
            model: origin.model.to_string(),
            include_usage: origin.include_usage,
            signs_reasoning: row(origin.provider).is_some_and(|row| {
                !matches!(row.dialect, Dialect::OpenaiChat | Dialect::CohereChat | Dialect::Ollama)
            }),
            common: None,
            extras: Vec::new(),
            begun: Vec::new(),
            custom_calls: Vec::new(),
            usage: None,
        }
    }

    /// Appends to `out` what `event` is for a caller.
    pub(crate) fn event(&mut self, py: Python<'_>, event: Event, out: &Bound<'_, PyList>) -> PyResult<()> {
        let fields = PyDict::new(py);
        let (choice, finish) = match event {
            Event::Text { choice, text } => {
                fields.set_item(intern!(py, "content"), text)?;
                (choice, None)
            }
            Event::Reasoning { choice, text } => {
                if self.signs_reasoning {
                    let block = json!([{ "type": "thinking", "thinking": text }]);
                    fields.set_item("thinking_blocks", convert::to_python(py, &block)?)?;
                }
                fields.set_item(intern!(py, "reasoning_content"), text)?;
                (choice, None)
            }
            Event::ReasoningSignature { choice, signature } => {
                let block = json!([{ "type": "thinking", "thinking": "", "signature": signature }]);
                fields.set_item("thinking_blocks", convert::to_python(py, &block)?)?;
                (choice, None)
            }
            Event::ReasoningRedacted { choice, data } => {
                let block = json!([{ "type": "redacted_thinking", "data": data }]);
                fields.set_item("thinking_blocks", convert::to_python(py, &block)?)?;
                (choice, None)
            }
            Event::Refusal { choice, text } => {
                fields.set_item("refusal", text)?;
                (choice, None)
            }
            Event::ToolCallStart { choice, index, id, name, kind } => {
                if kind == ToolKind::Custom {
                    self.custom_calls.push((choice, index));
                }
                let call = tool_call(py, index, kind, Some((&id, &name)), "")?;
                fields.set_item("tool_calls", PyList::new(py, [call])?)?;
                (choice, None)
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let custom = self.custom_calls.contains(&(choice, index));
                let kind = if custom { ToolKind::Custom } else { ToolKind::Function };
                let call = tool_call(py, index, kind, None, &fragment)?;
                fields.set_item("tool_calls", PyList::new(py, [call])?)?;
                (choice, None)
            }
            Event::ChoiceExtra { choice, name, value } => return self.extra(py, choice, name, &value, out),
            Event::Finish { choice, reason } => (choice, Some(reason)),
            Event::Start(start) => {
                self.start(start);
                return Ok(());
            }
            Event::ReplyExtra { name, value } => {
                self.extras.push((name.to_owned(), value));
                return Ok(());
            }
            Event::Usage(usage) => {
                self.usage = Some(usage);
                return Ok(());
            }
            Event::End => return self.end(py, out),
            // The SDK makes it the error of the stream.
            Event::Error(_) => return Ok(()),
        };
        let finish = finish.as_ref().map(FinishReason::as_openai);
        self.chunk(py, choice, fields, finish, None, out)
    }

    fn start(&mut self, start: tidegate::hub::ReplyStart) {
        if let Some(id) = start.id {
            self.id = id;
        }
        if let Some(model) = start.model {
            self.model = model;
        }
        if let Some(created) = start.created {
            self.created = created;
        }
        self.extras.extend(start.extras);
    }

    fn extra(
        &mut self,
        py: Python<'_>,
        choice: u32,
        name: &str,
        value: &Value,
        out: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        if !name.starts_with("delta.") && self.beside_last(py, choice, name, value, out)? {
            return Ok(());
        }
        let fields = PyDict::new(py);
        let beside = match name.strip_prefix("delta.") {
            Some(name) => {
                fields.set_item(name, convert::to_python(py, value)?)?;
                None
            }
            None => Some((name, whole::choice_extra(py, name, value)?)),
        };
        self.chunk(py, choice, fields, None, beside, out)
    }

    /// What belongs to the piece of text before it goes into that chunk, if it is still here and has no such field yet.
    fn beside_last(
        &self,
        py: Python<'_>,
        choice: u32,
        name: &str,
        value: &Value,
        out: &Bound<'_, PyList>,
    ) -> PyResult<bool> {
        let Some(last) = out.len().checked_sub(1) else { return Ok(false) };
        let answer = out.get_item(last)?.getattr(intern!(py, "choices"))?.get_item(0)?;
        let fields = answer.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
        let same = answer.getattr(intern!(py, "index"))?.extract::<u32>()? == choice;
        if !same || fields.contains(name)? || fields.contains(intern!(py, "finish_reason"))? {
            return Ok(false);
        }
        fields.set_item(name, whole::choice_extra(py, name, value)?)?;
        Ok(true)
    }

    fn chunk<'py>(
        &mut self,
        py: Python<'py>,
        choice: u32,
        delta: Bound<'py, PyDict>,
        finish: Option<&str>,
        beside: Option<(&str, Bound<'py, PyAny>)>,
        out: &Bound<'py, PyList>,
    ) -> PyResult<()> {
        let shapes = Shapes::of(py)?;
        if !self.begun.contains(&choice) {
            self.begun.push(choice);
            delta.set_item(intern!(py, "role"), intern!(py, "assistant"))?;
        }
        let fields = PyDict::new(py);
        if let Some(finish) = finish {
            fields.set_item(intern!(py, "finish_reason"), finish)?;
        }
        if choice != 0 {
            fields.set_item(intern!(py, "index"), choice)?;
        }
        fields.set_item(intern!(py, "delta"), shapes.make(py, &shapes.delta, delta)?)?;
        if let Some((name, value)) = beside {
            fields.set_item(name, value)?;
        }
        let answer = shapes.make(py, &shapes.streaming_choices, fields)?;
        self.push(py, &shapes.model_response_stream, answer, None, out)
    }

    /// What came after the last chunk, and the usage if it was asked for. An answer without a text is in it, as programs
    /// take the first one without a look whether there is any.
    fn end(&mut self, py: Python<'_>, out: &Bound<'_, PyList>) -> PyResult<()> {
        let Some(usage) = self.usage.take().filter(|_| self.include_usage) else { return Ok(()) };
        let shapes = Shapes::of(py)?;
        let fields = PyDict::new(py);
        fields.set_item("delta", shapes.make(py, &shapes.delta, PyDict::new(py))?)?;
        let answer = shapes.make(py, &shapes.streaming_choices, fields)?;
        let usage = whole::usage(py, &usage)?;
        self.push(py, &shapes.model_response_stream, answer, Some(usage), out)
    }

    fn push<'py>(
        &mut self,
        py: Python<'py>,
        class: &Py<PyType>,
        answer: Bound<'py, PyAny>,
        usage: Option<Bound<'py, PyAny>>,
        out: &Bound<'py, PyList>,
    ) -> PyResult<()> {
        let fields = self.common(py)?.copy()?;
        for (name, value) in self.extras.drain(..) {
            fields.set_item(name, convert::to_python(py, &value)?)?;
        }
        fields.set_item(intern!(py, "choices"), PyList::new(py, [answer])?)?;
        if let Some(usage) = usage {
            fields.set_item(intern!(py, "usage"), usage)?;
        }
        out.append(Shapes::of(py)?.make(py, class, fields)?)
    }

    fn common<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(common) = &self.common {
            return Ok(common.bind(py).clone());
        }
        let common = PyDict::new(py);
        common.set_item("id", &self.id)?;
        common.set_item("created", self.created)?;
        common.set_item("model", &self.model)?;
        // Said of the reply as a whole, and so by every chunk.
        if let Some(at) = self.extras.iter().position(|(name, _)| name == "system_fingerprint") {
            let (name, value) = self.extras.swap_remove(at);
            common.set_item(name, convert::to_python(py, &value)?)?;
        }
        self.common = Some(common.clone().unbind());
        Ok(common)
    }
}

/// A piece of a tool call; `begins` has id and name of one that begins.
fn tool_call<'py>(
    py: Python<'py>,
    index: u32,
    kind: ToolKind,
    begins: Option<(&str, &str)>,
    arguments: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let shapes = Shapes::of(py)?;
    let fields = PyDict::new(py);
    fields.set_item("index", index)?;
    let called = PyDict::new(py);
    if let Some((id, name)) = begins {
        fields.set_item("id", id)?;
        called.set_item("name", name)?;
    }
    match kind {
        ToolKind::Function => {
            called.set_item("arguments", arguments)?;
            fields.set_item("function", shapes.make(py, &shapes.function, called)?)?;
        }
        ToolKind::Custom => {
            called.set_item("input", arguments)?;
            fields.set_item("type", "custom")?;
            fields.set_item("custom", shapes.make(py, &shapes.custom, called)?)?;
        }
    }
    shapes.make(py, &shapes.delta_tool_call, fields)
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
