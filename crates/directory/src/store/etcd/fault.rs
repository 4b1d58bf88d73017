//! What etcd's errors mean to us.

use etcd_client::Error;

use crate::store::Fault;

pub(super) fn fault(error: Error) -> Fault {
    use etcd_client::Error as E;

    let status = match error {
        E::GRpcStatus(status) => status,
        E::InvalidArgs(what) => return Fault::Refused(what),
        E::InvalidUri(what) => return Fault::Refused(what.to_string()),
        E::LeaseKeepAliveError(what) if what == "lease not found" => return Fault::NoLease,
        other => return Fault::Broken(sentence(&other)),
    };
    let message = status.message();
    if message.contains("requested lease not found") {
        return Fault::NoLease;
    }
    if message.contains("required revision has been compacted") {
        return Fault::Compacted;
    }
    let refused = [
        "authentication failed",
        "authentication is not enabled",
        "permission denied",
        "user name is empty",
        "database space exceeded",
        "request is too large",
        "too many operations",
        "invalid argument",
    ];
    // By the words: etcd's codes differ over its versions, its words have not changed since 3.0.
    match refused.iter().any(|words| message.contains(words)) {
        true => Fault::Refused(message.to_owned()),
        false => Fault::Broken(match message {
            "" => format!("{:?}", status.code()),
            message => message.to_owned(),
        }),
    }
}

/// The whole chain of causes: the outermost only says that there was a transport error.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
