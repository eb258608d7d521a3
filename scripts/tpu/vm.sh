#!/usr/bin/env bash
# The VM's part of a launch; scripts/tpu/commands.py calls it. Everything is under ~/nigt. The last line of output says
# how a command ended: without one, the connection was lost.
set -euo pipefail
home="$HOME/nigt"
clone="$home/clone" venv="$home/venv" run="$home/run"
sync_seconds="${NIGT_SYNC_SECONDS:-120}"

fail() { echo "nigt-vm: failed: $*"; exit 1; }

find_python() {
  for name in python3.11 python3.12; do
    if command -v "$name" >/dev/null && "$name" -c 'import ensurepip' 2>/dev/null; then echo "$name"; return; fi
  done
}

# setup COMMIT: the clone at that commit, and requirements/tpu_vm.txt.
setup() {
  if [ ! -d "$clone/.git" ]; then
    tar -C "$home" -xf "$home/nigt.git.tar" || fail "tar"
    git clone --quiet "$home/nigt.git" "$clone" || fail "git clone"
  fi
  git -C "$clone" checkout --quiet --detach "$1" || fail "git checkout $1"
  local lock mark python
  lock="$(sha256sum "$clone/requirements/tpu_vm.txt" | cut -c1-16)"
  mark="$venv/.ready-$lock"
  [ -e "$mark" ] && return
  python="$(find_python)"
  if [ -z "$python" ]; then
    sudo apt-get update -qq && sudo apt-get install -y -qq python3.11-venv || true
    python="$(find_python)"
  fi
  [ -n "$python" ] || fail "no Python 3.11 or 3.12 on this image, and apt-get has none"
  "$python" -m venv --clear "$venv" || fail "python -m venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r "$clone/requirements/bootstrap.txt" || fail "pip install of requirements/bootstrap.txt"
  # Without dependencies: tf-models-official asks for plain tensorflow, which would displace TensorFlow's TPU build.
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --no-deps \
    -r "$clone/requirements/tpu_vm.txt" || fail "uv pip install of requirements/tpu_vm.txt"
  touch "$mark"
}

# push: the run's files to the bucket. Wherever it is cut off, the metrics there may be ahead of the checkpoints, which is
# mended on resuming, and never behind: so the checkpoints are held fast first (as links), and the metrics go first.
push() {
  local folder stage="$home/stage"
  folder="$(cat "$home/folder")"
  rm -rf "$stage"
  cp -al "$run" "$stage" 2>>"$home/sync.log" || true  # a file that went while it was listed
  for file in metrics.csv run.json; do
    if [ -e "$run/$file" ]; then
      cp --remove-destination "$run/$file" "$stage/$file" || return 1
      gcloud storage cp --quiet "$stage/$file" "$folder/$file" >>"$home/sync.log" 2>&1 || return 1
    fi
  done
  gcloud storage rsync --quiet --recursive --delete-unmatched-destination-objects \
    --exclude='metrics\.csv$|run\.json$' "$stage" "$folder" >>"$home/sync.log" 2>&1
}

# start NAME FOLDER VARIABLE=VALUE… -- ARGUMENT…: trains, away from this connection.
start() {
  # The answer to an earlier `start` may have been lost; and after a restart of the machine the process is gone.
  if [ -e "$home/status" ] || kill -0 "$(cat "$home/pid" 2>/dev/null)" 2>/dev/null; then return; fi
  echo "$1" >"$home/name"; echo "$2" >"$home/folder"; shift 2
  # What an earlier VM has saved. A run that is new has no folder yet.
  if [ ! -d "$run" ] && gcloud storage ls "$(cat "$home/folder")/" >/dev/null 2>&1; then
    mkdir -p "$run.partial"
    gcloud storage rsync --quiet --recursive "$(cat "$home/folder")" "$run.partial" >>"$home/sync.log" 2>&1 \
      || fail "copying the run from $(cat "$home/folder")"
    mv "$run.partial" "$run"
  fi
  while [ "$1" != -- ]; do export "${1?}"; shift; done
  shift
  cd "$clone"
  setsid nohup bash "$home/vm.sh" supervise "$@" >>"$home/out.log" 2>&1 </dev/null &
  echo $! >"$home/pid"
}

# supervise ARGUMENT…: the training, and copies of its files to the bucket while it runs and at its end.
supervise() {
  local status=0
  "$venv/bin/python" -m trainers.train --model_dir="$run" "$@" &
  local train=$!
  echo "$train" >"$home/train_pid"
  ( while sleep "$sync_seconds"; do push || echo "vm: a copy to the bucket failed; see ~/nigt/sync.log"; done ) &
  local copies=$!
  wait "$train" || status=$?
  kill "$copies" 2>/dev/null || true
  wait "$copies" 2>/dev/null || true
  if [ -d "$run" ]; then push || echo "vm: the last copy to the bucket failed; see ~/nigt/sync.log"; fi
  echo "$status" >"$home/status.partial"
  mv "$home/status.partial" "$home/status"
}

# poll OFFSET: "running", "ended STATUS" or "gone" (the machine was started anew), the log's next offset, and the log from OFFSET on.
poll() {
  local state=running size=0
  if [ -e "$home/status" ]; then state="ended $(cat "$home/status")"
  elif ! kill -0 "$(cat "$home/pid")" 2>/dev/null; then state=gone; fi
  [ -e "$home/out.log" ] && size="$(stat -c %s "$home/out.log")"
  local last=$(($1 + 65536)); [ "$last" -lt "$size" ] || last="$size"
  echo "nigt-vm: $state $last"
  if [ "$last" -gt "$1" ]; then tail -c +"$(($1 + 1))" "$home/out.log" | head -c "$((last - $1))" || true; echo; fi
}

# stop: asks the training to stop at a checkpoint, waits for the end of the last copy.
stop() {
  [ -e "$home/train_pid" ] || return 0
  kill -TERM "$(cat "$home/train_pid")" 2>/dev/null || true
  for _ in $(seq 300); do [ -e "$home/status" ] && return 0; sleep 0.2; done
  fail "the training did not stop within a minute"
}

# pack: the small files of the run, for scp.
pack() {
  local logs; logs="$home/logs/$(cat "$home/name")"
  mkdir -p "$logs"
  for file in run.json metrics.csv config.gin train.log; do
    [ -e "$run/$file" ] && cp "$run/$file" "$logs/"
  done
  if [ -e "$home/out.log" ]; then cp "$home/out.log" "$logs/"; fi
}

command="$1"; shift
case "$command" in
  setup | start | poll | stop | pack) "$command" "$@"; echo "nigt-vm: done" ;;
  supervise) supervise "$@" ;;
  *) fail "no such command: $command" ;;
esac
