//! What is asked for, counted.

use std::sync::OnceLock;

use axum::http::StatusCode;
use metrics::{Counter, counter, describe_counter};

/// What requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Multivariant,
    Media,
    Init,
    Segment,
    Part,
}

/// Answers that are counted each by itself.
const STATUSES: [(u16, &str); 13] = [
    (200, "200"),
    (204, "204"),
    (206, "206"),
    (302, "302"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (416, "416"),
    (429, "429"),
    (503, "503"),
];

/// The handles. A look-up by name costs ten times the count itself, and most never count anything.
pub(super) struct Counts {
    answers: [[OnceLock<Counter>; STATUSES.len()]; 5],
}

impl Counts {
    pub(super) fn new() -> Self {
        describe_counter!(
            "weir_hls_requests_total",
            "Answers to requests of HLS players, by what they were for and by status"
        );
        Self {
            answers: Default::default(),
        }
    }

    pub(super) fn answered(&self, kind: Kind, status: StatusCode) {
        let known = STATUSES.iter().position(|(it, _)| *it == status.as_u16());
        let [multivariant, media, init, segment, part] = &self.answers;
        let (name, row) = match kind {
            Kind::Multivariant => ("multivariant", multivariant),
            Kind::Media => ("media", media),
            Kind::Init => ("init", init),
            Kind::Segment => ("segment", segment),
            Kind::Part => ("part", part),
        };
        let make = |status| counter!("weir_hls_requests_total", "kind" => name, "status" => status);
        let place = known.and_then(|at| Some((row.get(at)?, STATUSES.get(at)?.1)));
        match place {
            Some((counter, status)) => counter.get_or_init(|| make(status)).increment(1),
            None => make("other").increment(1),
        }
    }
}
