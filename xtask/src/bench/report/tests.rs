use super::*;
use std::time::Duration;

fn column(name: &'static str, rounds: &[&[(&str, f64)]]) -> Column {
    let mut column = Column::new(name);
    for figures in rounds {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        column.samples.push(Sample { figures, complaints: Vec::new() });
    }
    column
}

fn report(columns: Vec<Column>) -> Report {
    let plan = Plan { rounds: 3, warm_up: Duration::ZERO, duration: Duration::ZERO, settle: Duration::ZERO };
    Report { machine: json!({}), plan, columns, hang_up: None, failures: Vec::new() }
}

#[test]
fn a_figure_is_the_median_of_the_rounds_that_have_it() {
    let odd = column("nginx", &[&[("a", 9.0)], &[("a", 1.0)], &[("a", 2.0)]]);
    assert_eq!(odd.median("a"), Some(2.0));
    let even = column("nginx", &[&[("a", 1.0)], &[], &[("a", 2.0)]]);
    assert_eq!(even.median("a"), Some(1.5));
    assert_eq!(even.median("b"), None);
}

#[test]
fn bounds_are_judged_on_ratios_of_medians() {
    let figure = "unary.16.per_second";
    let report = report(vec![
        column("nginx", &[&[(figure, 40_000.0)]]),
        column("tidegate", &[&[(figure, 30_000.0), ("memory.1000.kib_per_stream", 30.0)]]),
    ]);
    let bounds = report.bounds();
    let verdicts: Vec<_> = bounds.iter().map(|bound| (bound.value, bound.held())).collect();
    assert_eq!(verdicts, [(0.75, true), (30.0, false)]);
    let text = report.to_string();
    assert!(text.contains("NOT HELD  KiB per held stream"), "{text}");
    assert_eq!(report.json()["subjects"]["tidegate"]["ratio_to_nginx"][figure], 0.75);
}

#[test]
fn a_figure_that_the_load_limited_is_marked() {
    let at = |gateway: f64| {
        let figures =
            [("unary.16.per_second", 5.0), ("unary.16.load_core", 99.0), ("unary.16.gateway_core", gateway)];
        report(vec![column("nginx", &[&figures])]).to_string()
    };
    assert!(at(70.0).contains("5*"));
    assert!(!at(99.0).contains("5*"));
}

#[test]
fn added_latency_is_the_difference_within_a_round() {
    let direct = column("direct", &[&[("open.p50_us", 40.0)]]);
    let mut gateway = column("nginx", &[&[("open.p50_us", 100.0)]]);
    gateway.samples[0].compare_with_direct(&direct.samples[0]);
    assert_eq!(gateway.median("open.added_p50_us"), Some(60.0));
}
