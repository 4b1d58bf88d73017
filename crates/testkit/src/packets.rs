//! What ffmpeg reads in a stream: a list of packets with their hashes.

/// The packets of a stream, by track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packets {
    /// The pictures.
    pub video: Vec<Packet>,
    /// The sound.
    pub audio: Vec<Packet>,
    /// Hashes of the decoder configurations, video and audio.
    pub configurations: Vec<String>,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// When it is decoded, in milliseconds.
    pub dts: i64,
    /// When it is shown.
    pub pts: i64,
    /// MD5 of its payload.
    pub hash: String,
}

impl Packets {
    /// Reads what `-f framemd5` prints.
    ///
    /// # Panics
    /// When it is something else.
    pub fn parse(list: &str) -> Self {
        let mut packets = Self::default();
        let mut media: Vec<(&str, &str)> = Vec::new();
        for line in list.lines() {
            if let Some(head) = line.strip_prefix("#media_type ") {
                media.push(head.split_once(": ").expect("a number and a medium"));
            } else if line.starts_with("#extradata ") {
                let hash = line.rsplit(", ").next().expect("a hash");
                packets.configurations.push(hash.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                let &[track, dts, pts, _, _, hash] = fields.get(..6).expect("six fields") else {
                    panic!("{line}")
                };
                let packet = Packet {
                    dts: dts.parse().expect("a time"),
                    pts: pts.parse().expect("a time"),
                    hash: hash.to_owned(),
                };
                match media.iter().find(|(number, _)| *number == track) {
                    Some((_, "video")) => packets.video.push(packet),
                    Some((_, "audio")) => packets.audio.push(packet),
                    _ => panic!("{line}: no such track"),
                }
            }
        }
        packets
    }

    /// Checks that these are all packets of `sent`, in order and at the same times, except that
    /// all may be earlier or later by the same amount. That amount.
    ///
    /// # Panics
    /// When they are not.
    pub fn equal(&self, sent: &Self, who: &str) -> i64 {
        assert_eq!(
            self.configurations, sent.configurations,
            "{who}: configurations"
        );
        let (video, audio) = self.suffix(sent, who);
        assert_eq!(
            (video, audio),
            (0, 0),
            "{who}: packets missing at the start of video, audio"
        );
        self.shift(sent, who)
    }

    /// Checks that these are the packets of `sent` from some point on, to the end and without a
    /// hole. How many video and audio packets are missing in front.
    ///
    /// # Panics
    /// When they are not.
    pub fn suffix(&self, sent: &Self, who: &str) -> (usize, usize) {
        let missing = |kind: &str, mine: &[Packet], all: &[Packet]| {
            let missing = all.len().checked_sub(mine.len());
            let missing = missing.unwrap_or_else(|| {
                panic!("{who}: {} {kind} packets came of {}", mine.len(), all.len())
            });
            for (at, (mine, sent)) in mine.iter().zip(&all[missing..]).enumerate() {
                assert_eq!(
                    mine.hash,
                    sent.hash,
                    "{who}: {kind} packet {at} of {}, which should be {} of {}",
                    self.video.len().max(self.audio.len()),
                    missing + at,
                    all.len()
                );
            }
            missing
        };
        (
            missing("video", &self.video, &sent.video),
            missing("audio", &self.audio, &sent.audio),
        )
    }

    /// By how much these are later than the same packets of `sent`, which must be the same for all.
    ///
    /// # Panics
    /// When it is not.
    pub fn shift(&self, sent: &Self, who: &str) -> i64 {
        let video = sent
            .video
            .iter()
            .skip(sent.video.len() - self.video.len())
            .zip(&self.video);
        let audio = sent
            .audio
            .iter()
            .skip(sent.audio.len() - self.audio.len())
            .zip(&self.audio);
        let mut shift = None;
        for (kind, (sent, mine)) in video
            .map(|pair| ("video", pair))
            .chain(audio.map(|pair| ("audio", pair)))
        {
            let shift = *shift.get_or_insert(mine.dts - sent.dts);
            assert_eq!(
                (mine.dts, mine.pts),
                (sent.dts + shift, sent.pts + shift),
                "{who}: times of {kind} packet sent at {}",
                sent.dts
            );
        }
        shift.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "#format: frame checksums\n\
        #extradata 0, 45, 71a4\n\
        #media_type 0: video\n\
        #media_type 1: audio\n\
        #stream#, dts, pts, duration, size, hash\n\
        0, -59, 21, 40, 2767, aa\n\
        1, 0, 0, 21, 118, bb\n\
        0, -19, 141, 40, 496, cc\n\
        1, 21, 21, 21, 118, dd\n";

    #[test]
    fn a_list_is_read_by_track() {
        let packets = Packets::parse(LIST);
        let hashes = |packets: &[Packet]| -> Vec<String> {
            packets.iter().map(|packet| packet.hash.clone()).collect()
        };
        assert_eq!(hashes(&packets.video), ["aa", "cc"]);
        assert_eq!(hashes(&packets.audio), ["bb", "dd"]);
        assert_eq!(packets.configurations, ["71a4"]);
        assert_eq!((packets.video[0].dts, packets.video[0].pts), (-59, 21));
    }

    #[test]
    fn a_suffix_is_told_by_what_is_missing() {
        let sent = Packets::parse(LIST);
        let mut late = sent.clone();
        late.video.remove(0);
        assert_eq!(late.suffix(&sent, "late"), (1, 0));
        assert_eq!(sent.equal(&sent, "all"), 0);
    }

    #[test]
    #[should_panic(expected = "which should be")]
    fn a_hole_is_no_suffix() {
        let sent = Packets::parse(LIST);
        let mut holed = sent.clone();
        holed.audio.remove(1);
        holed.suffix(&sent, "holed");
    }

    #[test]
    #[should_panic(expected = "times of audio packet")]
    fn all_are_later_by_the_same() {
        let sent = Packets::parse(LIST);
        let mut late = sent.clone();
        late.audio[1].dts += 1;
        late.shift(&sent, "late");
    }
}
