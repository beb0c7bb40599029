//! One run of the binary, with the most memory that it had and how long it took.

use crate::WheelFile;
use crate::classes::{Class, Served};
use crate::index::LocalIndex;
use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the kernel is asked for the peak. What a process takes in its last moment, shorter than this, is not seen.
const LOOK: Duration = Duration::from_millis(5);

/// After this the run is ended, and the row says so.
const PATIENCE: Duration = Duration::from_secs(600);

/// A workspace with the repository's bases and one artifact, `app`.
#[derive(Debug)]
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(workspace.folder.path().join("home")).expect("a home folder");
        workspace.write("kiln.toml", "format = \"1\"\n");
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a repository").join("images");
        for folder in ["", "keys"] {
            for entry in fs::read_dir(images.join(folder)).expect("bases") {
                let path = entry.expect("a file").path();
                if path.is_file() {
                    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                    let content = fs::read(&path).expect("a file of a base");
                    workspace.write(&format!("images/{folder}/{name}"), content);
                }
            }
        }
        workspace
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file is written");
    }

    /// A function that does nothing; `more` ends its manifest.
    pub(crate) fn function(&self, more: &str) {
        let manifest = format!(
            "kind = \"lambda-zip\"\nbase = \"python-3.13\"\nhandler = \"app.handler\"\n\n[target]\nruntime = \
             \"python3.13\"\narchitecture = \"x86_64\"\n\n[source]\npath = \"app/src\"\n{more}"
        );
        self.write("manifests/app.toml", manifest);
        self.write("manifests/app/src/app.py", "def handler(event, context):\n    return None\n");
    }

    /// A function that installs one wheel, which is served as long as what is returned lives.
    pub(crate) fn installs(&self, wheel: WheelFile) -> Served {
        self.locked(&wheel.requirement(""));
        let index = LocalIndex::serve(&[wheel]);
        self.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
        Served::Index(index)
    }

    /// A function with hashed requirements.
    pub(crate) fn locked(&self, requirements: &str) {
        self.function("\n[python]\nlock = \"app/requirements.txt\"\n");
        self.write("manifests/app/requirements.txt", requirements);
    }

    /// Runs the binary for a class and gives its row of the table.
    pub(crate) fn measured(&self, class: &Class, served: &Served) -> String {
        if class.after_a_build {
            let built = self.command(&["build", "--all"]).stderr(Stdio::null()).status();
            assert!(built.expect("the binary starts").success(), "the workspace builds");
            (class.then)(&self.root());
        }
        let errors = self.folder.path().join("stderr");
        let file = fs::File::create(&errors).expect("a file").into_parts().0;
        let started = Instant::now();
        let address = match served {
            Served::At(address) => address.to_string(),
            _ => String::new(),
        };
        let arguments: Vec<String> =
            class.arguments.iter().map(|word| word.replace("{address}", &address)).collect();
        let mut child = self.command(&arguments).stderr(file).spawn().expect("the binary starts");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let times = PathBuf::from(format!("/proc/{}/stat", child.id()));
        let (mut peak, mut busy) = (0, 0.0);
        let ended = loop {
            if let Some(ended) = child.try_wait().expect("the binary is waited for") {
                break Some(ended);
            }
            peak = peak.max(high_water(&status).unwrap_or(0));
            busy = processor_time(&times).unwrap_or(busy);
            if started.elapsed() > PATIENCE {
                child.kill().expect("the binary is ended");
                child.wait().expect("the binary is waited for");
                break None;
            }
            std::thread::sleep(LOOK);
        };
        let took = started.elapsed();
        let code = ended.map_or("none within ten minutes".to_owned(), |status| {
            status.code().map_or_else(|| status.to_string(), |code| code.to_string())
        });
        let said = fs::read(&errors).expect("what was said");
        format!(
            "| {} | {} MiB | {busy:.1} s | {:.1} s | {code} | {} |",
            class.what,
            peak.div_ceil(1024),
            took.as_secs_f64(),
            first_words(&String::from_utf8_lossy(&said))
        )
    }

    fn command(&self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln-under-test"));
        command
            .env("HOME", self.folder.path().join("home"))
            .env("KILN_STORE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("store"))
            .current_dir(self.root())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// The most memory that a process has had resident, in KiB; none once it has ended.
fn high_water(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The processor time that a process took, with that of the children that it waited for, in seconds; none once it has ended.
fn processor_time(stat: &Path) -> Option<f64> {
    let text = fs::read_to_string(stat).ok()?;
    // The second field is a name in parentheses, in which there may be anything. Linux tells hundredths.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<f64>().ok()).sum::<Option<f64>>()?;
    Some(ticks / 100.0)
}

/// The line that tells what was wrong, cut, as a cell of a table.
fn first_words(said: &str) -> String {
    let telling = |line: &&str| {
        let line = line.trim_start();
        ["error", "deny", "×", "✗"].iter().any(|word| line.starts_with(word))
    };
    let line = said.lines().find(telling).or_else(|| said.lines().next_back()).unwrap_or_default();
    let cut: String = line.trim().chars().take(110).collect();
    cut.replace('|', "\\|")
}
