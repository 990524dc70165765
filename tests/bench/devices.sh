#!/bin/sh
# Models as C and as object files beside plain loops of the same layers (tests/data/devices/plain.c): code, constants and RAM on a
# Cortex-M4, microseconds of an inference here (the least of fifteen times a hundred), as the rows of docs/devices.md.
# Needs arm-none-eabi-gcc.  From the repository's root: tests/bench/devices.sh build/nin
set -eu
nin=${1:-build/nin}
data=tests/data/devices
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fast="-std=gnu99 -O3 -march=x86-64-v3 -I$folder"
small="-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -std=c99 -Os -ffunction-sections -I$folder"

# number KEY HEADER: of the header's report
number() { sed -n "s/^ \*   .*$1 *\([0-9][0-9]*\) .*/\1/p" "$2" | head -n 1; }
# The weights of an emitted text, and nothing else of it.
weights() { sed -n '/^static const float [a-z]*_[0-9a-z_]*\[/,/^};/p' "$1" | sed '/^static const float test_/,/^};/d'; }
code() { arm-none-eabi-size -A "$1" | awk '/^\.text/ {t += $2} END {print t}'; }
stack() { awk '$2 > most {most = $2} END {print most + 0}' "$1"; }

# timed SOURCE OBJECT.. : microseconds
timed() {
    gcc $fast -o "$folder/timed" "$@" && "$folder/timed"
}

printf '%-30s %10s %10s %10s %10s\n' "" "code" "constants" "RAM" "us"
for model in "$@"; do
    [ "$model" = "$nin" ] && continue
    "$nin" build $data/models.nin --artifact "$model" -o "$folder/$model.c" >/dev/null
    "$nin" build $data/models.nin --artifact "$model" --emit object --target thumbv7em-none-eabihf --cpu cortex-m4 -o "$folder/arm.o" >/dev/null
    "$nin" build $data/models.nin --artifact "$model" --emit object -o "$folder/host.o" >/dev/null
    "$nin" build $data/models.nin --artifact "$model" --emit c -o "$folder/$model.c" >/dev/null
    upper=$(echo "$model" | tr a-z A-Z)
    constants=$(number constants "$folder/$model.h")
    work=$(number workspace "$folder/$model.h")
    harness="-DMODEL_HEADER=\"$model.h\" -DMODEL_PREDICT=${model}_predict -DMODEL_WORK=${model}_work $data/harness.c"
    arm-none-eabi-gcc $small -D${upper}_NO_SELFTEST -fstack-usage -c "$folder/$model.c" -o "$folder/c.o"
    printf '%-30s %10s %10s %10s %10s\n' "$model: emitted C" "$(code "$folder/c.o")" "$constants" "$((work + $(stack "$folder/c.su")))" \
        "$(timed $harness "$folder/$model.c")"
    printf '%-30s %10s %10s %10s %10s\n' "$model: object file" "$(code "$folder/arm.o")" "$constants" "$work" "$(timed $harness "$folder/host.o")"
    weights "$folder/$model.c" > "$folder/weights.h"
    case $model in plain) kind=0 ;; fitted) kind=1 ;; tabled) kind=2 ;; *) continue ;; esac
    kind="$kind -DTABLE=$(sed -n 's/^static const float \(.*\)\[625\].*/\1/p' "$folder/weights.h")"
    arm-none-eabi-gcc $small -DKIND=$kind -fstack-usage -c $data/plain.c -o "$folder/p.o"
    printf '%-30s %10s %10s %10s %10s\n' "$model: plain loops" "$(code "$folder/p.o")" "$constants" "$(stack "$folder/p.su")" \
        "$(timed -DKIND=$kind $data/harness.c $data/plain.c)"
done
