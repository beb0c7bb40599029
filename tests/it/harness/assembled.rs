//! Images that are put together from Debian packages, for what a test needs in the engine.

use super::{Kiln, Sandbox, block_on, engine, repository};
use kiln_image::debian::{LockedPackage, RootFs, RootFsRules};
use kiln_image::{Image, ImageSpec, write_archive};
use kiln_record::{Architecture, Digest, Epoch, Platform, exit};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Mutex;

/// A base definition for packages of bookworm; `command` stands where bases have their Python.
pub(crate) fn debian_base(packages: &[&str], exclude: &[&str], command: &str) -> String {
    format!(
        "kind = \"debian\"\nplatforms = [\"linux/amd64\"]\n\n[debian]\nsuite = \"bookworm\"\ncomponents = [\"main\"]\n\
         packages = {packages:?}\nexclude = {exclude:?}\nkeyring = \"keys/debian-archive-keyring.gpg\"\n\n[image]\npython = \
         {command:?}\n"
    )
}

/// A name in the engine for an image of these packages, made on the first call.
///
/// The binary resolves and downloads; the image is then assembled once more here, and must be the one that the lock
/// names.
pub(crate) fn assembled(name: &str, packages: &[&str], exclude: &[&str], command: &str) -> String {
    static MADE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(tag) = made.get(name) {
        return tag.clone();
    }
    let sandbox = Sandbox::bare();
    let keyring = "images/keys/debian-archive-keyring.gpg";
    sandbox.write(keyring, fs_err::read(repository().join(keyring)).unwrap());
    sandbox.write(&format!("images/{name}.toml"), debian_base(packages, exclude, command));
    sandbox.kiln().run(["lock", "--base", name]).ends_with(exit::SUCCESS);
    let lock: toml::Table =
        String::from_utf8(sandbox.read(&format!("images/{name}.lock"))).unwrap().parse().unwrap();
    let lock = lock["platform"]["linux/amd64"].as_table().unwrap();

    let store = Store::open(&Kiln::shared_store()).unwrap();
    let mut root = RootFs::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        let package = LockedPackage {
            name: text("name"),
            version: text("version"),
            architecture: text("architecture"),
            size: package["size"].as_integer().unwrap().try_into().unwrap(),
            digest: text("digest").parse().unwrap(),
        };
        root.add_deb(&package, store.open_blob(&package.digest).unwrap()).unwrap();
    }
    let epoch = Epoch::from_seconds(0).unwrap();
    let mut layer = Vec::new();
    let rules = RootFsRules { epoch, architecture: Architecture::Amd64 };
    let described = root.finish(&rules).unwrap().write_layer(&mut layer).unwrap();
    let spec = ImageSpec {
        platform: Platform { architecture: Architecture::Amd64 },
        env: Vec::new(),
        user: None,
        working_dir: None,
        entrypoint: Vec::new(),
        command: vec![command.to_owned()],
        labels: BTreeMap::new(),
        created: epoch,
    };
    let image = Image::assemble(&spec, vec![described]).unwrap();
    let locked: Digest = lock["manifest"].as_str().unwrap().parse().unwrap();
    assert_eq!(image.manifest_digest, locked, "the image of {name} is the one that its lock names");

    let tag = format!("localhost/kiln-tests/{name}:{}", &locked.hex()[..12]);
    block_on(async {
        let engine = engine("assembled").await;
        if engine.image(&tag).await.unwrap().is_none() {
            let mut archive = Vec::new();
            write_archive(&mut archive, &image, Some(&tag), |_| Ok(Box::new(Cursor::new(layer.clone()))))
                .unwrap();
            engine.load(Cursor::new(archive)).await.unwrap();
        }
    });
    made.insert(name.to_owned(), tag.clone());
    tag
}

/// An image with busybox at `/bin/busybox`.
pub(crate) fn busybox() -> String {
    assembled("busybox", &["busybox-static"], &[], "/bin/busybox")
}
