//! Who comes in: nobody whose call is not proved.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderMap, HeaderValue};

use crate::auth::{Auth, Fields, NONCE_LEN, Nonces, Rejected, Secret, WINDOW, unhex};
use crate::clock::unix_millis;
use crate::headers::{CALLEE, CALLER, CLUSTER, NONCE, TIME, TOKEN, VERSION};
use crate::member::is_name;
use crate::seldom::Seldom;
use crate::{Member, NotAdmitted};

/// Looks at each call before anything else does.
#[derive(Debug)]
pub(super) struct Gate {
    me: Member,
    auth: Auth,
    nonces: Mutex<Nonces>,
    started: Instant,
    warning: Seldom,
}

/// Calls that change nothing and are made often, so often that the memory of others would have no room for them.
/// Whoever makes one again learns what it could have listened to.
const HARMLESS: [&str; 2] = ["/weir.relay.v1.Relay/Ping", "/weir.relay.v1.Relay/Locate"];

/// A call that may go on.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) caller: String,
    pub(super) proof: Option<HeaderValue>,
}

/// A call that may not.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) reason: NotAdmitted,
    pub(super) sentence: String,
    /// For a caller that knows the secret: this no is ours.
    pub(super) proof: Option<HeaderValue>,
}

impl Gate {
    pub(super) fn new(me: Member, auth: Auth) -> Self {
        Self {
            me,
            auth,
            nonces: Mutex::default(),
            started: Instant::now(),
            warning: Seldom::default(),
        }
    }

    pub(super) fn is_time_to_warn(&self) -> bool {
        self.warning.is_time()
    }

    pub(super) fn admit(&self, headers: &HeaderMap, method: &str) -> Result<Admitted, Turned> {
        self.admit_at(headers, method, unix_millis())
    }

    fn admit_at(&self, headers: &HeaderMap, method: &str, now: i64) -> Result<Admitted, Turned> {
        let fields = Fields {
            version: text(headers, VERSION),
            cluster: text(headers, CLUSTER),
            caller: text(headers, CALLER),
            callee: text(headers, CALLEE),
            method,
            time: text(headers, TIME),
            nonce: text(headers, NONCE),
        };
        let mut proof = None;
        if let Some(secret) = self.auth.key() {
            self.check_token(secret, &fields, text(headers, TOKEN))
                .map_err(|(reason, sentence)| Turned::new(reason, sentence))?;
            proof = HeaderValue::try_from(secret.proof(&fields)).ok();
        }
        let checked = self
            .check_names(&fields)
            .and_then(|()| match self.auth.key() {
                Some(_) => self.check_time(&fields, now),
                None => Ok(()),
            });
        match checked {
            Ok(()) => Ok(Admitted {
                caller: fields.caller.to_owned(),
                proof,
            }),
            Err((reason, sentence)) => Err(Turned {
                proof,
                ..Turned::new(reason, sentence)
            }),
        }
    }

    fn check_token(&self, secret: &Secret, fields: &Fields<'_>, token: &str) -> Checked {
        let me = self.me.node();
        if token.is_empty() {
            let sentence =
                format!("node {me} asks for a token: set relay.secret on the caller too");
            return Err((NotAdmitted::Missing, sentence));
        }
        if !secret.verify_token(fields, token) {
            let sentence = format!(
                "the token does not verify: relay.secret of node {me} and of the caller differ"
            );
            return Err((NotAdmitted::Secret, sentence));
        }
        Ok(())
    }

    fn check_names(&self, fields: &Fields<'_>) -> Checked {
        let (cluster, me) = (self.me.cluster(), self.me.node());
        if fields.cluster != cluster {
            let sentence = format!(
                "node {me} is of cluster {cluster}, not {:?}",
                fields.cluster
            );
            return Err((NotAdmitted::Cluster, sentence));
        }
        if fields.callee != me {
            let sentence = format!("this is node {me}, not {:?}", fields.callee);
            return Err((NotAdmitted::Callee, sentence));
        }
        if !is_name(fields.caller) {
            let sentence = "a call says which node makes it".to_owned();
            return Err((NotAdmitted::Missing, sentence));
        }
        Ok(())
    }

    fn check_time(&self, fields: &Fields<'_>, now: i64) -> Checked {
        let (Ok(time), Some(nonce)) = (fields.time.parse(), unhex::<NONCE_LEN>(fields.nonce))
        else {
            let sentence = "the token bears no time, or no nonce".to_owned();
            return Err((NotAdmitted::Missing, sentence));
        };
        let window = WINDOW.as_secs();
        let apart = now.abs_diff(time);
        if u128::from(apart) > WINDOW.as_millis() {
            let (me, caller) = (self.me.node(), fields.caller);
            let side = if time < now { "behind" } else { "ahead of" };
            let sentence = format!(
                "clock skew: the clock of node {caller} is {}.{:01} s {side} that of node {me}, {window} s are allowed; synchronise them",
                apart / 1000,
                apart % 1000 / 100,
            );
            return Err((NotAdmitted::Clock, sentence));
        }
        if HARMLESS.contains(&fields.method) {
            return Ok(());
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces
            .take(nonce, time, now, self.started.elapsed())
            .map_err(|rejected| match rejected {
                Rejected::Seen => (NotAdmitted::Replay, "the call was made before".to_owned()),
                Rejected::Forgotten => {
                    let sentence =
                        "the call is from before the node started, or was made before".to_owned();
                    (NotAdmitted::Replay, sentence)
                }
                Rejected::Full => (NotAdmitted::Busy, "too many calls".to_owned()),
            })
    }
}

type Checked = Result<(), (NotAdmitted, String)>;

impl Turned {
    fn new(reason: NotAdmitted, sentence: String) -> Self {
        Self {
            reason,
            sentence,
            proof: None,
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::fresh_nonce;

    const METHOD: &str = "/weir.relay.v1.Relay/Act";
    const NOW: i64 = 1_790_000_000_000;

    fn gate() -> Gate {
        let auth = Auth::secret("a secret of all nodes").expect("long enough");
        let mut gate = Gate::new(Member::new("test", "origin").expect("names"), auth);
        // So that the past is not before the start.
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60));
        gate.started = long_ago.expect("the machine runs for a minute");
        gate
    }

    fn call(gate: &Gate, time: i64) -> HeaderMap {
        call_of(gate, "1", "edge", time)
    }

    fn call_of(gate: &Gate, version: &str, caller: &str, time: i64) -> HeaderMap {
        call_to(gate, METHOD, version, caller, time)
    }

    fn call_to(gate: &Gate, method: &str, version: &str, caller: &str, time: i64) -> HeaderMap {
        let (time, nonce) = (time.to_string(), fresh_nonce().expect("random"));
        let fields = Fields {
            version,
            cluster: "test",
            caller,
            callee: "origin",
            method,
            time: &time,
            nonce: &nonce,
        };
        let token = gate.auth.key().expect("a secret").token(&fields);
        let said = [
            (VERSION, version),
            (CLUSTER, "test"),
            (CALLER, caller),
            (CALLEE, "origin"),
            (TIME, &time),
            (NONCE, &nonce),
            (TOKEN, &token),
        ];
        let said = said.map(|(name, value)| (name, HeaderValue::from_str(value).expect("ascii")));
        said.into_iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value))
            .collect()
    }

    #[test]
    fn half_a_minute_between_clocks_is_allowed_and_more_is_named() {
        let gate = gate();
        for apart in [-30_000, 0, 30_000] {
            let headers = call(&gate, NOW + apart);
            let admitted = gate.admit_at(&headers, METHOD, NOW).expect("near enough");
            assert_eq!(admitted.caller, "edge");
            assert!(admitted.proof.is_some());
        }
        for (apart, said) in [(-30_100, "30.1 s behind"), (45_000, "45.0 s ahead of")] {
            let headers = call(&gate, NOW + apart);
            let turned = gate.admit_at(&headers, METHOD, NOW).expect_err("too far");
            assert_eq!(turned.reason, NotAdmitted::Clock);
            assert_eq!(
                turned.sentence,
                format!(
                    "clock skew: the clock of node edge is {said} that of node origin, 30 s are allowed; synchronise them"
                )
            );
            assert!(turned.proof.is_some(), "it was signed with the secret");
        }
    }

    #[test]
    fn nothing_of_a_call_can_be_left_out() {
        let gate = gate();
        for name in [VERSION, CLUSTER, CALLER, CALLEE, TIME, NONCE, TOKEN] {
            let mut headers = call(&gate, NOW);
            headers.remove(name);
            let turned = gate.admit_at(&headers, METHOD, NOW).expect_err(name);
            assert!(turned.proof.is_none(), "it was not signed with the secret");
        }
    }

    #[test]
    fn a_node_of_the_next_release_comes_in() {
        let gate = gate();
        let headers = call_of(&gate, "2", "edge", NOW);
        gate.admit_at(&headers, METHOD, NOW).expect("a node");
    }

    #[test]
    fn who_calls_has_a_name_that_a_node_can_have() {
        let gate = gate();
        for name in ["a b", "../x", &"x".repeat(64)] {
            let headers = call_of(&gate, "1", name, NOW);
            let turned = gate.admit_at(&headers, METHOD, NOW).expect_err(name);
            assert_eq!(turned.reason, NotAdmitted::Missing);
        }
    }

    #[test]
    fn questions_that_change_nothing_take_no_room_from_other_calls() {
        let gate = gate();
        for method in HARMLESS {
            let headers = call_to(&gate, method, "1", "edge", NOW);
            for _ in 0..2 {
                gate.admit_at(&headers, method, NOW).expect("harmless");
            }
            let late = gate.admit_at(&headers, method, NOW + 30_001);
            assert_eq!(late.expect_err("old").reason, NotAdmitted::Clock);
            let other = gate.admit_at(&headers, METHOD, NOW);
            assert_eq!(other.expect_err("another").reason, NotAdmitted::Secret);
        }
        let headers = call(&gate, NOW);
        gate.admit_at(&headers, METHOD, NOW).expect("a node");
        let again = gate.admit_at(&headers, METHOD, NOW);
        assert_eq!(again.expect_err("seen").reason, NotAdmitted::Replay);
    }
}
