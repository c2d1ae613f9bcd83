//! Lets a model call a function of this program, and gives it the answer.
//!
//! ```sh
//! OPENAI_API_KEY=... cargo run -p tidegate --example tools -- openai/gpt-4o-mini
//! ```
#![expect(clippy::print_stdout, reason = "an example prints")]

use serde_json::json;
use tidegate::{ChatRequest, Client, Error, Tool};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "openai/gpt-4o-mini".to_owned());
    let client = Client::from_env()?;
    let harbour = json!({
        "type": "object",
        "properties": { "harbour": { "type": "string" } },
        "required": ["harbour"],
    });
    let mut request = ChatRequest::new(model)
        .user("When is high water in Hamburg and in Brest?")
        .tool(Tool::function("high_water", "The next high water at a harbour", harbour));

    // A bound: a model may go on calling.
    for _ in 0..5 {
        let reply = client.chat(request.clone()).await?;
        let Some(message) = reply.message().filter(|_| !reply.tool_calls().is_empty()) else {
            println!("{}", reply.text());
            return Ok(());
        };
        request = request.message(message);
        for call in reply.tool_calls() {
            println!("{}({})", call.name, call.arguments);
            request = request.tool_result(&call.id, high_water(&call.arguments));
        }
    }
    println!("it never came to an answer");
    Ok(())
}

/// Arguments come as the model wrote them: they may be no JSON at all.
fn high_water(arguments: &str) -> &'static str {
    match serde_json::from_str::<serde_json::Value>(arguments) {
        Ok(arguments) if arguments.get("harbour").is_some_and(|harbour| harbour == "Brest") => "06:12",
        Ok(_) => "14:40",
        Err(_) => "error: the arguments are no JSON",
    }
}
