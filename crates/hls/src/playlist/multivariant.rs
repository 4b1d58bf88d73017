//! The playlist that players begin with.

use ::media::Configuration;

use super::{Playlist, VERSION};
use crate::config::Mode;
use crate::names::MEDIA;
use crate::tracks::Tracks;

/// What players are told of a stream before they load any of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    /// The highest bit rate of a segment, in bits per second, as the origin measured it.
    pub bandwidth: u64,
    /// The average bit rate, in bits per second; 0 if it is not known.
    pub average_bandwidth: u64,
    /// The codecs as RFC 6381 writes them.
    pub codecs: Vec<String>,
    /// Width and height of the pictures.
    pub resolution: Option<(u32, u32)>,
    /// Pictures per second.
    pub frame_rate: Option<f64>,
}

/// What is told where nobody has measured yet: every variant has a bandwidth.
const ASSUMED_BANDWIDTH: u64 = 2_000_000;

impl Variant {
    /// What `configuration` tells of the tracks that `mode` carries. What is measured comes from
    /// the origin, so that all nodes tell the same.
    pub fn of(configuration: &Configuration, mode: Mode) -> Self {
        let carried = Tracks::of(configuration).carried_in(mode.container());
        let told = configuration.metadata();
        let mut variant = Self::default();
        if let Some(info) = carried.video.as_ref().and_then(|it| it.info.as_ref()) {
            variant.codecs.push(info.codec_string.clone());
            let size = (info.width, info.height);
            variant.resolution = Some(size).filter(|size| size.0 > 0 && size.1 > 0);
            let own = info.frame_rate.filter(|rate| rate.1 > 0);
            let own = own.map(|(num, den)| f64::from(num) / f64::from(den));
            let rate = own.or_else(|| told.as_ref()?.frame_rate());
            variant.frame_rate = rate.filter(|rate| (1.0..=1000.0).contains(rate));
        }
        if let Some(codec) = carried.audio.as_ref().and_then(|it| it.codec_string()) {
            variant.codecs.push(codec.to_owned());
        }
        variant
    }

    /// With what the origin measured, in bits per second.
    pub fn with_bandwidth(self, peak: u64, average: u64) -> Self {
        Self {
            bandwidth: peak,
            average_bandwidth: average,
            ..self
        }
    }
}

impl Playlist {
    /// The multivariant playlist of a stream with one variant.
    ///
    /// Whether segments are independent is left to the media playlist: here it would be a promise
    /// for all that is still to come.
    pub fn multivariant(variant: &Variant) -> Self {
        let average = variant.average_bandwidth;
        let peak = match variant.bandwidth.max(average) {
            0 => ASSUMED_BANDWIDTH,
            peak => peak,
        };
        let mut playlist = Self::default();
        playlist.line(format_args!("#EXTM3U"));
        playlist.line(format_args!("#EXT-X-VERSION:{VERSION}"));
        playlist.put(format_args!("#EXT-X-STREAM-INF:BANDWIDTH={peak}"));
        if average > 0 {
            playlist.put(format_args!(",AVERAGE-BANDWIDTH={average}"));
        }
        let is_plain = |codec: &&String| {
            let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"\",".contains(&byte);
            !codec.is_empty() && codec.bytes().all(is_fine)
        };
        let codecs: Vec<_> = variant.codecs.iter().filter(is_plain).collect();
        if let Some((first, rest)) = codecs.split_first() {
            playlist.put(format_args!(",CODECS=\"{first}"));
            rest.iter()
                .for_each(|codec| playlist.put(format_args!(",{codec}")));
            playlist.put(format_args!("\""));
        }
        if let Some((width, height)) = variant.resolution {
            playlist.put(format_args!(",RESOLUTION={width}x{height}"));
        }
        if let Some(rate) = variant.frame_rate.filter(|rate| rate.is_finite()) {
            playlist.put(format_args!(",FRAME-RATE={rate:.3}"));
        }
        playlist.line(format_args!(""));
        playlist.uri(format_args!(""), MEDIA, "");
        playlist
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_all_that_is_known() {
        let variant = Variant {
            bandwidth: 2_500_000,
            average_bandwidth: 2_000_000,
            codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
            resolution: Some((1280, 720)),
            frame_rate: Some(30_000.0 / 1001.0),
        };
        let playlist = Playlist::multivariant(&variant);
        assert_eq!(
            playlist.text(),
            "#EXTM3U\n#EXT-X-VERSION:6\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2000000,\
             CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\n\
             media.m3u8\n"
        );
    }

    #[test]
    fn tells_a_bandwidth_in_any_case_and_nothing_that_breaks_the_line() {
        let variant = Variant {
            codecs: vec!["a\"b".to_owned(), "x,y".to_owned(), "\n".to_owned()],
            ..Variant::default()
        };
        let playlist = Playlist::multivariant(&variant);
        assert_eq!(
            playlist.text(),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=2000000\nmedia.m3u8\n"
        );
        let average = Variant::default().with_bandwidth(1, 5);
        assert!(
            Playlist::multivariant(&average)
                .text()
                .contains("BANDWIDTH=5,AVERAGE-BANDWIDTH=5\n")
        );
    }
}
