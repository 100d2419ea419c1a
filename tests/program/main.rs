//! The real program from outside, and what has to be true of the repository. One binary, because linking each takes seconds.

mod apart;
mod architecture;
mod binlog;
mod cli;
mod connect;
mod copies;
mod dlq;
mod file_sink;
mod hot_swap;
mod kill_and_restart;
mod memory;
mod readme;
mod requirements;
mod rules;
mod servers_start;
mod start_and_stop;
mod swap;
mod whole_files;
