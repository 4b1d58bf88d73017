//! The end that publishes.

use std::sync::Arc;

use flv::Tag;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::client::{ClientError, Driver, Turn};
use super::queue::{Closed, Offer, Queue, QueueLimits};
use crate::caps::Caps;
use crate::client::{Event, Rejection};

/// What is taken from the queue for one write.
const BATCH: usize = 256 * 1024;
/// Events that nobody has asked for; beyond these the newest are lost.
const EVENTS: usize = 64;

/// A stream that is being published.
///
/// A task of its own sends what is queued, answers pings and hears what the server says.
/// Dropping the publisher breaks the connection off; [`finish`](Self::finish) ends it in order.
#[derive(Debug)]
pub struct Publisher {
    queue: Arc<Queue>,
    caps: Caps,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<Result<(), ClientError>>,
}

/// Why a tag was not queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError {
    /// The queue is full; the tag comes back.
    #[error("the server is slower than the stream")]
    Full(Tag),
    /// The connection has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Publisher {
    /// Waits until the server takes tags.
    pub(super) async fn start(
        mut driver: Driver,
        limits: QueueLimits,
    ) -> Result<Self, ClientError> {
        let (told, events) = mpsc::channel(EVENTS);
        let mut announced = Caps::default();
        loop {
            match driver.turn(std::future::pending()).await? {
                Turn::Event(Event::Publishing) => break,
                Turn::Event(Event::Connected { caps }) => announced = caps,
                Turn::Event(Event::HandshakeDone) | Turn::Written | Turn::Woken => {}
                Turn::Event(event) => drop(told.try_send(event)),
                Turn::Closed => return Err(ClientError::Closed),
            }
        }
        let filled = Arc::new(Notify::new());
        let queue = Arc::new(Queue::new(limits, filled.clone()));
        let pump = Pump {
            driver,
            queue: queue.clone(),
            filled,
            told,
        };
        let task = tokio::spawn(pump.run());
        Ok(Self {
            queue,
            caps: announced,
            events,
            task,
        })
    }

    /// What the server says about Enhanced RTMP.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Queues a tag, once there is room.
    ///
    /// # Errors
    /// When the connection has ended; [`finish`](Self::finish) says why.
    pub async fn send(&self, tag: Tag) -> Result<(), Closed> {
        self.queue.send(tag).await
    }

    /// Queues a tag if there is room.
    ///
    /// # Errors
    /// When there is none, or the connection has ended.
    pub fn try_send(&self, tag: Tag) -> Result<(), TrySendError> {
        match self.queue.offer(tag, 1) {
            Offer::Taken => Ok(()),
            Offer::Full(tag) => Err(TrySendError::Full(tag)),
            Offer::Closed => Err(TrySendError::Closed(Closed)),
        }
    }

    /// What the server says next; `None` when the connection has ended. Events that nobody asks
    /// for are lost after a while.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Sends what is queued, ends the stream and closes the connection.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn finish(mut self) -> Result<(), ClientError> {
        self.queue.close();
        // A task that panicked has said so; here it is a connection that was lost.
        (&mut self.task).await.unwrap_or(Err(ClientError::Closed))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.queue.close();
        self.task.abort();
    }
}

struct Pump {
    driver: Driver,
    queue: Arc<Queue>,
    filled: Arc<Notify>,
    told: mpsc::Sender<Event>,
}

impl Pump {
    async fn run(mut self) -> Result<(), ClientError> {
        let ended = self.pump().await;
        // Whoever waits for room learns that there will be none.
        self.queue.close();
        if ended.is_ok() {
            self.driver.finish().await;
        }
        ended
    }

    async fn pump(&mut self) -> Result<(), ClientError> {
        let mut complaint = None;
        loop {
            if !self.driver.link.is_pending() {
                self.refill();
            }
            let writing = self.driver.link.is_pending();
            if !writing && self.queue.is_closed() && self.queue.is_empty() {
                return Ok(());
            }
            // What is queued while a write is under way goes out together, after it.
            let filled = self.filled.clone();
            let wake = async move {
                if writing {
                    std::future::pending::<()>().await;
                }
                filled.notified().await;
            };
            match self.driver.turn(wake).await? {
                Turn::Event(Event::StreamEnded | Event::Closed) | Turn::Closed => {
                    return Err(complaint.map_or(ClientError::Closed, ClientError::Rejected));
                }
                Turn::Event(event) => {
                    if let Event::Status(status) = &event
                        && status.level == "error"
                    {
                        let (code, description) = (status.code.clone(), status.description.clone());
                        complaint = Some(Rejection {
                            code,
                            description,
                            redirect: None,
                        });
                    }
                    drop(self.told.try_send(event));
                }
                Turn::Written | Turn::Woken => {}
            }
        }
    }

    fn refill(&mut self) {
        let mut bytes = 0;
        while bytes < BATCH {
            let Some(tag) = self.queue.take() else { break };
            bytes += tag.payload.len();
            self.driver.session.send(&tag);
        }
        self.driver.flush();
    }
}
