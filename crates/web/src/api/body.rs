//! What requests bring along.

use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use node::config::parse_duration;
use node::status::{Order, Timestamp, Until};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::key;
use crate::error::Refusal;

/// No request has more to say.
const LIMIT: usize = 64 << 10;
/// A body must be there within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of JSON.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let bytes = timeout(PATIENCE, to_bytes(body, LIMIT)).await;
    let bytes = bytes
        .map_err(|_| Refusal::invalid("the body did not come in time"))?
        // A connection that broke hears nothing of it.
        .map_err(|_| Refusal::TOO_LARGE)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::invalid(format!("the body is not what is expected: {error}")))
}

/// `POST /api/v1/warm`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Warm {
    stream_key: String,
    #[serde(default = "one")]
    edges: usize,
    #[serde(default)]
    until: Option<String>,
}

fn one() -> usize {
    1
}

impl Warm {
    pub(super) fn order(self) -> Result<Order, Refusal> {
        Ok(Order::Warm {
            key: key(&self.stream_key)?,
            edges: self.edges,
            until: until(self.until.as_deref())?,
        })
    }
}

/// `stopped`, a duration from now on, or a time.
fn until(text: Option<&str>) -> Result<Until, Refusal> {
    let text = match text {
        None | Some("stopped") => return Ok(Until::Stopped),
        Some(text) => text,
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Until::At(time.time()));
    }
    let wrong = || {
        Refusal::invalid(
            "until is \"stopped\", a duration such as \"30m\", or a time such as \
             \"2026-01-31T12:00:00Z\"",
        )
    };
    let span = parse_duration(text).map_err(|_| wrong())?;
    let time = SystemTime::now().checked_add(span).ok_or_else(wrong)?;
    Ok(Until::At(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_lasts_until_told_otherwise_or_for_a_while_or_up_to_a_time() {
        let read = |text| until(text).ok();
        assert_eq!(read(None), Some(Until::Stopped));
        assert_eq!(read(Some("stopped")), Some(Until::Stopped));
        let time = Timestamp::from_millis(1_893_456_000_000).time();
        assert_eq!(read(Some("2030-01-01T00:00:00Z")), Some(Until::At(time)));
        let Some(Until::At(time)) = read(Some("30m")) else {
            panic!("a duration")
        };
        let left = time.duration_since(SystemTime::now()).expect("to come");
        assert!((1790..=1800).contains(&left.as_secs()), "{left:?}");
        for wrong in ["", "soon", "-1s", "999999999999999999999h"] {
            assert_eq!(read(Some(wrong)), None, "{wrong}");
        }
    }
}
