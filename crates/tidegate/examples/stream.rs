//! Prints an answer as it is made.
//!
//! ```sh
//! OPENAI_API_KEY=... cargo run -p tidegate --example stream -- openai/gpt-4o-mini "What is a tide gate?"
//! ```
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::io::Write as _;

use tidegate::{ChatRequest, Client, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "openai/gpt-4o-mini".to_owned());
    let question = arguments.next().unwrap_or_else(|| "What is a tide gate?".to_owned());

    // The record is there when the call is over, however it ended. Try Ctrl-C handling, a timeout, a dropped stream.
    let client = Client::builder()
        .hosts_from_env()
        .on_call(|call| println!("\n[{} after {:?}]", call.outcome.name(), call.duration))
        .build()?;
    let mut stream = client.stream(ChatRequest::new(model).user(question)).await?;
    while let Some(event) = stream.next().await {
        if let Event::Text { text, .. } = event? {
            print!("{text}");
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}
