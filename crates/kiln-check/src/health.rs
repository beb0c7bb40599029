//! The health check: a service is started as its image says, and its own test is run in it by the engine.

use crate::CheckError;
use crate::text::without_addresses;
use kiln_collect::Verdict;
use kiln_engine::{Health, HealthTest};
use kiln_guest::{Bases, Loaded, Program, writable};
use kiln_invocation::Event;
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, CheckName, Code, Finding, HealthCheck};
use std::time::Duration;

/// The longest that a service is watched.
const LONGEST_WATCH: Duration = Duration::from_secs(300);
/// How often its test is run here, where it states a longer time: the test is the image's, the waiting is not.
const TEST_EVERY: u32 = 1;
/// What a service may use where the manifest does not say.
const MEMORY: u64 = 2 << 30;

/// Starts the service as its config says and runs its health check in it.
///
/// # Errors
/// If the engine cannot start it.
pub async fn health(
    bases: &Bases,
    plan: &ArtifactPlan,
    loaded: Option<&Loaded>,
) -> Result<Verdict, CheckError> {
    const CHECK: CheckName = CheckName::Health;
    let Some(loaded) = loaded else {
        let architecture = plan.manifest.target.architecture.lambda();
        return Ok(Verdict::of_checks(vec![Check::not_checked(CHECK, format!("no {architecture} engine"))]));
    };
    let runs = &loaded.runs;
    let Some(stated) = &runs.health_check else {
        let reason = "the image states no `health-check`, so nothing was started";
        return Ok(Verdict::of_checks(vec![Check::not_checked(CHECK, reason)]));
    };
    if bases.executor().is_some() {
        let reason = "remote execution watches no service: a container engine checks it";
        return Ok(Verdict::of_checks(vec![Check::not_checked(CHECK, reason)]));
    }
    let argv: Vec<String> = runs.entrypoint.iter().chain(&runs.command).cloned().collect();
    let Some(user) = loaded.user.clone() else {
        let reason = format!(
            "the base's user `{}` is a name; state a numeric `user` under [image]",
            runs.user.as_deref().unwrap_or_default()
        );
        return Ok(Verdict::of_checks(vec![Check::not_checked(CHECK, reason)]));
    };
    let mut env = runs.environment.clone();
    env.extend(plan.manifest.check.env.clone());
    let spec = Program::new(format!("{} health", plan.manifest.name), loaded.id().await?, argv)
        .environment(env)
        .working_dir(runs.working_dir.as_deref().unwrap_or("/"))
        .user(user)
        .scratch(writable(runs)?)
        .memory(plan.manifest.check.memory.map_or(MEMORY, |megabytes| u64::from(megabytes) << 20))
        .processes(1024)
        .output_bytes(80 << 20)
        .deadline(deadline(stated))
        .into_spec();
    let interval = stated.interval.min(TEST_EVERY);
    let test = HealthTest {
        command: stated.command.clone(),
        interval: Duration::from_secs(u64::from(interval)),
        timeout: Duration::from_secs(u64::from(stated.timeout)),
        start_period: Duration::from_secs(u64::from(stated.start_period)),
        // As much time to become healthy as the longer interval would have given.
        retries: stated.retries.saturating_mul(stated.interval.div_ceil(interval.max(1))).clamp(1, 30),
    };
    let subject = plan.manifest.name.to_string();
    let events = bases.run().events().clone();
    let watched = bases
        .engine()
        .await?
        .watch(spec, test, move |line| {
            events.send(Event::Line { subject: subject.clone(), stream: line.stream, text: line.text })
        })
        .await?;
    let check = Check::ran(CHECK, 1, "services");
    let cause = match &watched.health {
        Health::Healthy => return Ok(Verdict::of_checks(vec![check])),
        Health::Unhealthy { exit_code, output } => {
            let said = if output.is_empty() { String::new() } else { format!(": {}", first_lines(output)) };
            format!("its health check `{}` fails with exit code {exit_code}{said}", stated.command.join(" "))
        }
        Health::Ended { exit_code } => format!(
            "the service ended with exit code {exit_code} before its health check `{}` passed",
            stated.command.join(" ")
        ),
        Health::Undecided => format!(
            "its health check `{}` did not pass within {} s",
            stated.command.join(" "),
            deadline(stated).as_secs()
        ),
    };
    let mut finding =
        Finding::new(Code::HealthCheckFailed, plan.manifest.name.as_str(), without_addresses(&cause));
    for line in watched.last.iter().rev().take(12).rev() {
        finding = finding.detail(without_addresses(line));
    }
    finding = finding
        .detail(format!(
            "it was started as {} by user {} without a network but loopback; only {} can be written",
            runs.entrypoint.iter().chain(&runs.command).cloned().collect::<Vec<_>>().join(" "),
            runs.user.as_deref().unwrap_or("root"),
            std::iter::once("/tmp").chain(runs.volumes.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
        ))
        .remedy("see what it wrote; give it what it needs under [image] (`environment`, `volumes`) or [check] (`env`)")
        .remedy("or correct `health-check`");
    Ok(Verdict { findings: vec![finding], checks: vec![check] })
}

fn deadline(stated: &HealthCheck) -> Duration {
    let tests = u64::from(stated.retries) * (u64::from(stated.timeout) + u64::from(stated.interval));
    Duration::from_secs(u64::from(stated.start_period) + tests + 30).min(LONGEST_WATCH)
}

fn first_lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" / ")
}
