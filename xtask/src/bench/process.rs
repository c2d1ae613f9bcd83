//! Child processes pinned to a core, and what `/proc` says of them: CPU time and resident memory of a tree.
//!
//! Called by the benchmark only. Ends only processes that it started, by their ids.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::CpuSet;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core that the gateway under test gets, and the one for load and backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) gateway: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores that this process may use. Two are needed: on one, load would take the gateway's time.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(gateway), Some(load)) => Ok(Self { gateway, load }),
            _ => bail!("the benchmark needs two cores, one for the gateway and one for load and backend"),
        }
    }

    /// Pins the calling thread, and what it starts from now on, to the core for load.
    pub(crate) fn pin_load(self) -> Result<()> {
        pin_this_thread(&[self.load])
    }

    /// Gives the calling thread both cores back.
    pub(crate) fn unpin(self) -> Result<()> {
        pin_this_thread(&[self.gateway, self.load])
    }
}

fn pin_this_thread(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Lets this process and its children hold as many descriptors as the system allows.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let resource = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(resource);
    limit.current = limit.maximum;
    rustix::process::setrlimit(resource, limit)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// A child process pinned to one core. Dropping it kills it and its children.
pub(crate) struct Pinned {
    child: Child,
}

impl Pinned {
    /// Starts `command` on `core`, its output in `log`; it also ends should this process die.
    pub(crate) fn start(command: &Command, core: usize, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let mut pinned = pin(command, core);
        pinned.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = pinned.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { child })
    }

    /// Starts `command` on `core` with its standard input and output as pipes.
    pub(crate) fn start_piped(command: &Command, core: usize) -> Result<Self> {
        let mut pinned = pin(command, core);
        let child = pinned.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self { child })
    }

    /// The child's standard output, once.
    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time and memory of the child and its descendants, now.
    pub(crate) fn usage(&self) -> Usage {
        tree(self.child.id()).into_iter().map(Usage::of).fold(Usage::default(), Usage::plus)
    }

    /// Asks it to end and waits; kills what has not ended within [`STOP_WITHIN`].
    pub(crate) async fn stop(mut self) {
        let started = Instant::now();
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself, and that is as good.
            let _gone = kill_process(pid, Signal::TERM);
        }
        while self.is_running() && started.elapsed() < STOP_WITHIN {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        for pid in tree(self.child.id()) {
            let _gone = Pid::from_raw(pid.cast_signed()).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _status = self.child.wait();
    }
}

/// The same command under util-linux's `setpriv` and `taskset`, which replace themselves by it.
fn pin(command: &Command, core: usize) -> Command {
    let mut pinned = Command::new("setpriv");
    pinned.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]);
    pinned.arg(command.get_program()).args(command.get_args());
    pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        pinned.current_dir(folder);
    }
    pinned
}

/// CPU time used since start, and resident memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time in seconds, in steps of the kernel's clock tick (10 ms).
    pub(crate) cpu_seconds: f64,
    /// VmRSS in KiB.
    pub(crate) resident_kib: f64,
}

impl Usage {
    /// Of one process; zero for one that has ended.
    pub(crate) fn of(pid: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Self { cpu_seconds: cpu_seconds(&stat), resident_kib: resident_kib(&status) }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            resident_kib: self.resident_kib + other.resident_kib,
        }
    }
}

/// CPU time that all processes of the machine have used, in seconds.
pub(crate) fn machine_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    // user, nice, system, (idle, iowait,) irq, softirq
    let busy = fields.enumerate().filter(|(at, _)| matches!(at, 0..=2 | 5 | 6));
    ticks_to_seconds(busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum())
}

/// utime and stime of a line of `/proc/PID/stat`, whose second field may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> f64 {
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks =
        fields.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks_to_seconds(ticks.sum())
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^52")]
fn ticks_to_seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn resident_kib(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0.0)
}

/// The process and all its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(current) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == current).map(|(pid, _)| *pid));
        next += 1;
    }
    tree
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// From the request to end: nginx and gateways with nothing to do end in milliseconds, Python takes longer.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 100 1 1";
        assert!((cpu_seconds(stat) - ticks_to_seconds(200)).abs() < 1e-9);
    }

    #[test]
    fn resident_memory_is_read_in_kib() {
        assert!((resident_kib("VmPeak:\t 9 kB\nVmRSS:\t    1234 kB\n") - 1234.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_tree_holds_the_children_of_a_process() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 5 & echo up; wait"]);
        let mut child = Pinned::start_piped(&command, Cores::choose().unwrap().gateway).unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.output().unwrap()), &mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        assert_eq!(tree(child.child.id()).len(), 2);
    }
}
