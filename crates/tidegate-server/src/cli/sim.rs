//! `tidegate sim`: simulated OpenAI, Azure and Bedrock endpoints, or recorded exchanges replayed.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use tidegate_sim::{Config, Listener, ListenerKind, Replay, Simulator};

use super::say;

/// Simulated backends.
#[derive(Args)]
pub(super) struct Options {
    /// Where to listen; HTTP/1.1 and HTTP/2 with prior knowledge.
    #[arg(short, long, default_value = "127.0.0.1:9900")]
    listen: SocketAddr,
    /// Speak TLS, with a certificate that is printed.
    #[arg(long)]
    tls: bool,
    /// Serve the recorded exchanges in DIR, on their providers' own paths, chosen by model name.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> io::Result<ExitCode> {
    let kind = if options.tls { ListenerKind::Tls } else { ListenerKind::Plain };
    let replay = options.replay.as_deref().map(Replay::load).transpose()?;
    let listener = Listener { address: options.listen, kind, ..Listener::default() };
    let config = Config { listeners: vec![listener], replay: replay.map(Arc::new), ..Config::default() };
    let handle = Simulator::spawn_thread(config)?;
    let scheme = if options.tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", handle.address());
    say(format_args!("simulated backends on {base}\n"))?;
    say(format_args!("  OpenAI   {base}/v1/chat/completions\n"))?;
    say(format_args!("  Azure    {base}/openai/deployments/NAME/chat/completions?api-version=2024-10-21\n"))?;
    say(format_args!("  Bedrock  {base}/model/NAME/converse-stream\n"))?;
    say(format_args!("  what they saw: {base}/_sim/calls\n"))?;
    say(format_args!(
        "behaviour by model name (sim-t100-i5ms), by header (x-sim-scenario: tokens=100,interval=5ms) or in the\n"
    ))?;
    say(format_args!("prompt ([sim tokens=100,stall=3])\n"))?;
    if let Some(pem) = handle.certificate_pem() {
        say(format_args!("{pem}\n"))?;
    }
    super::runtime()?.block_on(tokio::signal::ctrl_c())?;
    Ok(ExitCode::SUCCESS)
}
