//! Publishes an FLV file at the pace of its timestamps.
//!
//! ```text
//! cargo run -p weir-rtmp --example publisher -- clip.flv 'rtmp://127.0.0.1/live/cam?token=secret'
//! ```

use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use anyhow::Context;
use flv::file::Tags;
use rtmp::Url;
use rtmp::net::Client;
use tokio::time::{Instant, sleep_until};
use weir_rtmp as rtmp;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(url)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: publisher FILE URL");
    };
    let url = Url::parse(&url)?;
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;

    let publisher = Client::default()
        .publish(&url)
        .await
        .with_context(|| format!("cannot publish {url}"))?;
    println!("publishing {url}");
    let (start, mut first) = (Instant::now(), None);
    for tag in Tags::new(BufReader::new(file)) {
        let tag = tag?;
        let first = *first.get_or_insert(tag.dts);
        sleep_until(start + Duration::from_millis(tag.dts.saturating_sub(first).into())).await;
        if publisher.send(tag).await.is_err() {
            // `finish` says why.
            break;
        }
    }
    publisher.finish().await?;
    Ok(())
}
