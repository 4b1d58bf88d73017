//! What is in etcd, by its JSON gateway: no code in common with the nodes that are watched.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Etcd;
use crate::http::{self, Request};

/// A key and what is under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// `/weir/default/nodes/o1`.
    pub key: String,
    /// Text that is JSON, if a node wrote it.
    pub value: String,
    /// The revision that made the key.
    pub created: i64,
    /// The revision that wrote it last.
    pub written: i64,
    /// How often it was written since it was made.
    pub version: i64,
    /// The lease it goes with; 0 is none.
    pub lease: i64,
}

impl KeyValue {
    /// The value as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.value).unwrap_or_default()
    }

    fn read(from: &Value) -> Option<Self> {
        Some(Self {
            key: text(&from["key"])?,
            // The gateway leaves out what is empty.
            value: text(&from["value"]).unwrap_or_default(),
            created: number(&from["create_revision"]),
            written: number(&from["mod_revision"]),
            version: number(&from["version"]),
            lease: number(&from["lease"]),
        })
    }
}

impl Etcd {
    /// All keys that begin with `prefix`, in their order.
    ///
    /// # Errors
    /// When no member answers.
    pub async fn get(&self, prefix: &str) -> Result<Vec<KeyValue>, String> {
        let answer = self.call("kv/range", &range(prefix)).await?;
        let found = answer["kvs"].as_array().cloned().unwrap_or_default();
        Ok(found.iter().filter_map(KeyValue::read).collect())
    }

    /// Writes a key.
    ///
    /// # Errors
    /// When no member does it.
    pub async fn put(&self, key: &str, value: &str) -> Result<(), String> {
        let [key, value] = [key, value].map(|text| BASE64_STANDARD.encode(text));
        let body = json!({ "key": key, "value": value });
        self.call("kv/put", &body).await.map(drop)
    }

    /// Removes all keys that begin with `prefix`. How many there were.
    ///
    /// # Errors
    /// When no member does it.
    pub async fn delete(&self, prefix: &str) -> Result<i64, String> {
        let answer = self.call("kv/deleterange", &range(prefix)).await?;
        Ok(number(&answer["deleted"]))
    }

    /// The newest revision: the number of writes since the beginning, about.
    ///
    /// # Errors
    /// When no member answers.
    pub async fn revision(&self) -> Result<i64, String> {
        let body = json!({ "key": "AA==", "count_only": true });
        let answer = self.call("kv/range", &body).await?;
        Ok(number(&answer["header"]["revision"]))
    }

    /// Forgets everything before the newest revision, which is returned: who watches from before
    /// has to list anew.
    ///
    /// # Errors
    /// When no member does it.
    pub async fn compact(&self) -> Result<i64, String> {
        let revision = self.revision().await?;
        let body = json!({ "revision": revision.to_string(), "physical": true });
        match self.call("kv/compaction", &body).await {
            // Nothing was written since the last time.
            Err(error) if error.contains("has been compacted") => Ok(revision),
            answer => answer.map(|_| revision),
        }
    }

    /// All leases that are alive.
    ///
    /// # Errors
    /// When no member answers.
    pub async fn leases(&self) -> Result<Vec<i64>, String> {
        let answer = self.call("lease/leases", &json!({})).await?;
        let leases = answer["leases"].as_array().cloned().unwrap_or_default();
        Ok(leases.iter().map(|lease| number(&lease["ID"])).collect())
    }

    /// The number of the member that leads, if one does.
    pub async fn leader(&self) -> Option<usize> {
        for (number, member) in self.members.iter().enumerate() {
            let status = call(member.client, "maintenance/status", &json!({})).await;
            let Ok(status) = status else { continue };
            if status["leader"] == status["header"]["member_id"] {
                return Some(number);
            }
        }
        None
    }

    /// Ends a lease, and with it all that is under it.
    ///
    /// # Errors
    /// When no member answers, or there is no such lease.
    pub async fn revoke(&self, lease: i64) -> Result<(), String> {
        let body = json!({ "ID": lease.to_string() });
        self.call("lease/revoke", &body).await.map(drop)
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value, String> {
        let mut last = "no members".to_owned();
        for member in &self.members {
            if !member.service.is_running() || member.service.is_paused() {
                last = format!("{} is not running", member.name);
                continue;
            }
            match call(member.client, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = format!("{}: {error}", member.name),
            }
        }
        Err(last)
    }
}

pub(super) async fn call(member: SocketAddr, path: &str, body: &Value) -> Result<Value, String> {
    let path = format!("/v3/{path}");
    let body = body.to_string();
    let answer = http::ask(member, Request::post(&path, &body)).await;
    let answer = answer.ok_or("no answer")?;
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(format!("{}: {}", answer.status, answer.body))
    }
}

/// All keys with a prefix.
fn range(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    // The first text after all that begin with it. Ours is never 0xFF.
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0),
    }
    let key = if prefix.is_empty() { "\0" } else { prefix };
    json!({ "key": BASE64_STANDARD.encode(key), "range_end": BASE64_STANDARD.encode(end) })
}

fn text(from: &Value) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(from.as_str()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The gateway writes 64-bit numbers as texts, and leaves out those that are 0.
fn number(from: &Value) -> i64 {
    from.as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
