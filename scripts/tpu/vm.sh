#!/usr/bin/env bash
# The VM's part of a launch; scripts/tpu/commands.py calls it. Everything is under ~/nigt. The last line of output says
# how a command ended: without one, the connection was lost.
set -euo pipefail
home="$HOME/nigt"
clone="$home/clone" venv="$home/venv" run="$home/run"
sync_seconds="${NIGT_SYNC_SECONDS:-120}"
between_trials="${NIGT_TRIAL_SECONDS:-15}"

fail() { echo "nigt-vm: failed: $*"; exit 1; }

trials() {
  for _ in 1 2 3 4; do
    if "$@"; then return; fi
    sleep "$between_trials"
  done
  "$@"
}

find_python() {
  for name in python3.11 python3.12; do
    if command -v "$name" >/dev/null && "$name" -c 'import ensurepip' 2>/dev/null; then echo "$name"; return; fi
  done
}

install_python() {
  # A fresh VM is often at work on its own updates.
  export DEBIAN_FRONTEND=noninteractive
  sudo -E apt-get -o DPkg::Lock::Timeout=600 update -qq \
    && sudo -E apt-get -o DPkg::Lock::Timeout=600 install -y -qq python3.11-venv
}

# setup COMMIT LOCK: the clone at that commit, the bundle if one was copied, and requirements/LOCK.
setup() {
  if [ ! -d "$clone" ]; then
    rm -rf "$home/nigt.git" "$clone.partial"
    tar -C "$home" --no-same-owner -xf "$home/nigt.git.tar" || fail "tar"
    git clone --quiet "$home/nigt.git" "$clone.partial" || fail "git clone"
    mv "$clone.partial" "$clone"
  fi
  git -C "$clone" checkout --quiet --detach "$1" || fail "git checkout $1"
  if [ -e "$home/bundle.tar" ]; then
    rm -rf "$home/bundle"
    tar -C "$home" --no-same-owner -xf "$home/bundle.tar" || fail "tar"
  fi
  local lock mark python
  lock="$(sha256sum "$clone/requirements/$2" | cut -c1-16)"
  mark="$venv/.ready-$lock"
  [ -e "$mark" ] && return
  python="$(find_python)"
  if [ -z "$python" ]; then
    trials install_python || true
    python="$(find_python)"
  fi
  [ -n "$python" ] || fail "no Python 3.11 or 3.12 on this image, and apt-get has none"
  "$python" -m venv --clear "$venv" || fail "python -m venv"
  trials "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r "$clone/requirements/bootstrap.txt" || fail "pip install of requirements/bootstrap.txt"
  # Without dependencies: tf-models-official asks for plain tensorflow, which would displace TensorFlow's TPU build.
  trials "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --no-deps \
    -r "$clone/requirements/$2" || fail "uv pip install of requirements/$2"
  touch "$mark"
}

# push: the run's files to the bucket. Wherever it is cut off, the metrics there may be ahead of the checkpoints, which is
# mended on resuming, and never behind: so the checkpoints are held fast first (as links), and the metrics go first. What
# is not here any more is deleted there only when all that is here has got there: some checkpoint is always whole. One at
# a time: the lock is also held by a gcloud whose caller was killed.
push() { (flock 8 && copy_run) 8>"$home/push.lock"; }

copy_run() {
  local folder stage="$home/stage"
  folder="$(cat "$home/folder")"
  rm -rf "$stage"
  cp -al "$run" "$stage" 2>>"$home/sync.log" || true  # a file that went while it was listed
  for file in config.gin metrics.csv run.json; do
    if [ -e "$run/$file" ]; then
      # Not cp, which gives up on a file that is replaced meanwhile; not into the link, which is the run's own file.
      cat "$run/$file" >"$stage/$file.new" && mv "$stage/$file.new" "$stage/$file" || return 1
      gcloud storage cp --quiet "$stage/$file" "$folder/$file" >>"$home/sync.log" 2>&1 || return 1
    fi
  done
  local rsync=(gcloud storage rsync --quiet --recursive '--exclude=metrics\.csv$|run\.json$|config\.gin$')
  "${rsync[@]}" "$stage" "$folder" >>"$home/sync.log" 2>&1 || return 1
  "${rsync[@]}" --delete-unmatched-destination-objects "$stage" "$folder" >>"$home/sync.log" 2>&1
}

# What the bucket says of the run's folder: "some", "none", or nothing where it gives no answer.
look() {
  local answer
  if answer="$(gcloud storage ls "$1/" 2>&1)"; then echo some
  elif grep -q "matched no objects" <<<"$answer"; then echo none
  else echo "$answer" >>"$home/sync.log"; return 1; fi
}

may_write() {
  date >"$home/probe"
  gcloud storage cp --quiet "$home/probe" "$1/.probe" >>"$home/sync.log" 2>&1 \
    && gcloud storage rm --quiet "$1/.probe" >>"$home/sync.log" 2>&1
}

# start NAME FOLDER VARIABLE=VALUE… -- MODULE ARGUMENT…: trains, away from this connection.
start() {
  # The answer to an earlier `start` may have been lost; and after a restart of the machine the process is gone.
  if [ -e "$home/status" ] || kill -0 "$(cat "$home/pid" 2>/dev/null)" 2>/dev/null; then return; fi
  local folder="$2" there
  echo "$1" >"$home/name"; echo "$folder" >"$home/folder"; shift 2
  there="$(trials look "$folder")" || fail "$folder gives no answer: $(tail -n 1 "$home/sync.log")"
  # A run that cannot be saved would be lost with the VM.
  trials may_write "$folder" || fail "$folder cannot be written and deleted: $(tail -n 1 "$home/sync.log")"
  # What an earlier VM has saved.
  if [ ! -d "$run" ] && [ "$there" = some ]; then
    mkdir -p "$run.partial"
    trials gcloud storage rsync --quiet --recursive "$folder" "$run.partial" >>"$home/sync.log" 2>&1 \
      || fail "copying the run from $folder"
    mv "$run.partial" "$run"
  fi
  while [ "$1" != -- ]; do export "${1?}"; shift; done
  shift
  if [ "${TF_PLUGGABLE_DEVICE_LIBRARY_PATH:-}" = locked ]; then
    local libraries=("$venv"/lib/python3.*/site-packages/libtpu/libtpu.so)
    export TF_PLUGGABLE_DEVICE_LIBRARY_PATH="${libraries[0]}"
  fi
  cd "$clone"
  if ! kill -0 "$(cat "$home/watch_pid" 2>/dev/null)" 2>/dev/null; then
    setsid nohup bash "$home/vm.sh" watch >>"$home/out.log" 2>&1 </dev/null 9>&- &
    echo $! >"$home/watch_pid"
  fi
  setsid nohup bash "$home/vm.sh" supervise "$@" >>"$home/out.log" 2>&1 </dev/null 9>&- &
  echo $! >"$home/pid"
}

# supervise MODULE ARGUMENT…: the training, and copies of its files to the bucket while it runs and at its end.
supervise() {
  local status=0 saved=saved
  "$venv/bin/python" -m "$1" --model_dir="$run" "${@:2}" &
  local train=$!
  echo "$train" >"$home/train_pid"
  # A machine that is being taken back is told so: the training stops at a checkpoint, and it is copied.
  local told ended
  trap 'told=yes; kill -TERM "$train" 2>/dev/null || true' TERM
  (while sleep "$sync_seconds"; do push || echo "vm: a copy to the bucket failed; see ~/nigt/sync.log"; done) &
  local copies=$!
  # `wait` comes back early when the signal arrives; 127: it had given the status before.
  while :; do
    told='' ended=0
    wait "$train" || ended=$?
    [ "$ended" = 127 ] || status="$ended"
    [ -n "$told" ] || break
  done
  kill "$copies" 2>/dev/null || true
  wait "$copies" 2>/dev/null || true
  if [ -d "$run" ]; then
    trials push || { saved=unsaved; echo "vm: the last copy to the bucket failed: $(tail -n 1 "$home/sync.log")"; }
  fi
  echo "$status $saved" >"$home/status.partial"
  mv "$home/status.partial" "$home/status"
}

# watch: deletes this TPU when the launcher has not, some time after max_hours. The VM's service account has to be allowed.
watch() {
  sleep "${NIGT_DELETE_AFTER:?}"
  echo "vm: nobody has deleted this TPU: deleting it"
  local where=("$(cat "$home/name")" "--zone=${NIGT_ZONE:?}" "--project=${NIGT_PROJECT:?}" --quiet)
  gcloud compute tpus queued-resources delete "${where[@]}" --force --async \
    || gcloud compute tpus tpu-vm delete "${where[@]}" --async || echo "vm: it could not be deleted"
}

# poll OFFSET: "running", "ended STATUS saved|unsaved" or "gone" (the machine was started anew), the log's next offset,
# and the log from OFFSET on.
poll() {
  local state=running size=0
  if [ -e "$home/status" ]; then state="ended $(cat "$home/status")"
  elif ! kill -0 "$(cat "$home/pid")" 2>/dev/null; then state=gone; fi
  [ -e "$home/out.log" ] && size="$(stat -c %s "$home/out.log")"
  local last=$(($1 + 65536)); [ "$last" -lt "$size" ] || last="$size"
  echo "nigt-vm: $state $last"
  if [ "$last" -gt "$1" ]; then tail -c +"$(($1 + 1))" "$home/out.log" | head -c "$((last - $1))" || true; echo; fi
}

# again: forgets that the training has ended, so that `start` goes on with it.
again() {
  for _ in $(seq 100); do
    kill -0 "$(cat "$home/pid")" 2>/dev/null || break  # it has written its status, and is about to end
    sleep 0.1
  done
  rm -f "$home/status"
}

# stop: asks the training to stop at a checkpoint, waits for the end of the last copy.
stop() {
  [ -e "$home/train_pid" ] || return 0
  kill -TERM "$(cat "$home/train_pid")" 2>/dev/null || true
  for _ in $(seq 750); do [ -e "$home/status" ] && return 0; sleep 0.2; done
  fail "the training did not stop, or its last copy did not end, within 150 seconds"
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
  # A connection may be lost and the command repeated while the first is still at work.
  setup | start) exec 9>"$home/lock"; flock 9; "$command" "$@"; echo "nigt-vm: done" ;;
  poll | again | stop | pack) "$command" "$@"; echo "nigt-vm: done" ;;
  supervise | watch) "$command" "$@" ;;
  *) fail "no such command: $command" ;;
esac
