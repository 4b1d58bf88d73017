//! Where things are in the directory: the keys below `/weir/<cluster>/`.

use std::sync::Arc;

use media::StreamKey;

use crate::{Kind, NodeId, SettingName};

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// `nodes/<node>`.
    Node(NodeId),
    /// `streams/<app>/<name>`.
    Stream(StreamKey),
    /// `tokens/…`, `forwards/…`, `rules/…`, `warm/…`, `recordings/…`.
    Setting(Kind, SettingName),
}

impl Path {
    /// What stands at this key, if a release like this one put it there.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let (folder, name) = key.split_once('/')?;
        match folder {
            "nodes" => NodeId::parse(name).ok().map(Self::Node),
            "streams" => StreamKey::parse(name).ok().map(Self::Stream),
            _ => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.folder() == folder)?;
                Some(Self::Setting(kind, SettingName::parse(name).ok()?))
            }
        }
    }
}

pub(crate) fn node(id: &NodeId) -> String {
    format!("nodes/{id}")
}

pub(crate) fn stream(key: &StreamKey) -> String {
    format!("streams/{}", key.as_str())
}

pub(crate) fn setting(kind: Kind, name: &SettingName) -> String {
    format!("{}/{}", kind.folder(), name.as_str())
}

/// The prefix of a cluster.
pub(crate) fn prefix(cluster: &str) -> Arc<str> {
    format!("/weir/{cluster}/").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_documented_and_lead_back() {
        let id = NodeId::parse("weir-1").expect("a name");
        assert_eq!(node(&id), "nodes/weir-1");
        assert_eq!(Path::parse(&node(&id)), Some(Path::Node(id)));
        let key = StreamKey::parse("live/room/cam").expect("a key");
        assert_eq!(stream(&key), "streams/live/room/cam");
        assert_eq!(Path::parse(&stream(&key)), Some(Path::Stream(key)));
        let name = SettingName::parse("a1/b2").expect("a name");
        assert_eq!(setting(Kind::Tokens, &name), "tokens/a1/b2");
        let token = Path::parse("tokens/a1/b2");
        assert_eq!(token, Some(Path::Setting(Kind::Tokens, name)));
        assert_eq!(&*prefix("default"), "/weir/default/");
    }

    #[test]
    fn what_others_put_there_is_nothing() {
        for key in [
            "",
            "nodes",
            "nodes/",
            "nodes/a b",
            "streams/x",
            "colours/red",
            "tokens/",
            "tokens/a//b",
        ] {
            assert_eq!(Path::parse(key), None, "{key}");
        }
    }
}
