//! Folders that several tests share. Nothing of a test runs after the last one, so that the next run removes them.

use fs_err as fs;
use std::path::Path;

/// Keeps a folder as long as this process lasts, and removes those of processes that are gone.
pub(crate) fn keep(folder: &Path) {
    let notes = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept");
    fs::create_dir_all(&notes).unwrap();
    for note in fs::read_dir(&notes).unwrap() {
        let note = note.unwrap();
        let process = note.file_name().to_string_lossy().split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(process).exists() {
            // Another process may remove it as well.
            let _ = fs::remove_dir_all(fs::read_to_string(note.path()).unwrap_or_default());
            let _ = fs::remove_file(note.path());
        }
    }
    let name = folder.file_name().unwrap().to_string_lossy();
    fs::write(notes.join(format!("{}-{name}", std::process::id())), folder.to_str().unwrap()).unwrap();
}
