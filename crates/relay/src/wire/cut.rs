//! Cuts.

use std::time::Duration;

use media::{Cut, Segment};
use proto::relay::v1 as wire;

use super::tags::{Nonsense, within};

/// As of tags: see there.
const MAX_NS: i64 = i64::MAX / 4;

pub(super) fn to_wire(cut: Cut) -> wire::Cut {
    wire::Cut {
        segment: cut.msn,
        part: cut.part,
        start: cut.start,
        mark: cut.segment.map(|segment| wire::Mark {
            first_listed: segment.first_listed,
            discontinuity: segment.discontinuity,
            version: segment.version,
            date_time: segment.date_time,
            independent: segment.independent,
            target: nanos(segment.target),
            part_target: segment.part_target.map_or(0, nanos),
        }),
    }
}

pub(super) fn from_wire(cut: wire::Cut) -> Result<Cut, Nonsense> {
    Ok(Cut {
        msn: cut.segment,
        part: cut.part,
        start: within(Some(cut.start), MAX_NS)?,
        segment: cut.mark.map(segment).transpose()?,
    })
}

fn segment(mark: wire::Mark) -> Result<Segment, Nonsense> {
    let part_target = duration(mark.part_target)?;
    Ok(Segment {
        first_listed: mark.first_listed,
        discontinuity: mark.discontinuity,
        version: mark.version,
        date_time: within(Some(mark.date_time), MAX_NS)?,
        independent: mark.independent,
        target: duration(mark.target)?,
        part_target: (!part_target.is_zero()).then_some(part_target),
    })
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn duration(nanos: i64) -> Result<Duration, Nonsense> {
    let nanos = u64::try_from(nanos).map_err(|_| "a duration below zero")?;
    Ok(Duration::from_nanos(nanos))
}
