//! Variants of a run, each measured in a process of its own, so that its peak memory is its own.

use std::{path::Path, process::Command, time::Instant};

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

/// Name, plugins, what is written, bar in changes per CPU-second.
pub type Variant = (&'static str, &'static str, &'static str, Option<f64>);

/// Runs this program again for each variant, as `--run INDEX CHANGES FOLDER MORE…`, and prints a line of figures for each.
pub fn compare(variants: &[Variant], changes: u64, more: &[&str]) {
    println!(
        "{:<26} {:>13} {:>9} {:>9} {:>8} {:>9} {:>12}",
        "variant", "changes/CPU-s", "CPU s", "wall s", "peak MB", "MB out", "of the bar"
    );
    for (index, (name, _, _, bar)) in variants.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--run", &index.to_string(), &changes.to_string(), folder.path().to_str().unwrap()])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let (cpu, peak, out) = (numbers[0], numbers[1], numbers[2]);
        let rate = changes as f64 / cpu;
        let bar = bar.map_or_else(|| "-".to_owned(), |bar| format!("{:.2} x", rate / bar));
        println!("{name:<26} {rate:>13.0} {cpu:>9.2} {:>9.2} {peak:>8.0} {out:>9.0} {bar:>12}", begin.elapsed().as_secs_f64());
    }
}

/// What [`compare`] reads: CPU seconds, peak megabytes, megabytes in the files of `folder/out`.
pub fn tell(folder: &Path) {
    let files = std::fs::read_dir(folder.join("out"));
    let written: u64 = files.map_or(0, |files| files.map(|f| f.unwrap().metadata().unwrap().len()).sum());
    println!("{} {} {}", cpu_seconds(), peak_megabytes(), written as f64 / 1e6);
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // utime and stime in clock ticks, which Linux fixes at 100 a second for user space (proc(5))
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory that was resident at once.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
