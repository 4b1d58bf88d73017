//! What was counted on one thread, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Records what is counted by handles that were made within [`Recorded::during`].
#[derive(Default)]
pub(crate) struct Recorded(Arc<Values>);

/// By name and labels, as they are printed: `weir_tags_total{kind="audio"}`.
type Values = Mutex<BTreeMap<String, Vec<f64>>>;

impl Recorded {
    /// Does something whose handles are recorded.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(self, work)
    }

    /// The count of a counter, or the value of a gauge; 0 if nothing was counted.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.samples(name).iter().sum()
    }

    /// What a histogram was given.
    pub(crate) fn samples(&self, name: &str) -> Vec<f64> {
        let values = self.0.lock().expect("no panic in here");
        values.get(name).cloned().unwrap_or_default()
    }

    fn series(&self, key: &Key) -> Arc<Series> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}=\"{}\"", label.key(), label.value()))
            .collect();
        Arc::new(Series {
            name: format!("{}{{{}}}", key.name(), labels.join(",")),
            values: Arc::clone(&self.0),
        })
    }
}

struct Series {
    name: String,
    values: Arc<Values>,
}

impl Series {
    fn add(&self, value: f64) {
        let mut values = self.values.lock().expect("no panic in here");
        values.entry(self.name.clone()).or_default().push(value);
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _value: u64) {}
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        let mut values = self.values.lock().expect("no panic in here");
        values.insert(self.name.clone(), vec![value]);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _about: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _about: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _about: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}
