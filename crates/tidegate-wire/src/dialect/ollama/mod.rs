//! Ollama's own chat API (`POST /api/chat`), the backend side; on a server of one's own and in Ollama's cloud.
//!
//! [`encode_request`] writes the body, [`OllamaDecoder`] reads replies. Errors are `{"error": "text"}` wherever they come, which the
//! reading of OpenAI's relatives knows. Facts are from ollama 0.6.3 (the vendor's client), LiteLLM 1.109.1 (ids of calls) and recorded
//! traffic.
//!
//! Never builds a URL, never frames bytes, never fetches anything: hosts and framing do that. Called by [`crate::host`] and by the
//! reply machines.

mod reply;
mod request;

pub use reply::OllamaDecoder;
pub use request::encode_request;
