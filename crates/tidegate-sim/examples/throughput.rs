//! How much one simulator on one thread can serve: small whole answers and streams written chunk by chunk.
//!
//! `cargo run --release -p tidegate-sim --example throughput`. The client runs on the main thread. Figures are per second of
//! wall time and per second of the simulator thread's own processor time, since the client shares the machine.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should stop")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_sim::{Config, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

fn main() {
    let sim = Simulator::spawn_thread(Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{:<28} {:>6} {:>14} {:>18}", "what", "conns", "per second", "per CPU second");
    for (name, path, body, per_request) in [
        ("openai whole", "/v1/chat/completions", WHOLE, 1),
        ("bedrock whole", "/model/m/converse", BEDROCK, 1),
        ("openai chunks", "/v1/chat/completions", STREAM, 500),
        ("azure chunks", "/openai/v1/chat/completions", STREAM, 500),
        ("bedrock chunks", "/model/m/converse-stream", BEDROCK, 500),
    ] {
        let scenario = if per_request == 1 { "tokens=10" } else { "tokens=500" };
        for connections in [16, 64] {
            let request = request(path, scenario, body);
            let (cpu, started) = (sim_cpu(), Instant::now());
            let served = runtime.block_on(load(sim.address(), &request, connections));
            let (wall, cpu) = (started.elapsed(), sim_cpu() - cpu);
            let units = (served * per_request) as f64;
            let per = |time: Duration| units / time.as_secs_f64();
            println!("{name:<28} {connections:>6} {:>14.0} {:>18.0}", per(wall), per(cpu));
        }
    }
}

fn request(path: &str, scenario: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer k\r\nx-sim-scenario: {scenario}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn load(address: SocketAddr, request: &[u8], connections: usize) -> u64 {
    let until = Instant::now() + Duration::from_secs(2);
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(address, request.to_vec(), until));
    }
    clients.join_all().await.into_iter().sum()
}

/// Sends one request after the other and counts the answers. All answers to one request have one length up to ids.
async fn client(address: SocketAddr, request: Vec<u8>, until: Instant) -> u64 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 256 << 10];
    let mut served = 0;
    while Instant::now() < until {
        stream.write_all(&request).await.unwrap();
        let mut tail = [0; 5];
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "closed");
            let seen = buffer.get(..read).unwrap();
            let keep = read.min(5);
            tail.rotate_left(keep);
            tail.get_mut(5 - keep..).unwrap().copy_from_slice(seen.get(read - keep..).unwrap());
            // The end of a chunked body, or of a document, which is written in one piece.
            if tail == *b"0\r\n\r\n" || tail.ends_with(b"}") {
                break;
            }
        }
        served += 1;
    }
    served
}

/// The processor time of the simulator's thread so far.
fn sim_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    for task in tasks.flatten() {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap();
        if name.trim() == "tidegate-sim" {
            return Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap());
        }
    }
    Duration::ZERO
}

const WHOLE: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say something."}]}"#;
const STREAM: &str =
    r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Say something."}]}"#;
const BEDROCK: &str = r#"{"messages":[{"role":"user","content":[{"text":"Say something."}]}]}"#;
