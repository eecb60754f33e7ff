#!/bin/sh
# Runs every fuzz target for some seconds each: fuzz/run.sh [SECONDS] [TARGET…]. A finding ends it with a failure, and lies in
# fuzz/artifacts/TARGET; `cargo fuzz run TARGET FILE` shows it again.
#
# Needs a C++ compiler, for libFuzzer. The coverage that guides it is a compiler pass which stable Rust has, behind a flag that
# it keeps for nightly: RUSTC_BOOTSTRAP=1 opens it, so no nightly toolchain is needed. No sanitizer is on: what is fuzzed has no
# `unsafe`, so what can go wrong is a panic, an overflow, a time-out or an assertion, and all of these are seen without one.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -gt 0 ] && shift
cargo_fuzz_version=0.13.2
tools=target/tools/cargo-fuzz-$cargo_fuzz_version

command -v c++ >/dev/null 2>&1 || { echo "fuzz/run.sh: libFuzzer needs a C++ compiler (Debian: g++)" >&2; exit 1; }
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
    cargo install --quiet --locked --debug --root "$tools" --target-dir target/tools/build "cargo-fuzz@$cargo_fuzz_version"
    rm -rf target/tools/build
fi
PATH=$PWD/$tools/bin:$PATH
export RUSTC_BOOTSTRAP=1

[ $# -gt 0 ] || set -- $(cargo fuzz list)
findings=
for target in "$@"; do
    # What is found to be new goes to the first folder; the others are read only.
    corpora=fuzz/corpus/$target
    mkdir -p "$corpora" target/fuzz
    [ -d "fuzz/seeds/$target" ] && corpora="$corpora fuzz/seeds/$target"
    [ "$target" = profile ] && corpora="$corpora policies/profiles"
    dictionary=
    [ -f "fuzz/dictionaries/$target.dict" ] && dictionary=-dict=fuzz/dictionaries/$target.dict
    # shellcheck disable=SC2086 # lists of words
    if cargo fuzz run --sanitizer none "$target" $corpora -- -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 \
        -max_len=16384 -print_final_stats=1 $dictionary >"target/fuzz/$target.log" 2>&1; then
        units=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/fuzz/$target.log")
        coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "target/fuzz/$target.log" | tail -1)
        echo "fuzz: $target: $units inputs in $seconds s, $coverage edges, no finding"
    else
        tail -40 "target/fuzz/$target.log"
        echo "fuzz: $target: FINDING, see above and target/fuzz/$target.log"
        findings="$findings $target"
    fi
done
[ -z "$findings" ] || { echo "fuzz: findings in:$findings" >&2; exit 1; }
echo "fuzz: no finding"
