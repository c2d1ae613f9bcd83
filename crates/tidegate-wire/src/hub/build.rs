//! Requests written by hand: the short forms of what most of them say. Everything else is a field of the same types.
//!
//! Called by users of the SDK crate; dialects fill the fields themselves.

use serde_json::{Number, Value};

use super::{
    ChatRequest, Extras, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool, ToolChoice, ToolKind,
    ToolResult,
};

impl ChatRequest {
    /// A request for an answer of `model`, without messages yet.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// Adds instructions.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::System, text))
    }

    /// Adds what the person says.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::User, text))
    }

    /// Adds what the model said before.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::Assistant, text))
    }

    /// Adds the answer to the tool call `id`.
    #[must_use]
    pub fn tool_result(self, id: impl Into<String>, text: impl Into<String>) -> Self {
        self.message(Message::tool_result(id, text))
    }

    /// Adds a message of any kind.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Lets the model call `tool`.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Says which tools may, must or must not be called.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Says what form the answer must have.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// Sets the most tokens to generate, reasoning included.
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.limits.max_output_tokens = Some(tokens);
        self
    }

    /// Adds a sequence that ends the answer.
    #[must_use]
    pub fn stop(mut self, sequence: impl Into<String>) -> Self {
        self.limits.stop.push(sequence.into());
        self
    }

    /// Sets the temperature. One that is not finite has no place in JSON and leaves it to the backend.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.sampling.temperature = Number::from_f64(temperature);
        self
    }

    /// Says how much the model should think.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.reasoning_effort = Some(effort);
        self
    }

    /// Leaves out what the backend can't honour, instead of being refused. What was left out is said with the reply.
    #[must_use]
    pub fn drop_params(mut self) -> Self {
        self.drop_params = true;
        self
    }

    /// Adds a top-level field that the hub doesn't model, as it is to stand in the body. Where the backend's dialect has it,
    /// it takes the place of what another field would write.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extras.insert(name.into(), value.into());
        self
    }
}

impl Message {
    /// A message of one text.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self::of_parts(role, vec![Part::text(text)])
    }

    /// A message of several parts, such as text and an image.
    pub fn of_parts(role: Role, parts: Vec<Part>) -> Self {
        Self { role, name: None, parts, extras: Extras::new() }
    }

    /// The answer to the tool call `id`.
    pub fn tool_result(id: impl Into<String>, text: impl Into<String>) -> Self {
        let result = ToolResult { id: id.into(), parts: vec![Part::text(text)], is_error: None };
        Self::of_parts(Role::Tool, vec![Part::ToolResult(result)])
    }
}

impl Tool {
    /// A function with a description for the model and the JSON schema of its arguments.
    pub fn function(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self {
            name: name.into(),
            description: Some(description.into()),
            parameters: Some(parameters),
            strict: None,
            kind: ToolKind::Function,
            cache_point: None,
            extras: Extras::new(),
        }
    }
}
