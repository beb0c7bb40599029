use kiln_store::{StoreError, WorkspaceLock};
use std::time::{Duration, Instant};

#[test]
fn a_second_kiln_waits_then_names_the_first() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join(".kiln");
    let first = WorkspaceLock::acquire(&folder, Duration::ZERO).unwrap();
    assert!(WorkspaceLock::try_acquire(&folder).unwrap().is_none());
    let start = Instant::now();
    let error = WorkspaceLock::acquire(&folder, Duration::from_millis(120)).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert!(matches!(error, StoreError::Locked { holder: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    assert!(WorkspaceLock::try_acquire(&folder).unwrap().is_some());
}

#[test]
fn waiting_ends_when_the_first_is_done() {
    let state = tempfile::tempdir().unwrap();
    let first = WorkspaceLock::acquire(state.path(), Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| WorkspaceLock::acquire(state.path(), Duration::from_secs(20)).is_ok());
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert!(second.join().unwrap());
    });
}
