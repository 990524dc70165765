/* test_names.c -- static name resolution: programs and the diagnostics they give, by code and text covered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sema/names.h"
#include "sema/objects.h"
#include "sema/prelude.h"

typedef struct Case { const char *text, *expected; } Case;       /* expected: "CODE(text covered) ..." in order */

static void session_start(Session *s)
{
    *s = (Session){ .arena = arena_new(), .names = intern_new() };
    s->sources = sources_new(s->arena);
    diags_init(&s->diags, s->arena, s->sources);
    map_init(&s->modules, s->arena);
    names_library(s);
}

static void session_end(Session *s)
{
    intern_free(s->names);
    arena_free(s->arena);
}

static LoadedModule *load(Session *s, const char *path, const char *text)
{
    ParseContext context = { s->arena, s->names, &s->diags, &s->next_id };
    LoadedModule *module = arena_new_of(s->arena, LoadedModule);
    module->path = intern_text(s->names, path);
    module->module = parse_module(&context, sources_add(s->sources, path, text, strlen(text)));
    map_put(&s->modules, module->path, module);
    names_check(s, module);
    return module;
}

static char *found(Session *s)
{
    Buf out = { 0 };
    for (int i = 0; i < s->diags.list.len; i++) {
        const Diag *diag = s->diags.list.at[i];
        buf_printf(&out, "%s%s(%s)", i ? " " : "", diag_name(diag->code),
                   sources_text(s->sources, s->arena, diag->span));
    }
    return buf_done(&out, s->arena);
}

static const Case cases[] = {
    /* E0301, near names in all scopes; each unknown name once for each definition */
    { "x = layernrom", "E0301(layernrom)" },
    { "fn f(x) = y + y", "E0301(y)" },
    { "fn f(x: f33) = x", "E0301(f33)" },
    { "x = [f32, f64, int, pi, none]", "" },
    { "fn f(x) = x[end]\nfn g(x) = end", "E0301(end)" },
    { "fn f(x) { if x { y = 1 }; y }", "W0315(y) E0301(y)" },
    { "fn f(xs) = [i * j for i in xs, j in i]", "" },
    { "fn f(xs) = [x for x in xs] + x", "E0301(x)" },
    /* dimensions of types */
    { "net n(x: f32[k, ...p]) -> f32[k, ...p] = x * k", "" },
    { "net n(x: f32[steps]) -> f32[steps] { for t in 1..steps { x = x * t }\nx }", "" },
    { "net n(x: f32[k]) -> f32[j] = x", "E0301(j)" },
    { "fn loss(y: f32[k], target: class[k][...p]) = pick(y, target) * k", "N0304(loss)" },
    /* choices */
    { "a = prelu[share: unit]", "" },
    { "a = prelu[share: unitt]", "E0312(unitt)" },
    { "fn f(p: norm = linf) = p", "" },
    { "a = patience(3, valid_right)", "" },
    { "a = axis(scale: log)", "" },
    /* E0302, N0304, E0306 */
    { "x = 1\nx = 2", "E0302(x)" },
    { "fn f(x, x) = x", "E0209(x)" },
    { "cell relu(x) = max(0, x)", "N0304(relu)" },
    { "experiment e { }\nexperiment e { }", "E0302(e)" },
    { "cell a(x) = b(x)\ncell b(x) = a(x)", "E0306(a)" },
    { "fn f(x) = f(x)", "E0306(f)" },
    { "fn f(x) = g(f: x)\nfn g(f) = f", "" },
    /* E0305 */
    { "use good: present, missing", "E0305(missing)" },
    { "use good: _hidden", "E0305(_hidden)" },
    { "use good\nx = good.present\ny = good.absent", "E0305(absent)" },
    { "use nowhere: thing\nx = thing", "" },
    /* W0315, W0510 */
    { "fn f(x) { y = x; x }", "W0315(y)" },
    { "fn f(x) { _y = x; x }", "" },
    { "fn f(x) { [a, b] = split(x, 2); a }", "" },
    { "cell c(x1, x2) = x1", "W0510(x2)" },
    { "experiment e { run = train(dense[1], on: 1, with: {}, seed: 1) }", "" },
    /* E0316 */
    { "x = dense[?]", "E0316(?)" },
    { "x = match(dense[?], parameters: 3)", "" },
    { "x = match(dense[?], parameters: match(dense[?], parameters: 3))", "E0316(match(dense[?], parameters: 3))" },
    /* E0506, E0507, E0509 */
    { "fn f(x) { param w = 1; x * w }", "E0506(param w = 1)" },
    { "cell c(x) { state s = 0; s = x; s }", "E0506(state s = 0)" },
    { "net n(x: f32) -> f32 { param w per unit = 1; w * x }", "E0507(unit)" },
    { "fn f(w, g) { state v = 0; w - g * v }", "E0509(v)" },
    { "fn f(w, g) { state v = 0; v = v + g; w - v }", "" },
    /* E0801, E0802 */
    { "experiment e { for lr in [1, 2] { record(a: lr) }\ntable(\"t\", by: lr, a: mean(a)) }", "" },
    { "experiment e { for lr in [1, 2] { record(a: lr) }\ntable(\"t\", by: l, a: mean(aa)) }", "E0801(l) E0801(aa)" },
    { "experiment e { for lr in [1, 2] { record(a: lr) }\ntable(\"t\", by: lr, a: at(mean(a), lt: 2)) }", "E0801(lt)" },
    { "experiment e { for x in [1], y in [2] { record(z: x) }\n"
      "figure(\"f\", lines(x: x, y: mean(z)), columns: marks) }", "" },
    { "experiment e { best_one = 0\nfor x in [1] { best_one = x } }", "E0802(best_one)" },
    { "experiment e { for x in [1] { y = x; y = 2 * y; record(y: y) } }", "W0807(record(y: y))" },
    { "fn f(xs) { s = 0\nfor x in xs { s = s + x }\ns }", "" },
};

static void test_cases(void **state)
{
    (void)state;
    int failures = 0;
    for (int i = 0; i < COUNT(cases); i++) {
        Session s;
        session_start(&s);
        load(&s, "good", "present = 3\n_hidden = 4\n");
        load(&s, "case", cases[i].text);
        const char *got = found(&s);
        if (strcmp(got, cases[i].expected)) {
            print_message("%s\n  expected: %s\n  found:    %s\n", cases[i].text, cases[i].expected, got);
            failures++;
        }
        session_end(&s);
    }
    assert_int_equal(failures, 0);
}

/* The library itself has no unknown, double or unused names. */
static void test_library_is_clean(void **state)
{
    Session s;
    (void)state;
    session_start(&s);
    for (int i = 0; i < s.library.len; i++) names_check(&s, s.library.at[i]);
    assert_string_equal(found(&s), "");
    session_end(&s);
}

/* lang/library.md has an entry for every name of the library. */
static void test_reference_is_complete(void **state)
{
    Session s;
    (void)state;
    session_start(&s);
    FILE *file = fopen(NIN_TESTS "/../lang/library.md", "rb");
    assert_non_null(file);
    char *text = arena_alloc(s.arena, 1 << 18), entry[100];
    assert_true(fread(text, 1, (1 << 18) - 1, file) > 0);
    fclose(file);
    for (int i = 0; i < s.library.len; i++) {
        const Module *module = s.library.at[i]->module;
        for (int k = 0; k < module->items.len; k++) {
            const Ast *ast = module->items.at[k];
            Name name = ast->kind == AST_DEF ? ast->def.name : ast->kind == AST_BIND ? ast->bind.pattern->name : NULL;
            snprintf(entry, sizeof entry, "**%s**", name ? name : "");
            if (name && !strstr(text, entry)) fail_msg("lang/library.md has no `%s`", name);
        }
    }
    session_end(&s);
}

static void test_near_names(void **state)
{
    Session s;
    (void)state;
    session_start(&s);
    load(&s, "kim", "net mlpp(x: f32) -> f32 = x\n");
    load(&s, "case", "x = layernrom\nz = mlpp\n");
    assert_string_equal(s.diags.list.at[0]->message, "nothing is called `layernrom`");
    assert_string_equal(s.diags.list.at[0]->hint, "did you mean `layernorm`?");
    assert_string_equal(s.diags.list.at[1]->hint, "module `kim` has it: use kim: mlpp");
    session_end(&s);
}

static void test_choices(void **state)
{
    (void)state;
    assert_non_null(names_choices("scope"));
    assert_null(names_choices("cell"));
    assert_true(word_is_choice("norm", "l2"));
    assert_false(word_is_choice("norm", "unit"));
    assert_true(word_is_choice("measure", "valid_right"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_library_is_clean), cmocka_unit_test(test_near_names),
        cmocka_unit_test(test_choices), cmocka_unit_test(test_reference_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
