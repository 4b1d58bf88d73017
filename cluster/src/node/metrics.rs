//! What a node counts, and what the kernel counts of it.

use testkit::wait::until;

use super::Node;

impl Node {
    /// The value of a metric, by its name and labels as they are printed; 0 if it is not there.
    ///
    /// # Panics
    /// When there are no metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        value(&self.get("/metrics").await.body, name)
    }

    /// The sum of a metric over its labels; `None` when the node does not answer.
    pub async fn try_sum(&self, name: &str) -> Option<f64> {
        Some(sum(&self.try_get("/metrics").await?.body, name))
    }

    /// The sum of a metric over its labels: `weir_subscribers`.
    ///
    /// # Panics
    /// When there are no metrics.
    pub async fn sum(&self, name: &str) -> f64 {
        sum(&self.get("/metrics").await.body, name)
    }

    /// Waits until a metric has a value.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let what = format!("{name} = {value}");
        until(&what, async || {
            (self.metric(name).await == value).then_some(())
        })
        .await;
    }

    /// Its memory in KiB, as the kernel counts it.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident(&self) -> u64 {
        self.try_resident().expect("the node runs")
    }

    /// The same; `None` when it has ended.
    pub fn try_resident(&self) -> Option<u64> {
        let status = format!("/proc/{}/status", self.service.pid()?);
        let status = std::fs::read_to_string(status).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// How many files and sockets it has open.
    ///
    /// # Panics
    /// When it has ended.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        files.expect("the node runs").count()
    }
}

/// The value of a metric in the text that Prometheus reads; 0 if it is not there.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

/// The sum of a metric over its labels, in the text that Prometheus reads.
pub fn sum(metrics: &str, name: &str) -> f64 {
    let of_this = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' '])
            .then(|| rest.rsplit(' ').next())?
    });
    let values = of_this.filter_map(|value| value.parse::<f64>().ok());
    // The sum of no numbers at all would be -0.
    values.fold(0.0, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE weir_streams gauge\n\
        weir_streams{state=\"live\"} 2\n\
        weir_streams{state=\"waiting\"} 1\n\
        weir_streams_total 70\n\
        weir_draining 0\n";

    #[test]
    fn a_metric_is_found_by_its_labels_and_summed_without() {
        assert_eq!(value(TEXT, "weir_streams{state=\"live\"}"), 2.0);
        assert_eq!(value(TEXT, "weir_claims"), 0.0);
        assert_eq!(sum(TEXT, "weir_streams"), 3.0);
        assert_eq!(sum(TEXT, "weir_draining"), 0.0);
        assert!(sum(TEXT, "weir_claims").is_sign_positive());
    }
}
