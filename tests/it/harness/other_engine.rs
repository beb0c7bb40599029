//! A second engine on this machine: a `dockerd` with its own folders, its own containerd and the storage
//! driver asked for.

use super::engine::engine_at;
use super::{block_on, machines_mirror, needs};
use fs_err as fs;
use kiln_engine::{Engine, EngineError, EngineInfo};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Longer than it takes to start or to end on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The release of Debian whose engine is the newer one: Docker 26.
const NEWER: &str = "trixie";

/// Makes another root the only one, and starts a program in it. A daemon that is only in a changed root starts what is
/// executed in a container in the first.
const IN_ROOT: &str = "set -e; root=$1; folder=$2; shift 2; ip link set lo up; mount --make-rprivate /; mount --bind \
    \"$root\" \"$root\"; for part in proc sys dev; do mount --rbind /$part \"$root/$part\"; done; for part in run tmp; do \
    mount -t tmpfs tmpfs \"$root/$part\"; done; mkdir -p \"$root/run/old\" \"$root$folder\"; mount --bind \"$folder\" \
    \"$root$folder\"; cd \"$root\"; pivot_root . run/old; umount -l /run/old; exec \"$@\"";

/// The engine. It ends when it is dropped, or with the thread that started it; its images are gone then.
///
/// It has namespaces of its own, as a daemon without a bridge removes the one that another daemon works with.
/// So it reaches nothing but what it is [given](Self::give), and what it mounted is gone with it.
#[derive(Debug)]
pub(crate) struct OtherEngine {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl OtherEngine {
    /// Starts one with a storage driver such as `vfs` or `overlay2`, or says why this machine does not let
    /// it: it takes root, `dockerd`, `ip` and a kernel with the driver.
    pub(crate) fn start(storage_driver: &str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start one".to_owned());
        }
        let folder = tempfile::Builder::new().prefix("engine").tempdir().unwrap();
        // Otherwise it would read the settings of the engine that is there already.
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap().into_file();
        let below = |name: &str| folder.path().join(name).display().to_string();
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--net", "--mount"])
            .args([
                "sh",
                "-c",
                "ip link set lo up && exec \"$@\"",
                "sh",
                "dockerd",
                "--bridge=none",
                "--iptables=false",
            ])
            .args(["--config-file", &below("daemon.json"), "--storage-driver", storage_driver])
            .args(["--data-root", &below("data"), "--exec-root", &below("exec"), "--pidfile", &below("pid")])
            .args(["--host", &format!("unix://{}", below("socket"))])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut engine = Self { daemon, folder };
        engine.wait_until_it_answers()?;
        assert_eq!(engine.info().storage_driver, storage_driver);
        Ok(engine)
    }

    /// Starts a newer one, of Debian's next release, which is kept beside the tests. Its storage is a driver, or `containerd`
    /// for the image store of that name.
    pub(crate) fn start_newer(storage: &str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start one".to_owned());
        }
        let root = newer_root()?;
        let folder = tempfile::Builder::new().prefix("engine").tempdir_in("/tmp").unwrap();
        let below = |name: &str| folder.path().join(name).display().to_string();
        let settings = match storage {
            "containerd" => "{\"features\": {\"containerd-snapshotter\": true}}".to_owned(),
            driver => format!("{{\"storage-driver\": \"{driver}\"}}"),
        };
        fs::write(folder.path().join("daemon.json"), settings).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap().into_file();
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--net", "--mount", "sh", "-c", IN_ROOT, "sh"])
            .arg(&root)
            .arg(folder.path())
            .args(["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--config-file", &below("daemon.json")])
            .args(["--data-root", &below("data"), "--exec-root", &below("exec"), "--pidfile", &below("pid")])
            .args(["--host", &format!("unix://{}", below("socket"))])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut engine = Self { daemon, folder };
        engine.wait_until_it_answers()?;
        assert!(!engine.info().version.starts_with("20."), "{:?}", engine.info());
        assert_eq!(engine.info().containerd_store, storage == "containerd");
        Ok(engine)
    }

    /// Starts a service of Podman, which no other knows of.
    pub(crate) fn start_podman() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start one".to_owned());
        }
        needs(&[("podman", "podman"), ("catatonit", "catatonit"), ("runc", "runc")]);
        let folder = tempfile::Builder::new().prefix("engine").tempdir_in("/tmp").unwrap();
        let below = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            "[engine]\ncgroup_manager = \"cgroupfs\"\nexit_command_delay = 1\nevents_logger = \
             \"file\"\ninit_path = \"/usr/bin/catatonit\"\nlock_type = \"file\"\nruntime = \"runc\"\ntmp_dir = \"{}\"\n",
            below("tmp")
        );
        fs::write(folder.path().join("containers.conf"), settings).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap().into_file();
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--net", "--mount"])
            .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "podman"])
            .args(["--root", &below("root"), "--runroot", &below("runroot"), "--storage-driver", "vfs"])
            .args(["system", "service", "--time", "0", &format!("unix://{}", below("socket"))])
            .env("CONTAINERS_CONF", below("containers.conf"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut engine = Self { daemon, folder };
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// Gives it an image that the engine of all tests has.
    pub(crate) fn give_image(&self, reference: &str) {
        block_on(async {
            let mut archive = Vec::new();
            let save = super::engine("give").await;
            save.export(reference, |chunk| {
                archive.extend_from_slice(chunk);
                Ok(())
            })
            .await
            .unwrap();
            self.connect().await.unwrap().load(std::io::Cursor::new(archive)).await.unwrap();
        });
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while block_on(self.connect()).is_err() {
            if self.has_ended() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
                return Err(log.trim_end().lines().last().unwrap_or("it said nothing").to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What `DOCKER_HOST` is for it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// A new folder that the engine sees at the same path.
    pub(crate) fn shared_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// What it says of itself.
    pub(crate) fn info(&self) -> EngineInfo {
        block_on(async { self.connect().await.unwrap().info().await.unwrap() })
    }

    /// Whether it has an image.
    pub(crate) fn has_image(&self, reference: &str) -> bool {
        block_on(async { self.connect().await.unwrap().image(reference).await.unwrap().is_some() })
    }

    /// Gives it a server on this host's loopback, under the same address on its own, until the tests end.
    pub(crate) fn give(&self, address: SocketAddr) {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.daemon.id())).unwrap();
        let listener = std::thread::spawn(move || {
            // This thread's alone. What it opens stays where it was opened.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            TcpListener::bind(address).unwrap()
        });
        let listener = listener.join().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(from), Ok(to)) = (stream, TcpStream::connect(address)) else { continue };
                pass_on(from.try_clone().unwrap(), to.try_clone().unwrap());
                pass_on(to, from);
            }
        });
    }

    async fn connect(&self) -> Result<Engine, EngineError> {
        engine_at(self.host(), "other-engine").await
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.daemon.try_wait(), Ok(None))
    }
}

/// The root file system of the newer engine, made once from the machine's mirror.
fn newer_root() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newer-engine");
    fs::create_dir_all(&folder).unwrap();
    let making = fs::File::create(folder.join("making")).unwrap().into_file();
    making.lock().unwrap();
    let (root, made) = (folder.join(NEWER), folder.join("made"));
    if made.exists() {
        return Ok(root);
    }
    needs(&[("debootstrap", "debootstrap")]);
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", "--include=docker.io,ca-certificates,iptables,iproute2", NEWER])
        .arg(&root)
        .arg(machines_mirror())
        .output()
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(format!("debootstrap: {}", said.trim_end().lines().last().unwrap_or("it said nothing")));
    }
    fs::write(made, "").unwrap();
    Ok(root)
}

/// Copies all that comes from one side to the other.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // A side that goes away early is that side's business.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

impl Drop for OtherEngine {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let start = Instant::now();
        while !self.has_ended() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        // If it has ended, this does nothing. Its containerd ends with it in any case.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
