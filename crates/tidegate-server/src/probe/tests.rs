//! What a probe makes of gateways that are not as they should be.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use tidegate_sim::Simulator;

use super::*;

#[test]
fn a_refused_cell_says_why_and_the_others_are_made() {
    let mut gateway = Refusing::start(false);
    let report = gateway.probe(vec![HangUp::Fin, HangUp::H2Reset, HangUp::TlsClose, HangUp::Rst]);

    let why: Vec<_> = report.cells.iter().map(|cell| cell.unfilled().expect("a reason")).collect();
    assert!(matches!(why[0], Unfilled::Failed(reason) if reason.contains("404 Not Found")), "{why:?}");
    assert!(matches!(why[1], Unfilled::NotPossible(reason) if reason.contains("HTTP/2")), "{why:?}");
    assert!(matches!(why[2], Unfilled::NotPossible(reason) if reason.contains("TLS")), "{why:?}");
    assert!(matches!(why[3], Unfilled::Failed(_)), "{why:?}");
    assert_eq!(report.errors().len(), 2);
    assert!(report.took < ARRIVAL, "a refusal is not waited out");
    assert!(!report.all_stopped() && !report.holds(u64::MAX));

    let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
    assert_eq!(json["cells"][0]["n"], 0);
    assert_eq!(json["cells"][0]["excused"], false);
    assert!(json["cells"][0]["error"].as_str().is_some_and(|error| error.contains("404")), "{json}");
    assert_eq!(json["cells"][1]["excused"], true);
    let table = report.table();
    assert!(table.contains("\nfailed: openai chat http1 awaiting_headers fin: "), "{table}");
    assert!(table.contains("\nnot possible: openai chat http1 awaiting_headers h2_reset: "), "{table}");
}

#[test]
fn a_gateway_that_must_offer_everything_fails_where_it_does_not() {
    let report = Refusing::start(true).probe(vec![HangUp::H2Reset, HangUp::TlsClose]);
    assert_eq!(report.errors().len(), 2, "{}", report.table());
}

#[test]
fn a_gateway_that_is_not_there_ends_the_probe() {
    let mut gateway = Refusing::start(false);
    let nobody = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    gateway.address = nobody.expect("an address");
    assert!(gateway.try_probe(vec![HangUp::Fin]).is_err());
}

#[test]
fn a_backend_closed_before_the_hang_up_is_early_and_no_bound_holds() {
    let mut cell = Cell::new("openai".to_owned(), Surface::Chat, Phase::Stalled, HangUp::Fin, 1);
    cell.closed(5_000, 5_000);
    cell.closed(5_000, 12_999);
    let report = |cell: &Cell| Report { cells: vec![cell.clone()], took: Duration::ZERO };
    assert!(report(&cell).holds(7));
    assert!(!report(&cell).holds(6));

    cell.closed(5_000, 4_999);
    assert_eq!((cell.calls(), cell.early(), cell.never()), (3, 1, 0));
    assert_eq!(cell.percentile_us(100), Some(7), "it is no measurement of 0 µs");
    assert!(!report(&cell).holds(u64::MAX) && !report(&cell).all_stopped());
    assert!(report(&cell).json().contains("\"early\": 1"));
    assert!(report(&cell).table().contains("closed before the hang-up: 1\n"));
}

/// Answers everything with 404 and knows HTTP/1.1 alone.
struct Refusing {
    address: SocketAddr,
    backends: SimHandle,
    strict: bool,
}

impl Refusing {
    fn start(strict: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
                }
            }
        });
        let backends = Simulator::spawn_thread(tidegate_sim::Config::default()).expect("a simulator");
        Self { address, backends, strict }
    }

    fn probe(&mut self, hang_ups: Vec<HangUp>) -> Report {
        self.try_probe(hang_ups).expect("a probe that runs to its end")
    }

    fn try_probe(&mut self, hang_ups: Vec<HangUp>) -> io::Result<Report> {
        let plan = Plan {
            surfaces: vec![Surface::Chat],
            backends: vec!["openai".to_owned()],
            phases: vec![Phase::AwaitingHeaders],
            hang_ups,
            http: vec![1],
            calls: 1,
            ..Plan::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(self, &plan, |_, _, _| {}))
    }
}

impl Gateway for Refusing {
    fn plain(&self) -> SocketAddr {
        self.address
    }

    fn tls(&self) -> Option<(SocketAddr, &str)> {
        None
    }

    fn key(&self) -> Option<&str> {
        None
    }

    fn model(&self, backend: &str, _phase: Phase, _http: u8) -> Option<String> {
        Some(backend.to_owned())
    }

    fn simulator(&self, _phase: Phase) -> &SimHandle {
        &self.backends
    }

    fn must_allow(&self, _hang_up: HangUp) -> bool {
        self.strict
    }

    fn drain(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn renew(&mut self) -> io::Result<()> {
        Ok(())
    }
}
