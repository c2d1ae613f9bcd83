//! Durations, sizes, addresses and counts from text. What the settings of a host may be is the SDK crate's to say.
//!
//! Each function says what is wrong in words that follow the quoted value: "`10` is not a duration; ...". None repeats the
//! value. Called by the sections of the configuration and by the discovery in the environment.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// `250ms`, `10s`, `5m`, `1h`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || "is not a duration; write a number and a unit, such as 250ms, 10s, 5m, 1h or 1h30m".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest).ok_or_else(wrong)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let piece = number.checked_mul(milliseconds).map(Duration::from_millis);
        total = piece.and_then(|piece| total.checked_add(piece)).ok_or_else(too_long)?;
        rest = after;
    }
    match () {
        () if text.is_empty() => Err(wrong()),
        () if total > LONGEST => Err(too_long()),
        () => Ok(total),
    }
}

/// A duration that zero makes no sense for.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        positive => Ok(positive),
    }
}

/// `65536`, `64KiB`, `32MiB`, `1GB`: bytes.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || "is not a size; write bytes with or without a unit, such as 65536, 64KiB or 32MiB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor: usize = match unit.trim_start() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(factor).filter(|bytes| *bytes <= LARGEST).ok_or("is more than 4GiB")?;
    if bytes == 0 { Err("must be more than zero".to_owned()) } else { Ok(bytes) }
}

/// `127.0.0.1:4000`, `[::1]:4000`, `localhost:4000`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let port: Option<u16> = text.trim_start_matches(':').parse().ok();
    Err(match (port, text.parse::<IpAddr>()) {
        (Some(port), _) => {
            format!("names no address; write 127.0.0.1:{port} for this machine or 0.0.0.0:{port} for all")
        }
        (None, Ok(IpAddr::V6(_))) => "names no port; write [ADDRESS]:4000".to_owned(),
        (None, Ok(IpAddr::V4(_))) => format!("names no port; write {text}:4000"),
        (None, Err(_)) => "is not an address; write IP:PORT, such as 127.0.0.1:4000 or [::1]:4000".to_owned(),
    })
}

/// A number of at least 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MOST_WORKERS).contains(&count) => Ok(count),
        _ => Err(format!("is not a number from 1 to {MOST_WORKERS}")),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let (number, rest) = text.split_at_checked(text.bytes().take_while(u8::is_ascii_digit).count())?;
    let (unit, rest) = rest.split_at_checked(rest.bytes().take_while(u8::is_ascii_alphabetic).count())?;
    Some((number.parse().ok()?, unit, rest))
}

fn too_long() -> String {
    "is longer than 20 days".to_owned()
}

/// TCP_USER_TIMEOUT counts milliseconds in 31 bits: 24 days.
const LONGEST: Duration = Duration::from_secs(20 * 86_400);
/// Bodies are held in memory.
const LARGEST: usize = 4 << 30;
const MOST_WORKERS: usize = 1024;
