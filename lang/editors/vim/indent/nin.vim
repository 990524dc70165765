" Nin: as nin fmt indents: two columns for what stands inside a bracket, or behind the bracket where the line goes on.
if exists("b:did_indent")
  finish
endif
let b:did_indent = 1

setlocal indentexpr=NinIndent(v:lnum)
setlocal indentkeys=0},0],0),o,O,!^F
let b:undo_indent = "setlocal indentexpr< indentkeys<"

if exists("*NinIndent")
  finish
endif

" The line with strings and comments blanked out.
function! s:Code(text)
  let text = substitute(a:text, '"\%([^"\\]\|\\.\)*"', '\=repeat("x", len(submatch(0)))', 'g')
  return substitute(text, '\s*#.*$', '', '')
endfunction

" Positions of the brackets that a line leaves open; how many it closes that are not its own comes first.
function! s:Open(text)
  let open = [0]
  for at in range(len(a:text))
    if stridx('([{', a:text[at]) >= 0
      call add(open, at)
    elseif stridx(')]}', a:text[at]) >= 0
      if len(open) > 1
        call remove(open, -1)
      else
        let open[0] += 1
      endif
    endif
  endfor
  return open
endfunction

function! NinIndent(line)
  let above = prevnonblank(a:line - 1)
  if above == 0
    return 0
  endif
  let text = s:Code(getline(above))
  let open = s:Open(text)
  let closes = getline(a:line) =~ '^\s*[])}]'
  if len(open) > 1
    let last = open[-1]
    if closes || text[last] == '{' || last == len(text) - 1
      return indent(above) + (closes ? 0 : shiftwidth())
    endif
    return last + 1
  endif
  let indent = indent(above)
  if open[0] > 0 && text !~ '^\s*[])}]'
    let first = above
    while first > 1 && open[0] > 0
      let first -= 1
      let opened = len(s:Open(s:Code(getline(first)))) - 1
      let open[0] -= opened
    endwhile
    let indent = indent(first)
  endif
  if text =~ '=$'
    let indent += shiftwidth()
  elseif above > 1 && s:Code(getline(prevnonblank(above - 1))) =~ '[^=!<>]=$'
    let indent -= shiftwidth()
  endif
  return max([0, closes ? indent - shiftwidth() : indent])
endfunction
