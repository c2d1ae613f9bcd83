//! The gateway: HTTP surface, configuration, command line.

pub mod config;
