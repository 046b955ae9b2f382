//! The binary from outside: a child process, raw sockets, signals.

#![allow(clippy::disallowed_methods, reason = "tests block and reach loopback sockets")]

mod commands;
mod hub;
mod p12_drain;
mod p17_hostile_clients;
mod p18_mutations;
mod p25_descriptors;
mod wire;
