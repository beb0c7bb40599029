//! Ctrl-C, termination and a closed terminal: the run stops, and what it left in the engine is removed.

use crate::failure::Failure;
use kiln_guest::{EngineSlot, remove_own_images};
use kiln_invocation::InvocationError;
use kiln_record::RunError;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the images of a run that did not end well may take to be removed: nobody who interrupts one waits for more.
const IMAGES_TIME: Duration = Duration::from_secs(10);

/// Runs asynchronous work until it ends or the process is asked to stop. Either way no container is left, and no image that was
/// loaded for this run alone.
pub(crate) fn run<T, E: RunError + 'static>(
    work: impl FnOnce(EngineSlot) -> std::pin::Pin<Box<dyn Future<Output = Result<T, E>>>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected(format!("no threads: {error}")))?;
    let engine = EngineSlot::default();
    let result = runtime.block_on(async {
        let listen = |kind| signal(kind).map_err(|error| Failure::unexpected(format!("no signals: {error}")));
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let result = tokio::select! {
            result = work(engine.clone()) => result.map_err(Failure::from),
            _ = tokio::signal::ctrl_c() => Err(Failure::from(InvocationError::Interrupted)),
            _ = terminate.recv() => Err(Failure::from(InvocationError::Interrupted)),
            _ = hang_up.recv() => Err(Failure::from(InvocationError::Interrupted)),
        };
        if let Some(engine) = engine.get() {
            engine.shutdown().await;
            if result.is_err() {
                let _ = tokio::time::timeout(IMAGES_TIME, remove_own_images(engine)).await;
            }
        }
        result
    });
    // Threads that hash or compress do not hold up the end of an interrupted run.
    runtime.shutdown_background();
    result
}
