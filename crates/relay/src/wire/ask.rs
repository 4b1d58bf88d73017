//! Questions and orders.

/// Requests to let go of a stream.
pub(crate) mod release {
    use proto::relay::v1 as wire;

    use super::super::{epoch_from_wire, epoch_to_wire, key};
    use crate::{Refusal, Release};

    pub(crate) fn to_wire(release: Release) -> wire::ReleaseRequest {
        wire::ReleaseRequest {
            key: release.key.as_str().to_owned(),
            epoch: Some(epoch_to_wire(release.epoch)),
            identity: release.identity.into(),
            publisher: release.publisher,
            only_asks: release.only_asks,
        }
    }

    pub(crate) fn from_wire(request: wire::ReleaseRequest) -> Result<Release, Refusal> {
        Ok(Release {
            key: key(&request.key)?,
            epoch: epoch_from_wire(request.epoch),
            identity: request.identity.into(),
            publisher: request.publisher,
            only_asks: request.only_asks,
        })
    }
}

/// What a newcomer carries on with.
pub(crate) mod released {
    use proto::relay::v1 as wire;

    use super::super::{epoch_from_wire, epoch_to_wire};
    use crate::{CarryOn, Released};

    pub(crate) fn to_wire(released: &Released) -> wire::Released {
        let carry_on = released.carry_on.unwrap_or_default();
        wire::Released {
            epoch: Some(epoch_to_wire(released.epoch)),
            numbered: released.carry_on.is_some(),
            next_segment: carry_on.next_segment,
            next_discontinuity: carry_on.next_discontinuity,
            date_time: carry_on.date_time,
            window: released.window,
            tags: released.tags,
        }
    }

    pub(crate) fn from_wire(released: &wire::Released) -> Released {
        Released {
            epoch: epoch_from_wire(released.epoch),
            carry_on: released.numbered.then_some(CarryOn {
                next_segment: released.next_segment,
                next_discontinuity: released.next_discontinuity,
                date_time: released.date_time,
            }),
            window: released.window,
            tags: released.tags,
        }
    }
}

/// Questions.
pub(crate) mod query {
    use proto::relay::v1 as wire;
    use proto::relay::v1::status_request::Subject;

    use super::super::key;
    use super::unsupported;
    use crate::{Query, Refusal};

    pub(crate) fn to_wire(query: &Query) -> wire::StatusRequest {
        let (subject, key) = match query {
            Query::Node => (Subject::Node, None),
            Query::Streams => (Subject::Streams, None),
            Query::Stream(key) => (Subject::Stream, Some(key)),
            Query::Subscribers(key) => (Subject::Subscribers, Some(key)),
            Query::Why(key) => (Subject::Why, Some(key)),
        };
        wire::StatusRequest {
            subject: subject.into(),
            key: key.map(|key| key.as_str().to_owned()).unwrap_or_default(),
        }
    }

    pub(crate) fn from_wire(request: &wire::StatusRequest) -> Result<Query, Refusal> {
        Ok(match request.subject() {
            Subject::Node => Query::Node,
            Subject::Streams => Query::Streams,
            Subject::Stream => Query::Stream(key(&request.key)?),
            Subject::Subscribers => Query::Subscribers(key(&request.key)?),
            Subject::Why => Query::Why(key(&request.key)?),
            Subject::Unspecified => return Err(unsupported("the question")),
        })
    }
}

/// Orders.
pub(crate) mod action {
    use std::time::{Duration, SystemTime};

    use proto::relay::v1 as wire;
    use proto::relay::v1::act_request::Action as Kind;

    use super::super::key;
    use super::unsupported;
    use crate::{Action, Refusal, WarmUntil};

    pub(crate) fn to_wire(action: Action) -> wire::ActRequest {
        let action = match action {
            Action::Drain => Kind::Drain(wire::Drain {}),
            Action::Stop(key) => Kind::Stop(wire::Stop {
                key: key.as_str().to_owned(),
            }),
            Action::Warm { key, until } => Kind::Warm(wire::Warm {
                key: key.as_str().to_owned(),
                until: match until {
                    WarmUntil::Stopped => 0,
                    WarmUntil::At(time) => millis(time),
                },
            }),
            Action::Disconnect { key, subscriber } => Kind::Disconnect(wire::Disconnect {
                key: key.as_str().to_owned(),
                subscriber,
            }),
        };
        wire::ActRequest {
            action: Some(action),
        }
    }

    pub(crate) fn from_wire(request: wire::ActRequest) -> Result<Action, Refusal> {
        Ok(match request.action {
            Some(Kind::Drain(wire::Drain {})) => Action::Drain,
            Some(Kind::Stop(stop)) => Action::Stop(key(&stop.key)?),
            Some(Kind::Warm(warm)) => Action::Warm {
                key: key(&warm.key)?,
                until: match u64::try_from(warm.until) {
                    Ok(0) => WarmUntil::Stopped,
                    until => WarmUntil::At(time(until.unwrap_or(0))),
                },
            },
            Some(Kind::Disconnect(disconnect)) => Action::Disconnect {
                key: key(&disconnect.key)?,
                subscriber: disconnect.subscriber,
            },
            None => return Err(unsupported("the order")),
        })
    }

    /// Never 0, which means something else.
    fn millis(time: SystemTime) -> i64 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.map_or(1, |since| since.as_millis().max(1));
        i64::try_from(millis).unwrap_or(i64::MAX)
    }

    fn time(millis: u64) -> SystemTime {
        // A clock holds less than a message: what is beyond is for ever.
        let far = || SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(millis))
            .unwrap_or_else(far)
    }
}

fn unsupported(what: &str) -> crate::Refusal {
    let sentence = format!("{what} is of a release that this node does not know");
    crate::Refusal::new(crate::RefusalCode::Unsupported, sentence)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use media::{Epoch, StreamKey};
    use proto::relay::v1 as wire;

    use super::*;
    use crate::{Action, CarryOn, Query, RefusalCode, Release, Released, WarmUntil};

    fn key() -> StreamKey {
        StreamKey::parse("live/cam").expect("a key")
    }

    #[test]
    fn all_that_can_be_asked_goes_over_the_wire() {
        for asked in [
            Query::Node,
            Query::Streams,
            Query::Stream(key()),
            Query::Subscribers(key()),
            Query::Why(key()),
        ] {
            assert_eq!(query::from_wire(&query::to_wire(&asked)), Ok(asked));
        }
        let soon = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_000);
        let warm = |until| Action::Warm { key: key(), until };
        for order in [
            Action::Drain,
            Action::Stop(key()),
            warm(WarmUntil::Stopped),
            warm(WarmUntil::At(soon)),
            Action::Disconnect {
                key: key(),
                subscriber: "7".to_owned(),
            },
        ] {
            assert_eq!(action::from_wire(action::to_wire(order.clone())), Ok(order));
        }
        let wanted = Release {
            key: key(),
            epoch: Epoch::new(7, 9),
            identity: vec![1, 2, 3],
            publisher: "10.0.0.1:5000".to_owned(),
            only_asks: true,
        };
        assert_eq!(
            release::from_wire(release::to_wire(wanted.clone())),
            Ok(wanted)
        );
        for given in [
            Released::default(),
            Released {
                epoch: Epoch::new(7, 9),
                carry_on: Some(CarryOn {
                    next_segment: 40,
                    next_discontinuity: 2,
                    date_time: -1,
                }),
                window: true,
                tags: 1234,
            },
        ] {
            assert_eq!(released::from_wire(&released::to_wire(&given)), given);
        }
    }

    #[test]
    fn what_a_later_release_asks_is_unsupported_and_nonsense_invalid() {
        let code = |refused: crate::Refusal| refused.code;
        let later = wire::StatusRequest {
            subject: 77,
            key: String::new(),
        };
        assert_eq!(
            query::from_wire(&later).map_err(code),
            Err(RefusalCode::Unsupported)
        );
        let later = wire::ActRequest { action: None };
        assert_eq!(
            action::from_wire(later).map_err(code),
            Err(RefusalCode::Unsupported)
        );
        let nonsense = wire::StatusRequest {
            subject: wire::status_request::Subject::Why.into(),
            key: "../x".to_owned(),
        };
        assert_eq!(
            query::from_wire(&nonsense).map_err(code),
            Err(RefusalCode::Invalid)
        );
    }

    #[test]
    fn warm_until_the_end_of_time_or_before_its_beginning() {
        for until in [i64::MIN, -1, i64::MAX] {
            let warm = wire::Warm {
                key: "live/cam".to_owned(),
                until,
            };
            let request = wire::ActRequest {
                action: Some(wire::act_request::Action::Warm(warm)),
            };
            let Ok(Action::Warm {
                until: WarmUntil::At(time),
                ..
            }) = action::from_wire(request)
            else {
                panic!("{until} is a time");
            };
            assert_eq!(time > SystemTime::now(), until > 0);
        }
    }
}
