//! Processes must not outlive the test that started them, also when the test runner kills it. A small shell in a process
//! group of its own waits for that: it reads a pipe that only the test holds, and the kernel closes it with the test.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Ends something when this process is gone. Dropped, it lets go.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Kills the process when we are gone. Drop this before or right after reaping it, so that the number is not reused.
    pub(crate) fn over_process(pid: u32) -> Self {
        Self::spawn(Command::new("bash").args(["-c", r#"read -r _ || kill -9 "$1""#, "watchdog", &pid.to_string()]))
    }

    /// Kills the server in `folder` and removes the folder when we are gone.
    pub(crate) fn over_server(script: &Path, folder: &Path) -> Self {
        let text = r#"read -r _ || { "$1" kill "$2"; rm -rf "$2"; }"#;
        Self::spawn(Command::new("bash").args(["-c", text, "watchdog"]).args([script, folder]))
    }

    fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
        Self(child.expect("bash can be started"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // it may be gone already, killed from outside: then there is nothing to tell
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.0.wait();
    }
}

/// Kills the server in `folder/server` and removes `folder` when the process `owner` is gone. Runs on its own.
pub(crate) fn until_owner_ends(owner: u32, script: &Path, folder: &Path) {
    let text = r#"while kill -0 "$1"; do sleep 1; done; "$2" kill "$3/server"; rm -rf "$3"; rmdir "$(dirname "$3")""#;
    let status = Command::new("setsid")
        .args(["--fork", "bash", "-c", text, "watchdog", &owner.to_string()])
        .args([script, folder])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("setsid can be started");
    assert!(status.success(), "setsid --fork failed: {status}");
}
