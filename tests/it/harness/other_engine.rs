//! A second engine on this machine: Docker or Podman with folders of its own, the machine's or one of a release of Debian,
//! started by root or by a user who is nobody special.

use super::engine::engine_at;
use super::{block_on, machines_mirror, needs};
use fs_err as fs;
use kiln_engine::{Engine, EngineError, EngineInfo};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than it takes to start or to end on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The release of Debian with Docker 20.10 and Podman 4.3.
pub(crate) const OLDER: &str = "bookworm";
/// The one with Docker 26.1 and Podman 5.4.
pub(crate) const NEWER: &str = "trixie";
/// The one that has the newest of both, whatever these are.
pub(crate) const NEWEST: &str = "sid";

/// What an engine is made of, beside what a package needs in any case.
const PACKAGES: &str = "docker.io,podman,netavark,catatonit,runc,uidmap,rootlesskit,slirp4netns,ca-certificates,iptables,iproute2,util-linux";
/// The user of engines without root, whose identifiers begin at the second number.
const USER: u32 = 1000;
const IDENTIFIERS: &str = "kiln:100000:65536\n";

/// What comes before a program that is started in namespaces of its own.
const HERE: &str = "ip link set lo up && exec \"$@\"";
/// Makes another root the only one, with a device for networks of users, and starts a program in it. A daemon that is only in a
/// changed root starts what is executed in a container in the first.
const IN_ROOT: &str = "set -e; root=$1; folder=$2; shift 2; ip link set lo up; mount --make-rprivate /; mount --bind \
    \"$root\" \"$root\"; for part in proc sys dev; do mount --rbind /$part \"$root/$part\"; done; for part in run tmp; do \
    mount -t tmpfs tmpfs \"$root/$part\"; done; mount -t tmpfs tmpfs \"$root/dev/net\"; mknod -m 666 \
    \"$root/dev/net/tun\" c 10 200; mkdir -p \"$root/run/old\" \"$root$folder\"; mount --bind \"$folder\" \
    \"$root$folder\"; cd \"$root\"; pivot_root . run/old; umount -l /run/old; exec \"$@\"";

/// The engine. It ends when it is dropped, or with the thread that started it; its images are gone then.
///
/// It has namespaces of its own, as a daemon without a bridge removes the one that another daemon works with.
/// So it reaches nothing but what it is [given](Self::give), and what it mounted is gone with it.
#[derive(Debug)]
pub(crate) struct OtherEngine {
    daemon: Child,
    folder: TempDir,
    rootless: bool,
}

impl OtherEngine {
    /// Starts the machine's Docker once more, with a storage driver such as `vfs` or `overlay2`, or says why this machine
    /// does not let it: it takes root, `dockerd`, `ip` and a kernel with the driver.
    pub(crate) fn start(storage: &str) -> Result<Self, String> {
        let folder = folder()?;
        let program = dockerd(folder.path(), storage);
        let engine = Self::spawn(folder, None, false, &program)?;
        assert_eq!(engine.info().storage_driver, storage);
        Ok(engine)
    }

    /// Starts the Docker of a release of Debian. Its storage is a driver, or `containerd` for the image store of that name.
    pub(crate) fn start_docker(release: &str, storage: &str) -> Result<Self, String> {
        let folder = folder()?;
        let program = dockerd(folder.path(), storage);
        let engine = Self::spawn(folder, Some(release), false, &program)?;
        assert_eq!(engine.info().containerd_store, storage == "containerd");
        Ok(engine)
    }

    /// The same without root. Without a network of its own, Docker 26 to 28 fails when it is asked for its version.
    pub(crate) fn start_rootless_docker(release: &str) -> Result<Self, String> {
        let folder = folder()?;
        let state = folder.path().join("rootlesskit").display().to_string();
        let kit =
            ["rootlesskit", "--state-dir", &state, "--net=slirp4netns", "--copy-up=/etc", "--copy-up=/run"];
        let mut program: Vec<String> = kit.map(str::to_owned).to_vec();
        program.extend(dockerd(folder.path(), "vfs"));
        program.push("--rootless".to_owned());
        Self::spawn(folder, Some(release), true, &program)
    }

    /// Starts a service of the Podman of a release of Debian, which no other knows of.
    pub(crate) fn start_podman(release: &str) -> Result<Self, String> {
        let folder = folder()?;
        let program = podman(folder.path());
        Self::spawn(folder, Some(release), false, &program)
    }

    /// The same without root.
    pub(crate) fn start_rootless_podman(release: &str) -> Result<Self, String> {
        let folder = folder()?;
        let program = podman(folder.path());
        Self::spawn(folder, Some(release), true, &program)
    }

    /// Starts a program in namespaces of its own, and waits until it answers at the socket of the folder.
    fn spawn(
        folder: TempDir,
        release: Option<&str>,
        rootless: bool,
        program: &[String],
    ) -> Result<Self, String> {
        let below = |name: &str| folder.path().join(name);
        let log = fs::File::create(below("log")).unwrap().into_file();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "unshare", "--net", "--mount", "sh", "-c"]);
        match release {
            None => command.args([HERE, "sh"]),
            Some(release) => command.args([IN_ROOT, "sh"]).arg(root_of(release)?).arg(folder.path()),
        };
        if rootless {
            for name in ["home", "runtime"] {
                fs::create_dir(below(name)).unwrap();
            }
            let id = format!("{USER}");
            super::runs("chown", &["-R", &format!("{id}:{id}"), &folder.path().display().to_string()]);
            command
                .args(["setpriv", "--pdeathsig", "TERM", "--init-groups", "--inh-caps=-all"])
                .args(["--reuid", &id, "--regid", &id])
                .env("HOME", below("home"))
                .env("XDG_RUNTIME_DIR", below("runtime"));
        }
        let daemon = command
            .args(program)
            .env("CONTAINERS_CONF", below("containers.conf"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut engine = Self { daemon, folder, rootless };
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

    /// Whether its user is not root.
    pub(crate) fn is_rootless(&self) -> bool {
        self.rootless
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

/// An engine's own folder, in which everything of it is.
fn folder() -> Result<TempDir, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can start one".to_owned());
    }
    Ok(tempfile::Builder::new().prefix("engine").tempdir_in("/tmp").unwrap())
}

/// The command of a Docker that has a folder.
fn dockerd(folder: &Path, storage: &str) -> Vec<String> {
    let below = |name: &str| folder.join(name).display().to_string();
    let settings = match storage {
        "containerd" => "{\"features\": {\"containerd-snapshotter\": true}}".to_owned(),
        driver => format!("{{\"storage-driver\": \"{driver}\"}}"),
    };
    // Without one it would read the settings of an engine that is there already.
    fs::write(below("daemon.json"), settings).unwrap();
    let mut command =
        ["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"].map(str::to_owned).to_vec();
    let places =
        [("config-file", "daemon.json"), ("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid")];
    command.extend(places.map(|(option, name)| format!("--{option}={}", below(name))));
    command.push(format!("--host=unix://{}", below("socket")));
    command
}

/// The command of a Podman that has a folder.
fn podman(folder: &Path) -> Vec<String> {
    let below = |name: &str| folder.join(name).display().to_string();
    let settings = "[engine]\ncgroup_manager = \"cgroupfs\"\nexit_command_delay = 1\nevents_logger = \
         \"file\"\ninit_path = \"/usr/bin/catatonit\"\nlock_type = \"file\"\nruntime = \"runc\"\n";
    fs::write(below("containers.conf"), format!("{settings}tmp_dir = \"{}\"\n", below("tmp"))).unwrap();
    let socket = format!("unix://{}", below("socket"));
    ["podman", "--root", &below("root"), "--runroot", &below("runroot"), "--storage-driver", "vfs"]
        .into_iter()
        .chain(["system", "service", "--time", "0", &socket])
        .map(str::to_owned)
        .collect()
}

/// The root file system of the engines of a release, made once from the machine's mirror.
fn root_of(release: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-engines");
    fs::create_dir_all(&folder).unwrap();
    let making = fs::File::create(folder.join(format!("{release}.making"))).unwrap().into_file();
    making.lock().unwrap();
    let (root, made) = (folder.join(release), folder.join(format!("{release}.made")));
    if made.exists() {
        return Ok(root);
    }
    needs(&[("debootstrap", "debootstrap")]);
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), release])
        .arg(&root)
        .arg(machines_mirror())
        .output()
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(format!("debootstrap: {}", said.trim_end().lines().last().unwrap_or("it said nothing")));
    }
    let user = ["chroot", &root.display().to_string(), "useradd", "--uid", &USER.to_string(), "kiln"];
    super::runs(user[0], &user[1..]);
    for file in ["etc/subuid", "etc/subgid"] {
        fs::write(root.join(file), IDENTIFIERS).unwrap();
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

/// A network that processes are in. While this is held, no other gets its number.
struct Network(fs::File);

impl Network {
    /// The one that a process is in, if it is still there.
    fn of(process: &Path) -> Option<Self> {
        fs::File::open(process.join("ns/net")).ok().map(Self)
    }

    /// The number that the kernel knows it by.
    fn number(&self) -> u64 {
        self.0.metadata().unwrap().ino()
    }
}

/// Ends what is left in a network: Podman without root leaves the process that holds its namespaces, and its service beside.
fn clear(network: &Network) {
    for process in fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        let number = process.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        if let Some(number) = number
            && Network::of(&process).is_some_and(|other| other.number() == network.number())
        {
            let _ = kill_process(number, Signal::KILL);
        }
    }
}

impl Drop for OtherEngine {
    fn drop(&mut self) {
        let network = Network::of(&PathBuf::from(format!("/proc/{}", self.daemon.id())));
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let start = Instant::now();
        while !self.has_ended() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        // If it has ended, this does nothing. Its containerd ends with it in any case.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // Never that of the tests, in which it is until it has one of its own.
        let own = Network::of(Path::new("/proc/self")).unwrap().number();
        if let Some(network) = network.filter(|network| network.number() != own) {
            clear(&network);
        }
    }
}
