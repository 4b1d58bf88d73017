//! Connections that are cut, wherever their bytes happen to be.

use std::time::Duration;

use media::{Epoch, Limits, Replica, Ring, Start};

use super::support::*;
use super::way::Way;
use crate::{Client, Described, Error, Event, Position, Pulling, Subscribe};

/// All of a stream, for as long as a test takes.
fn roomy() -> Limits {
    Limits {
        max_bytes: 1 << 30,
        max_duration: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// An edge that follows a stream and looks at every number.
struct Edge {
    client: Client,
    ring: Ring,
    replica: Replica,
    next: Option<(Epoch, u64)>,
}

impl Edge {
    fn new() -> Self {
        let ring = Ring::new(roomy());
        Self {
            client: client("edge"),
            replica: ring.replica(),
            ring,
            next: None,
        }
    }

    async fn pull(&mut self, way: &Way) -> Result<Pulling, Error> {
        let resume = self.next.map(|(epoch, number)| Position { epoch, number });
        let wanted = Subscribe {
            resume,
            ..Subscribe::new(key("a"))
        };
        let (described, pulling) = soon(self.client.pull(&way.peer, wanted)).await?;
        assert_eq!(described.resumed, resume.is_some());
        if let Some(next) = self.next {
            let Described { description, .. } = &described;
            assert_eq!((description.epoch, description.number), next);
        }
        self.describe(described);
        Ok(pulling)
    }

    fn describe(&mut self, described: Described) {
        let description = described.description;
        self.next = Some((description.epoch, description.number));
        self.replica.describe(description).expect("not fenced");
    }

    /// Takes what comes next; whether it is live.
    fn take(&mut self, event: Event) {
        match event {
            Event::Described(described) => self.describe(*described),
            Event::Tags(tags) => {
                for tag in tags {
                    let (_, next) = self.next.as_mut().expect("described");
                    assert_eq!(tag.number, *next, "none is missing, and none comes twice");
                    *next += 1;
                    let stored = self.replica.push(tag).expect("in order");
                    assert!(stored.is_some(), "it was there already");
                }
            }
            Event::CaughtUp => self.replica.caught_up().expect("not fenced"),
            other => panic!("{other:?}"),
        }
    }
}

/// Of bytes: in the first answer, within a description, in small batches and in large ones.
fn places() -> Vec<usize> {
    let mut seed = 7_u64;
    let mut random = move |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % most
    };
    // The first takes it past the window, so that there is something to resume.
    let mut places = vec![600_000, 1, 9, 60, 150, 300, 450, 700, 1000];
    places.extend((0..40).map(|_| 500 + random(60_000) as usize));
    places.extend((0..20).map(|_| 500 + random(400_000) as usize));
    places
}

#[tokio::test]
async fn what_is_cut_in_mid_batch_goes_on_with_no_tag_missing_and_none_twice() {
    let origin = origin().await;
    let way = Way::long(&origin.peer, Duration::from_millis(1)).await;
    let ring = origin.node.stream("a", roomy()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 30);
    let mut edge = Edge::new();
    let (mut cuts, mut in_flow) = (0, 0);
    for (at, place) in places().into_iter().enumerate() {
        if at == 45 {
            // The encoder came back meanwhile.
            publisher = ring.begin_marked(epoch(6), 0, Cutter::boxed());
            encoder = Encoder::default();
            encoder.start(&mut publisher);
        }
        encoder.send(&mut publisher, 1);
        way.cut_next_after(place);
        let error = match edge.pull(&way).await {
            Ok(mut pulling) => loop {
                match soon(pulling.next()).await {
                    Ok(event) => {
                        edge.take(event);
                        // So that there is always more to come.
                        encoder.send(&mut publisher, 1);
                        in_flow += 1;
                    }
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        assert!(error.is_retryable(), "{error:?}");
        cuts += 1;
    }
    assert_eq!(way.made(), cuts, "a connection for each");
    assert!(in_flow > 200, "{in_flow}");

    // And then in peace.
    let mut pulling = edge.pull(&way).await.expect("nothing cuts it");
    while edge.next != ring.next_number() || edge.ring.is_backfilling() {
        let event = soon(pulling.next()).await.expect("nothing cuts it");
        edge.take(event);
    }
    let (ours, theirs) = (
        contents(&edge.ring, Start::Oldest),
        contents(&ring, Start::Oldest),
    );
    // The first three are configuration, which was described.
    assert_eq!(ours.first().map(|(_, tag)| tag.number), Some(3));
    assert_eq!(ours, theirs[3..]);
}
