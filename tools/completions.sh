#!/bin/sh
# Prints what a shell needs to complete `nin`: completions.sh bash|zsh|fish, from the table of commands and options.
set -eu
table="$(dirname "$0")/../compiler/driver/options.def"
# NAME, of each command; and "NAME|VALUE", of each option (VALUE empty for a flag).
commands() { sed -n 's/^COMMAND(\([a-z]*\),.*/\1/p' "$table"; }
options() { sed -n -e 's/^OPTION([A-Z_]*, "\([a-z-]*\)", "\([^"]*\)".*/\1|\2/p' -e 's/^OPTION([A-Z_]*, "\([a-z-]*\)", NULL.*/\1|/p' "$table"; }
words() { tr '\n' ' ' | sed 's/ $//'; }

case "${1:-}" in
bash)
    cat <<END
_nin() {
    local word="\${COMP_WORDS[COMP_CWORD]}"
    if [ "\$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=(\$(compgen -W "$(commands | words) --help --version" -- "\$word"))
    elif [ "\${word#-}" != "\$word" ]; then
        COMPREPLY=(\$(compgen -W "$(options | sed 's/|.*//; s/^/--/' | words)" -- "\$word"))
    else
        COMPREPLY=(\$(compgen -f -- "\$word"))
    fi
}
complete -o filenames -F _nin nin
END
    ;;
zsh)
    cat <<END
#compdef nin
_arguments \\
    '1:command:($(commands | words))' \\
END
    options | while IFS='|' read -r name value; do
        if [ -n "$value" ]; then echo "    '*--$name=[$value]:value:_files' \\"; else echo "    '--$name' \\"; fi
    done
    echo "    '*:file:_files'"
    ;;
fish)
    commands | while read -r name; do echo "complete -c nin -n __fish_use_subcommand -f -a $name"; done
    options | while IFS='|' read -r name value; do echo "complete -c nin -l $name${value:+ -r}"; done
    ;;
*)
    echo "usage: completions.sh bash|zsh|fish" >&2
    exit 2
    ;;
esac
