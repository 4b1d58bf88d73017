//! The sentence for a person.

#[cfg(test)]
mod tests;

use super::Facts;
use crate::status::{Part, REFUSED, Served, State, by_reason};

/// An encoder that has sent nothing for so many seconds may be gone.
const SILENT: f64 = 3.0;
/// A node that is so many seconds behind the origin has trouble with the way between them.
const BEHIND: f64 = 2.0;

/// What is the matter with a stream and what to do.
pub(super) fn verdict(facts: &Facts<'_>) -> String {
    let source = facts
        .source()
        .filter(|source| source.stream.epoch.is_some());
    let mut text = match (source, &facts.recorded) {
        (Some(source), _) if source.part == Part::Origin => of_origin(facts, source),
        (Some(source), _) => without_origin(facts, source),
        (None, Some(_)) => of_record(facts),
        (None, None) => unknown(facts),
    };
    let standbys = facts.served.iter().filter(|it| it.standby.is_some());
    let standbys: Vec<_> = standbys.map(|it| it.node.as_str()).collect();
    match standbys[..] {
        [] => {}
        [node] => text += &format!(" A second encoder stands by at {node}."),
        _ => text += &format!(" Other encoders stand by at {}.", standbys.join(", ")),
    }
    // Of whom it has been said, if of anybody.
    let said = match (source, &facts.recorded) {
        (Some(_), _) => "",
        (None, Some(recorded)) => recorded.node.as_str(),
        (None, None) => facts.me,
    };
    for (count, names, why) in by_reason(&facts.silent.besides(said)) {
        let do_not = if count == 1 { "does not" } else { "do not" };
        text += &format!(" {names} {do_not} answer ({why}).");
    }
    if !facts.directory_up && facts.others > 0 {
        text += " The directory is out of reach; what changed in it since is not known here.";
    }
    text
}

fn of_origin(facts: &Facts<'_>, origin: &Served) -> String {
    let (key, node) = (facts.key.as_str(), &origin.node);
    let age = origin.last_tag_age.unwrap_or(0.0);
    let ago = span(age);
    match origin.stream.state {
        State::Ended => {
            return format!("{key} is over: it ended on {node}, and its viewers are being told.");
        }
        State::Waiting => {
            return format!(
                "The encoder of {key} left {node} {ago} ago. Viewers are held for it until \
                 publish.grace is over; start it again."
            );
        }
        State::Live => {}
    }
    if age > SILENT {
        return format!(
            "{key} is live on {node}, but nothing has come from its encoder for {ago}: look at \
             the encoder, and at the network between it and {node}."
        );
    }
    if origin.codecs.is_empty() && origin.stream.video_codec.is_none() {
        let dropped = origin.dropped.keys().cloned().collect::<Vec<_>>();
        let what = match dropped.is_empty() {
            true => "no audio or video has come yet".to_owned(),
            false => format!(
                "nothing that it sends can be played ({}): check what it encodes",
                dropped.join(", ")
            ),
        };
        return format!("{key} is live on {node}, but {what}.");
    }
    let behind = facts.served.iter().filter(|served| {
        let older = served.stream.epoch < origin.stream.epoch;
        let late = served.last_tag_age.is_some_and(|late| late - age > BEHIND);
        served.part == Part::Pulled && (older || late)
    });
    let age_of = |served: &Served| served.last_tag_age.unwrap_or(0.0);
    if let Some(late) = behind.max_by(|a, b| age_of(a).total_cmp(&age_of(b))) {
        let by = span(age_of(late) - age);
        return format!(
            "{key} is live on {node}, but {} is {by} behind: look at the network between the two, \
             and at the clocks of both.",
            late.node
        );
    }
    let mut text = format!("{key} is live on {node}, {}", codecs(origin));
    let pulls = facts.served.iter();
    let pulls = pulls.filter(|served| served.part == Part::Pulled).count();
    match pulls {
        0 => {}
        1 => text += "; 1 node pulls it",
        many => text += &format!("; {many} nodes pull it"),
    }
    text += &format!("; {}.", watched(facts));
    if facts.mine().is_none() && !facts.silent.has(facts.me) {
        text += &format!(
            " {} does not have it, and pulls it for its first viewer.",
            facts.me
        );
    }
    text
}

/// Edges hold it, and nobody says that it publishes.
fn without_origin(facts: &Facts<'_>, edge: &Served) -> String {
    let (key, node) = (facts.key.as_str(), &edge.node);
    let ago = span(edge.last_tag_age.unwrap_or(0.0));
    let origin = facts.origin().unwrap_or_else(|| "its origin".to_owned());
    match edge.last_tag_age.is_some_and(|age| age <= SILENT) {
        true => format!(
            "{key} reaches {node}, where its last tag is {ago} old; its origin, {origin}, cannot \
             be asked."
        ),
        false => format!(
            "{key} is lost: {origin}, its origin, does not have it any more, and the last tag on \
             {node} is {ago} old. Viewers are held until its encoder comes back to any node."
        ),
    }
}

/// The directory knows it, and nobody has it.
fn of_record(facts: &Facts<'_>) -> String {
    let Some(recorded) = &facts.recorded else {
        return unknown(facts);
    };
    let (key, node) = (facts.key.as_str(), &recorded.node);
    if node == facts.me && facts.silent.has(node) {
        return format!(
            "The directory says that {node} has {key}, and {node} is too busy to say more: ask again."
        );
    }
    if let Some(why) = facts.silent.why(node) {
        let me = facts.me;
        let todo = match why.starts_with(REFUSED) {
            true => format!("{node} and {me} do not believe each other, see the log of {me}"),
            false => format!(
                "see whether it runs, and whether relay.advertise of {node} can be reached from {me}"
            ),
        };
        return format!(
            "The directory says that {node} has {key}, but {node} cannot be asked ({why}): {todo}."
        );
    }
    if !recorded.is_there {
        return format!(
            "{node}, which had {key}, is gone. Its claim ends with its lease; an encoder that was \
             authenticated can publish to any other node now."
        );
    }
    format!(
        "The directory says that {node} has {key}, and {node} does not have it: its encoder comes \
         or goes at this moment. Ask again."
    )
}

/// Nobody has heard of it.
fn unknown(facts: &Facts<'_>) -> String {
    let key = facts.key.as_str();
    if facts.silent.has(facts.me) {
        let me = facts.me;
        return format!(
            "Whether anybody publishes {key} is not known: {me} is too busy. Ask again."
        );
    }
    if facts.others == 0 && !facts.directory_up {
        return format!(
            "Whether anybody publishes {key} is not known: {} has not reached the directory, and \
             knows of no other node. See directory.endpoints.",
            facts.me
        );
    }
    let place = match facts.others {
        0 => format!(
            "on {}, which is alone: there is no other node to ask",
            facts.me
        ),
        others => match others + 1 - facts.silent.len().min(others) {
            1 => format!(
                "in the cluster: it is neither in the directory nor on {}",
                facts.me
            ),
            asked => format!(
                "in the cluster: it is neither in the directory nor on any of the {asked} nodes \
                 that were asked"
            ),
        },
    };
    let mut text = format!("Nobody publishes {key} {place}.");
    if !facts.similar.is_empty() {
        let similar = facts.similar.join(", ");
        text += &format!(" There is {similar}; case counts in stream keys.");
    }
    let waiting: u64 = facts.served.iter().map(|it| it.stream.viewers).sum();
    match waiting {
        0 => {}
        1 => text += " 1 viewer waits for it.",
        many => text += &format!(" {many} viewers wait for it."),
    }
    text + " Compare the key with the encoder's, and see that the encoder runs; if it was refused, \
            the log of the node that it connects to says why."
}

fn codecs(served: &Served) -> String {
    match served.codecs.as_slice() {
        [] => served.stream.video_codec.clone().unwrap_or_default(),
        codecs => codecs.join(" and "),
    }
}

fn watched(facts: &Facts<'_>) -> String {
    match facts.served.iter().map(|it| it.stream.viewers).sum() {
        0u64 => "nobody watches".to_owned(),
        1 => "1 viewer watches".to_owned(),
        many => format!("{many} viewers watch"),
    }
}

/// A length of time, for a person.
fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}
