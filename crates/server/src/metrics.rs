//! The recorder of all metrics, and those of the process itself.

use std::time::Duration;

use anyhow::Context;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of everything measured in seconds: from a tag's way through a node to a viewer's time-out.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 2.0, 5.0, 10.0, 30.0,
];
/// How often samples are folded into buckets; until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Records from now on.
pub(crate) fn install(role: &'static str) -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()
        .context("cannot record metrics")?;
    describe_gauge!("weir_build_info", "1; the labels say what runs");
    describe_gauge!("weir_uptime_seconds", "Seconds since the start");
    gauge!("weir_build_info", "version" => env!("CARGO_PKG_VERSION"), "role" => role).set(1.0);
    gauge!("weir_uptime_seconds").set(0.0);
    Ok(handle)
}

/// Folds samples for as long as the node lives.
pub(crate) async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
