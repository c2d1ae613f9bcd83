//! `tidegate probe`: the hang-up matrix against any gateway, as a table or as JSON.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate_sim::{Scenario, SimHandle};

use super::say;
use crate::probe::{self, Embedded, Gateway, HangUp, Phase, Plan, Surface};

/// What to probe.
#[derive(Args)]
#[command(after_help = WHAT_COUNTS)]
pub(super) struct Options {
    /// Address of the gateway under test, for example 127.0.0.1:8080; without it, an embedded Tidegate is probed.
    #[arg(long)]
    gateway: Option<SocketAddr>,
    /// Key that the gateway under test wants.
    #[arg(long, requires = "gateway")]
    key: Option<String>,
    /// Where the simulated backends listen: point the gateway under test there.
    #[arg(long, default_value = "127.0.0.1:9900", requires = "gateway")]
    backends_on: SocketAddr,
    /// Name under which the gateway under test reaches a backend, as BACKEND=MODEL (openai=gpt-sim).
    #[arg(long, value_name = "BACKEND=MODEL", requires = "gateway", value_parser = pair)]
    model: Vec<(String, String)>,
    /// Keep the embedded gateway to this core; keep the rest off it with taskset(1).
    #[arg(long, value_name = "CORE", conflicts_with = "gateway")]
    gateway_core: Option<usize>,
    /// Calls in each cell.
    #[arg(short = 'n', long, default_value_t = 20)]
    calls: usize,
    /// Only these phases.
    #[arg(long, value_delimiter = ',', value_parser = phase)]
    phases: Vec<Phase>,
    /// Only these kinds of hang-up.
    #[arg(long, value_delimiter = ',', value_parser = hang_up)]
    hangups: Vec<HangUp>,
    /// Only these backends.
    #[arg(long, value_delimiter = ',')]
    backends: Vec<String>,
    /// Only these callers: chat, responses (OpenAI), messages (Anthropic), gemini (Google), converse (Bedrock), realtime,
    /// completions, embeddings, speech, transcription, pass_through. Of a gateway given by --gateway, chat unless asked for.
    #[arg(long, value_delimiter = ',', value_parser = surface)]
    surfaces: Vec<Surface>,
    /// Only this HTTP version between gateway and backend.
    #[arg(long)]
    http: Option<Http>,
    /// Exit with status 1 also unless p99 of every cell is at most this.
    #[arg(long, value_name = "MICROSECONDS")]
    p99_us: Option<u64>,
    /// Print JSON: all calls as one, and each cell.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Http {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

pub(super) fn run(options: &Options) -> io::Result<ExitCode> {
    let mut embedded;
    let mut other;
    let gateway: &mut dyn Gateway = match options.gateway {
        None => {
            embedded = match options.gateway_core {
                Some(core) => Embedded::start_on(core)?,
                None => Embedded::start(([127, 0, 0, 1], 0).into(), Scenario::default())?,
            };
            &mut embedded
        }
        Some(address) => {
            other = Other::start(address, options)?;
            &mut other
        }
    };
    let plan = plan(options);
    let bar = progress_bar(options.json);
    let report = super::runtime()?.block_on(probe::run(gateway, &plan, |done, total, cell| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(format!(
            "{} {} {} {}",
            cell.surface().name(),
            cell.backend(),
            cell.phase(),
            cell.hang_up()
        ));
    }))?;
    bar.finish_and_clear();
    if options.json {
        say(format_args!("{}\n", report.json()))?;
    } else {
        say(format_args!("{}", report.table()))?;
    }
    let holds = options.p99_us.map_or(report.all_stopped(), |bound| report.holds(bound));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(options: &Options) -> Plan {
    let mut all = Plan::default();
    if options.gateway.is_some() {
        // Asked for by name they are answered with "not possible"; unasked they would only fill the table.
        all.phases.retain(|phase| !needs_own_gateway(*phase));
        all.hang_ups.retain(|hang_up| *hang_up != HangUp::TlsClose);
        all.surfaces.retain(|surface| *surface == Surface::Chat);
        if !options.model.is_empty() {
            all.backends.retain(|backend| options.model.iter().any(|(name, _)| name == backend));
        }
    }
    let or = |given: &Vec<String>, all: Vec<String>| if given.is_empty() { all } else { given.clone() };
    Plan {
        backends: or(&options.backends, all.backends),
        phases: if options.phases.is_empty() { all.phases } else { options.phases.clone() },
        hang_ups: if options.hangups.is_empty() { all.hang_ups } else { options.hangups.clone() },
        surfaces: if options.surfaces.is_empty() { all.surfaces } else { options.surfaces.clone() },
        http: match (options.http, options.gateway) {
            (Some(Http::One), _) | (None, Some(_)) => vec![1],
            (Some(Http::Two), _) => vec![2],
            (None, None) => all.http,
        },
        calls: options.calls,
        patience: all.patience,
    }
}

/// A bar on standard error; none where the output is for machines or nobody looks.
pub(super) fn progress_bar(hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(1), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A gateway that somebody else runs.
struct Other {
    address: SocketAddr,
    key: Option<String>,
    models: Vec<(String, String)>,
    backends: SimHandle,
}

impl Other {
    fn start(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let listener = tidegate_sim::Listener { address: options.backends_on, ..Default::default() };
        let config = tidegate_sim::Config { listeners: vec![listener], ..Default::default() };
        let backends = tidegate_sim::Simulator::spawn_thread(config)?;
        let models = if options.model.is_empty() {
            let default = |backend: &str| {
                let (host, model) = probe::simulated(backend);
                (backend.to_owned(), format!("{host}/{model}"))
            };
            probe::BACKENDS.into_iter().map(default).collect()
        } else {
            options.model.clone()
        };
        Ok(Self { address, key: options.key.clone(), models, backends })
    }
}

impl Gateway for Other {
    fn plain(&self) -> SocketAddr {
        self.address
    }

    fn tls(&self) -> Option<(SocketAddr, &str)> {
        None
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn model(&self, backend: &str, phase: Phase, _http: u8) -> Option<String> {
        if needs_own_gateway(phase) {
            return None;
        }
        self.models.iter().find(|(name, _)| name == backend).map(|(_, model)| model.clone())
    }

    fn simulator(&self, _phase: Phase) -> &SimHandle {
        &self.backends
    }

    fn must_allow(&self, hang_up: HangUp) -> bool {
        matches!(hang_up, HangUp::Fin | HangUp::Rst | HangUp::FinBehindPipelined)
    }

    fn drain(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn renew(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether only a gateway that the probe configures itself can be brought there.
fn needs_own_gateway(phase: Phase) -> bool {
    matches!(phase, Phase::Connecting | Phase::Sending | Phase::Draining)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (backend, model) = text.split_once('=').ok_or("write BACKEND=MODEL")?;
    if !probe::BACKENDS.contains(&backend) {
        return Err(format!("backends are: {}", probe::BACKENDS.join(", ")));
    }
    Ok((backend.to_owned(), model.to_owned()))
}

fn phase(text: &str) -> Result<Phase, String> {
    let names = || Phase::ALL.map(Phase::name).join(", ");
    Phase::ALL
        .into_iter()
        .find(|phase| phase.name() == text)
        .ok_or_else(|| format!("phases are: {}", names()))
}

fn surface(text: &str) -> Result<Surface, String> {
    let names = || Surface::ALL.map(Surface::name).join(", ");
    Surface::ALL
        .into_iter()
        .find(|surface| surface.name() == text)
        .ok_or_else(|| format!("surfaces are: {}", names()))
}

fn hang_up(text: &str) -> Result<HangUp, String> {
    let names = || HangUp::ALL.map(HangUp::name).join(", ");
    HangUp::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| format!("hang-ups are: {}", names()))
}

/// For `--help`.
const WHAT_COUNTS: &str = "\
A cell that can't be made (a refused call, one that does not reach the backend) is shown with its reason, and the others are
made: it has failed. Of a gateway given by --gateway some things are not expected, and where it lacks them the cells are \"not
possible\": HTTP/2 by prior knowledge (h2_reset, h2_lost), TLS (tls_close), and the phases connecting, sending and draining,
which the probe would have to set up itself; TLS and those phases are left out unless asked for by name.
Exit status 1: a cell failed, a backend never stopped or was closed before the hang-up (\"early\"), there was no call, or the
bound of --p99-us does not hold.";
