#!/bin/sh
# Runs as root on the instance that becomes the AMI. MODEL is what it is to serve, DEVICE (cuda or cpu) what on; the
# files were put into /tmp.
set -eu
: "${MODEL:?the name of a model}" "${DEVICE:?cuda or cpu}"
models=/usr/local/share/transcription-worker/models
worker=/usr/local/bin/transcription-worker

# cloud-init may still hold the package lock on a fresh instance; on an image without it there is nothing to wait for
if command -v cloud-init >/dev/null; then
  cloud-init status --wait >/dev/null || true
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# ca-certificates: HTTPS to AWS; ffmpeg: the formats that the built-in decoders do not read
apt-get install -y -qq --no-install-recommends ca-certificates ffmpeg

install -m 0755 /tmp/transcription-worker "$worker"
install -m 0644 /tmp/transcription-worker.service /etc/systemd/system/transcription-worker.service
install -d -m 0755 /etc/transcription-worker "$models"
install -m 0644 /tmp/worker.env.example /etc/transcription-worker/worker.env.example
rm -f /tmp/transcription-worker /tmp/transcription-worker.service /tmp/worker.env.example

# fails here and not at the first job: a program that does not start on this system, a model that is not what it should be
"$worker" --version
"$worker" model pull "$MODEL" --models-dir "$models"
chmod -R a+rX "$models"

# the engine loads the driver and the model, and each lane computes, before it is ready for any file
silence=$(mktemp --suffix .wav)
ffmpeg -v error -y -f lavfi -i anullsrc=r=16000:cl=mono -t 1 "$silence"
"$worker" transcribe "$silence" --device "$DEVICE" --model "$MODEL" --models-dir "$models"
rm -f "$silence"

# enabled, not started: /etc/transcription-worker/worker.env is written at the first boot of each instance, before
# which the unit does not start
install -d /etc/systemd/system/transcription-worker.service.d
cat > /etc/systemd/system/transcription-worker.service.d/ami.conf <<'UNIT'
[Unit]
# write_files of the user data has run by then (cloud-final.service would be too late: it waits for this unit)
After=cloud-init.service
ConditionPathExists=/etc/transcription-worker/worker.env
UNIT
systemctl daemon-reload
systemctl enable transcription-worker.service
