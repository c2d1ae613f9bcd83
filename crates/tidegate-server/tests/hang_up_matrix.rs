//! The hang-up matrix: every client dialect × phase of a call × way to leave × backend × HTTP version. Each backend is
//! closed, each call has exactly one record that says so, and nothing is left behind.
//!
//! In a process of its own, since it measures times. Covers D1, D2, D4, D5, D11, D12, P1, P5, P7, A1 and A2 for every
//! backend alike; the tests in `behaviour` look at them one by one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking, and says what it measured"
)]
#![expect(dead_code, reason = "the records are shared with other tests")]

#[path = "support/records.rs"]
mod records;
#[path = "support/sockets.rs"]
mod sockets;

use std::{collections::HashSet, time::Duration};

use records::Records;
use sockets::open_sockets;
use tidegate_engine::{CallRecord, Outcome, Provenance};
use tidegate_server::probe::{self, Cell, Embedded, Gateway as _, HangUp, Phase, Plan, Report, Surface};

#[test]
fn every_backend_stops_in_every_phase_for_every_hang_up_and_is_settled_once() {
    let records = Records::new();
    let mut gateway = Embedded::start_with(records.clone()).expect("a gateway");
    // A cell of the last phase ends its gateway, so what the others leave behind is looked at before.
    let (last, others) = Phase::ALL.split_last().expect("phases");
    assert_eq!(*last, Phase::Draining);
    let mut cells = probe(&mut gateway, others, &records);
    cells.extend(probe(&mut gateway, &[*last], &records));

    // The dialects of every backend in every phase; sessions: HTTP/1.1 only, two backends, no HTTP/2 hang-up, and a goodbye where it
    // can be said; of what else callers use, as many as there are to be cut off.
    let (calls, sessions) = (5 * 10 * 6 * 9 * 2, 2 * (10 * 4 + 7));
    let operations = (10 + 2 * 3 + 8 + 8 + 10) * 6 * 2;
    assert_eq!(cells.len(), calls + sessions + operations, "the whole matrix");
    let report = Report { cells, took: Duration::ZERO };
    println!(
        "{} calls in {} cells: hang-up to backend closed p50 {} µs, p99 {} µs, max {} µs",
        report.calls(),
        report.cells.len(),
        report.percentile_us(50).expect("calls"),
        report.percentile_us(99).expect("calls"),
        report.percentile_us(100).expect("calls"),
    );
    gateway.renew().expect("a stop and a start");
    let records = records.all();
    assert_eq!(records.len(), report.calls(), "exactly one record for each call");
    let ids: HashSet<_> = records.iter().map(|record| &record.id).collect();
    assert_eq!(ids.len(), records.len(), "no call is settled twice");
}

/// Fills the cells of `phases` and looks at the records of each, and at what is left in the end.
fn probe(gateway: &mut Embedded, phases: &[Phase], records: &Records) -> Vec<Cell> {
    let plan = Plan { phases: phases.to_vec(), calls: CALLS, patience: PATIENCE, ..Plan::default() };
    let mut settled = records.all().len();
    let mut wrong = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime
        .block_on(probe::run(gateway, &plan, |_, _, cell| {
            let all = records.wait(settled + cell.calls());
            wrong.extend(judge(cell, &all[settled..]));
            settled = all.len();
        }))
        .expect("a probe that runs to its end");
    assert!(report.errors().is_empty(), "every cell can be made:\n{}", report.table());
    assert!(report.all_stopped(), "{}", report.table());
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let lost: Vec<_> = report.cells.iter().filter(|cell| cell.lost_connections() > 0).map(name).collect();
    assert!(
        lost.is_empty(),
        "an HTTP/2 backend loses the stream, not the connection of the others: {lost:?}"
    );
    nothing_is_left(gateway, &runtime);
    report.cells
}

fn name(cell: &Cell) -> String {
    let surface = cell.surface().name();
    format!("{} {surface} {} {} http{}", cell.backend(), cell.phase(), cell.hang_up(), cell.http())
}

/// What is wrong with a cell and the records of its calls.
fn judge(cell: &Cell, records: &[CallRecord]) -> Vec<String> {
    let name = name(cell);
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{name}: {what}: {records:?}"));
        }
    };
    check(records.len() == cell.calls(), "one record for each call");
    for record in records {
        check(record.error.is_none(), "a hang-up is nobody's error");
        let passed = cell.surface() == Surface::PassThrough;
        check(passed || record.model.starts_with(cell.backend()), "the record is the cell's");
        check(!passed || record.host == cell.backend(), "the record is the cell's");
        if cell.phase() == Phase::IdleSession && cell.hang_up() == HangUp::Goodbye {
            check(
                record.outcome == Outcome::Complete,
                "who says goodbye with nothing under way has finished",
            );
        } else {
            check(record.outcome == Outcome::ClientGone, "the outcome is client_gone");
            let known = record.hang_up_to_closed.is_some_and(|took| took < PATIENCE);
            check(known, "the time to the close is known");
        }
        // A session uses something once its model is asked.
        let is_session = cell.surface() == Surface::Realtime;
        let sent = if is_session { cell.phase().has_reply() } else { cell.phase() != Phase::Connecting };
        let answered = cell.phase().has_reply() && cell.phase() != Phase::BeforeFirstToken;
        let provenance = match cell.backend() {
            _ if !sent => Provenance::None,
            // Neither a file nor what is passed on tells by its length how many tokens it has.
            _ if cell.surface() == Surface::Transcription => Provenance::None,
            _ if passed && !cell.phase().has_reply() => Provenance::None,
            // Counts the prompt at the start of its reply. A caller that waits for no more than the head may leave before that.
            "anthropic" if cell.phase() == Phase::BeforeFirstToken && record.delivered_bytes == 0 => {
                record.provenance
            }
            "anthropic" if cell.phase().has_reply() => Provenance::Partial,
            probe::CLAUDE_ON_BEDROCK if cell.surface() == Surface::Messages && cell.phase().has_reply() => {
                Provenance::Partial
            }
            // Its chunks say what there is so far.
            "gemini" if answered => Provenance::Partial,
            _ => Provenance::Estimated,
        };
        check(record.provenance == provenance, "usage is known as it can be");
        let counted = provenance != Provenance::None;
        // What was read and what was handed over may differ by an event here.
        let counted = counted && cell.phase() != Phase::BeforeFirstToken;
        check(!counted || record.usage.prompt_tokens > 0, "a prompt that was sent has tokens");
        let tokens = counted && cell.surface() != Surface::Speech;
        check(
            !answered || !tokens || record.usage.completion_tokens > 0,
            "tokens that were delivered are not lost",
        );
        // A caller of speech hangs up behind the head.
        let waits = cell.surface() != Surface::Speech;
        check(!answered || !waits || record.delivered_bytes > 0, "bytes that were delivered are counted");
    }
    wrong
}

/// Nothing runs at any simulator, no caller's connection is open, and no backend's carries a call.
fn nothing_is_left(gateway: &Embedded, runtime: &tokio::runtime::Runtime) {
    for phase in [Phase::Connecting, Phase::Sending, Phase::Stalled] {
        let simulator = gateway.simulator(phase);
        assert!(runtime.block_on(simulator.quiet(PATIENCE)), "{} calls run on", simulator.running());
    }
    // HTTP/1.1 connections ended with their calls. The hosts share their HTTP/2 connections, as they share their origin;
    // calls that begin together, before there is one, open one each.
    let shared = gateway.simulator(Phase::Stalled).connections();
    assert!(shared <= CALLS, "{shared} backend connections are left");
    let (tls, _) = gateway.tls().expect("a TLS listener");
    for address in [gateway.plain(), tls] {
        assert_eq!(open_sockets(address.port()), 0, "connections of callers are left");
    }
}

const CALLS: usize = 2;
/// The promise is 1 ms on an idle machine; this one may be busy with other things.
const PATIENCE: Duration = Duration::from_millis(250);
