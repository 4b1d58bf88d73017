//! Proof, ours to the peer and the peer's to us.

use std::error::Error as _;

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Response, Status};

use crate::auth::{Fields, Secret, fresh_nonce};
use crate::headers::{
    CALLEE, CALLER, CLUSTER, NEWEST, NONCE, PROOF, REFUSED, TIME, TOKEN, VERSION,
};
use crate::wire::text;
use crate::{Error, Member, NotAdmitted, Peer, Refusal, RefusalCode};

/// What a call is signed with, and what its answer is checked against.
#[derive(Debug)]
pub(super) struct Signed {
    version: String,
    cluster: String,
    caller: String,
    callee: String,
    method: &'static str,
    /// Empty without a secret, as the next two.
    time: String,
    nonce: String,
    token: String,
}

impl Signed {
    pub(super) fn new(
        me: &Member,
        peer: &Peer,
        method: &'static str,
        secret: Option<&Secret>,
        now: i64,
    ) -> Result<Self, Error> {
        let mut signed = Self {
            version: NEWEST.to_string(),
            cluster: me.cluster().to_owned(),
            caller: me.node().to_owned(),
            callee: peer.node().to_owned(),
            method,
            time: String::new(),
            nonce: String::new(),
            token: String::new(),
        };
        if let Some(secret) = secret {
            let no_nonce = || Error::Lost("the system gives no random numbers".to_owned());
            signed.time = now.to_string();
            signed.nonce = fresh_nonce().ok_or_else(no_nonce)?;
            signed.token = secret.token(&signed.fields());
        }
        Ok(signed)
    }

    fn fields(&self) -> Fields<'_> {
        Fields {
            version: &self.version,
            cluster: &self.cluster,
            caller: &self.caller,
            callee: &self.callee,
            method: self.method,
            time: &self.time,
            nonce: &self.nonce,
        }
    }

    pub(super) fn write(&self, metadata: &mut MetadataMap) -> Result<(), Error> {
        let said = [
            (VERSION, &self.version),
            (CLUSTER, &self.cluster),
            (CALLER, &self.caller),
            (CALLEE, &self.callee),
            (TIME, &self.time),
            (NONCE, &self.nonce),
            (TOKEN, &self.token),
        ];
        for (name, value) in said.into_iter().filter(|(_, value)| !value.is_empty()) {
            let unsayable = |_| Error::Malformed("a name that cannot be sent");
            let value = AsciiMetadataValue::try_from(value).map_err(unsayable)?;
            metadata.insert(name, value);
        }
        Ok(())
    }

    /// Takes an answer for the peer's if it proves that it is.
    pub(super) fn check<T>(
        &self,
        secret: Option<&Secret>,
        peer: &Peer,
        answer: Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        match answer {
            Ok(answer) if self.is_proved(secret, answer.metadata()) => Ok(answer.into_inner()),
            Ok(_) => Err(impostor(peer)),
            Err(status) => {
                let is_proved = self.is_proved(secret, status.metadata());
                Err(explain(&status, is_proved, peer))
            }
        }
    }

    fn is_proved(&self, secret: Option<&Secret>, metadata: &MetadataMap) -> bool {
        let Some(secret) = secret else {
            // Its certificate was looked at.
            return true;
        };
        let proof = metadata.get(PROOF).and_then(|proof| proof.to_str().ok());
        proof.is_some_and(|proof| secret.verify_proof(&self.fields(), proof))
    }
}

fn explain(status: &Status, is_proved: bool, peer: &Peer) -> Error {
    // Not said by anybody, but found here.
    if let Some(source) = status.source() {
        return Error::Lost(deepest(source));
    }
    let sentence = text(status.message().to_owned());
    match status.code() {
        Code::Unauthenticated => {
            let reason = status.metadata().get(REFUSED);
            let reason = reason
                .and_then(|reason| reason.to_str().ok())
                .unwrap_or_default();
            let reason = NotAdmitted::from_name(reason);
            Error::NotAdmitted { reason, sentence }
        }
        _ if !is_proved => impostor(peer),
        Code::InvalidArgument => Refusal::new(RefusalCode::Invalid, sentence).into(),
        Code::Unimplemented => Refusal::new(RefusalCode::Unsupported, sentence).into(),
        _ => broken(status),
    }
}

/// What became of a stream that an answer had begun.
pub(super) fn broken(status: &Status) -> Error {
    match (status.source(), status.code()) {
        (Some(source), _) => Error::Lost(deepest(source)),
        (None, Code::Internal | Code::OutOfRange) => {
            Error::Malformed("a message that cannot be read")
        }
        (None, _) => Error::Lost(text(status.message().to_owned())),
    }
}

fn impostor(peer: &Peer) -> Error {
    Error::Impostor {
        address: peer.address().to_owned(),
    }
}

/// Of errors in layers, the innermost says what happened.
fn deepest(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
