/* test_diag.c -- sources, the list of diagnostics, the three renderers. */
#include "base/diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <jansson.h>
#include <cmocka.h>

typedef struct World { Arena *arena; Sources *sources; Diags diags; Buf out; } World;

static int setup(void **state)
{
    World *w = test_calloc(1, sizeof *w);
    w->arena = arena_new();
    w->sources = sources_new(w->arena);
    diags_init(&w->diags, w->arena, w->sources);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;
    buf_free(&w->out);
    arena_free(w->arena);
    test_free(w);
    return 0;
}

static const Source *add(World *w, const char *path, const char *text)
{
    return sources_add(w->sources, path, text, strlen(text));
}

static Span find(const Source *source, const char *text)
{
    uint32_t at = source->base + (uint32_t)(strstr(source->text, text) - source->text);
    return (Span){at, at + (uint32_t)strlen(text)};
}

static const char *render(World *w, DiagStyle style, bool color, int width, int limit)
{
    buf_free(&w->out);
    diags_render(&w->diags, style, color, width, limit, &w->out);
    return w->out.at ? w->out.at : "";
}

static void places_and_texts(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a.nin", "x = 1\n\xC3\xA9\xC3\xA9 y\n"), *b = add(w, "b.nin", "z");
    assert_ptr_equal(sources_of(w->sources, find(a, "y")), a);
    assert_ptr_equal(sources_of(w->sources, (Span){b->base, b->base + 1}), b);
    assert_ptr_equal(sources_of(w->sources, (Span){a->base + a->length, a->base + a->length}), a);
    assert_null(sources_of(w->sources, (Span){0, 0}));
    assert_null(sources_of(w->sources, (Span){b->base + 2, b->base + 2}));
    Place place = sources_place(w->sources, find(a, "y").lo);
    assert_string_equal(place.path, "a.nin");
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 4);
    assert_string_equal(sources_text(w->sources, w->arena, find(a, "x = 1")), "x = 1");
    assert_string_equal(sources_text(w->sources, w->arena, (Span){0, 0}), "");
}

static void codes_have_names_and_texts(void **state)
{
    (void)state;
    for (int i = 0; i < DIAG_COUNT; i++) {
        DiagCode code;
        assert_true(diag_by_name(diag_name((DiagCode)i), &code));
        assert_int_equal(code, i);
        assert_true(strlen(diag_title(code)) > 3 && strlen(diag_explanation(code)) > 20);
        char letter = diag_name(code)[0];
        assert_int_equal(diag_severity(code), letter == 'N' ? SEVERITY_NOTE : letter == 'W' ? SEVERITY_WARNING
                                              : letter == 'E' ? SEVERITY_ERROR : SEVERITY_RUNTIME);
    }
    DiagCode code;
    assert_false(diag_by_name("E9999", &code));
}

static void human_shows_excerpts(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a.nin", "h = dense[64](x)\n\n\ny = h + x\n");
    Diag *diag = diag_add(&w->diags, D_E0401, find(a, "h + x"), "f32[64] + f32[%d]", 60);
    diag_label(diag, find(a, "dense[64]"), "64 comes from here");
    diag_note(diag, "first line\nsecond line");
    diag_hint(diag, "give both one shape");
    assert_string_equal(render(w, DIAG_HUMAN, false, 80, 0),
                        "error E0401: f32[64] + f32[60]\n"
                        "  --> a.nin:4:5\n"
                        "   |\n"
                        " 1 | h = dense[64](x)\n"
                        "   |     --------- 64 comes from here\n"
                        "   ...\n"
                        " 4 | y = h + x\n"
                        "   |     ^^^^^\n"
                        "   = note: first line\n"
                        "           second line\n"
                        "   = hint: give both one shape\n"
                        "\n");
    assert_non_null(strstr(render(w, DIAG_HUMAN, true, 80, 0), "\x1b[1;31merror E0401\x1b[0m"));
    assert_string_equal(render(w, DIAG_LINE, false, 80, 0),
                        "a.nin:4:5: error[E0401]: f32[64] + f32[60] (give both one shape)\n");
}

static void labels_in_other_files(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a.nin", "y = f(x)\n"), *b = add(w, "lib.nin", "fn f(a, b) = a\n");
    Diag *diag = diag_add(&w->diags, D_E0309, find(a, "f(x)"), "f takes 2 values, here is 1");
    diag_label(diag, find(b, "f(a, b)"), "defined here");
    assert_string_equal(render(w, DIAG_HUMAN, false, 80, 0),
                        "error E0309: f takes 2 values, here is 1\n"
                        "  --> a.nin:1:5\n"
                        "   |\n"
                        " 1 | y = f(x)\n"
                        "   |     ^^^^\n"
                        "  ::: lib.nin:1:4\n"
                        "   |\n"
                        " 1 | fn f(a, b) = a\n"
                        "   |    ------- defined here\n"
                        "\n");
}

static void long_lines_are_windowed(void **state)
{
    World *w = *state;
    Buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "x%03d + ", i);
    const Source *a = add(w, "a.nin", text.at);
    buf_free(&text);
    diag_add(&w->diags, D_E0301, find(a, "x200"), "nothing is called x200");
    const char *shown = render(w, DIAG_HUMAN, false, 80, 0);
    const char *line = strstr(shown, " 1 |"), *below = strchr(line, '\n') + 1;
    assert_true(below - line <= 81);
    assert_int_equal(strstr(line, "x200") - line, strchr(below, '^') - below);
    assert_memory_equal(strchr(below, '^'), "^^^^\n", 5);
}

static void tabs_and_wide_characters(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a.nin", "\tx = \"\xE4\xB8\xAD\xC3\xA9\xFF\" + q\r\n");
    diag_add(&w->diags, D_E0301, find(a, "q"), "nothing is called q");
    assert_string_equal(render(w, DIAG_HUMAN, false, 80, 0),
                        "error E0301: nothing is called q\n"
                        "  --> a.nin:1:14\n"
                        "   |\n"
                        " 1 |     x = \"\xE4\xB8\xAD\xC3\xA9?\" + q\n"
                        "   |                  ^\n"
                        "\n");
}

static void sorted_once_and_capped(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a.nin", "a b c d\n");
    diag_add(&w->diags, D_E0301, find(a, "c"), "third");
    diag_add(&w->diags, D_E0301, find(a, "a"), "first");
    diag_add(&w->diags, D_E0301, find(a, "c"), "third");
    diag_add(&w->diags, D_W0315, find(a, "b"), "second");
    diag_add(&w->diags, D_E0612, (Span){0, 0}, "nowhere");
    assert_int_equal(w->diags.errors, 4);
    assert_string_equal(render(w, DIAG_LINE, false, 80, 0),
                        "error[E0612]: nowhere\na.nin:1:1: error[E0301]: first\n"
                        "a.nin:1:3: warning[W0315]: second\na.nin:1:5: error[E0301]: third\n");
    assert_string_equal(render(w, DIAG_LINE, false, 80, 2),
                        "error[E0612]: nowhere\na.nin:1:1: error[E0301]: first\nand 2 more\n");
    int mark = diags_mark(&w->diags);
    diag_add(&w->diags, D_E0301, find(a, "d"), "speculative");
    diags_discard(&w->diags, mark);
    assert_int_equal(w->diags.errors, 4);
    assert_int_equal(w->diags.list.len, 5);
}

static void json_is_json(void **state)
{
    World *w = *state;
    const Source *a = add(w, "a \"b\".nin", "x && y\nz");
    Diag *diag = diag_add(&w->diags, D_E0101, find(a, "&&"), "'&&' is\tnot \"here\"\n\xFF");
    diag_label(diag, find(a, "x"), "label");
    diag_note(diag, "note");
    diag_hint(diag, "write 'and'");
    diag_fix(diag, find(a, "&&"), "and");
    diag_add(&w->diags, D_E0612, (Span){0, 0}, "which seed?");
    diag_add(&w->diags, D_E0301, find(a, "z"), "z");
    json_t *root = json_loads(render(w, DIAG_JSON, false, 80, 0), 0, NULL);
    assert_int_equal(json_array_size(root), 3);
    json_t *second = json_array_get(root, 1), *span = json_object_get(second, "span");
    assert_string_equal(json_string_value(json_object_get(second, "code")), "E0101");
    assert_string_equal(json_string_value(json_object_get(second, "severity")), "error");
    assert_string_equal(json_string_value(json_object_get(second, "hint")), "write 'and'");
    assert_string_equal(json_string_value(json_object_get(span, "file")), "a \"b\".nin");
    assert_int_equal(json_integer_value(json_object_get(span, "column")), 3);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(span, "end"), "column")), 5);
    assert_int_equal(json_array_size(json_object_get(second, "fixes")), 1);
    assert_true(json_is_null(json_object_get(json_array_get(root, 0), "span")));
    json_decref(root);
    root = json_loads(render(w, DIAG_JSON, false, 80, 1), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(root, 1), "more")), 2);
    json_decref(root);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(places_and_texts), TEST(codes_have_names_and_texts), TEST(human_shows_excerpts),
        TEST(labels_in_other_files), TEST(long_lines_are_windowed), TEST(tabs_and_wide_characters),
        TEST(sorted_once_and_capped), TEST(json_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
