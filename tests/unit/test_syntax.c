/* test_syntax.c -- the target programs parse, wrong programs are told where and why, damaged ones do not crash. */
#include "syntax/ast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct World {
    Arena *arena; Sources *sources; Diags diags; Intern *names; uint32_t ids; const Module *module; Buf out;
} World;

static void world_open(World *w)
{
    *w = (World){.arena = arena_new(), .names = intern_new(), .ids = 1};
    w->sources = sources_new(w->arena);
    diags_init(&w->diags, w->arena, w->sources);
}

static void world_close(World *w)
{
    arena_free(w->arena);
    intern_free(w->names);
    buf_free(&w->out);
}

static void parse_bytes(World *w, const char *text, size_t length, bool prompt)
{
    ParseContext context = {w->arena, w->names, &w->diags, &w->ids, prompt};
    w->module = parse_module(&context, sources_add(w->sources, "t.nin", text, length));
}

static void parse(World *w, const char *text, bool prompt)
{
    parse_bytes(w, text, strlen(text), prompt);
}

static const char *errors_of(World *w)
{
    buf_free(&w->out);
    diags_render(&w->diags, DIAG_LINE, false, 80, 0, &w->out);
    return w->out.at ? w->out.at : "";
}

static const char *dump_of(World *w)
{
    buf_free(&w->out);
    ast_dump(w->module, &w->out);
    return w->out.at ? w->out.at : "";
}

static void assert_clean(World *w, const char *what)
{
    if (w->diags.list.len)
        fail_msg("%s:\n%s", what, errors_of(w));
}

static char *read_target(const char *name, size_t *length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/data/targets/%s.nin", NIN_TESTS, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot read %s", path);
    char *text = calloc(1, 1 << 16);
    *length = fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    return text;
}

static const char *const targets[] = {
    "cells_test", "dendrite", "deploy", "kan", "kim", "kim_cnn_cifar", "kim_mlp_mnist", "replace", "residual",
    "robustness", "sequence", "std_cells", "std_layers", "std_training", "xor",
};

static void targets_parse(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(targets); i++) {
        World w;
        size_t length;
        world_open(&w);
        char *text = read_target(targets[i], &length);
        parse_bytes(&w, text, length, false);
        assert_clean(&w, targets[i]);
        assert_true(w.module->complete && w.module->items.len > 3 && w.module->doc);
        free(text);
        world_close(&w);
    }
}

/* Inputs of the transcript: lines that begin with "> ", continued by ". "; commands begin with ":". */
static void transcript_parses(void **state)
{
    (void)state;
    size_t length;
    char *text = read_target("repl", &length), *next = text;
    Buf input = {0};
    int inputs = 0;
    for (char *line = text; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (strncmp(line, "> ", 2) != 0 && strncmp(line, ". ", 2) != 0)
            continue;
        bool more = next && strncmp(next, ". ", 2) == 0;
        buf_printf(&input, "%s\n", line + 2);
        if (line[2] != ':' || input.len > strlen(line)) {
            World w;
            world_open(&w);
            parse(&w, input.at, true);
            assert_int_equal(w.module->complete, !more);
            if (!more)
                assert_clean(&w, input.at);
            world_close(&w);
            inputs++;
        }
        if (!more)
            buf_free(&input);
    }
    assert_true(inputs > 15);
    free(text);
}

typedef struct Wrong { const char *code; int line, column; const char *message, *text; } Wrong;
static const Wrong wrong[] = {
    /* characters */
    {"E0101", 1, 7, "'&&' is not part", "x = a && b"},
    {"E0101", 1, 5, "'!' is not part", "x = !a"},
    {"E0101", 1, 7, "'||' is not part", "x = a || b"},
    {"E0101", 1, 5, "'$' is not part", "x = $a"},
    {"E0101", 1, 5, "''' is not part", "x = 'text'"},
    {"E0101", 1, 7, "'%' is not part", "x = a % b"},
    {"E0101", 1, 8, "'\xC3\xA9' is not part", "x = caf\xC3\xA9"},
    {"E0101", 1, 6, "control character 1", "x = 3\x01"},
    {"E0101", 1, 6, "control character 7", "x = \"\a\""},
    {"E0101", 1, 5, "not UTF-8", "x = \xFF"},
    {"E0101", 1, 3, "not UTF-8", "# \xC0\x80\nx = 3"},
    {"E0101", 1, 6, "control character 13", "x = 3\ry = 4"},
    /* strings */
    {"E0102", 1, 5, "not closed", "x = \"abc\ny = 3"},
    {"E0102", 1, 7, "not closed", "x = f(\"abc)\ny = 3"},
    {"E0102", 1, 7, "unknown escape", "x = \"a\\q\""},
    {"E0102", 1, 5, "not closed", "x = \""},
    /* numbers */
    {"E0103", 1, 5, "run into a name", "x = 1x"},
    {"E0103", 1, 5, "run into a name", "x = 1_"},
    {"E0103", 1, 5, "run into a name", "x = 1e"},
    {"E0103", 1, 5, "must follow the point", "x = 5."},
    {"E0103", 1, 5, "must follow the point", "x = 5.\ny = 3"},
    {"E0103", 1, 5, "must stand before the point", "x = .5"},
    {"E0103", 1, 6, "must stand before the point", "y = x.3"},
    {"E0103", 1, 5, "too large", "x = 99999999999999999999"},
    {"E0103", 1, 5, "too large", "x = 1e999"},
    /* brackets */
    {"E0104", 1, 11, "']' closes the '(' of line 1", "x = f(1, 2]"},
    {"E0104", 1, 7, "']' closes the '(' of line 1", "x = (a]"},
    {"E0104", 1, 7, "')' closes nothing", "x = a )"},
    {"E0104", 2, 1, "'}' closes nothing", "x = 3\n}\ny = 4"},
    {"E0104", 1, 11, "')' closes the '[' of line 1", "x = ([1, 2)]"},
    {"E0105", 1, 11, "'{' is never closed", "fn f(x) = {\n  a: x\n\ny = 3"},
    {"E0105", 2, 8, "'(' is never closed", "fn f(x) {\n  y = g(x, 1\n  z = y\n  z\n}"},
    {"E0105", 2, 17, "'{' is never closed", "fn f(x) {\n  for i in 1..3 {\n    x = x + i\n  x\n}\ny = 3"},
    {"E0105", 1, 5, "'[' is never closed", "x = [1, 2"},
    {"E0106", 1, 8, "';' cannot stand inside", "x = f(a; b)"},
    {"E0106", 1, 7, "';' cannot stand inside", "x = [a; b]"},
    /* syntax */
    {"E0201", 1, 9, "expected ':', ',', ')' or an operator here, found the name 'h'", "x = f(g h)"},
    {"E0201", 1, 3, "found the name 'b'", "a b"},
    {"E0201", 1, 23, "expected '=' or '{' here, found the name 'f32'", "net f(x: f32[3]) -> f f32[3] = x"},
    {"E0201", 1, 18, "expected '=', '->' or '{' here, found the name 'f32'", "net f(x: f32[3]) f32[3] = x"},
    {"E0201", 1, 7, "expected 'in' here", "for x 3 { }"},
    {"E0201", 1, 15, "expected '{' or an operator here, found the end of the line", "fn f(x) = if x \ny = 3"},
    {"E0201", 1, 4, "expected a name here, found '('", "fn (x) = 3"},
    {"E0201", 1, 8, "expected '=', '->' or '{' here, found the end of the file", "fn f(x)"},
    {"E0201", 1, 8, "expected '=', '->' or '{' here, found the end of the line", "fn f(x)\n{\n  x\n}"},
    {"E0201", 1, 7, "found '='", "a = b = c"},
    {"E0201", 1, 9, "found '..'", "x = 1..2..3"},
    {"E0201", 3, 8, "expected ',', the end of the line, '}' or an operator here, found the name 'c'",
     "r = {\n  a: 1\n  b: 2 c: 3\n}"},
    {"E0201", 1, 1, "found 'else'", "else { 3 }"},
    {"E0201", 1, 3, "found '{'", "x { 3 }"},
    {"E0201", 2, 9, "expected a name here, found '='", "fn f(x) {\n  state = 3\n  x\n}"},
    {"E0201", 1, 10, "expected an expression here, found ']'", "t = x[2..]"},
    {"E0201", 1, 9, "expected ',' or ']' here, found the number 3", "t = x[..3]"},
    {"E0201", 1, 14, "found '='", "v = f(fn (x) = 3)"},
    {"E0201", 1, 4, "expected an expression here, found '*'", "x ** 3"},
    {"E0201", 1, 8, "found '^'", "y = x ^^ 2"},
    {"E0201", 1, 7, "found '?'", "y = a ?? b"},
    {"E0201", 1, 9, "found the name 'joint'", "session joint { a: 3 }"},
    {"E0201", 1, 5, "found the name 'z'", "let z = 3"},
    {"E0201", 1, 9, "found 'if'", "y = 1 + if a { 3 } else { 4 }"},
    {"E0201", 1, 6, "expected a name here, found 'for'", "cell for(x) = x"},
    {"E0201", 1, 9, "expected a name", "use kim:\n"},
    {"E0201", 1, 6, "expected a string here", "test a { }"},
    {"E0201", 1, 9, "found '='", "x = f(a = 3)"},
    {"E0201", 1, 9, "found ','", "x = f(a,, b)"},
    {"E0201", 1, 11, "found 'for'", "x = [1, 2 for i in 1..3]"},
    {"E0202", 1, 13, "arguments without a label", "x = f(a: 1, 2)"},
    {"E0203", 1, 1, "cannot bind to this", "3 = x"},
    {"E0203", 1, 1, "cannot bind to this", "f(x) = 3"},
    {"E0203", 1, 5, "cannot bind to this", "[a, 1] = x"},
    {"E0203", 1, 1, "cannot bind to this", "a.b = x"},
    {"E0203", 1, 1, "cannot bind to this", "[] = x"},
    {"E0204", 1, 11, "do not chain", "x = a < b < c"},
    {"E0204", 1, 12, "do not chain", "x = a == b == c"},
    {"E0205", 1, 1, "only definitions", "f(3)"},
    {"E0205", 1, 1, "only definitions", "for i in 1..3 { f(i) }"},
    {"E0205", 1, 1, "only definitions", "param a = 3"},
    {"E0206", 2, 3, "a cell is defined at the top", "fn f(x) {\n  cell g(y) = y\n  x\n}"},
    {"E0206", 2, 3, "a 'use' stands at the top", "fn f(x) {\n  use kim: mlp\n  x\n}"},
    {"E0206", 1, 16, "a test stands at the top", "experiment e { test \"a\" { check(x) } }"},
    {"E0207", 2, 3, "does not continue", "x = a\n  + b"},
    {"E0207", 2, 3, "does not continue", "x = a\n  .b"},
    {"E0207", 3, 3, "does not continue", "fn f(x) {\n  x\n  * 3\n}"},
    {"E0208", 2, 9, "say how 'w' starts", "net f(x: f32) -> f32 {\n  param w: f32[3]\n  x\n}"},
    {"E0208", 2, 9, "say how 'v' starts", "fn f(w, g) {\n  state v\n  w\n}"},
    {"E0208", 1, 19, "say how 'a' starts", "cell c(x) { param a per unit; a * x }"},
    {"E0209", 1, 13, "'a' is given twice", "x = f(a: 1, a: 2)"},
    {"E0209", 1, 13, "'a' is given twice", "x = { a: 1, a: 2 }"},
    {"E0209", 1, 9, "'x' is given twice", "fn f(x, x) = x"},
    {"E0209", 1, 14, "'n' is given twice", "fn f[n: int](n) = n"},
    {"E0211", 2, 3, "goes nowhere", "fn f(x) {\n  x + 1\n  x\n}"},
    {"E0211", 3, 3, "goes nowhere", "fn f(x) {\n  y = x\n  - 3\n  y\n}"},
    {"E0211", 2, 3, "goes nowhere", "experiment e {\n  x == 3\n}"},
    {"E0211", 2, 19, "goes nowhere", "fn f(x) {\n  for i in 1..3 { i }\n  x\n}"},
    {"E0211", 2, 10, "goes nowhere", "fn f(x) {\n  if x { 3 } else { f(4) }\n  x\n}"},
    {"E0211", 1, 18, "goes nowhere", "fn f(x) = if x { 3; 4 } else { 5 }"},
};

/* The indented lines of an explanation are its example. */
static Buf example_of(const char *explanation)
{
    Buf out = {0};
    for (const char *line = explanation; *line;) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "    ", 4) == 0) {
            buf_put(&out, line + 4, length - 4);
            buf_text(&out, "\n");
        }
        line += length + (line[length] != 0);
    }
    return out;
}

static void explanations_show_their_code(void **state)
{
    (void)state;
    for (int code = 0; code < DIAG_COUNT; code++) {
        const char *name = diag_name((DiagCode)code);
        bool syntax = strncmp(name, "E01", 3) == 0 || strncmp(name, "E02", 3) == 0;
        Buf example = example_of(diag_explanation((DiagCode)code));
        if (syntax && example.at) {
            World w;
            world_open(&w);
            parse(&w, example.at, false);
            if (!strstr(errors_of(&w), name))
                fail_msg("%s: its example gives\n%s", name, errors_of(&w));
            world_close(&w);
        }
        buf_free(&example);
    }
}

static void reference_parses(void **state)
{
    (void)state;
    char path[512], line[512];
    snprintf(path, sizeof path, "%s/../lang/reference.md", NIN_TESTS);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    Buf block = {0};
    bool inside = false;
    int blocks = 0;
    while (fgets(line, sizeof line, file)) {
        if (!inside) {
            inside = strncmp(line, "```nin", 6) == 0;
        } else if (strncmp(line, "```", 3) != 0) {
            buf_text(&block, line);
        } else {
            World w;
            world_open(&w);
            parse(&w, block.at, true);
            assert_clean(&w, block.at);
            world_close(&w);
            buf_free(&block);
            inside = false;
            blocks++;
        }
    }
    fclose(file);
    assert_true(blocks >= 7);
}

/* Exactly the one diagnostic that is listed: no cascades. */
static void wrong_programs_are_told(void **state)
{
    (void)state;
    int failed = 0;
    for (int i = 0; i < COUNT(wrong); i++) {
        World w;
        world_open(&w);
        bool prompt = strncmp(wrong[i].text, "for x 3", 7) == 0;
        parse(&w, wrong[i].text, prompt);
        char start[64];
        snprintf(start, sizeof start, "t.nin:%d:%d: error[%s]: ", wrong[i].line, wrong[i].column, wrong[i].code);
        const char *told = errors_of(&w);
        if (w.diags.list.len != 1 || strncmp(told, start, strlen(start)) != 0 || !strstr(told, wrong[i].message)) {
            print_error("%s\n   wanted %s%s\n   told %s\n", wrong[i].text, start, wrong[i].message, told);
            failed++;
        }
        world_close(&w);
    }
    assert_int_equal(failed, 0);
}

static void every_code_is_covered(void **state)
{
    (void)state;
    for (int code = 0; code < DIAG_COUNT; code++) {
        const char *name = diag_name((DiagCode)code);
        if (strncmp(name, "E01", 3) != 0 && strncmp(name, "E02", 3) != 0)
            continue;
        bool covered = code == D_E0210;                        /* by nesting_is_bounded */
        for (int i = 0; i < COUNT(wrong); i++)
            covered |= strcmp(wrong[i].code, name) == 0;
        if (!covered)
            fail_msg("%s has no test", name);
    }
}

static void several_errors_in_one_run(void **state)
{
    (void)state;
    World w;
    world_open(&w);
    parse(&w, "x = 1 +* 2\n"
              "fn f(x) {\n"
              "  y = (x 3)\n"
              "  for i in { a b } { z z }\n"
              "  z = g(x\n"
              "  if z { a = } else { b c }\n"
              "  z\n"
              "}\n"
              "cell c(x) = = x\n"
              "good = 3\n", false);
    assert_string_equal(errors_of(&w),
        "t.nin:1:8: error[E0201]: expected an expression here, found '*'\n"
        "t.nin:3:10: error[E0201]: expected ')' or an operator here, found the number 3\n"
        "t.nin:4:16: error[E0201]: expected ':' here, found the name 'b'\n"
        "t.nin:5:8: error[E0105]: '(' is never closed\n"
        "t.nin:6:14: error[E0201]: expected an expression here, found '}'\n"
        "t.nin:6:25: error[E0201]: expected '=', ':', the end of the line, '}' or an operator here, "
        "found the name 'c'\n"
        "t.nin:9:13: error[E0201]: expected an expression here, found '=' ('=' binds and '==' compares)\n");
    assert_int_equal(w.module->items.len, 4);
    assert_int_equal(w.module->items.at[3]->kind, AST_BIND);
    world_close(&w);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static const struct { const char *start, *repeat, *middle, *close; int count; bool fits; } cases[] = {
        {"x = ", "(", "1", ")", 200, true},    {"x = ", "(", "1", ")", 201, false},
        {"x = ", "[", "", "]", 100000, false}, {"x = ", "- ", "1", "", 100000, false},
        {"x = ", "not ", "a", "", 900, true},  {"x = ", "1 + ", "1", "", 900, true},
        {"x = ", "1 + ", "1", "", 100000, false}, {"x = ", "a^", "1", "", 100000, false},
        {"x = a", ".b", "", "", 100000, false}, {"x = ", "if a { 1 } else ", "{ 2 }", "", 100000, false},
        {"x = ", "{ a: ", "1", " }", 150, true}, {"x = ", "[", "", "", 100000, false},
        {"x = [", "1, ", "1]", "", 100000, true}, {"", "\nb = 3", "", "", 20000, true},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        World w;
        Buf text = {0};
        world_open(&w);
        buf_text(&text, cases[i].start);
        for (int j = 0; j < cases[i].count; j++)
            buf_text(&text, cases[i].repeat);
        buf_text(&text, cases[i].middle);
        for (int j = 0; j < cases[i].count; j++)
            buf_text(&text, cases[i].close);
        parse(&w, text.at, false);
        if (cases[i].fits)
            assert_clean(&w, cases[i].repeat);
        else
            assert_int_equal(w.diags.list.at[0]->code, D_E0210);
        assert_true(w.diags.list.len <= 2);
        buf_free(&text);
        world_close(&w);
    }
}

static void trees_are_as_written(void **state)
{
    (void)state;
    World w;
    world_open(&w);
    parse(&w, "## Doubles.\n## Twice.\ncell c[n: int = 2](x) {\n  param a: f32[n] per unit = 0.5\n"
              "  -x^2 ^ -a.b[1, .., ...p](s: \"q\\n\")\n}\n", false);
    assert_clean(&w, "tree");
    assert_string_equal(dump_of(&w),
        "def cell c @3:1\n"
        "  setting n @3:8\n"
        "    type: name int @3:11\n"
        "    initial: int 2 @3:17\n"
        "  formal x @3:20\n"
        "  block @3:23\n"
        "    param a @4:3\n"
        "      type: brackets @4:12\n"
        "        name f32 @4:12\n"
        "        name n @4:16\n"
        "      per: name unit @4:23\n"
        "      initial: real 0.5 @4:30\n"
        "    unary - @5:3\n"
        "      binary ^ @5:4\n"
        "        name x @5:4\n"
        "        binary ^ @5:6\n"
        "          int 2 @5:6\n"
        "          unary - @5:10\n"
        "            call @5:11\n"
        "              brackets @5:11\n"
        "                select .b @5:11\n"
        "                  name a @5:11\n"
        "                int 1 @5:15\n"
        "                whole @5:18\n"
        "                ...name p @5:25\n"
        "              s: text \"q\\n\" @5:31\n");
    assert_string_equal(w.module->items.at[0]->def.doc, "Doubles.\nTwice.");
    world_close(&w);
}

static int statements_in(const char *text)
{
    World w;
    world_open(&w);
    parse(&w, text, true);
    assert_clean(&w, text);
    int count = w.module->items.len;
    world_close(&w);
    return count;
}

static void statements_end_where_they_should(void **state)
{
    (void)state;
    assert_int_equal(statements_in("a = 1\nb = 2; c = 3;;\n\n;d = 4"), 4);
    assert_int_equal(statements_in("a = 1 +\n  2\nb =\n  3"), 2);
    assert_int_equal(statements_in("a = f(1,\n\n  2\n)\nb = [1\n,2]"), 2);
    assert_int_equal(statements_in("if a { f(1) }\nelse { f(2) }\ng(3)"), 2);
    assert_int_equal(statements_in("if a {\n f(1)\n} else if b {\n f(2) }\n\nelse\n\n{ f(3) }"), 1);
    assert_int_equal(statements_in("x = f({\n a: 1\n\n b: 2,\n c: [1,\n 2]\n})\ny = {}"), 2);
    assert_int_equal(statements_in("a = b and\nc or not\nd\n# comment\n\n## doc\ne = 3"), 2);
    assert_int_equal(statements_in("for\nx in\n1..3 { f(x)\n}\r\ny = x.\nz\r\n"), 2);
    assert_int_equal(statements_in("\xEF\xBB\xBF" "a = 1"), 1);
    assert_int_equal(statements_in(""), 0);
    assert_int_equal(statements_in("\n\n# only\n"), 0);
}

static void words_are_names_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(statements_in("for net in nets { f(net) }\nrun.model.cell\nf(act: cell)\ncount(net)\n"
                                   "record(test: 3)"), 5);
    assert_int_equal(statements_in("x = { param: 1, state: 2, use: 3, per: 4, fn: 5, experiment: test }"), 1);
    assert_int_equal(statements_in("fn f(net, cell, state, param, per) { test = net + cell; use = fn(test)\n"
                                   "use * state.per[param] }"), 1);
    assert_int_equal(statements_in("cell per(x) { param per per per = 1; per * x }"), 1);
}

static void prompt_knows_what_is_complete(void **state)
{
    (void)state;
    static const struct { const char *text; bool complete; } cases[] = {
        {"x = 3", true}, {"x = ", false}, {"x = 3 +", false}, {"f(1,", false}, {"cell c(x) {", false},
        {"cell c(x)", false},
        {"cell c(x) {\n  param k = 1.0\n", false}, {"cell c(x) {\n  x\n}", true}, {"if a { 1 }", true}, {"if a", false},
        {"x = )", true}, {"x = * 3 (", true}, {"f(\"abc", true}, {"", true}, {"{ a: 1", false}, {"[1, 2", false},
        {"x = [a b", true}, {"not", false}, {"if a { 1 } else", false}, {"a b (", true}, {"f(a}", true},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        World w;
        world_open(&w);
        parse(&w, cases[i].text, true);
        if (w.module->complete != cases[i].complete)
            fail_msg("%s: %d\n%s", cases[i].text, w.module->complete, errors_of(&w));
        if (w.module->complete && w.diags.list.len == 0)
            assert_int_equal(w.module->items.len, *cases[i].text != 0);
        world_close(&w);
    }
}

static void comments_and_docs_are_kept(void **state)
{
    (void)state;
    World w;
    world_open(&w);
    parse(&w, "## The file.\n\n# plain\n## Of f.\nfn f(\n  ## Of x.\n  x, y  ## no doc\n) {\n"
              "  ## Of a.\n  a = x\n  a\n}\n"
              "## Not of g.\n\nfn g(x) = x\n## Of h.\nh = 3\n## Of c.\ncell c = g\n"
              "## Of e.\nexperiment e { f(1) }\n", false);
    assert_clean(&w, "docs");
    assert_int_equal(w.module->comments_len, 10);
    assert_string_equal(w.module->doc, "The file.");
    const AstList *items = &w.module->items;
    assert_string_equal(items->at[0]->def.doc, "Of f.");
    assert_string_equal(items->at[0]->def.formals[0].doc, "Of x.");
    assert_null(items->at[0]->def.formals[1].doc);
    assert_string_equal(items->at[0]->def.body->block.at[0]->bind.doc, "Of a.");
    assert_null(items->at[1]->def.doc);
    assert_string_equal(items->at[2]->bind.doc, "Of h.");
    assert_string_equal(items->at[3]->alias.doc, "Of c.");
    assert_string_equal(items->at[4]->experiment.doc, "Of e.");
    assert_false(w.module->comments[4].own_line);
    world_close(&w);
}

static void count_node(void *data, Ast *node)
{
    (*(int *)data)++;
    ast_children(node, count_node, data);
}

static void ids_are_dense_and_dumps_repeat(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(targets); i++) {
        World a, b;
        size_t length;
        world_open(&a);
        world_open(&b);
        char *text = read_target(targets[i], &length);
        parse_bytes(&a, text, length, false);
        parse_bytes(&b, text, length, false);
        assert_string_equal(dump_of(&a), dump_of(&b));
        int nodes = 0;
        for (int j = 0; j < a.module->items.len; j++)
            count_node(&nodes, a.module->items.at[j]);
        assert_in_range(a.ids, nodes + 1, nodes + 1 + nodes / 10);        /* names read as patterns cost an id */
        ParseContext context = {a.arena, a.names, &a.diags, &a.ids, false};
        Buf tokens = {0};
        tokens_dump(sources_of(a.sources, a.module->items.at[0]->span), &context, &tokens);
        assert_true(tokens.len > length);
        buf_free(&tokens);
        free(text);
        world_close(&a);
        world_close(&b);
    }
}

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* Deletes, doubles, swaps or replaces words and signs of a program. */
static Buf damaged(const char *text, uint32_t *seed)
{
    static const char *const bits[] = {"(", ")", "[", "]", "{", "}", "=", "==", ",", ":", ";", "\n", "..", "...",
                                       "->", "for", "in", "if", "else", "cell", "param", "3", "x", "\"", "?", "-", "+",
                                       "not", "#", "\x01"};
    Buf out = {0};
    size_t n = strlen(text);
    buf_put(&out, text, n);
    for (uint32_t times = 1 + draw(seed, 3); times > 0; times--) {
        size_t at = draw(seed, (uint32_t)out.len), length = 1;
        while (at + length < out.len && length < 8 && out.at[at + length] > ' ')
            length++;
        Buf next = {0};
        buf_put(&next, out.at, at);
        if (draw(seed, 3))
            buf_printf(&next, " %s ", bits[draw(seed, COUNT(bits))]);
        size_t skip = draw(seed, 3) ? length : 0;
        buf_put(&next, out.at + at + skip, out.len - at - skip);
        buf_free(&out);
        out = next;
    }
    return out;
}

static void damage_does_not_crash(void **state)
{
    (void)state;
    uint32_t seed = 20260101;
    int wrong_ones = 0;
    for (int i = 0; i < COUNT(targets); i++) {
        size_t length;
        char *text = read_target(targets[i], &length);
        for (int round = 0; round < 70; round++) {
            World w;
            world_open(&w);
            Buf program = damaged(text, &seed);
            parse_bytes(&w, program.at, program.len, round % 2);
            wrong_ones += w.diags.errors > 0;
            dump_of(&w);
            errors_of(&w);
            assert_in_range(w.diags.errors, 0, 40);
            buf_free(&program);
            world_close(&w);
        }
        free(text);
    }
    assert_true(wrong_ones > 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_parse), cmocka_unit_test(transcript_parses), cmocka_unit_test(wrong_programs_are_told),
        cmocka_unit_test(every_code_is_covered), cmocka_unit_test(explanations_show_their_code),
        cmocka_unit_test(reference_parses), cmocka_unit_test(several_errors_in_one_run),
        cmocka_unit_test(nesting_is_bounded), cmocka_unit_test(trees_are_as_written),
        cmocka_unit_test(statements_end_where_they_should), cmocka_unit_test(words_are_names_elsewhere),
        cmocka_unit_test(prompt_knows_what_is_complete), cmocka_unit_test(comments_and_docs_are_kept),
        cmocka_unit_test(ids_are_dense_and_dumps_repeat), cmocka_unit_test(damage_does_not_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
