//! A second engine on this machine: a `dockerd` with its own folders, its own containerd and the storage
//! driver asked for.

use super::block_on;
use super::engine::engine_at;
use fs_err as fs;
use kiln_engine::{Engine, EngineError, EngineInfo};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Longer than it takes to start or to end on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

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
