#!/bin/sh
# Makes the lists that the tests compare with: NAME.tags by dechunk.py, NAME.frames by ffmpeg's
# reading of the FLV file that dechunk.py makes. Needs an ffmpeg that knows Enhanced RTMP v2
# (9.0 or later), named by FFMPEG. Run it in this folder, with the captures to do as arguments.
set -eu
ffmpeg=${FFMPEG:-ffmpeg}
flv=$(mktemp --suffix .flv)
trap 'rm -f "$flv"' EXIT
for capture in "$@"; do
    name=${capture%.bin}
    python3 dechunk.py "$capture" "$flv" "$name.tags"
    if [ ! -s "$name.tags" ]; then
        rm "$name.tags"
        continue
    fi
    "$ffmpeg" -v error -nostdin -copyts -i "$flv" -map 0:v? -map 0:a? -c copy -copyinkf \
        -f framehash -hash crc32 - |
        awk -F', *' '/^#media_type/ { split($0, w, /[ :]+/); print "stream", w[2], w[3] }
                     /^[0-9]/ { print $1, $2, $5, $6 }' > "$name.frames"
done
