//! What the simulator notes of a caller that closes over HTTP/1.1: when, how, and in which phase.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod support;

use std::time::Duration;

use support::{Client, SECONDS, STREAMS, WHOLES, request};
use tidegate_sim::{ClosedHow, Config, Phase, SimHandle, Simulator, monotonic_ns};

/// What a machine that is busy with other tests may add between one close and its note.
const SOON_NS: u64 = 50_000_000;
/// What it may add to the middle one of many.
const SOON_MEDIAN_NS: u64 = 5_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Close {
    Fin,
    Rst,
    FinBehindPipelinedBytes,
}

/// Starts a call, waits until the simulator is in `phase`, closes, and checks the note. Gives how late it was.
async fn closes(sim: &SimHandle, tag: &str, request: &str, phase: Phase, close: Close) -> u64 {
    let mut client = Client::connect(sim.address()).await;
    client.send(request).await;
    let reached = sim.wait_for(tag, SECONDS, |seen| seen.phase_at_close == phase).await;
    assert!(reached.is_some(), "{tag} never came to {phase:?}: {:?}", sim.observations_tagged(tag));
    // Whatever has been written must have been read, or the close becomes a reset.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut sink = [0; 16384];
    while matches!(client.stream.try_read(&mut sink), Ok(read) if read > 0) {}
    if close == Close::FinBehindPipelinedBytes {
        client.send("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let closed_at = monotonic_ns();
    match close {
        Close::Rst => client.reset(),
        _ => drop(client),
    }
    let seen =
        sim.observation(tag, SECONDS).await.unwrap_or_else(|| panic!("{tag}: the close was never seen"));
    let how = if close == Close::Rst { ClosedHow::Rst } else { ClosedHow::Fin };
    assert_eq!(seen.closed_how, Some(how), "{tag}");
    assert_eq!(seen.phase_at_close, phase, "{tag}");
    assert_eq!(seen.completed_ns, None, "{tag}");
    assert_eq!(seen.bytes_after_close, 0, "{tag}");
    let noticed = seen.closed_ns.unwrap();
    assert!(noticed >= closed_at, "{tag}: noticed before it happened");
    assert!(noticed - closed_at < SOON_NS, "{tag}: noticed {} us late", (noticed - closed_at) / 1000);
    noticed - closed_at
}

fn assert_prompt(mut late: Vec<u64>) {
    late.sort_unstable();
    let (median, last) = (late[late.len() / 2], late[late.len() - 1]);
    println!("noticed after {} us (median of {}), {} us at most", median / 1000, late.len(), last / 1000);
    assert!(median < SOON_MEDIAN_NS, "{late:?}");
}

#[tokio::test]
async fn a_close_is_noted_in_every_phase_however_it_comes() {
    let sim = Simulator::spawn_thread(Config::default()).unwrap();
    let phases = [
        ("headers_delay=60s", Phase::BeforeHeaders),
        ("first_token_delay=60s", Phase::BeforeFirstToken),
        ("interval=60s", Phase::BetweenFrames),
        ("split_stall=3", Phase::InsideFrame),
        ("trickle=20,trickle_delay=60s", Phase::InsideFrame),
        ("stall=5", Phase::Stalled),
        ("stall=0", Phase::Stalled),
    ];
    let mut late = Vec::new();
    for (path, body) in STREAMS {
        for (index, (scenario, phase)) in phases.into_iter().enumerate() {
            for close in [Close::Fin, Close::Rst, Close::FinBehindPipelinedBytes] {
                let tag = format!("{}-{index}-{close:?}", &path[1..7]);
                let text = request(path, &format!("{scenario},tag={tag}"), body);
                late.push(closes(&sim, &tag, &text, phase, close).await);
            }
        }
    }
    assert_eq!(sim.running(), 0);
    assert_prompt(late);
}

#[tokio::test]
async fn a_close_is_noted_while_a_whole_answer_is_being_thought_of() {
    let sim = Simulator::spawn_thread(Config::default()).unwrap();
    let mut late = Vec::new();
    for (path, body) in WHOLES {
        for (scenario, phase) in [
            ("headers_delay=60s", Phase::BeforeHeaders),
            ("tokens=100,interval=1s", Phase::BeforeHeaders),
            ("stall=1", Phase::Stalled),
            ("split_stall=0", Phase::InsideFrame),
        ] {
            for close in [Close::Fin, Close::Rst] {
                let tag = format!("{}-{}-{close:?}", &path[1..7], scenario.replace([',', '='], "_"));
                let text = request(path, &format!("{scenario},tag={tag}"), body);
                late.push(closes(&sim, &tag, &text, phase, close).await);
            }
        }
    }
    assert_prompt(late);
}
