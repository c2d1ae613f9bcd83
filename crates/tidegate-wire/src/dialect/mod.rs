//! Dialects: one folder per wire format. A client dialect decodes requests and encodes replies; a backend dialect encodes
//! requests and decodes replies.

pub mod openai_chat;
