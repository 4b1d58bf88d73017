#!/bin/sh
# Makes the samples beside it anew, and what an independent demuxer reads in them (*.framecrc).
# FFMPEG5 and FFMPEG9 are ffmpeg 5.1 and 9; the bytes differ from build to build of the encoders.
set -eu
cd "$(dirname "$0")"
: "${FFMPEG5:=ffmpeg}" "${FFMPEG9:?}"

video="-f lavfi -i testsrc2=size=160x90:rate=15"
audio="-f lavfi -i sine=440:sample_rate=48000"

make() { # name, program, seconds, arguments
    name=$1 program=$2 seconds=$3
    shift 3
    "$program" -nostdin -hide_banner -loglevel error -y $inputs "$@" -t "$seconds" -f flv "$name.flv"
    "$FFMPEG9" -nostdin -hide_banner -loglevel error -y -fflags +noparse+nofillin -copyts \
        -i "$name.flv" -map 0 -c copy -copyinkf -avoid_negative_ts disabled -f framecrc "$name.framecrc"
}

x264="-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 15 -b:v 60k"
x265="-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=error:keyint=15"

inputs="$video $audio"
make h264-aac "$FFMPEG5" 2 $x264 -bf 3 -c:a aac -b:a 32k
make h264-aac-9 "$FFMPEG9" 1 $x264 -c:a aac -b:a 32k
make hevc-aac "$FFMPEG9" 2 $x265 -b:v 60k -c:a aac -b:a 32k
make hevc-hdr "$FFMPEG9" 1 -an -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc \
    -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -b:v 60k \
    -x265-params "log-level=error:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
make av1-opus "$FFMPEG9" 1 -c:v libaom-av1 -cpu-used 8 -b:v 60k -g 15 -c:a libopus -b:a 32k
make vp9-opus "$FFMPEG9" 1 -c:v libvpx-vp9 -deadline realtime -b:v 60k -g 15 -c:a libopus -b:a 32k
make h264-ac3 "$FFMPEG9" 1 $x264 -c:a ac3 -b:a 64k
make h264-eac3 "$FFMPEG9" 1 $x264 -c:a eac3 -b:a 48k
make flv1-adpcm "$FFMPEG5" 1 -c:v flv -b:v 60k -c:a adpcm_swf -ar 22050 -ac 1
make flashsv-nellymoser "$FFMPEG5" 0.3 -c:v flashsv -c:a nellymoser -ar 22050 -ac 1

inputs="$audio"
make mp3 "$FFMPEG5" 2 -c:a libmp3lame -ar 44100 -b:a 32k
make speex "$FFMPEG5" 0.5 -c:a libspeex -ar 16000 -ac 1
make flac "$FFMPEG9" 0.5 -c:a flac
make pcm-alaw "$FFMPEG5" 0.5 -c:a pcm_alaw -ar 8000 -ac 1

inputs="$video $video $audio $audio"
make multitrack "$FFMPEG9" 1 -map 0 -map 1 -map 2 -map 3 -preset ultrafast -pix_fmt yuv420p -g 15 -b:v 60k \
    -c:v:0 libx265 -x265-params log-level=error -c:v:1 libx264 -c:a:0 aac -c:a:1 libopus -b:a 32k
