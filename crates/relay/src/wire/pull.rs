//! What is said about a pull beside its tags.

/// What an edge wants.
pub(crate) mod subscribe {
    use proto::relay::v1 as wire;

    use super::super::{key, position};
    use crate::headers::{NEWEST, OLDEST};
    use crate::{Backfill, Refusal, Subscribe};

    pub(crate) fn to_wire(subscribe: &Subscribe) -> wire::Subscribe {
        let backfill = match subscribe.backfill {
            Backfill::Window => wire::Backfill::Window,
            Backfill::Join => wire::Backfill::Join,
        };
        wire::Subscribe {
            oldest_version: OLDEST,
            newest_version: NEWEST,
            key: subscribe.key.as_str().to_owned(),
            resume: subscribe.resume.map(position::to_wire),
            backfill: backfill.into(),
            hops: subscribe.hops.clone(),
        }
    }

    pub(crate) fn from_wire(wanted: wire::Subscribe) -> Result<Subscribe, Refusal> {
        Ok(Subscribe {
            key: key(&wanted.key)?,
            resume: wanted.resume.map(position::from_wire),
            backfill: match wanted.backfill() {
                wire::Backfill::Window => Backfill::Window,
                wire::Backfill::Join => Backfill::Join,
            },
            hops: wanted.hops,
        })
    }
}

/// Places in a stream.
pub(crate) mod position {
    use proto::relay::v1 as wire;

    use super::super::{epoch_from_wire, epoch_to_wire};
    use crate::Position;

    pub(crate) fn to_wire(position: Position) -> wire::Position {
        wire::Position {
            epoch: Some(epoch_to_wire(position.epoch)),
            number: position.number,
        }
    }

    pub(crate) fn from_wire(position: wire::Position) -> Position {
        Position {
            epoch: epoch_from_wire(position.epoch),
            number: position.number,
        }
    }
}

/// Who is watching.
pub(crate) mod viewers {
    use proto::relay::v1 as wire;

    use crate::Viewers;

    /// So many protocols there are not.
    const MAX_PROTOCOLS: usize = 32;
    /// Nor with names as long.
    const MAX_NAME: usize = 32;

    pub(crate) fn to_wire(viewers: Viewers) -> wire::Viewers {
        wire::Viewers {
            by_protocol: viewers.0.into_iter().collect(),
        }
    }

    pub(crate) fn from_wire(viewers: wire::Viewers) -> Viewers {
        let believable = viewers
            .by_protocol
            .into_iter()
            .filter(|(name, _)| name.len() <= MAX_NAME);
        Viewers(believable.take(MAX_PROTOCOLS).collect())
    }
}

/// What the origin knows.
pub(crate) mod about {
    use std::time::Duration;

    use proto::relay::v1 as wire;

    use super::super::text;
    use crate::{About, Bandwidth, Hls, Numbering};

    /// How many nodes of a path are believed.
    const MAX_PATH: usize = 64;

    pub(crate) fn to_wire(about: About) -> wire::Stream {
        wire::Stream {
            since: about.since,
            protocol: about.protocol,
            encoder: about.encoder,
            publisher: about.publisher,
            path: about.path,
            numbering: about.numbering.map(|numbering| wire::Numbering {
                first: numbering.first,
                discontinuity: numbering.discontinuity,
                carries_on: numbering.carries_on,
            }),
            hls: about.hls.map(|hls| wire::Hls {
                mode: hls.mode,
                segment_target: nanos(hls.segment_target),
                part_target: nanos(hls.part_target),
                window: hls.window,
            }),
            average_bandwidth: about.bandwidth.average,
            peak_bandwidth: about.bandwidth.peak,
        }
    }

    pub(crate) fn from_wire(stream: wire::Stream) -> About {
        About {
            since: stream.since,
            protocol: text(stream.protocol),
            encoder: text(stream.encoder),
            publisher: text(stream.publisher),
            path: stream.path.into_iter().take(MAX_PATH).map(text).collect(),
            numbering: stream.numbering.map(|numbering| Numbering {
                first: numbering.first,
                discontinuity: numbering.discontinuity,
                carries_on: numbering.carries_on,
            }),
            hls: stream.hls.map(|hls| Hls {
                mode: text(hls.mode),
                segment_target: duration(hls.segment_target),
                part_target: duration(hls.part_target),
                window: hls.window,
            }),
            bandwidth: Bandwidth {
                average: stream.average_bandwidth,
                peak: stream.peak_bandwidth,
            },
        }
    }

    pub(crate) fn nanos(duration: Duration) -> i64 {
        i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
    }

    pub(crate) fn duration(nanos: i64) -> Duration {
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}

/// Ends.
pub(crate) mod end {
    use proto::relay::v1 as wire;
    use proto::relay::v1::end::Reason;

    use super::super::text;
    use crate::{End, Refusal};

    pub(crate) fn to_wire(end: &End) -> wire::Down {
        let reason = match end {
            End::Ended => Reason::Ended,
            End::Lost => Reason::Lost,
            End::Moved { .. } => Reason::Moved,
            End::Draining => Reason::Draining,
            End::Lagged => Reason::Lagged,
            End::Refused(_) => Reason::Refused,
        };
        let end = wire::End {
            reason: reason.into(),
            node: match end {
                End::Moved { node } => node.clone(),
                _ => String::new(),
            },
            refusal: match end {
                End::Refused(refusal) => Some(refusal.to_wire()),
                _ => None,
            },
        };
        wire::Down {
            kind: Some(wire::down::Kind::End(end)),
        }
    }

    pub(crate) fn from_wire(end: wire::End) -> End {
        match end.reason() {
            Reason::Ended => End::Ended,
            Reason::Lost | Reason::Unspecified => End::Lost,
            Reason::Moved => End::Moved {
                node: text(end.node),
            },
            Reason::Draining => End::Draining,
            Reason::Lagged => End::Lagged,
            Reason::Refused => End::Refused(Refusal::from_wire(end.refusal.unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use media::{Epoch, StreamKey};
    use proto::relay::v1 as wire;

    use super::*;
    use crate::{
        About, Backfill, Bandwidth, End, Hls, Numbering, Position, Refusal, RefusalCode, Subscribe,
        Viewers,
    };

    #[test]
    fn what_an_edge_wants_goes_over_the_wire() {
        let wanted = Subscribe {
            key: StreamKey::parse("live/cam").expect("a key"),
            resume: Some(Position {
                epoch: Epoch::new(u64::MAX, 3),
                number: 77,
            }),
            backfill: Backfill::Join,
            hops: vec!["far".to_owned(), "near".to_owned()],
        };
        assert_eq!(
            subscribe::from_wire(subscribe::to_wire(&wanted)),
            Ok(wanted)
        );
    }

    #[test]
    fn what_the_origin_knows_goes_over_the_wire() {
        let about = About {
            since: 1_790_000_000_000,
            protocol: "rtmp".to_owned(),
            encoder: "an encoder".to_owned(),
            publisher: "10.0.0.1:50000".to_owned(),
            path: vec!["origin".to_owned()],
            numbering: Some(Numbering {
                first: 220_000_000,
                discontinuity: 4,
                carries_on: true,
            }),
            hls: Some(Hls {
                mode: "ll".to_owned(),
                segment_target: Duration::from_secs(2),
                part_target: Duration::from_millis(200),
                window: 10,
            }),
            bandwidth: Bandwidth {
                average: 2_000_000,
                peak: 3_000_000,
            },
        };
        for about in [about, About::default()] {
            let sent = about::to_wire(about.clone());
            assert_eq!(about::from_wire(sent), about);
        }
    }

    #[test]
    fn ends_go_over_the_wire_and_one_of_a_later_release_is_a_loss() {
        for sent in [
            End::Ended,
            End::Lost,
            End::Moved {
                node: "other".to_owned(),
            },
            End::Draining,
            End::Lagged,
            End::Refused(Refusal::new(RefusalCode::NotFound, "no such stream")),
        ] {
            let Some(wire::down::Kind::End(end)) = end::to_wire(&sent).kind else {
                panic!("{sent:?} is an end");
            };
            assert_eq!(end::from_wire(end), sent);
        }
        let later = wire::End {
            reason: 99,
            ..Default::default()
        };
        assert_eq!(end::from_wire(later), End::Lost);
    }

    #[test]
    fn novels_are_cut() {
        let novel = || "x".repeat(100_000);
        let said = about::from_wire(wire::Stream {
            protocol: novel(),
            encoder: novel(),
            publisher: novel(),
            path: vec![novel(); 1000],
            hls: Some(wire::Hls {
                mode: novel(),
                ..Default::default()
            }),
            ..Default::default()
        });
        let all = format!("{said:?}");
        assert!(all.len() < 40_000, "{}", all.len());
        let moved = end::from_wire(wire::End {
            reason: wire::end::Reason::Moved.into(),
            node: novel(),
            ..Default::default()
        });
        let all = format!("{moved:?}");
        assert!(all.len() < 1000, "{}", all.len());
    }

    #[test]
    fn crowds_are_believed_within_reason() {
        let crowd = Viewers(BTreeMap::from([
            ("rtmp".to_owned(), 3),
            ("hls".to_owned(), 9),
        ]));
        assert_eq!(crowd.total(), 12);
        assert_eq!(viewers::from_wire(viewers::to_wire(crowd.clone())), crowd);
        let by_protocol = (0..1000).map(|n| (format!("{n}"), 1)).collect();
        let odd = viewers::from_wire(wire::Viewers { by_protocol });
        assert_eq!(odd.0.len(), 32);
    }
}
