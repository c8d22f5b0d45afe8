#!/bin/sh
# The native core under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   make sanitize                           a million inputs, then the Python extension (some minutes)
#   SANITIZE_RUNS=20000 make sanitize       fewer inputs
#   SANITIZE_SEED=7 make sanitize           other inputs
#   CLANG=clang-17 make sanitize            another clang; CLANG=none: gcc, without libFuzzer
#   tests/fuzz/run.sh text|unicode|module   one part only
#
# With clang the targets are libFuzzer's, which looks for inputs that reach new code. Without it tests/fuzz/standalone.c
# feeds them mutated corpus files. The extension is always built with gcc ($CC), whose sanitizers can be preloaded into
# any Python; it is run by $PYTHON (.venv/bin/python if there is one). A failing input is left in $SANITIZE_BUILD
# (build/sanitize), and the exit status is not 0; run it again with: build/sanitize/text FILE
set -eu
cd "$(dirname "$0")/../.."
part=${1:-all}
runs=${SANITIZE_RUNS:-1000000}
seed=${SANITIZE_SEED:-1}
build=${SANITIZE_BUILD:-build/sanitize}
cc=${CC:-gcc}
fuzz=tests/fuzz
export SSE_UNICODE_BIN=sse/edge/unicode.bin
mkdir -p "$build/long"

if [ -z "${CLANG:-}" ]; then
    CLANG=none
    for name in clang clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
        if command -v "$name" >/dev/null 2>&1; then CLANG=$name; break; fi
    done
fi
# The flags of setup.py, as they decide the bits, and the sanitizers.
flags="-g -O2 -ffp-contract=off -fno-math-errno -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-function"
sanitizers=address,undefined
keep="-fno-sanitize-recover=all"
echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return !d && n; }' >"$build/probe.c"
if [ "$CLANG" != none ] && "$CLANG" "-fsanitize=fuzzer,$sanitizers" "$build/probe.c" -o "$build/probe" 2>/dev/null; then
    compile() { "$CLANG" $flags "-fsanitize=fuzzer,$sanitizers" $keep "$fuzz/fuzz_$1.c" -o "$build/$1" -lm; }
    echo "targets built with $CLANG and libFuzzer"
else
    compile() { "$cc" $flags "-fsanitize=$sanitizers" $keep "$fuzz/fuzz_$1.c" "$fuzz/standalone.c" -o "$build/$1" -lm; }
    echo "targets built with $cc; no clang with libFuzzer was found"
fi

# TARGET RUNS LONGEST FOLDER
feed() {
    echo "$1: $2 inputs of up to $3 bytes"
    if ! "$build/$1" "-runs=$2" "-max_len=$3" "-seed=$seed" -len_control=0 "-artifact_prefix=$build/" "$4" >"$build/$1.log" 2>&1; then
        tail -n 60 "$build/$1.log"
        echo "$1 failed"
        exit 1
    fi
    grep -a 'Done .* runs' "$build/$1.log"
}

long=$((runs / 500 + 1))
if [ "$part" = all ] || [ "$part" = text ]; then
    compile text
    rm -rf "$build/corpus" "$build/long"
    mkdir -p "$build/corpus" "$build/long"
    cp "$fuzz"/corpus/* "$build/corpus" # libFuzzer adds what it finds to its folder
    feed text "$((runs - runs / 5))" 512 "$build/corpus"
    for file in "$fuzz"/corpus/*; do # long texts: the seeds many times over
        i=0
        while [ "$(wc -c <"$file")" -gt 0 ] && [ $i -lt 60 ]; do cat "$file"; i=$((i + 1)); done >"$build/long/$(basename "$file")"
    done
    feed text "$long" 4096 "$build/long"
    feed text "$long" 65536 "$build/long"
fi
if [ "$part" = all ] || [ "$part" = unicode ]; then
    compile unicode
    rm -rf "$build/tables"
    mkdir -p "$build/tables"
    cp "$fuzz"/corpus/* "$build/tables"
    feed unicode "$((runs / 5))" 512 "$build/tables"
fi

if [ "$part" = all ] || [ "$part" = module ]; then
    python=${PYTHON:-}
    if [ -z "$python" ]; then
        if [ -x .venv/bin/python ]; then python=.venv/bin/python; else python=python3; fi
    fi
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    "$cc" $flags "-fsanitize=$sanitizers" $keep -DPy_LIMITED_API=0x030A0000 -I"$include" -fPIC -shared sse/edge/native/module.c \
        -o "$build/_native.so" -lm
    echo "the extension under $("$python" -V)"
    LD_PRELOAD="$("$cc" -print-file-name=libasan.so) $("$cc" -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
        "$python" "$fuzz/native_module.py" "$build/_native.so"
fi
echo "nothing found"
