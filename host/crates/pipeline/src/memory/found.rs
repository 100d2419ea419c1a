//! How much memory there is: the cgroup's limit, version 1 or 2, and the machine's.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest text that is read of one of these files.
const MOST: u64 = 1 << 20;

/// What there is; `None` where there is no limit, or it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The lowest limit of the process's cgroup and those above it.
    pub cgroup: Option<u64>,
    /// The machine's memory.
    pub machine: Option<u64>,
}

impl Found {
    /// For this process.
    pub fn here() -> Self {
        Self::under(Path::new("/"))
    }

    /// The same with another root of the file system.
    fn under(root: &Path) -> Self {
        let machine = read(&root.join("proc/meminfo")).and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        });
        let limits = groups(root).into_iter().flat_map(|group| group.limits());
        // version 1 writes a number near the largest where there is no limit
        let cgroup = limits.min().filter(|limit| machine.is_none_or(|machine| *limit < machine));
        Self { cgroup, machine }
    }
}

/// A cgroup that the process is in.
struct Group {
    /// Where its hierarchy is mounted.
    mount: PathBuf,
    /// Its folder below that.
    folder: PathBuf,
    /// The file with the limit.
    file: &'static str,
}

impl Group {
    /// Its limit, and those of the cgroups above it as far as they can be seen.
    fn limits(&self) -> Vec<u64> {
        let folders = self.folder.ancestors().map(|folder| self.mount.join(folder));
        folders.filter_map(|folder| read(&folder.join(self.file))?.trim().parse().ok()).collect()
    }
}

/// The cgroups of the process that may limit its memory.
fn groups(root: &Path) -> Vec<Group> {
    let (Some(own), Some(mounts)) = (read(&root.join("proc/self/cgroup")), read(&root.join("proc/self/mountinfo"))) else {
        return Vec::new();
    };
    mounts.lines().filter_map(|line| group(root, line, &own)).collect()
}

/// The group of one line of `mountinfo`, if it is a mount of the memory controller: `36 35 98:0 /root /mount rw … - type source options`.
fn group(root: &Path, line: &str, own: &str) -> Option<Group> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (kind, options) = (kind.next()?, kind.nth(1)?);
    let (file, version_1) = match kind {
        "cgroup2" => ("memory.max", false),
        "cgroup" if options.split(',').any(|option| option == "memory") => ("memory.limit_in_bytes", true),
        _ => return None,
    };
    // `4:memory:/path`, or `0::/path` in version 2
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let wanted = if version_1 { controllers.split(',').any(|c| c == "memory") } else { controllers.is_empty() };
        wanted.then_some(path)
    })?;
    let mut fields = mount.split(' ').skip(3);
    let (mounted, mount) = (fields.next()?, fields.next()?);
    // in a container the mount may begin at the process's own cgroup, under whatever path that has outside
    let folder = Path::new(path).strip_prefix(mounted).unwrap_or(Path::new(""));
    let folder = folder.strip_prefix("/").unwrap_or(folder).to_owned();
    Some(Group { mount: root.join(mount.trim_start_matches('/')), folder, file })
}

/// The text of a small file.
fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: u64 = 16_000_000 * 1024;

    /// What is found where these files are, beside a machine's memory.
    fn found(files: &[(&str, &str)]) -> Found {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [("proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n")].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Found::under(root.path())
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_2_counts_with_the_groups_above() {
        let files = |own, above| {
            [
                ("proc/self/cgroup", "0::/apps/one\n"),
                ("proc/self/mountinfo", V2),
                ("sys/fs/cgroup/apps/one/memory.max", own),
                ("sys/fs/cgroup/apps/memory.max", above),
            ]
        };
        let cgroup = |own, above| found(&files(own, above)).cgroup;
        assert_eq!(cgroup("536870912\n", "max\n"), Some(512 << 20));
        assert_eq!(cgroup("max\n", "268435456\n"), Some(256 << 20));
        assert_eq!(cgroup("536870912\n", "268435456\n"), Some(256 << 20));
        assert_eq!(cgroup("max\n", "max\n"), None);
        assert_eq!(found(&files("max\n", "max\n")).machine, Some(MACHINE));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount() {
        let files = [("proc/self/cgroup", "0::/\n"), ("proc/self/mountinfo", V2), ("sys/fs/cgroup/memory.max", "104857600\n")];
        assert_eq!(found(&files).cgroup, Some(100 << 20));
        // the path outside, where the mount begins at the group
        let mount = "1 0 0:26 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = |path| {
            [("proc/self/cgroup", path), ("proc/self/mountinfo", mount), ("sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n")]
        };
        assert_eq!(found(&files("5:cpu:/x\n4:memory:/docker/ab\n")).cgroup, Some(100 << 20));
        assert_eq!(found(&files("4:memory:/elsewhere\n")).cgroup, Some(100 << 20));
    }

    #[test]
    fn version_1_writes_no_limit_as_a_large_number() {
        let files = |limit| {
            [
                ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/process\n0::/\n"),
                ("proc/self/mountinfo", "1 0 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
                ("sys/fs/cgroup/memory/process/memory.limit_in_bytes", limit),
            ]
        };
        assert_eq!(found(&files("9223372036854771712\n")).cgroup, None);
        assert_eq!(found(&files("1073741824\n")).cgroup, Some(1 << 30));
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        assert_eq!(found(&[]), Found { cgroup: None, machine: Some(MACHINE) });
        assert_eq!(Found::under(Path::new("/nowhere")), Found { cgroup: None, machine: None });
    }
}
