//! Asks one question and prints the answer.
//!
//! ```sh
//! OPENAI_API_KEY=... cargo run -p tidegate --example chat -- openai/gpt-4o-mini "What is a tide gate?"
//! ```
#![expect(clippy::print_stdout, reason = "an example prints")]

use tidegate::{ChatRequest, Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "openai/gpt-4o-mini".to_owned());
    let question = arguments.next().unwrap_or_else(|| "What is a tide gate?".to_owned());

    let client = Client::from_env()?;
    let request = ChatRequest::new(model).system("Answer in one sentence.").user(question);
    let reply = client.chat(request).await?;

    println!("{}", reply.text());
    if let Some(usage) = &reply.usage {
        println!("[{} tokens in, {} out]", usage.prompt_tokens, usage.completion_tokens);
    }
    Ok(())
}
