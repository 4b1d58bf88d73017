//! Pictures that carry their number, so that what is seen tells how old it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::{Clip, Recipe};
use tokio::time::{Instant, sleep};
use weir_cluster::{Encoder, EncoderOptions};

use crate::driver::Page;

/// A bar of seven fields at the top, white for the ones of the number, the least first.
const PICTURE: &str = "size=640x360:rate=25\
    ,drawbox=x=0:y=0:w=640:h=40:c=black:t=fill\
    ,drawbox=x=0:y=0:w=80:h=40:c=white:t=fill:enable='mod(n,2)'\
    ,drawbox=x=80:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/2),2)'\
    ,drawbox=x=160:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/4),2)'\
    ,drawbox=x=240:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/8),2)'\
    ,drawbox=x=320:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/16),2)'\
    ,drawbox=x=400:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/32),2)'\
    ,drawbox=x=480:y=0:w=80:h=40:c=white:t=fill:enable='mod(floor(n/64),2)'";

/// A keyframe about every two seconds, as encoders have it; no B-frames, so that pictures are sent in order.
const CODED: Recipe = Recipe {
    name: "coded",
    picture: Some(PICTURE),
    video: "-c:v libx264 -preset veryfast -bf 0 -g 52 -b:v 400k -pix_fmt yuv420p",
    seconds: 5,
    ..Recipe::H264_AAC
};
/// What of it is published over and over: two groups of pictures, and a whole number of frames of sound.
const PICTURES: usize = 104;
const MILLIS: u32 = 4160;
/// More than any test looks at.
const ROUNDS: u32 = 200;

/// The number in the picture of the moment, and the moment.
const READ: &str = r#"(() => {
    const canvas = new OffscreenCanvas(640, 360);
    const drawn = canvas.getContext("2d", { willReadFrequently: true });
    drawn.drawImage(document.querySelector("video"), 0, 0, 640, 360);
    let number = 0;
    for (let bit = 0; bit < 7; bit += 1) {
        const [red] = drawn.getImageData(bit * 80 + 40, 20, 1, 1).data;
        number += red > 127 ? 1 << bit : 0;
    }
    return [number, Date.now()];
})()"#;

/// Begins to publish such pictures, with sound, both without a gap where they begin again.
pub(crate) fn publish(urls: &[&str]) -> Encoder {
    let tags = Clip::of(CODED).tags;
    let frames = tags.iter().filter(|tag| tag.is_frame());
    let first = frames.map(|tag| tag.dts).min().expect("frames");
    let round = |round: u32| {
        let kept = tags.iter().filter(move |tag| {
            let is_within = tag.dts.saturating_sub(first) < MILLIS;
            is_within && (round == 0 || tag.is_frame()) && !tag.is_end()
        });
        kept.map(move |tag| {
            let dts = tag.dts.saturating_sub(first) + round * MILLIS;
            tag.clone().with_dts(dts)
        })
    };
    let tags: Vec<_> = (0..ROUNDS).flat_map(round).collect();
    EncoderOptions::new(urls, &tags).start()
}

/// For how long the picture that a page shows has been on its way.
pub(crate) async fn age(page: &Page<'_>, encoder: &Encoder) -> f64 {
    let read = page.look(READ).await;
    let (now, wall) = (Instant::now(), SystemTime::now());
    let number = read[0].as_u64().expect("a number");
    let number = usize::try_from(number).expect("a small one");
    let seen = Duration::from_millis(read[1].as_u64().expect("a moment"));
    let wall = wall.duration_since(UNIX_EPOCH).expect("after 1970");
    let seen = now - wall.saturating_sub(seen);
    let sent = encoder.sent();
    let last = sent.last().expect("something was sent").session;
    let pictures = sent
        .iter()
        .filter(|sent| sent.session == last && sent.is_video);
    let same = pictures.enumerate().filter(|(at, sent)| {
        let is_it = at % PICTURES == number;
        is_it && sent.at <= seen
    });
    let (_, sent) = same.last().expect("what is seen was sent");
    (seen - sent.at).as_secs_f64()
}

/// Looks at a page that plays for some time, four times a second.
pub(crate) async fn ages(page: &Page<'_>, encoder: &Encoder, time: Duration) -> Ages {
    let end = Instant::now() + time;
    let mut ages = Ages(Vec::new());
    while Instant::now() < end {
        ages.0.push(age(page, encoder).await);
        sleep(Duration::from_millis(250)).await;
    }
    ages
}

/// How old pictures were when they were seen, in seconds.
#[derive(Debug)]
pub(crate) struct Ages(Vec<f64>);

impl Ages {
    pub(crate) fn mean(&self) -> f64 {
        let count = u32::try_from(self.0.len()).expect("not that many");
        self.0.iter().sum::<f64>() / f64::from(count)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}
