//! The steps of a walk, and what is looked at after each.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir_cluster::sum;

use super::TOKEN;
use super::dice::Dice;
use super::ledger::{Stream, Watcher, observe};
use super::world::{NODES, World, name};

/// All must be as it should be within this; a lease, a grace, and a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
const STREAMS: [&str; 2] = ["a", "b"];
const WATCHERS: usize = 8;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Fine,
    Dead,
    Paused,
    /// It does not reach the directory.
    Cut,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Kill(usize),
    Start(usize),
    /// Told to leave, and started again.
    Renew(usize),
    Pause(usize),
    Resume(usize),
    Cut(usize),
    Heal(usize),
    Expire(usize),
    /// The encoder of a stream goes to another node.
    Publish(usize, usize),
    /// A viewer leaves, and one comes to this node.
    Watch(usize, usize),
    /// Nothing happens for so many tenths of a second: leases and patience run out.
    Wait(usize),
}

/// A walk on its way.
pub(super) struct Walk<W> {
    world: W,
    dice: Dice,
    seed: u64,
    conditions: [Condition; NODES],
    streams: Vec<Stream>,
    watchers: Vec<Watcher>,
    /// For a person who wants to know how it came to that.
    history: Vec<String>,
}

impl<W: World> Walk<W> {
    /// At its start: two streams, some viewers, and all is well.
    pub(super) async fn new(world: W, seed: u64) -> Self {
        println!("a walk from seed {seed}");
        let mut walk = Self {
            world,
            dice: Dice::new(seed),
            seed,
            conditions: [Condition::Fine; NODES],
            streams: Vec::new(),
            watchers: Vec::new(),
            history: Vec::new(),
        };
        for stream in STREAMS {
            let at = walk.dice.below(NODES);
            let url = walk.publish_url(stream, at);
            walk.streams.push(Stream::new(stream, &url, at));
        }
        for number in 0..WATCHERS {
            let node = walk.dice.below(NODES);
            walk.watch(number % STREAMS.len(), node);
        }
        walk.settles("the start").await;
        walk
    }

    /// Goes one step further, or a few at once.
    pub(super) async fn step(&mut self) {
        let began = Instant::now();
        let mut steps = Vec::new();
        loop {
            let step = self.choose();
            steps.push(step);
            self.history.push(format!("{step:?}"));
            self.take(step).await;
            self.observe();
            if self.dice.below(3) != 0 {
                break;
            }
        }
        let what = self.settles(&format!("{steps:?}")).await;
        let took = began.elapsed();
        println!(
            "{:>4} {steps:?}: {took:?}, at last {what}",
            self.history.len()
        );
    }

    /// Makes all well again, and lets everybody go.
    pub(super) async fn ends(mut self) {
        for node in 0..NODES {
            self.mend(node).await;
        }
        self.settles("the end").await;
        self.watchers.clear();
        self.streams.clear();
        let end = Instant::now() + LIMIT;
        while let Err(what) = self.world.is_empty().await {
            if Instant::now() > end {
                self.fails("nothing to be left", &what);
            }
            sleep(LOOK).await;
        }
    }

    fn is(&self, node: usize, condition: Condition) -> bool {
        self.conditions[node] == condition
    }

    fn nodes(&self, condition: Condition) -> Vec<usize> {
        (0..NODES)
            .filter(|&node| self.is(node, condition))
            .collect()
    }

    fn publish_url(&self, stream: &str, node: usize) -> String {
        let stream = format!("live/{stream}?token={TOKEN}");
        self.world.url(node, &stream)
    }

    /// Whether the encoder of a stream is at that node, or tries to be.
    fn is_at(&self, stream: usize, node: usize) -> bool {
        let url = self.publish_url(STREAMS[stream], node);
        self.streams[stream].encoder.url() == Some(url)
    }

    fn watch(&mut self, stream: usize, node: usize) {
        let url = self.world.url(node, &self.streams[stream].name);
        self.watchers.push(Watcher::new(stream, node, &url));
    }

    fn choose(&mut self) -> Step {
        loop {
            let fine = self.nodes(Condition::Fine);
            let ill: Vec<_> = (0..NODES).filter(|node| !fine.contains(node)).collect();
            let any = self.dice.below(NODES);
            let step = match self.dice.below(11) {
                0..4 if fine.len() > 1 => {
                    let node = self.dice.one_of(&fine).unwrap_or(any);
                    match self.dice.below(4) {
                        0 => Step::Kill(node),
                        1 => Step::Pause(node),
                        2 => Step::Renew(node),
                        _ if self.world.can_cut() => Step::Cut(node),
                        _ => continue,
                    }
                }
                4..6 => match self.dice.one_of(&ill) {
                    Some(node) => self.remedy(node),
                    None => continue,
                },
                6 => Step::Expire(any),
                7 | 8 => {
                    let stream = self.dice.below(STREAMS.len());
                    let others: Vec<_> = fine
                        .into_iter()
                        .filter(|&node| node != self.streams[stream].at)
                        .collect();
                    match self.dice.one_of(&others) {
                        Some(node) => Step::Publish(stream, node),
                        None => continue,
                    }
                }
                9 => Step::Watch(self.dice.below(WATCHERS), any),
                10 => Step::Wait(self.dice.below(30)),
                _ => continue,
            };
            return step;
        }
    }

    fn remedy(&self, node: usize) -> Step {
        match self.conditions[node] {
            Condition::Fine | Condition::Dead => Step::Start(node),
            Condition::Paused => Step::Resume(node),
            Condition::Cut => Step::Heal(node),
        }
    }

    async fn mend(&mut self, node: usize) {
        if !self.is(node, Condition::Fine) {
            self.take(self.remedy(node)).await;
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Kill(node) => {
                self.falls_ill(node, Condition::Dead);
                self.world.kill(node).await;
            }
            Step::Pause(node) => {
                self.falls_ill(node, Condition::Paused);
                self.world.pause(node).await;
                // Nobody tells the encoder, whose person has seen it.
                self.flee(node);
            }
            Step::Cut(node) => {
                self.falls_ill(node, Condition::Cut);
                self.world.cut(node).await;
                if self.dice.coin() {
                    self.flee(node);
                }
            }
            Step::Renew(node) => {
                self.falls_ill(node, Condition::Dead);
                self.world.stop(node).await;
                self.world.start(node).await;
                self.recovers(node);
            }
            Step::Start(node) => {
                self.world.start(node).await;
                self.recovers(node);
            }
            Step::Resume(node) => {
                self.world.resume(node).await;
                self.recovers(node);
            }
            Step::Heal(node) => {
                self.world.heal(node).await;
                self.recovers(node);
            }
            Step::Expire(node) => self.world.expire(node).await,
            Step::Wait(tenths) => {
                let tenths = u64::try_from(tenths).unwrap_or(0);
                sleep(Duration::from_millis(100 * tenths)).await;
            }
            Step::Publish(stream, node) => self.publish(stream, node),
            Step::Watch(watcher, node) => {
                // What it saw is judged before it goes.
                self.observe();
                let gone = self.watchers.remove(watcher);
                self.watch(gone.stream, node);
            }
        }
    }

    fn falls_ill(&mut self, node: usize, condition: Condition) {
        self.conditions[node] = condition;
        self.tell_encoders();
    }

    fn recovers(&mut self, node: usize) {
        self.conditions[node] = Condition::Fine;
        self.tell_encoders();
    }

    /// Encoders that look for another node go to one that is fine.
    fn tell_encoders(&mut self) {
        for (stream, name) in STREAMS.iter().enumerate() {
            let at = self.streams[stream].at;
            let stays = matches!(self.conditions[at], Condition::Fine | Condition::Cut);
            let fine = self.nodes(Condition::Fine);
            let next = match stays {
                true => at,
                false => self.dice.one_of(&fine).expect("one is fine"),
            };
            let url = self.publish_url(name, next);
            self.streams[stream].at = next;
            self.streams[stream].encoder.next(&[&url]);
        }
    }

    /// Encoders that are at a node go to another at once.
    fn flee(&mut self, node: usize) {
        let fine = self.nodes(Condition::Fine);
        for stream in 0..self.streams.len() {
            let to = self.dice.one_of(&fine).expect("one is fine");
            if self.is_at(stream, node) {
                self.publish(stream, to);
            }
        }
    }

    fn publish(&mut self, stream: usize, node: usize) {
        let url = self.publish_url(STREAMS[stream], node);
        self.streams[stream].at = node;
        self.streams[stream].encoder.switch(&[&url]);
    }

    fn observe(&mut self) {
        observe(&mut self.streams, &mut self.watchers);
    }

    /// Waits until all is as it should be; what was not, at last.
    async fn settles(&mut self, after: &str) -> String {
        let began = Instant::now();
        let mut last = String::new();
        loop {
            self.observe();
            match self.complaint(began).await {
                None => return last,
                Some(what) => last = what,
            }
            if began.elapsed() > LIMIT {
                self.fails(after, &last);
            }
            sleep(LOOK).await;
        }
    }

    fn fails(&self, after: &str, what: &str) -> ! {
        panic!(
            "seed {}, after {after}: {what}\nsteps: {}\n{:?}\n{}",
            self.seed,
            self.history.join(", "),
            self.conditions,
            self.world.logs()
        );
    }

    /// What is not as it should be, of what was seen since `began` and is counted now.
    async fn complaint(&self, began: Instant) -> Option<String> {
        for (number, stream) in self.streams.iter().enumerate() {
            if !(stream.encoder.is_live() && self.is_at(number, stream.at)) {
                return Some(format!(
                    "{} is not live at {}",
                    stream.name,
                    name(stream.at)
                ));
            }
        }
        let whole = self.nodes(Condition::Fine);
        let visible = |stream: &Stream| whole.contains(&stream.at);
        if let Some(what) = self.wrong_owner(visible).await {
            return Some(what);
        }
        for watcher in self
            .watchers
            .iter()
            .filter(|watcher| whole.contains(&watcher.node))
        {
            let stream = &self.streams[watcher.stream];
            let is_new = watcher.publish() == stream.publishes();
            if visible(stream) && !(is_new && watcher.seen >= Some(began)) {
                let (seen, newest) = (watcher.publish(), stream.publishes());
                let (stream, node) = (&stream.name, name(watcher.node));
                return Some(format!(
                    "{stream} at {node}: saw publish {seen} of {newest}"
                ));
            }
        }
        for &node in &whole {
            let text = self.world.metrics(node).await;
            let Some(text) = text else {
                return Some(format!("{} does not say what it counts", name(node)));
            };
            // Who watches what nobody can see comes and goes.
            let all = self.streams.iter().all(visible);
            if let Some(what) = self.miscount(node, &text, all) {
                return Some(format!("{}: {what}", name(node)));
            }
        }
        None
    }

    async fn wrong_owner(&self, visible: impl Fn(&Stream) -> bool) -> Option<String> {
        let Some(owners) = self.world.owners().await else {
            return Some("the directory does not answer".to_owned());
        };
        for stream in self.streams.iter().filter(|stream| visible(stream)) {
            let its = owners.iter().filter(|(key, _)| *key == stream.name);
            let its: Vec<_> = its.map(|(_, node)| node.as_str()).collect();
            if its != [name(stream.at)] {
                return Some(format!("{} is {its:?} in the directory", stream.name));
            }
        }
        None
    }

    fn miscount(&self, node: usize, metrics: &str, with_viewers: bool) -> Option<String> {
        let publishers = self
            .streams
            .iter()
            .filter(|stream| stream.at == node)
            .count();
        let viewers = self.watchers.iter().filter(|watcher| watcher.node == node);
        let is_pulled = |(number, stream): &(usize, &Stream)| {
            let mut here = self.watchers.iter().filter(|watcher| watcher.node == node);
            stream.at != node && here.any(|watcher| watcher.stream == *number)
        };
        let pulls = self.streams.iter().enumerate().filter(is_pulled).count();
        let viewers = viewers.count();
        let mut wanted = vec![("weir_publishers", publishers), ("weir_claims", publishers)];
        if with_viewers {
            wanted.push(("weir_subscribers", viewers));
            wanted.push(("weir_connections", viewers + publishers));
            wanted.push(("weir_relay_pulls", pulls));
        }
        let wrong = wanted
            .into_iter()
            .find(|(name, count)| sum(metrics, name) != *count as f64)?;
        let (name, count) = wrong;
        Some(format!("{name} is {}, not {count}", sum(metrics, name)))
    }
}
