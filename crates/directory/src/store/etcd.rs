//! A store in etcd, 3.4 or newer.
//!
//! One member at a time is talked to. Which one is decided when a session is opened: all are asked,
//! one shortly after the other, and the first that answers is it. What breaks is not mended but
//! opened anew, so there is one place that retries. A session ends too when its member has lost the
//! others: etcd is asked to say so.

mod fault;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use self::fault::fault;
use self::session::Connection;
use super::{Fault, Session, Store};
use crate::backoff::random;
use crate::{Config, TlsConfig};

/// The next member is asked when one has not answered for this long.
const STAGGER: Duration = Duration::from_millis(250);
/// A member that has not answered after this is not waited for.
const ANSWER: Duration = Duration::from_millis(1500);

/// A cluster of etcd, and how to be let in.
pub(crate) struct Etcd {
    config: Config,
    prefix: Arc<str>,
    /// Which member is asked first: another one each time, and on each node.
    first: AtomicUsize,
}

impl Etcd {
    pub(crate) fn new(config: Config) -> Self {
        let prefix = crate::path::prefix(&config.cluster);
        let first = (random() * config.endpoints.len() as f64) as usize;
        Self {
            config,
            prefix,
            first: AtomicUsize::new(first),
        }
    }

    async fn open(&self) -> Result<Arc<dyn Session>, Fault> {
        let options = self.options().await?;
        let count = self.config.endpoints.len();
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        let mut tries: FuturesUnordered<_> = (0..count)
            .filter_map(|i| {
                let endpoint = self.config.endpoints.get((first.wrapping_add(i)) % count)?;
                let options = options.clone();
                let wait = STAGGER.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
                Some(async move {
                    tokio::time::sleep(wait).await;
                    self.ask(endpoint, options).await
                })
            })
            .collect();
        let mut worst = Fault::Broken("there are no endpoints".to_owned());
        while let Some(end) = tries.next().await {
            match end {
                Ok(session) => return Ok(Arc::new(session)),
                // That we are refused says more than that another is out of reach.
                Err(fault) if !matches!(worst, Fault::Refused(_)) => worst = fault,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    async fn ask(&self, endpoint: &str, options: ConnectOptions) -> Result<Connection, Fault> {
        let connect = async {
            let client = Client::connect([endpoint], Some(options))
                .await
                .map_err(fault)?;
            let connection = Connection::new(client, endpoint, self.prefix.clone());
            connection.check().await?;
            Ok(connection)
        };
        let silent = |_| Fault::Broken(format!("{endpoint} does not answer"));
        let end = tokio::time::timeout(ANSWER, connect)
            .await
            .map_err(silent)?;
        end.map_err(|fault| match fault {
            Fault::Broken(what) => Fault::Broken(format!("{endpoint}: {what}")),
            Fault::Refused(what) => Fault::Refused(format!("{endpoint}: {what}")),
            other => other,
        })
    }

    /// Read anew for each session, so that renewed certificates are used.
    async fn options(&self) -> Result<ConnectOptions, Fault> {
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_connect_timeout(ANSWER);
        if let Some(user) = &self.config.user {
            let password = self
                .config
                .password
                .as_ref()
                .map_or("", |secret| secret.expose());
            options = options
                .with_user(user, password)
                .with_auto_token_refresh(true);
        }
        if let Some(tls) = tls(&self.config.tls).await? {
            options = options.with_tls(tls);
        }
        Ok(options)
    }
}

impl Store for Etcd {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, Fault>> {
        self.open().boxed()
    }

    fn leases_expire(&self) -> bool {
        true
    }
}

async fn tls(config: &TlsConfig) -> Result<Option<TlsOptions>, Fault> {
    let Some(ca) = &config.ca else {
        return Ok(None);
    };
    let read = |path: std::path::PathBuf| async move {
        let wrong = |error| Fault::Refused(format!("cannot read {}: {error}", path.display()));
        tokio::fs::read(&path).await.map_err(wrong)
    };
    let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca.clone()).await?));
    if let (Some(cert), Some(key)) = (&config.cert, &config.key) {
        let (cert, key) = (read(cert.clone()).await?, read(key.clone()).await?);
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    Ok(Some(tls))
}

#[cfg(test)]
#[path = "../../tests/etcd/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;
#[cfg(test)]
mod tests;
