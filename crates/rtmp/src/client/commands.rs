//! What a client says, and how the answers are read.

use amf::{Object, Value};

use super::{Config, Rejection, Start, Status};
use crate::command::Command;

/// Codecs a Flash player knew; servers of old decided by them what to send.
const AUDIO_CODECS: f64 = 4071.0;
const VIDEO_CODECS: f64 = 252.0;

/// The first command; `publishing` chooses which kind of client to look like.
pub(super) fn connect(config: &Config, app: &str, tc_url: &str, publishing: bool) -> Command {
    let mut object = Object::new();
    object.insert("app", app);
    if publishing {
        object.insert("type", "nonprivate");
    }
    object.insert("flashVer", config.flash_ver.as_str());
    for (key, value) in [("swfUrl", &config.swf_url), ("pageUrl", &config.page_url)] {
        if let Some(value) = value {
            object.insert(key, value.as_str());
        }
    }
    object.insert("tcUrl", tc_url);
    if !publishing {
        object.insert("fpad", false);
        object.insert("capabilities", 15.0);
        object.insert("audioCodecs", AUDIO_CODECS);
        object.insert("videoCodecs", VIDEO_CODECS);
        object.insert("videoFunction", 1.0);
    }
    object.insert("objectEncoding", 0.0);
    if let Some(caps) = &config.caps {
        caps.write(&mut object);
    }
    for (key, value) in config.extra.iter() {
        object.insert(key, value.clone());
    }
    Command {
        object: Value::Object(object),
        ..Command::new("connect", 1.0, Vec::new())
    }
}

/// The `start` argument of `play`: milliseconds in practice, though specified in seconds.
pub(super) fn start(start: Start) -> f64 {
    match start {
        Start::Any => -2000.0,
        Start::Live => -1000.0,
        Start::At(time) => time.as_secs_f64() * 1000.0,
    }
}

/// The information object of an answer or status: the first argument that is one, or what
/// stands in the place of the command object.
pub(super) fn information(command: &Command) -> Option<&Object> {
    command
        .arguments
        .iter()
        .find_map(Value::as_object)
        .or_else(|| command.object.as_object())
}

pub(super) fn status(command: &Command) -> Status {
    let text = |key| {
        let info = information(command)?;
        Some(info.get_ignore_case(key)?.as_str()?.to_owned())
    };
    Status {
        level: text("level").unwrap_or_default(),
        code: text("code").unwrap_or_default(),
        description: text("description").unwrap_or_default(),
    }
}

/// Whether a status says that we shall not have what we asked for. Some servers say so with the
/// level "status".
pub(super) fn is_refusal(status: &Status) -> bool {
    const ABOUT: [&str; 3] = [
        "NetStream.Publish.",
        "NetStream.Play.",
        "NetConnection.Connect.",
    ];
    const REFUSALS: [&str; 6] = [
        "BadName",
        "Denied",
        "Failed",
        "Rejected",
        "StreamNotFound",
        "Unauthorized",
    ];
    let what = ABOUT
        .iter()
        .find_map(|about| status.code.strip_prefix(about));
    what.is_some_and(|what| status.level == "error" || REFUSALS.contains(&what))
}

pub(super) fn rejection(command: &Command) -> Rejection {
    let Status {
        code, description, ..
    } = status(command);
    let redirect = information(command)
        .and_then(|info| {
            info.get_ignore_case("ex")?
                .as_object()?
                .get_ignore_case("redirect")?
                .as_str()
        })
        .map(str::to_owned);
    let code = if code.is_empty() {
        "NetConnection.Call.Failed".to_owned()
    } else {
        code
    };
    Rejection {
        code,
        description,
        redirect,
    }
}
