//! LLM backends behind one API: OpenAI, Azure OpenAI, Amazon Bedrock. Dropping a call stops its backend at once.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidegate::Error> {
//! use tidegate::{ChatRequest, Client, Event};
//!
//! let client = Client::from_env()?;
//! let request = ChatRequest::new("openai/gpt-4o-mini").user("What is a tide gate?");
//!
//! let reply = client.chat(request.clone()).await?;
//! println!("{}", reply.text());
//!
//! let mut stream = client.stream(request).await?;
//! while let Some(event) = stream.next().await {
//!     if let Event::Text { text, .. } = event? {
//!         print!("{text}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Hanging up
//!
//! There is no cancel token and no background task. A call is what its caller holds: the future of [`Client::chat`] or
//! [`Client::stream`], then the [`ChatStream`]. Dropping it, by a timeout, a `select!`, an aborted task or the end of a
//! scope, closes the backend before the drop returns (HTTP/1.1; an HTTP/2 stream is reset as soon as its connection's driver
//! runs), in every phase. Every call ends with exactly one [`CallRecord`], given to [`ClientBuilder::on_call`].
//!
//! # What is not here
//!
//! Sockets are `tidegate-engine`'s, wire formats are `tidegate-wire`'s. Nothing retries and nothing falls back: an [`Error`]
//! says whether that could help. Used by programs, and by the Python package.

mod client;
mod environment;
mod error;
mod host;
mod response;
mod stream;

pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use host::Host;
pub use response::{Answer, ChatResponse};
pub use stream::ChatStream;
pub use tidegate_engine::{CallRecord, Clock, Clocks, ConnectOptions, HttpVersion, Outcome, Provenance};
pub use tidegate_wire::{
    Blame, ErrorClass, Retry,
    host::AbortBilling,
    hub::{
        self, ChatRequest, Event, FinishReason, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool,
        ToolCall, ToolChoice, Usage,
    },
};
