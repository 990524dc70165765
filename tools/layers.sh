#!/bin/sh
# Checks who includes whom.  Compiler: base < syntax < graph < pass < sema < kernel < emit < driver; a file includes only its
# own layer or lower ones.  runtime/support may be included from anywhere, and itself includes base alone (and the shared formulas of kernel/math.def); other parts of
# runtime/ include anything but the driver, and only runtime/experiment includes sema.  <llvm-c/...> stands in compiler/emit/llvm*.
# And how wide C is: a line has at most 120 columns, a row of a table in a .def 140.  Not yet in `wide`.
set -eu
cd "$(dirname "$0")/.."
grep -nE '^[ \t]*#[ \t]*include[ \t]*[<"]' compiler/*/*.[ch] runtime/*/*.[ch] lang/*.re lang/*.y |
awk '
BEGIN {
    n = split("base syntax graph pass sema kernel emit driver", name, " ")
    for (i = 1; i <= n; i++) level[name[i]] = i
    split("data train attack corrupt analysis report experiment support", part, " ")
    for (i in part) runtime[part[i]] = 1
}
{
    split($0, f, ":"); file = f[1]
    match($0, /[<"][^>"]*[>"]/); header = substr($0, RSTART + 1, RLENGTH - 2)
    split(file, path, "/"); root = path[1]; own = path[2]
    slash = index(header, "/"); to = slash ? substr(header, 1, slash - 1) : ""
    wrong = ""
    if (to == "llvm-c") { if (file !~ /^compiler\/emit\/llvm/) wrong = "only compiler/emit/llvm* may include LLVM" }
    else if (root == "lang") { if ((to in level) && level[to] > level["syntax"]) wrong = "above syntax" }
    else if (root == "compiler") {
        if ((to in level) && level[to] > level[own]) wrong = to " lies above " own
        if ((to in runtime) && to != "support" && own != "driver") wrong = "runtime/" to " lies above " own
    } else if (own == "support") { if (((to in level) && to != "base" && header != "kernel/math.def") || ((to in runtime) && to != "support")) wrong = "support stands alone" }
    else if (to == "driver") wrong = "the driver lies above the runtime"
    else if ((own == "data" || own == "report" || own == "analysis") && ((to in level) && level[to] > level["graph"])) wrong = own " knows nothing of the compiler above graph"
    if (wrong != "") { printf "%s:%s: includes \"%s\": %s\n", file, f[2], header, wrong; bad++ }
    count++
}
END { if (bad) { printf "%d includes break the layers\n", bad; exit 1 } printf "layers: %d includes in order\n", count }
'
too_wide() { # COLUMNS FILE...: lines with more
    most=$1
    shift
    LC_ALL=C.UTF-8 grep -nE "^.{$((most + 1)),}" "$@" | sed "s/^\\([^:]*:[0-9]*\\):.*/\\1: more than $most columns/"
}
found=$(too_wide 120 compiler/*/*.[ch] runtime/*/*.[ch] tests/*/*.[ch] tests/data/*/*.[ch] examples/*/*.[ch] lang/editors/*/*/*.c
        too_wide 140 compiler/*/*.def lang/*.def lang/*.re lang/*.y)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
