#!/bin/sh
# Runs as root on the instance that becomes the AMI. MODEL is what it is to serve, DEVICE (cuda or cpu) what on; package
# and the agent's settings were put into /tmp. ROOT_TEST=1 leaves out what only EC2 has: the agent.
set -eu
: "${MODEL:?the name of a model}" "${DEVICE:?cuda or cpu}"
models=/var/lib/transcription-worker/models
agent=/opt/aws/amazon-cloudwatch-agent
settings=/etc/systemd/system

# cloud-init may still hold the package lock on a fresh instance; on an image without it there is nothing to wait for
if command -v cloud-init >/dev/null; then
  cloud-init status --wait >/dev/null || true
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# ffmpeg: the formats that the built-in decoders do not read
apt-get install -y -qq --no-install-recommends /tmp/transcription-worker.deb ffmpeg curl

# fails here and not at the first job: a program that does not start on this system, a model that is not what it should be
transcription-worker --version
transcription-worker model pull "$MODEL" --models-dir "$models"
transcription-worker model verify --models-dir "$models"
chmod -R a+rX "$models"

# computes a window there: with --device cuda never on the CPU. A folder stands in for AWS, of which nothing is known yet
trial=$(mktemp -d)
TRANSCRIPTION_MODELS_DIR=$models transcription-worker check --folder "$trial" --model "$MODEL" --device "$DEVICE" | tee "$trial/checked"
grep -q "^ok *engine *$DEVICE" "$trial/checked"
rm -rf "$trial"

# the worker's lines go to a file, which the agent reads; the journal keeps what systemd says, and last words
cat > /etc/tmpfiles.d/transcription-worker.conf <<'TMPFILES'
d /var/log/transcription-worker 0755 root root
TMPFILES
cat > /etc/logrotate.d/transcription-worker <<'LOGROTATE'
/var/log/transcription-worker/*.log {
  daily
  maxsize 200M
  rotate 3
  compress
  missingok
  copytruncate
}
LOGROTATE
systemd-tmpfiles --create transcription-worker.conf

# enabled, not started: worker.env is written at the first boot of each instance, before which the unit does not start
rm -f /etc/transcription-worker/worker.env
install -d "$settings/transcription-worker.service.d"
cat > "$settings/transcription-worker.service.d/ami.conf" <<'UNIT'
[Unit]
# write_files of the user data has run by then (cloud-final.service would be too late: it waits for this unit)
After=cloud-init.service dlami-nvme.service
ConditionPathExists=/etc/transcription-worker/worker.env

[Service]
StandardOutput=append:/var/log/transcription-worker/worker.log
# the instance store is mounted there; where an instance has none it is the root volume
ExecStartPre=+/bin/install -d -o transcription-worker -g transcription-worker -m 0700 /opt/dlami/nvme/transcription-worker
ReadWritePaths=-/opt/dlami/nvme
Environment=TRANSCRIPTION_SCRATCH_DIR=/opt/dlami/nvme/transcription-worker
UNIT
systemctl daemon-reload
systemctl enable transcription-worker.service

if [ -z "${ROOT_TEST:-}" ]; then
  if [ ! -x "$agent/bin/amazon-cloudwatch-agent" ]; then
    curl -fsS -o /tmp/agent.deb https://amazoncloudwatch-agent.s3.amazonaws.com/ubuntu/amd64/latest/amazon-cloudwatch-agent.deb
    dpkg -i /tmp/agent.deb
    rm -f /tmp/agent.deb
  fi
  install -D -m 0644 /tmp/cloudwatch-agent.json "$agent/etc/amazon-cloudwatch-agent.d/transcription-worker.json"
  install -d "$settings/amazon-cloudwatch-agent.service.d"
  # user data may write another group into its settings
  printf '[Unit]\nAfter=cloud-init.service\n' > "$settings/amazon-cloudwatch-agent.service.d/ami.conf"
  systemctl daemon-reload
  systemctl enable amazon-cloudwatch-agent.service
fi
rm -f /tmp/transcription-worker.deb /tmp/cloudwatch-agent.json
