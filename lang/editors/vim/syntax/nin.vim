" Nin: colours.  The words are those of lang/lexer.re.
if exists("b:current_syntax")
  finish
endif

syntax case match
syntax sync minlines=50

" reserved everywhere
syntax keyword ninRepeat for in
syntax keyword ninConditional if else
syntax keyword ninOperatorWord and or not
syntax keyword ninBoolean true false

" special only where they begin something
syntax match ninInclude "^\s*\zs\<use\>\ze\s\+\h"
syntax match ninDefine "^\s*\zs\<\%(cell\|net\|fn\|experiment\)\>\ze\s\+\h" nextgroup=ninDefined skipwhite
syntax match ninDefine "^\s*\zs\<test\>\ze\s*\""
syntax match ninStorage "\%(^\s*\|[{;]\s*\)\@<=\%(param\|state\)\>\ze\s\+\h"
syntax match ninStorage "\<per\>\ze\s\+\h"
syntax match ninDefined "\h\w*" contained

syntax match ninNumber "\<\d\%(_\?\d\)*\%(\.\d\%(_\?\d\)*\)\?\%([eE][+-]\?\d\+\)\?\>"
syntax match ninLabel "\<\h\w*\ze\s*:"
syntax match ninCall "\<\h\w*\ze[([]"
syntax match ninType "\<\%(f32\|f64\|int\|real\|bool\|text\|list\|class\|range\|record\|data\)\>"
syntax match ninOperator "->\|\.\.\.\|\.\.\|==\|!=\|<=\|>=\|[-+*/@^=<>?]"

syntax match ninEscape "\\[nt\"\\]" contained
syntax region ninString start=+"+ skip=+\\.+ end=+"+ oneline contains=ninEscape
syntax keyword ninTodo TODO FIXME contained
syntax match ninComment "#.*$" contains=ninTodo,@Spell
syntax match ninDoc "##.*$" contains=@Spell

highlight default link ninRepeat Repeat
highlight default link ninConditional Conditional
highlight default link ninOperatorWord Operator
highlight default link ninBoolean Boolean
highlight default link ninInclude Include
highlight default link ninDefine Keyword
highlight default link ninDefined Function
highlight default link ninStorage StorageClass
highlight default link ninNumber Number
highlight default link ninLabel Identifier
highlight default link ninCall Function
highlight default link ninType Type
highlight default link ninOperator Operator
highlight default link ninEscape SpecialChar
highlight default link ninString String
highlight default link ninTodo Todo
highlight default link ninComment Comment
highlight default link ninDoc SpecialComment

let b:current_syntax = "nin"
