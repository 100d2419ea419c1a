//! Runs the simulator alone: `sluicegate-mssql-simulator [ADDRESS]`. Prints where it listens, and runs until it is ended.

use std::io::Write;

use sluicegate_mssql_simulator::Simulator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Simulator::builder();
    if let Some(address) = std::env::args().nth(1) {
        builder = builder.address(address.parse()?);
    }
    let simulator = builder.start()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ADDRESS={}\nUSER=sa\nPASSWORD={}", simulator.address(), Simulator::PASSWORD)?;
    out.flush()?;
    drop(out);
    loop {
        std::thread::park();
    }
}
