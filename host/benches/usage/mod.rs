//! What a process has used of the machine, and the plugins that whole runs are measured with.

/// The three standard plugins at work on `shop.orders`: two columns filtered on, one masked, the table renamed.
pub const PLUGINS: &str = r#"
plugins:
  - use: filter
    config: { tables: [ { table: shop.orders, where: "status <> 'cancelled' AND amount >= 10" } ] }
  - use: map-names
    config: { tables: [ { from: shop.orders, to: sales.orders } ] }
  - use: rewrite-columns
    config: { tables: [ { table: sales.orders, columns: [ { column: email, mask: { first: 1, last: 4 } } ] } ] }
"#;

/// User and system time of a process, in seconds.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // utime and stime in clock ticks, which Linux fixes at 100 a second for user space (proc(5))
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory of a process that was resident at once.
pub fn peak_megabytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
