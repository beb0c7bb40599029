//! An image laid out as AWS lays out its images for Lambda's Python: a real interpreter in `/var/lang`, the SDK among its
//! distributions, a runtime client behind `/lambda-entrypoint.sh`, rpm's database. None of AWS's own bytes are in it.

use super::{Registry, assembled};
use fs_err as fs;
use kiln_record::Digest;
use std::path::{Path, PathBuf};

/// The repository of AWS's images below whatever stands for their registry.
pub(crate) const AWS_PYTHON: &str = "lambda/python";

const RELEASE: &str = "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nVERSION_ID=\"2023\"\nPRETTY_NAME=\"Amazon Linux 2023\"\n";
/// rpm's own file: three packages, one of them with an epoch.
const RPM: &[u8] = include_bytes!("../../../crates/kiln-image/src/rpm/testdata/rpmdb.sqlite.gz");
const ENTRYPOINT: &str =
    "#!/var/lang/bin/python3.12\nimport runpy\nrunpy.run_path('/var/runtime/bootstrap.py')\n";
/// Speaks the Runtime API.
const CLIENT: &str = r#"import importlib, json, os, sys, urllib.request

api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
module, name = sys.argv[-1].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
while True:
    with urllib.request.urlopen(api + "next") as event:
        identity = event.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = json.dumps(handler(json.load(event), None)).encode()
    urllib.request.urlopen(urllib.request.Request(api + identity + "/response", answer)).read()
"#;
/// Folders of a Python's library that no function needs.
const LEFT_OUT: [&str; 8] =
    ["__pycache__", "config-3.12", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"];

/// A Python 3.12 of this machine that can be moved to another folder, or why there is none.
pub(crate) fn python_312() -> Result<PathBuf, String> {
    let home = std::env::vars().find(|(name, _)| name == "HOME").map(|(_, home)| home);
    let versions = PathBuf::from(home.unwrap_or_default()).join(".pyenv/versions");
    let found = fs::read_dir(&versions).map_err(|error| error.to_string())?;
    let mut found: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.retain(|folder| folder.join("lib/libpython3.12.so.1.0").is_file());
    found.pop().ok_or_else(|| format!("{} has no Python 3.12 with a shared library", versions.display()))
}

/// Pushes the image for this Python as AWS's `python:3.12`, and returns its digest.
pub(crate) fn push_aws_python(registry: &Registry, python: &Path) -> Digest {
    let packages = [
        "base-files",
        "base-passwd",
        "busybox-static",
        "ca-certificates",
        "libbz2-1.0",
        "libc-bin",
        "libffi8",
        "liblzma5",
        "libsqlite3-0",
        "libssl3",
        "libuuid1",
        "zlib1g",
    ];
    let exclude = ["awk", "debconf", "libdebconfclient0", "libselinux1", "openssl"];
    let base = assembled("aws-like", &packages, &exclude, "/bin/busybox");
    let mut database = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(RPM), &mut database).unwrap();
    let recipe = format!(
        "FROM {base}\nADD lang.tar /\nCOPY os-release /usr/lib/os-release\nCOPY rpmdb.sqlite /var/lib/rpm/rpmdb.sqlite\n\
         COPY bootstrap.py /var/runtime/bootstrap.py\nCOPY lambda-entrypoint.sh /lambda-entrypoint.sh\n\
         RUN [\"/bin/busybox\", \"rm\", \"-rf\", \"/var/lib/dpkg\"]\n\
         ENV LANG=en_US.UTF-8 TZ=:/etc/localtime PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin \
         LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib \
         LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime\n\
         WORKDIR /var/task\nENTRYPOINT [\"/lambda-entrypoint.sh\"]\n"
    );
    let lang = lang(python);
    registry.push_recipe(
        AWS_PYTHON,
        "3.12",
        &recipe,
        &[
            ("lang.tar", 0o644, &lang),
            ("os-release", 0o644, RELEASE.as_bytes()),
            ("rpmdb.sqlite", 0o644, &database),
            ("bootstrap.py", 0o644, CLIENT.as_bytes()),
            ("lambda-entrypoint.sh", 0o755, ENTRYPOINT.as_bytes()),
        ],
    )
}

/// `/var/lang` as a tar.
fn lang(python: &Path) -> Vec<u8> {
    let mut files: Vec<(String, u32, Vec<u8>)> = Vec::new();
    let mut add = |path: &str, mode: u32| {
        files.push((format!("var/lang/{path}"), mode, fs::read(python.join(path)).unwrap()));
    };
    add("bin/python3.12", 0o755);
    add("lib/libpython3.12.so.1.0", 0o755);
    let mut pending = vec!["lib/python3.12".to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(python.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)) {
                continue;
            }
            match entry.path().is_dir() {
                true => pending.push(format!("{folder}/{name}")),
                false => add(&format!("{folder}/{name}"), 0o644),
            }
        }
    }
    let site = "var/lang/lib/python3.12/site-packages";
    for (name, version) in [("boto3", "1.40.4"), ("botocore", "1.40.4")] {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        files.push((
            format!("{site}/{name}/__init__.py"),
            0o644,
            format!("__version__ = {version:?}\n").into(),
        ));
        files.push((format!("{site}/{name}-{version}.dist-info/METADATA"), 0o644, metadata.into()));
    }
    let files: Vec<(&str, u32, &[u8])> =
        files.iter().map(|(path, mode, content)| (path.as_str(), *mode, content.as_slice())).collect();
    kiln_engine::contract::tar_of(&files)
}
