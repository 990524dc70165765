/* page_parts.h -- between the files of the page: page.c finds experiments and frames the page, page_experiment.c makes
 * the section of one, page_origin.c says where its numbers come from, page_style.c is the style sheet. */
#ifndef NIN_PAGE_PARTS_H
#define NIN_PAGE_PARTS_H

#include "report/markup.h"
#include "report/outputs.h"
#include "report/page.h"

typedef struct Section {
    Arena *arena; const char *program, *name, *folder; int number;      /* from 1 */
    Names files;                                                        /* in the folder */
    json_t *origin; /* run.json; NULL if there is none that can be read */
    Names lines; bool too_large;                                        /* records.jsonl */
    const char *text, *text_hash;                                       /* of the program; NULL if it is not there */
    PageCounts *counts; Buf *out;
} Section;

void page_experiment(Section *s);
void page_origin(Section *s);                          /* a folded list: program, data, seeds, versions, machine */
void page_runs(Section *s);                            /* a folded table of the runs that are linked */
/* `nin run ...` that gives an experiment again. */
void page_command(Section *s, Buf *out);
/* "1-100, 205" of whole numbers in ascending order. */
void ranges_text(Buf *out, const long long *at, int n);
bool name_ends(const char *name, const char *ending);
char *page_file(Section *s, const char *name, size_t limit, size_t *length);    /* NULL after a note */
void page_note(Section *s, const char *format, ...) NIN_PRINTF(2, 3);
extern const char page_style[];

#endif
