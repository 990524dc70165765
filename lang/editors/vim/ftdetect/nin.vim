autocmd BufNewFile,BufRead *.nin setfiletype nin
