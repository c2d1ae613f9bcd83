//! `tidegate demo`: the founding bug's story on simulated backends, the matrix as a table that a person likes to read, and
//! then a gateway to try.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Args;
use tidegate_sim::{Observation, Scenario};

use super::{probe::progress_bar, say};
use crate::probe::{self, Caller, Embedded, Gateway as _, HangUp, Phase, Plan, Report, Surface, Wire};

/// How the demo runs.
#[derive(Args)]
pub(super) struct Options {
    /// Exit after the table.
    #[arg(long)]
    once: bool,
    /// Print the table's rows as JSON, with the field names of `probe`, and exit.
    #[arg(long)]
    json: bool,
    /// Calls in each cell of the table.
    #[arg(short = 'n', long, default_value_t = 20)]
    calls: usize,
    /// Where the gateway listens; if the port is taken, on any free one.
    #[arg(long, default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
}

pub(super) fn run(options: &Options) -> io::Result<ExitCode> {
    let mut gateway = start(options.listen)?;
    let runtime = super::runtime()?;
    if options.json {
        let report = runtime.block_on(matrix(&mut gateway, options.calls, true))?;
        say(format_args!("{}\n", report.json()))?;
        return Ok(exit_code(&report));
    }
    say(format_args!(
        "Tidegate, in front of simulated Azure OpenAI, Amazon Bedrock and OpenAI (their real wire formats).\n\n"
    ))?;
    say(format_args!("A caller streams an answer and closes the tab:\n\n"))?;
    for backend in ["azure", "bedrock"] {
        runtime.block_on(story(&gateway, backend))?;
    }
    say(format_args!(
        "\nThe same in every phase of a call, {} callers a cell; hang-up to backend stopped:\n\n",
        options.calls
    ))?;
    let report = runtime.block_on(matrix(&mut gateway, options.calls, false))?;
    say(format_args!("{}", table(&report)))?;
    if !options.once {
        gateway.renew()?;
        runtime.block_on(stay(&gateway))?;
    }
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> ExitCode {
    if report.all_stopped() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On the wanted port, or any free one if it is taken.
fn start(listen: SocketAddr) -> io::Result<Embedded> {
    let scenario = Scenario { tokens: 400, interval: Duration::from_millis(40), ..Scenario::default() };
    Embedded::start(listen, scenario.clone()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Embedded::start(SocketAddr::new(listen.ip(), 0), scenario),
        _ => Err(error),
    })
}

/// One streaming call, shown as its caller sees it, and its end.
async fn story(gateway: &Embedded, backend: &str) -> io::Result<()> {
    let tag = format!("story-{backend}");
    let prompt = format!("What is a tide gate? [sim tag={tag}]");
    let request = Surface::Chat.request(&format!("{backend}/demo"), true, &prompt);
    let mut caller = Caller::send(&Wire::Http1(gateway.plain()), request, None, None).await?;
    say(format_args!("  {backend:<8} "))?;
    for _ in 0..STORY_EVENTS {
        say(format_args!("{}", text(&caller.read(1).await?)))?;
    }
    let (at_ns, gone) = caller.hang_up(HangUp::Fin).await?;
    let seen = gateway.backends().wait_for(&tag, PATIENCE, |seen| seen.closed_ns.is_some()).await;
    let seen = seen.and_then(|seen| seen.closed_ns.map(|closed_ns| (seen, closed_ns)));
    let stopped = match seen {
        Some((seen, closed_ns)) => format!(
            "backend stopped {} µs later, after {} tokens of 400",
            closed_ns.saturating_sub(at_ns) / 1000,
            seen.tokens_written
        ),
        None => format!("the backend did NOT stop within {} s", PATIENCE.as_secs()),
    };
    say(format_args!(" ✂ tab closed; {stopped}\n"))?;
    drop(gone);
    Ok(())
}

/// The text in the events of `bytes`.
fn text(bytes: &[u8]) -> String {
    let bytes = String::from_utf8_lossy(bytes);
    let events = bytes.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = events.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    chunks.filter_map(|chunk| Some(chunk.pointer("/choices/0/delta/content")?.as_str()?.to_owned())).collect()
}

async fn matrix(gateway: &mut Embedded, calls: usize, quiet: bool) -> io::Result<Report> {
    let plan = Plan {
        backends: BACKENDS.map(str::to_owned).to_vec(),
        hang_ups: vec![HangUp::Fin],
        surfaces: vec![Surface::Chat],
        http: vec![1],
        calls,
        ..Plan::default()
    };
    let bar = progress_bar(quiet);
    let report = probe::run(gateway, &plan, |done, total, cell| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(format!("{} {}", cell.backend(), cell.phase()));
    })
    .await;
    bar.finish_and_clear();
    report
}

/// Phases down, backends across.
fn table(report: &Report) -> String {
    let mut table = format!("  {:<20}", "cut off while");
    for backend in BACKENDS {
        table.push_str(&format!("{:>24}", format!("{backend} p50 / p99")));
    }
    table.push('\n');
    let probed = |phase: &Phase| report.cells.iter().any(|cell| cell.phase() == *phase);
    for phase in Phase::ALL.into_iter().filter(probed) {
        table.push_str(&format!("  {:<20}", phase.name().replace('_', " ")));
        for backend in BACKENDS {
            let cell = report.cells.iter().find(|cell| cell.phase() == phase && cell.backend() == backend);
            let shown = cell.map_or_else(
                || "-".to_owned(),
                |cell| match cell.never() {
                    0 => {
                        format!("{} / {} µs", micros(cell.percentile_us(50)), micros(cell.percentile_us(99)))
                    }
                    never => format!("{never} never stopped"),
                },
            );
            table.push_str(&format!("{shown:>24}"));
        }
        table.push('\n');
    }
    table.push_str(&format!(
        "\n  {} calls cut off; {} backends left running; p50 {} µs, p99 {} µs, slowest {} µs ({:.1} s in all)\n",
        report.calls(),
        report.never(),
        micros(report.percentile_us(50)),
        micros(report.percentile_us(99)),
        micros(report.percentile_us(100)),
        report.took.as_secs_f64()
    ));
    table
}

fn micros(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Shows what to try, and what becomes of it, until Ctrl-C or until nobody reads it.
async fn stay(gateway: &Embedded) -> io::Result<()> {
    let base = format!("http://{}", gateway.plain());
    say(format_args!(
        "\nNow you. The gateway stays up at {base}; stream from any backend and press Ctrl-C in the middle:\n\n"
    ))?;
    for backend in BACKENDS {
        say(format_args!(
            "  curl -N {base}/v1/chat/completions -d '{{\"model\":\"{backend}/demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'\n"
        ))?;
    }
    let mut read = say(format_args!(
        "\n  {base}/metrics has the figures. What happens to your calls shows below; Ctrl-C here ends the demo.\n\n"
    ))?;
    let mut shown = tidegate_sim::monotonic_ns();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while read {
        let ended =
            gateway.backends().wait_for_any(Duration::from_secs(3600), |seen| ended_ns(seen) > Some(shown));
        tokio::select! {
            interrupted = &mut interrupted => return interrupted,
            seen = ended => if let Some(seen) = seen {
                shown = ended_ns(&seen).unwrap_or(shown);
                read = say(format_args!("{}\n", describe(&seen)))?;
            },
        }
    }
    Ok(())
}

fn ended_ns(seen: &Observation) -> Option<u64> {
    seen.completed_ns.or(seen.closed_ns)
}

fn describe(seen: &Observation) -> String {
    let backend = format!("{:?}", seen.backend).to_lowercase();
    match seen.completed_ns {
        Some(_) => format!("  {backend}: ran to its end, {} tokens", seen.tokens_written),
        None => format!(
            "  {backend}: caller hung up, backend stopped after {} tokens ({} bytes written after that)",
            seen.tokens_written, seen.bytes_after_close
        ),
    }
}

/// As many as a screen has columns for; `tidegate probe` has all.
const BACKENDS: [&str; 5] = ["openai", "azure", "bedrock", "anthropic", "gemini"];
/// Events that the story's caller reads before it closes the tab.
const STORY_EVENTS: usize = 14;
/// When a backend counts as not stopped.
const PATIENCE: Duration = Duration::from_secs(3);
