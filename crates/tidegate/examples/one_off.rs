//! Calls a host in another way for one call: its own key, URL, headers and deadlines, over the client's connections.
//!
//! ```sh
//! OPENAI_BASE_URL=http://127.0.0.1:8000/v1 cargo run -p tidegate --example one_off -- openai/any "What is a tide gate?"
//! ```
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use tidegate::{ChatRequest, Client, Clocks, Error, Host, model};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "openai/gpt-4o-mini".to_owned());
    let question = arguments.next().unwrap_or_else(|| "What is a tide gate?".to_owned());
    let Some((kind, model)) = model::split(&name) else {
        println!("{}", model::not_found(&name, [], ["openai", "azure", "bedrock"]));
        return Ok(());
    };

    // Connections and nothing else: it knows no host. One for the whole program.
    let client = Client::builder().build()?;

    // What the environment says, and then what this call says.
    let host = Host::from_environment(kind, &|variable| std::env::var(variable).ok())?
        .header("x-team", "harbour")
        .clocks(Clocks { first_token: Duration::from_secs(20), ..Clocks::default() });
    let target = client.target(&host).await?;

    let request = ChatRequest::new(model).user(question).extra("service_tier", "auto");
    println!("{}", client.chat_at(&target, request).await?.text());
    Ok(())
}
