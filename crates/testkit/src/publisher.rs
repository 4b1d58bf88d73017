//! A publisher that sends a clip in its own time.

use std::time::Duration;

use flv::Tag;
use rtmp::Url;
use rtmp::net::{Client, ClientError, ClientOptions};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A clip on its way to a server. Dropping it breaks the connection off.
#[derive(Debug)]
pub struct Publisher {
    task: JoinHandle<Result<(), ClientError>>,
}

impl Publisher {
    /// Begins to publish tags as fast as their times say, multiplied by `rate`. Returns once the
    /// server has accepted.
    ///
    /// # Errors
    /// When the server does not accept.
    ///
    /// # Panics
    /// When the URL is none.
    pub async fn start(url: &str, tags: Vec<Tag>, rate: f64) -> Result<Self, ClientError> {
        Self::start_with(ClientOptions::default(), url, tags, rate).await
    }

    /// The same with other options.
    ///
    /// # Errors
    /// When the server does not accept.
    ///
    /// # Panics
    /// When the URL is none.
    pub async fn start_with(
        options: ClientOptions,
        url: &str,
        tags: Vec<Tag>,
        rate: f64,
    ) -> Result<Self, ClientError> {
        let url = Url::parse(url).expect("a URL");
        let publisher = Client::new(options).publish(&url).await?;
        let task = tokio::spawn(async move {
            let start = Instant::now();
            let first = tags
                .iter()
                .find(|tag| tag.is_frame())
                .map_or(0, |tag| tag.dts);
            for tag in tags {
                let age = f64::from(tag.dts.saturating_sub(first)) / rate / 1000.0;
                sleep_until(start + Duration::from_secs_f64(age)).await;
                if publisher.send(tag).await.is_err() {
                    break;
                }
            }
            publisher.finish().await
        });
        Ok(Self { task })
    }

    /// Whether it has sent all, or was disconnected.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the end of the clip, and says goodbye.
    ///
    /// # Errors
    /// When the server closed before.
    pub async fn finished(mut self) -> Result<(), ClientError> {
        (&mut self.task).await.unwrap_or(Err(ClientError::Closed))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Repeats tags for so many rounds, time going on.
pub fn sent(tags: &[Tag], rounds: u32) -> Vec<Tag> {
    let frames = || tags.iter().filter(|tag| tag.is_frame());
    let last = frames().map(|tag| tag.dts).max().unwrap_or(0);
    let length = last - frames().map(|tag| tag.dts).min().unwrap_or(0) + 40;
    let mut all = Vec::new();
    for round in 0..rounds {
        for tag in tags {
            // Metadata and configuration go once, as encoders send them.
            if round == 0 || tag.is_frame() {
                all.push(tag.clone().with_dts(tag.dts + round * length));
            }
        }
    }
    all.retain(|tag| !tag.is_end());
    all
}

#[cfg(test)]
mod tests {
    use flv::Kind;

    use super::*;

    #[test]
    fn time_goes_on_from_round_to_round_and_headers_come_once() {
        let tag = |dts, payload: &'static [u8]| Tag::new(Kind::Audio, dts, payload.into());
        let tags = [
            tag(0, &[0xAF, 0, 0x11]),
            tag(0, &[0xAF, 1]),
            tag(20, &[0xAF, 1]),
        ];
        let times: Vec<_> = sent(&tags, 3).iter().map(|tag| tag.dts).collect();
        assert_eq!(times, [0, 0, 20, 60, 80, 120, 140]);
    }
}
