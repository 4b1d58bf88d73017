//! What a person can say.

use std::time::Duration;

use anyhow::{Context, bail};

pub(crate) const HELP: &str = "\
kill X | stop X | restart X      end a process at once, or in order; start it again
pause X | continue X             hold a process with all its sockets; let it go on
drain X                          ask a node to drain, by its API
partition X Y | heal [X Y]       cut the cable between two; mend it, or all (with --isolated)
slow X Y MILLISECONDS [PERCENT]  delay packets each way, and lose some (with --isolated)
publish KEY | unpublish KEY      a test picture by ffmpeg, through the balancer
watch KEY [X] | unwatch KEY      a viewer, through the balancer or at a node
get X PATH                       ask a node: get o1 /api/v1/streams
keys                             what is in the directory
log X [LINES]                    the end of a log
table | sleep SECONDS | quit
X and Y: a node (o1, e1, …), etcd (all members), etcd0, balancer; in partitions also
cluster (all the others), all (and everybody else), here (the viewers), encoder (ffmpeg)";

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verb {
    Nothing,
    Help,
    Quit,
    Table,
    Keys,
    Sleep(Duration),
    /// To a process.
    Process(Action, String),
    Drain(String),
    Partition(String, String),
    Heal(String, String),
    HealAll,
    Slow {
        one: String,
        other: String,
        delay: Duration,
        loss: f64,
    },
    Publish(String),
    Unpublish(String),
    Watch(String, Option<String>),
    Unwatch(String),
    Get(String, String),
    Log(String, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Stop,
    Pause,
    Continue,
    Restart,
}

impl Verb {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some((&verb, rest)) = words.split_first() else {
            return Ok(Self::Nothing);
        };
        let process = |action| Ok(Self::Process(action, one(rest)?));
        match verb {
            "help" | "?" => Ok(Self::Help),
            "quit" | "exit" => Ok(Self::Quit),
            "table" => Ok(Self::Table),
            "keys" => Ok(Self::Keys),
            "sleep" => {
                let seconds: f64 = one(rest)?.parse().context("how many seconds?")?;
                let time = Duration::try_from_secs_f64(seconds);
                Ok(Self::Sleep(time.context("how many seconds?")?))
            }
            "kill" => process(Action::Kill),
            "stop" => process(Action::Stop),
            "pause" => process(Action::Pause),
            "continue" | "cont" => process(Action::Continue),
            "restart" | "start" => process(Action::Restart),
            "drain" => Ok(Self::Drain(one(rest)?)),
            "partition" => two(rest).map(|(one, other)| Self::Partition(one, other)),
            "heal" if rest.is_empty() => Ok(Self::HealAll),
            "heal" => two(rest).map(|(one, other)| Self::Heal(one, other)),
            "slow" => slow(rest),
            "publish" => Ok(Self::Publish(one(rest)?)),
            "unpublish" => Ok(Self::Unpublish(one(rest)?)),
            "watch" => match rest {
                [key] => Ok(Self::Watch((*key).to_owned(), None)),
                _ => two(rest).map(|(key, node)| Self::Watch(key, Some(node))),
            },
            "unwatch" => Ok(Self::Unwatch(one(rest)?)),
            "get" => two(rest).map(|(node, path)| Self::Get(node, path)),
            "log" => match rest {
                [name, count] => {
                    let count = count.parse().context("how many lines?")?;
                    Ok(Self::Log((*name).to_owned(), count))
                }
                _ => Ok(Self::Log(one(rest)?, 10)),
            },
            verb => bail!("{verb:?} is nothing that can be done here; `help` says what is"),
        }
    }
}

fn one(rest: &[&str]) -> anyhow::Result<String> {
    match rest {
        [name] => Ok((*name).to_owned()),
        _ => bail!("it takes one name; see `help`"),
    }
}

fn two(rest: &[&str]) -> anyhow::Result<(String, String)> {
    match rest {
        [one, other] => Ok(((*one).to_owned(), (*other).to_owned())),
        _ => bail!("it takes two names; see `help`"),
    }
}

fn slow(rest: &[&str]) -> anyhow::Result<Verb> {
    let (names, numbers) = rest.split_at_checked(2).context("between whom?")?;
    let (one, other) = two(names)?;
    let (delay, percent) = match numbers {
        [delay] => (delay, "0"),
        [delay, percent] => (delay, *percent),
        _ => bail!("by how many milliseconds, losing how many percent?"),
    };
    let percent: f64 = percent.parse().context("how many percent?")?;
    Ok(Verb::Slow {
        one,
        other,
        delay: Duration::from_millis(delay.parse().context("how many milliseconds?")?),
        loss: percent / 100.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_or_refused_with_a_hint() {
        let parse = |line| Verb::parse(line).map_err(|error| error.to_string());
        assert_eq!(
            parse(" kill  o1 "),
            Ok(Verb::Process(Action::Kill, "o1".to_owned()))
        );
        assert_eq!(parse(""), Ok(Verb::Nothing));
        assert_eq!(parse("heal"), Ok(Verb::HealAll));
        assert_eq!(
            parse("slow o1 e1 50 2"),
            Ok(Verb::Slow {
                one: "o1".to_owned(),
                other: "e1".to_owned(),
                delay: Duration::from_millis(50),
                loss: 0.02,
            })
        );
        for line in ["explode", "kill", "slow o1", "slow o1 e1 x", "sleep -1"] {
            let error = parse(line).expect_err(line);
            assert!(error.contains("help") || error.ends_with('?'), "{error}");
        }
    }
}
