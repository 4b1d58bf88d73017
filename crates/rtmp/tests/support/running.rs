//! A server that runs, and what is said to it.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::Arc;

use bytes::Bytes;
use flv::{Kind, Tag};
use rtmp::Url;
use rtmp::client::Event;
use rtmp::handler::Handler;
use rtmp::net::{Client, Publisher, Puller, Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir_rtmp as rtmp;

pub struct Running {
    pub url: Url,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }

    pub fn address(&self) -> String {
        self.url.authority()
    }
}

pub async fn serve<H: Handler>(handler: impl Into<Arc<H>>, options: ServerOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!(
        "rtmp://{}/live/cam?token=x",
        listener.local_addr().unwrap()
    ))
    .unwrap();
    let server = Server::with_options(handler, options);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        server.serve(listener, async { drop(stopped.await) }).await;
    });
    Running {
        url,
        stop: Some(stop),
        task,
    }
}

pub async fn publisher(server: &Running) -> Publisher {
    Client::default().publish(&server.url).await.unwrap()
}

pub async fn puller(server: &Running) -> Puller {
    let mut puller = Client::default().pull(&server.url).await.unwrap();
    until(&mut puller, |event| *event == Event::Playing).await;
    puller
}

pub async fn until(puller: &mut Puller, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = puller.next().await.unwrap().expect("not closed");
        let found = wanted(&event);
        events.push(event);
        if found {
            return events;
        }
    }
}

pub fn tag(kind: Kind, dts: u32, payload: &'static [u8]) -> Tag {
    Tag::new(kind, dts, Bytes::from_static(payload))
}

/// H.264 with NAL lengths of two bytes.
pub fn avc_record() -> Tag {
    tag(
        Kind::Video,
        0,
        &[0x17, 0, 0, 0, 0, 1, 66, 0, 30, 0xfd, 0xe0, 0],
    )
}

pub fn avc_keyframe(dts: u32) -> Tag {
    tag(
        Kind::Video,
        dts,
        &[0x17, 1, 0, 0, 0, 0, 1, 0x65, 0, 1, 0x65],
    )
}

pub fn avc_inter(dts: u32) -> Tag {
    tag(Kind::Video, dts, &[0x27, 1, 0, 0, 0, 0, 1, 0x41])
}

pub fn aac(dts: u32) -> Tag {
    tag(Kind::Audio, dts, &[0xaf, 1, 0x21])
}

pub fn hevc_keyframe(dts: u32) -> Tag {
    tag(Kind::Video, dts, b"\x93hvc1\0\0\0\x01\x26")
}

pub fn opus(dts: u32) -> Tag {
    tag(Kind::Audio, dts, b"\x91Opus\x01\x02")
}

pub fn metadata() -> Tag {
    let mut metadata = flv::Metadata::default();
    metadata.set("width", 320.0);
    metadata.to_tag(0)
}

pub fn dts_of(events: &[Event]) -> Vec<u32> {
    let dts = |event: &Event| match event {
        Event::Tag(tag) if tag.kind != Kind::Data => Some(tag.dts),
        _ => None,
    };
    events.iter().filter_map(dts).collect()
}
