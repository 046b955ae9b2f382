//! The binary from outside: a child process, raw sockets, signals.

#![allow(clippy::disallowed_methods, reason = "tests block and reach loopback sockets")]

mod bodies;
mod commands;
mod hub;
mod p08_memory;
mod p10_pressure;
mod p11_hang_up;
mod p12_drain;
mod p13_kill;
// The stand-ins for vendors come with the page.
#[cfg(feature = "page")]
mod p13_kill_vendors;
mod p15_starvation;
mod p17_hostile_clients;
mod p18_log;
mod p18_mutations;
mod p25_descriptors;
mod p26_clock;
mod random;
mod request;
mod sink;
mod wire;
