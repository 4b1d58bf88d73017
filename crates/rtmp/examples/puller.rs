//! Plays a stream, says what happens, and writes it to a file if there is one to write to.
//!
//! ```text
//! cargo run -p weir-rtmp --example puller -- rtmp://127.0.0.1/live/cam out.flv
//! ```

use std::fs::File;
use std::io::BufWriter;

use anyhow::Context;
use flv::file::{Header, Writer};
use rtmp::Url;
use rtmp::client::Event;
use rtmp::net::Client;
use weir_rtmp as rtmp;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let url = Url::parse(&arguments.next().context("usage: puller URL [FILE]")?)?;
    let header = Header {
        audio: true,
        video: true,
    };
    let mut file = match arguments.next() {
        Some(path) => {
            let file = File::create(&path).with_context(|| format!("cannot create {path}"))?;
            Some(Writer::new(BufWriter::new(file), header)?)
        }
        None => None,
    };

    let mut puller = Client::default()
        .pull(&url)
        .await
        .with_context(|| format!("cannot connect to {url}"))?;
    let (mut video, mut audio) = (0, 0);
    while let Some(event) = puller.next().await? {
        match event {
            Event::Connected { caps } => {
                println!("connected; enhanced RTMP: {}", caps.is_enhanced())
            }
            Event::Playing => println!("playing {url}"),
            Event::Tag(tag) => {
                match tag.kind {
                    flv::Kind::Video => video += 1,
                    flv::Kind::Audio => audio += 1,
                    flv::Kind::Data => println!("data: {:?}", flv::Metadata::from_tag(&tag)),
                }
                if tag.is_configuration() {
                    println!("configuration: {:?}", tag.info());
                }
                if let Some(file) = &mut file {
                    file.write(&tag)?;
                }
            }
            Event::StreamEnded => break,
            event => println!("{event:?}"),
        }
    }
    println!("{video} video and {audio} audio tags");
    if let Some(file) = file {
        file.finish()?;
    }
    puller.close().await;
    Ok(())
}
