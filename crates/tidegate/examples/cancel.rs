//! Drops calls to simulated backends, in this process and without keys, and prints how long after the drop each backend
//! saw the close.
//!
//! ```sh
//! cargo run -p tidegate --example cancel
//! ```
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use tidegate::{ChatRequest, Client, Host, HttpVersion};
use tidegate_sim::{Config, SimHandle, Simulator, monotonic_ns};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // It has a thread of its own and notes when its peers close, on the machine's monotonic clock.
    let backend = Simulator::spawn_thread(Config::default())?;
    let url = format!("http://{}", backend.address());
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = Client::builder()
            .host("openai", Host::openai("simulated").base_url(format!("{url}/v1")).http(http))
            .host("azure", Host::azure(&url, "simulated").api_version("2024-10-21").http(http))
            .host("bedrock", Host::bedrock("us-east-1", "simulated").base_url(&url).http(http))
            .on_call(|call| println!("    the call's record: {}", call.outcome.name()))
            .build()?;
        for host in ["openai", "azure", "bedrock"] {
            drop_one(&client, &backend, host, http).await?;
        }
    }
    Ok(())
}

async fn drop_one(
    client: &Client,
    backend: &SimHandle,
    host: &str,
    http: HttpVersion,
) -> Result<(), Box<dyn std::error::Error>> {
    let tag = format!("{host}-{http:?}");
    // What the simulator is to do is said in the prompt: ten tokens, then silence.
    let request =
        ChatRequest::new(format!("{host}/any")).user(format!("[sim tokens=100 stall=10 tag={tag}]"));
    let mut stream = client.stream(request).await?;
    for _ in 0..5 {
        stream.next().await.transpose()?;
    }
    let dropped_ns = monotonic_ns();
    drop(stream);
    let seen = backend.observation(&tag, Duration::from_secs(5)).await.ok_or("the backend never stopped")?;
    let closed_ns = seen.closed_ns.ok_or("the backend saw no close")?;
    let how = seen.closed_how.map(|how| how.to_string()).unwrap_or_default();
    let micros = closed_ns.saturating_sub(dropped_ns) / 1000;
    println!("{host} over {http:?}: dropped; the backend saw {how} {micros} us later");
    Ok(())
}
