//! LLM backends behind one API: OpenAI, Azure OpenAI, Anthropic, Amazon Bedrock. Dropping a call stops its backend at once.
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
//! # Hosts, targets and single calls
//!
//! A [`Host`] describes a backend: kind, URL, credentials, headers, deadlines. It comes from code, from the environment
//! ([`environment`]) or from a program's own file. A [`Client`] knows some by name, and `host/model` leads to them. Whatever
//! is to be different for one call is a changed copy of a host, made ready by [`Client::target`] and called by
//! [`Client::chat_at`] or [`Client::stream_at`] over the same connections. Fields of the body that are not modelled are
//! [`ChatRequest::extra`]s. The gateway (`tidegate-server`) makes its backends in the same way.
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
//! says whether that could help. Used by programs, by the gateway for its hosts, and by the Python package.

mod client;
pub mod environment;
mod error;
mod host;
pub mod model;
mod response;
pub mod settings;
mod sources;
mod stream;

pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use host::{Host, Key, Missing};
pub use response::{Answer, ChatResponse};
pub use sources::CredentialSources;
pub use stream::ChatStream;
pub use tidegate_engine::credentials::{AwsRole, AwsSource, EntraIdentity, EntraSource, GoogleSource};
pub use tidegate_engine::{
    CallRecord, Clock, Clocks, ConnectOptions, HttpVersion, Outcome, Provenance, Target,
};
pub use tidegate_wire::{
    Blame, ErrorClass, Retry,
    auth::Secret,
    host::{AbortBilling, HostRow, ResponsesUse},
    hub::{
        self, ChatRequest, Event, FinishReason, Message, Part, ReasoningEffort, ResponseFormat, Role, Tool,
        ToolCall, ToolChoice, Usage,
    },
};
