//! Which dialect a backend speaks to a caller of one dialect: that of its row, unless its cloud has Claude by Anthropic's own API, too.
//!
//! One rule, [`Endpoint::spoken`]; that some requests go to a host's Responses API is `responses.rs`'s to say. Called when a request is
//! prepared.

use super::{Dialect, Endpoint, Quirk};
use crate::{client::ClientDialect, dialect::claude::Claude};

impl Endpoint {
    /// - Bedrock, to a caller of Anthropic's Messages, of a Claude: InvokeModel, whose body and events are Anthropic's own. Converse
    ///   (botocore 1.44.5) has no place for tools that Anthropic runs, `mcp_servers`, `container`, `context_management`, `speed`,
    ///   `diagnostics`, documents and images by URL or file id, nor for the blocks that these come back as. Nothing is gained by
    ///   Converse for such a caller, whatever it asks for, so it is not asked what that is.
    /// - Vertex AI, of a Claude: `rawPredict`, as generateContent does not serve it.
    /// - Everything else: the row's. So a chat completion of a Claude on Bedrock goes by Converse, as does a model whose name does
    ///   not say that it is one (an application inference profile's ARN).
    pub(super) fn spoken(&self, client: ClientDialect, model: &str) -> Dialect {
        let is_claude = || self.host.has(Quirk::ServesClaude) && Claude::of(model).is_some();
        match (self.host.dialect, client) {
            (Dialect::BedrockConverse, ClientDialect::AnthropicMessages) if is_claude() => {
                Dialect::BedrockInvoke
            }
            (Dialect::Gemini, _) if is_claude() => Dialect::VertexMessages,
            (dialect, _) => dialect,
        }
    }
}
