; Colours of Nin programs.
(comment) @comment
((comment) @comment.documentation (#match? @comment.documentation "^##"))

["use"] @keyword.import
["cell" "net" "fn" "experiment" "test"] @keyword.function
["param" "state" "per"] @keyword.storage
["for" "in"] @keyword.repeat
["if" "else"] @keyword.conditional
["and" "or" "not"] @keyword.operator

(definition name: (identifier) @function)
(experiment name: (identifier) @function)
(alias name: (identifier) @function)
(call function: (identifier) @function.call)
(brackets of: (identifier) @function.call)
(formal name: (identifier) @variable.parameter)
(formal type: (identifier) @type)
(param name: (identifier) @variable)
(state name: (identifier) @variable)
(named label: (identifier) @property)
(entry label: (identifier) @property)
(select field: (identifier) @property)

(number) @number
(string) @string
(escape) @string.escape
(boolean) @boolean
(hole) @constant.builtin

["+" "-" "*" "/" "@" "^" "==" "!=" "<" "<=" ">" ">=" "=" "->" ".." "..."] @operator
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["." "," ":"] @punctuation.delimiter
