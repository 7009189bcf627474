#!/usr/bin/env bash
# What to do on a machine with a GPU that is lent for a short time, in steps of under nine minutes each:
#
#   benchmarks/gpu.sh measure OUT                  the CUDA tests, what noise costs, certification and training speed
#   benchmarks/gpu.sh run DATA.npz OUT [PARTS]     as much of the grid as fits, going on from the parts of an earlier call
#
# OUT gets a few files, of at most 15 MiB each. Runs lie in runs/gpu, where the next call goes on; on a fresh machine it
# goes on from PARTS, the folder with the archive (runs.tar.00, ...) that an earlier call left in OUT. ONLY="ARM ..."
# picks arms. Every command has a time limit of its own and none stops the others. DEVICE=cpu TINY=1 tries it all out.
set -u
cd "$(dirname "$0")/.."
export PYTHONUNBUFFERED=1
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} MODEL=${MODEL:-resnet110} SECONDS_A_RUN=${SECONDS_A_RUN:-500}

step() { # NAME LIMIT COMMAND...: its output to OUT/NAME.txt as well
    local name=$1 limit=$2
    shift 2
    echo "== $name: $*"
    timeout --signal=INT --kill-after=15 "$limit" "$@" 2>&1 | tee "$OUT/$name.txt" | tail -n 40
    echo "== $name: status ${PIPESTATUS[0]}, $SECONDS s in all"
}

measure() {
    local quick=() batch=4096 steps=(--warmup 6 --steps 40 --workers 8)
    if [ -n "${TINY:-}" ]; then
        quick=(--seconds 0.2 --repeats 1 --batch 16 --n 100000) batch=8 steps=(--warmup 1 --steps 1 --batch 8 --workers 1 --repeats 1)
        local rounds=(--rounds 1)
    else
        quick=(--seconds 5 --repeats 2) rounds=(--rounds 5)
    fi
    step cuda-tests 140 "$PYTHON" -m pytest -q -m "${MARK:-cuda}" -o addopts=--strict-markers tests
    step certify-speed 210 "$PYTHON" -m benchmarks certify-speed --model "$MODEL" --device "$DEVICE" "${quick[@]}" \
        --out "$OUT/certify-speed-$MODEL-gpu"
    step train-speed 125 "$PYTHON" -m benchmarks train-speed --model "$MODEL" --device "$DEVICE" "${steps[@]}" \
        --out "$OUT/train-speed-$MODEL-gpu.json"
    step noise-cost 50 "$PYTHON" -m benchmarks noise-cost --model "$MODEL" --device "$DEVICE" --batch "$batch" "${rounds[@]}"
}

run() { # DATA [PARTS]
    local data=$1 parts=${2:-} runs=runs/gpu
    mkdir -p "$runs"
    if [ -n "$parts" ]; then cat "$parts"/runs.tar.* | tar --extract --directory "$runs" || exit 1; fi
    step grid $((SECONDS_A_RUN + 30)) "$PYTHON" -m benchmarks run cifar10 --device "$DEVICE" ${TINY:+--tiny} \
        ${ONLY:+--only $ONLY} --data "$data" --out "$runs/cifar10" --max_seconds "$SECONDS_A_RUN"
    for summary in "$runs"/cifar10/*/summary.json; do # a finished arm needs its checkpoint no more
        [ -e "$summary" ] && rm -f "$(dirname "$summary")/checkpoint.pt"
    done
    tar --create --directory "$runs" cifar10 | split --bytes=15M --numeric-suffixes - "$OUT/runs.tar."
    ls -l "$OUT"
}

case "${1:-}" in
    measure) OUT=${2:?expected a folder} && mkdir -p "$OUT" && measure ;;
    run) OUT=${3:?expected DATA.npz and a folder} && mkdir -p "$OUT" && run "$2" "${4:-}" ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
