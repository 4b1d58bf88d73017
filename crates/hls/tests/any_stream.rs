//! What holds of the cuts of any stream.

mod support;

use proptest::prelude::*;
use support::streams::{Make, configs, streams};
use support::*;
use weir_hls::Numbering;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_stream_is_cut_by_the_rules_and_the_same_wherever_one_begins(
        stream in streams(60),
        config in configs(),
        joins in prop::collection::vec(0.0..1.0_f64, 2),
    ) {
        config.validate().unwrap();
        let tags = stream.tags(&Make::PLAIN);
        let origin = ring();
        let numbering = Numbering::after_crash(None, NOW);
        let mut publisher = begin(&origin, 1, &config, &numbering);
        let joins: Vec<_> = joins.iter().map(|at| (at * tags.len() as f64) as usize).collect();
        for (n, (at, tag)) in tags.iter().enumerate() {
            publisher.push(tag.clone(), NOW + i64::from(*at) * MS).unwrap();
            if joins.contains(&n) {
                prop_assert_eq!(made(&pulled(&origin)), made(&origin));
            }
        }
        let once = all(&origin, media::Start::Oldest);
        check(&config, &once);
        prop_assert_eq!(made(&pulled(&origin)), made(&origin));

        // The same tags again: the same cuts.
        let again = ring();
        let mut publisher = begin(&again, 1, &config, &numbering);
        for (at, tag) in tags {
            publisher.push(tag, NOW + i64::from(at) * MS).unwrap();
        }
        let cuts = |tags: &[media::MarkedTag]| {
            tags.iter().map(|it| it.cut().cloned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(cuts(&once), cuts(&all(&again, media::Start::Oldest)));
    }
}
