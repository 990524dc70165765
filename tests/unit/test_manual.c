/* test_manual.c -- the programs in the manual: every fence marked `nin` in lang/ and docs/ gives the diagnostics it
 * says.
 *
 *     ```nin               a program, or definitions, that is checked without any diagnostic
 *     ```nin more          the same, read together with the fence before it
 *     ```nin error CODE    gives exactly these diagnostics (several codes in their order; `more` may stand before)
 *     ```nin parse         is only parsed: its names mean nothing outside of the page
 *
 * A fence is checked as a file of its own in which all other lines of the page are empty, so a diagnostic names the
 * line of the page. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "experiment/experiment.h"

typedef struct Fence {
    bool more, parse;
    const char *expected;
    int first, last;
} Fence; /* lines of the page, from 1 */
typedef struct Page { const char *path; Arena *arena; VEC(char *) line; VEC(Fence) fence; } Page;

/* "more error E0401 E0402": what the words after `nin` ask for; NULL, or the word that is not known. */
static const char *fence_words(Arena *arena, const char *words, Fence *fence)
{
    char *text = arena_copy(arena, words, strlen(words)), *rest = text;
    Buf codes = {0};
    for (char *word; (word = strsep(&rest, " "));) {
        DiagCode code;
        if (strcmp(word, "more") == 0)
            fence->more = true;
        else if (strcmp(word, "parse") == 0)
            fence->parse = true;
        else if (diag_by_name(word, &code))
            buf_printf(&codes, "%s%s", codes.len ? " " : "", word);
        else if (*word && strcmp(word, "error") != 0)
            return word;
    }
    buf_text(&codes, "");
    fence->expected = codes.len ? buf_done(&codes, arena) : "";
    return NULL;
}

static void page_fences(Page *page)
{
    int open = 0;
    Fence fence;
    for (int i = 0; i < page->line.len; i++) {
        const char *line = page->line.at[i];
        if (strncmp(line, "```", 3) != 0)
            continue;
        if (open) {
            fence.last = i;
            if (open > 0)
                vec_push(page->arena, &page->fence, fence);
            open = 0;
            continue;
        }
        fence = (Fence){.first = i + 2};
        open = strcmp(line, "```nin") == 0 || strncmp(line, "```nin ", 7) == 0 ? 1 : -1;
        const char *unknown = open > 0 ? fence_words(page->arena, line + 6, &fence) : NULL;
        if (unknown)
            fail_msg("%s:%d: a fence of nin cannot be marked `%s`", page->path, i + 1, unknown);
    }
    if (open)
        fail_msg("%s: the last fence is not closed", page->path);
}

static Page page_read(Arena *arena, const char *path)
{
    Page page = {.path = path, .arena = arena};
    char line[4096];
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        vec_push(arena, &page.line, arena_copy(arena, line, strlen(line)));
    }
    fclose(file);
    page_fences(&page);
    return page;
}

/* The fence's lines, and those of the fences that it goes on from, at their places. */
static const char *fence_text(const Page *page, int which)
{
    int first = which;
    while (first > 0 && page->fence.at[first].more)
        first--;
    Buf out = {0};
    int fence = first;
    for (int i = 1; i <= page->fence.at[which].last; i++) {
        if (i > page->fence.at[fence].last)
            fence++;
        const Fence *at = &page->fence.at[fence];
        if (i >= at->first && (fence == which || (!*at->expected && !at->parse)))
            buf_text(&out, page->line.at[i - 1]);
        buf_text(&out, "\n");
    }
    return buf_done(&out, page->arena);
}

static bool fence_holds(const Page *page, int which)
{
    const Fence *fence = &page->fence.at[which];
    Session *session = session_new(lab_builtin_table(page->arena));
    LabOptions options = {.threads = 1, .program = "manual"};
    Lab *lab = lab_new(session, &options);
    session->lab = (LabHooks){lab, lab_loop, lab_check};
    LoadedModule *module = fence->parse ? NULL : session_load_text(session, page->path, fence_text(page, which));
    if (module)
        session_check(session, module);
    if (fence->parse) {
        const char *text = fence_text(page, which);
        ParseContext context = {session->arena, session->names, &session->diags, &session->next_id, true};
        parse_module(&context, sources_add(session->sources, page->path, text, strlen(text)));
    }
    Buf codes = {0}, shown = {0};
    for (int i = 0; i < session->diags.list.len; i++)
        buf_printf(&codes, "%s%s", i ? " " : "", diag_name(session->diags.list.at[i]->code));
    buf_put(&codes, "", 1);
    bool holds = strcmp(codes.at, fence->expected) == 0;
    if (!holds) {
        diags_render(&session->diags, DIAG_LINE, false, 120, 0, &shown);
        buf_put(&shown, "", 1);
        print_error("%s:%d: expected \"%s\", this gives \"%s\"\n%s", page->path, fence->first, fence->expected,
                    codes.at, shown.at);
    }
    buf_free(&codes);
    buf_free(&shown);
    lab_free(lab);
    session_free(session);
    return holds;
}

static void page_check(const char *path, int least)
{
    Arena *arena = arena_new();
    Page page = page_read(arena, path);
    int wrong = 0;
    for (int i = 0; i < page.fence.len; i++)
        wrong += !fence_holds(&page, i);
    if (wrong)
        fail_msg("%d of %d fences of %s", wrong, page.fence.len, path);
    if (page.fence.len < least)
        fail_msg("%s has %d fences; at least %d were there", path, page.fence.len, least);
    arena_free(arena);
}

static void reference_holds(void **state)
{
    (void)state;
    page_check(NIN_TESTS "/../lang/reference.md", 5);
}

static void semantics_holds(void **state)
{
    (void)state;
    page_check(NIN_TESTS "/../lang/semantics.md", 20);
}

static void tutorial_holds(void **state)
{
    (void)state;
    page_check(NIN_TESTS "/../docs/tutorial.md", 4);
}

/* The other pages: whatever they have. */
static void pages_hold(void **state)
{
    (void)state;
    static const char *const folders[] = {NIN_TESTS "/../lang", NIN_TESTS "/../docs"};
    for (int i = 0; i < COUNT(folders); i++) {
        DIR *dir = opendir(folders[i]);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
            size_t length = strlen(entry->d_name);
            if (length < 4 || strcmp(entry->d_name + length - 3, ".md") != 0)
                continue;
            if (strcmp(entry->d_name, "reference.md") == 0 || strcmp(entry->d_name, "semantics.md") == 0
                || strcmp(entry->d_name, "tutorial.md") == 0)
                continue;
            char path[1024];
            snprintf(path, sizeof path, "%s/%s", folders[i], entry->d_name);
            page_check(path, 0);
        }
        closedir(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_holds), cmocka_unit_test(semantics_holds), cmocka_unit_test(tutorial_holds),
        cmocka_unit_test(pages_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
