//! A plugin that uses WASI 0.2, all of it that a language's runtime might, and that misuses it.
//!
//! Its config is a word in quotes, the behaviour; `configure` refuses with what it saw, so that a test can read it. A
//! behaviour that ends in `-apply` is put off until the first batch.

use std::fmt::Write as _;

use sluicegate_plugin::{Batch, Description, Outcome, Plugin, TablePlan, export_plugin};
use wasip2::{
    cli, clocks, filesystem,
    http::{outgoing_handler, types as http},
    io::{poll, streams::OutputStream},
    random, sockets,
};

struct Wasi {
    later: Option<String>,
}

impl Plugin for Wasi {
    fn describe() -> Description {
        sluicegate_plugin::describe!("uses WASI")
    }

    fn configure(config: &str) -> Result<Self, String> {
        let behaviour = config.trim_matches('"');
        match behaviour.strip_suffix("-apply") {
            Some(later) => Ok(Self { later: Some(later.to_string()) }),
            None => Err(act(behaviour)),
        }
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        table.filter_rows();
        Ok(())
    }

    fn apply(&mut self, _batch: Batch<'_>) -> Result<Outcome, String> {
        let behaviour = self.later.clone().unwrap_or_default();
        match behaviour.as_str() {
            "quiet" => Ok(Outcome { keep: Vec::new(), computed: Vec::new(), rejected: Vec::new() }),
            other => Err(act(other)),
        }
    }
}

fn act(behaviour: &str) -> String {
    match behaviour {
        "surroundings" => surroundings(),
        "network" => network(),
        "time" => time(),
        "random" => numbers(),
        "lines" => lines(),
        "flood" => flood(),
        "exit" => {
            print(&cli::stderr::get_stderr(), b"about to end");
            cli::exit::exit(Err(()));
            String::new()
        }
        "address" => format!("{:?}", fields().has("name")),
        "spin-sleep" => loop {
            clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block();
        },
        "spin-poll" => loop {
            let never = clocks::monotonic_clock::subscribe_instant(u64::MAX);
            let stdin = cli::stdin::get_stdin().subscribe();
            std::hint::black_box(poll::poll(&[&never, &stdin]));
        },
        "wait-for-time" => {
            let (start, mut readings) = (clocks::monotonic_clock::now(), 0u32);
            while clocks::monotonic_clock::now() < start + 10_000_000 {
                readings += 1;
            }
            format!("{readings} readings")
        }
        "huge-random" => format!("{} bytes", random::random::get_random_bytes(u64::MAX).len()),
        "huge-write" => {
            print(&cli::stdout::get_stdout(), &vec![b'x'; 100_000]);
            String::new()
        }
        "huge-zeroes" => format!("{:?}", cli::stdout::get_stdout().write_zeroes(u64::MAX)),
        "hoard" => {
            let all: Vec<_> = (0..1_000_000).map(|_| clocks::monotonic_clock::subscribe_duration(1)).collect();
            format!("{} pollables", all.len())
        }
        "hoard-streams" => {
            let all: Vec<_> = (0..1_000_000).map(|_| cli::stdout::get_stdout()).collect();
            format!("{} streams", all.len())
        }
        "churn" => {
            for _ in 0..20_000 {
                let _ = (cli::stdout::get_stdout(), clocks::monotonic_clock::subscribe_duration(1));
            }
            "20000 came and went".into()
        }
        other => format!("there is no behaviour {other}"),
    }
}

/// What it finds around itself.
fn surroundings() -> String {
    let mut seen = String::new();
    let _ = write!(seen, "; environment {:?}", cli::environment::get_environment());
    let _ = write!(seen, "; arguments {:?}", cli::environment::get_arguments());
    let _ = write!(seen, "; folder {:?}", cli::environment::initial_cwd());
    let _ = write!(seen, "; preopened {:?}", filesystem::preopens::get_directories().len());
    let _ = write!(seen, "; stdin {:?}", cli::stdin::get_stdin().blocking_read(10));
    let terminals = [
        cli::terminal_stdin::get_terminal_stdin().is_some(),
        cli::terminal_stdout::get_terminal_stdout().is_some(),
        cli::terminal_stderr::get_terminal_stderr().is_some(),
    ];
    let _ = write!(seen, "; terminals {terminals:?}");
    seen
}

fn fields() -> http::Fields {
    http::Fields::new()
}

/// What it reaches.
fn network() -> String {
    let mut seen = String::new();
    let family = sockets::network::IpAddressFamily::Ipv4;
    let network = sockets::instance_network::instance_network();
    let _ = write!(seen, "; name {:?}", sockets::ip_name_lookup::resolve_addresses(&network, "example.com").map(drop).map_err(|e| e.name()));
    let _ = write!(seen, "; tcp {:?}", sockets::tcp_create_socket::create_tcp_socket(family).map(drop).map_err(|e| e.name()));
    let _ = write!(seen, "; udp {:?}", sockets::udp_create_socket::create_udp_socket(family).map(drop).map_err(|e| e.name()));
    let request = http::OutgoingRequest::new(fields());
    let _ = write!(seen, "; authority {:?}", request.set_authority(Some("example.com")));
    let _ = write!(seen, "; http {:?}", outgoing_handler::handle(request, None).map(drop));
    seen
}

/// Time, and what sleeping does to it.
fn time() -> String {
    use clocks::{monotonic_clock as monotonic, wall_clock};
    let mut seen = String::new();
    let start = monotonic::now();
    let wall = wall_clock::now();
    let _ = write!(seen, "; start {start} wall {}.{:09}", wall.seconds, wall.nanoseconds);
    monotonic::subscribe_duration(90_000_000_000).block();
    let wall = wall_clock::now();
    let _ = write!(seen, "; after a sleep of 90 s {} wall {}.{:09}", monotonic::now() - start, wall.seconds, wall.nanoseconds);
    let (soon, late) = (monotonic::subscribe_duration(1_000_000_000), monotonic::subscribe_duration(2_000_000_000));
    let _ = write!(seen, "; ready {:?} first {:?}", [soon.ready(), late.ready()], poll::poll(&[&late, &soon]));
    let _ = write!(seen, "; ready {:?} then {:?}", [soon.ready(), late.ready()], poll::poll(&[&late]));
    let past = monotonic::subscribe_instant(0);
    let _ = write!(seen, "; past {:?} {:?}", past.ready(), poll::poll(&[&late, &past, &soon]));
    seen
}

fn numbers() -> String {
    let bytes = random::random::get_random_bytes(11);
    let insecure = random::insecure::get_insecure_random_bytes(3);
    let numbers = (random::random::get_random_u64(), random::insecure::get_insecure_random_u64());
    format!("{bytes:?} {insecure:?} {numbers:?} {:?}", random::insecure_seed::insecure_seed())
}

fn print(stream: &OutputStream, bytes: &[u8]) {
    if let Err(error) = stream.blocking_write_and_flush(bytes) {
        sluicegate_plugin::write_log(sluicegate_plugin::Level::Error, &format!("{error:?}"));
    }
}

fn lines() -> String {
    let (out, err) = (cli::stdout::get_stdout(), cli::stderr::get_stderr());
    print(&out, b"first line\nsecond ");
    print(&err, b"a complaint\r\n");
    print(&out, b"line\nbells \x07 and \xff\n");
    print(&out, format!("long {}\n", "x".repeat(5_000)).as_bytes());
    print(&err, b"not ended");
    let permitted = out.check_write();
    let _ = (out.write(b""), out.flush(), out.subscribe().block());
    format!("{permitted:?} {:?}", out.splice(&cli::stdin::get_stdin(), 10))
}

/// Lines without end, as fast as they go.
fn flood() -> String {
    let out = cli::stdout::get_stdout();
    let text = "\n".repeat(65_536);
    loop {
        let _ = out.write(text.as_bytes());
    }
}

export_plugin!(Wasi);
