use std::time::Duration;

use flv::{Kind, Tag};
use hls::{Config, Cutter, Mode, Numbering};
use media::{Epoch, Limits, Publisher, Relayed, Start};
use relay::About;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Span;

use super::*;
use crate::config;
use crate::hls::{Stream, View};
use crate::metrics::recorded::Recorded;

/// A ring that is packaged.
struct Packaged {
    ring: Ring,
    book: Book,
    stream: Stream,
    _stage: Arc<Stage>,
    task: JoinHandle<()>,
}

impl Packaged {
    fn new(limits: Limits) -> Packaged {
        let context = Arc::new(Context::alone(config::Config::default()));
        let (ring, book) = (Ring::new(limits), Book::default());
        let stage = Arc::new(Stage::on(&context, News::nothing()));
        let stream = stage.stream();
        let packaging = Packaging::new(Arguments {
            entry: Arc::new(Entry::new(stream.clone(), 0)),
            context,
            ring: ring.clone(),
            book: book.clone(),
            stage: Arc::clone(&stage),
            span: Span::none(),
        });
        Packaged {
            ring,
            book,
            stream,
            _stage: stage,
            task: tokio::spawn(packaging.run()),
        }
    }

    /// The first view of which that holds.
    async fn view(&self, is_so: impl Fn(&View) -> bool) -> Arc<View> {
        let seen = self.stream.until(|view| is_so(view).then_some(()));
        let seen = timeout(Duration::from_secs(10), seen).await;
        let seen = seen.unwrap_or_else(|_| panic!("there is {:?}", self.stream.now()));
        seen.expect("it goes on");
        self.stream.now()
    }
}

impl Drop for Packaged {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A publish, cut for that.
fn begin(ring: &Ring, number: u64, mode: Mode, before: Option<&media::Newest>) -> Publisher {
    let config = Config {
        mode,
        ..Config::default()
    };
    let numbering = match before {
        Some(newest) => Numbering::carry_on(newest, &config),
        None => Numbering::after_crash(None, 0),
    };
    let cutter = Box::new(Cutter::new(&config, &numbering));
    let mut publisher = ring.begin_marked(Epoch::new(number, 1), 0, cutter);
    push(&mut publisher, 0, &[0, 0x11, 0x90]);
    publisher
}

fn push(publisher: &mut Publisher, dts: u32, payload: &[u8]) {
    let tag = Tag::new(Kind::Audio, dts, [&[0xaf], payload].concat().into());
    publisher
        .push(tag, i64::from(dts) * 1_000_000)
        .expect("the only one");
}

/// Sound of so many seconds, in frames of so many bytes.
fn send(publisher: &mut Publisher, seconds: std::ops::Range<u32>, bytes: usize) {
    let mut payload = vec![0x21; bytes];
    payload[0] = 1;
    let (from, to) = (seconds.start * 1000, seconds.end * 1000);
    let frames = (0..).map(|n| from + n * 64 / 3);
    for dts in frames.take_while(|dts| *dts < to) {
        push(publisher, dts, &payload);
    }
}

fn described(mode: &str) -> About {
    About {
        hls: Some(relay::Hls {
            mode: mode.to_owned(),
            ..relay::Hls::default()
        }),
        ..About::default()
    }
}

fn numbers(view: &View) -> Vec<u64> {
    view.window()
        .segments()
        .map(|segment| segment.msn())
        .collect()
}

#[tokio::test]
async fn each_publish_is_packaged_for_what_it_is_cut_for() {
    let packaged = Packaged::new(Limits::default());
    packaged.book.describe(Epoch::new(1, 1), described("ll"));
    let mut publisher = begin(&packaged.ring, 1, Mode::LowLatency, None);
    send(&mut publisher, 0..5, 10);
    let first = packaged.view(|view| numbers(view).len() == 3).await;
    assert_eq!(first.mode(), Mode::LowLatency);
    packaged.book.describe(Epoch::new(2, 1), described("ts"));
    let before = packaged.ring.newest_segment().expect("one");
    let mut publisher = begin(&packaged.ring, 2, Mode::Ts, Some(&before));
    send(&mut publisher, 0..5, 10);
    let second = packaged.view(|view| numbers(view).len() == 6).await;
    assert_eq!(second.mode(), Mode::Ts);
    let names = second.window().segments().map(|it| it.name().to_string());
    let names: Vec<_> = names.collect();
    let of = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((of(".m4s"), of(".ts")), (3, 3), "{names:?}");
}

#[tokio::test]
async fn what_is_old_is_not_taken_for_the_newest_while_it_comes_in() {
    let origin = Ring::new(Limits::default());
    let mut publisher = begin(&origin, 1, Mode::LowLatency, None);
    send(&mut publisher, 0..30, 10);
    let packaged = Packaged::new(Limits::default());
    let mut replica = packaged.ring.replica();
    let (mut cursor, join) = origin.cursor(Start::Window);
    packaged.book.describe(Epoch::new(1, 1), described("ll"));
    replica
        .describe(join.describe(true).expect("written"))
        .expect("the only one");
    while let Ok(batch) = cursor.read()
        && !batch.is_empty()
    {
        for tag in batch {
            replica.push(Relayed::from(tag)).expect("in order");
        }
        tokio::task::yield_now().await;
    }
    let newest = origin.newest_segment().expect("one").msn;
    let there = packaged
        .view(|view| numbers(view).last() == Some(&newest))
        .await;
    assert!(!there.is_caught_up());
    replica.caught_up().expect("the only one");
    packaged.view(View::is_caught_up).await;
    // Nor is there a newer one while it does not say so again.
    assert_eq!(numbers(&there), numbers(&packaged.stream.now()));
}

#[test]
fn who_is_overtaken_begins_anew_with_what_there_is() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = Recorded::default();
    let work = async {
        let packaged = Packaged::new(Limits {
            max_bytes: 1 << 20,
            max_window_bytes: 1 << 20,
            ..Limits::default()
        });
        let mut publisher = begin(&packaged.ring, 1, Mode::LowLatency, None);
        send(&mut publisher, 0..3, 10);
        let first = packaged.view(|view| !numbers(view).is_empty()).await;
        // The packager has the thread only when this is over.
        send(&mut publisher, 3..300, 1000);
        let last = numbers(&first).last().copied();
        let is_new = |view: &View| view.is_caught_up() && numbers(view).first().copied() > last;
        let next = packaged.view(is_new).await;
        assert!(next.window().is_playable(), "{next:?}");
        assert_eq!(
            recorded.count("weir_hls_torn_total{reason=\"lagged\"}"),
            1.0
        );
        // And goes on.
        let newest = next.window().newest();
        send(&mut publisher, 300..305, 10);
        packaged.view(|view| view.window().newest() > newest).await;
    };
    recorded.during(|| runtime.block_on(work));
}

#[tokio::test]
async fn only_a_stream_that_has_ended_is_told_to_have() {
    for (reason, is_over) in [
        (EndReason::Ended, true),
        (EndReason::Removed, true),
        (EndReason::Lost, false),
        (EndReason::Shutdown, false),
    ] {
        let mut packaged = Packaged::new(Limits::default());
        let mut publisher = begin(&packaged.ring, 1, Mode::LowLatency, None);
        send(&mut publisher, 0..5, 10);
        packaged.ring.end(reason);
        let ended = timeout(Duration::from_secs(10), &mut packaged.task).await;
        ended.expect("in time").expect("no panic");
        assert_eq!(
            packaged.stream.now().window().has_ended(),
            is_over,
            "{reason}"
        );
    }
}
