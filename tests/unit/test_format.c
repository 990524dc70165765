/* test_format.c -- nin fmt: every program of the repository is in the one style; generated programs keep their trees,
 * their comments and, formatted again, their text; what the style is, case by case. */
#include "syntax/format.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct World {
    Arena *arena; Sources *sources; Diags diags; Intern *names; uint32_t ids; ParseContext context;
} World;

static void world_open(World *w)
{
    *w = (World){.arena = arena_new(), .names = intern_new(), .ids = 1};
    w->sources = sources_new(w->arena);
    diags_init(&w->diags, w->arena, w->sources);
    w->context = (ParseContext){w->arena, w->names, &w->diags, &w->ids, false};
}

static void world_close(World *w)
{
    arena_free(w->arena);
    intern_free(w->names);
}

static const char *errors_of(World *w)
{
    Buf out = {0};
    diags_render(&w->diags, DIAG_LINE, false, 80, 5, &out);
    return buf_done(&out, w->arena);
}

/* The formatted text, NULL if the source has errors. */
static const char *formatted(World *w, const char *text)
{
    Buf out = {0};
    bool ok = format_source(&w->context, sources_add(w->sources, "t.nin", text, strlen(text)), &out);
    const char *result = buf_done(&out, w->arena);
    return ok ? result : NULL;
}

static const Module *parsed(World *w, const char *text)
{
    return parse_module(&w->context, sources_add(w->sources, "t.nin", text, strlen(text)));
}

/* Formats, and sees that the program stays the same and the result stays as it is. */
static const char *format_safely(World *w, const char *text)
{
    const char *once = formatted(w, text);
    if (!once)
        fail_msg("does not parse:\n%s\n%s", errors_of(w), text);
    if (!format_same(parsed(w, text), parsed(w, once)))
        fail_msg("another program:\n%s\n---- became\n%s", text, once);
    const char *twice = formatted(w, once);
    if (!twice || strcmp(once, twice) != 0)
        fail_msg("not stable:\n%s\n---- first\n%s\n---- then\n%s", text, once, twice ? twice : errors_of(w));
    return once;
}

/* ---- the programs of the repository ---- */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot read %s", path);
    char *text = calloc(1, 1 << 18);
    size_t n = fread(text, 1, (1 << 18) - 1, file);
    assert_true(n < (1 << 18) - 1);
    fclose(file);
    return text;
}

/* A transcript, and a program about line ends. */
static bool is_free(const char *path)
{
    return strstr(path, "/targets/repl.nin") || strstr(path, "/lang/statements.nin");
}

static int files_are_formatted(const char *folder)
{
    char path[2048];
    int seen = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        fail_msg("no folder %s", folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!dot || strcmp(dot, ".nin") != 0 || is_free(path))
            continue;
        World w;
        world_open(&w);
        char *text = read_file(path);
        if (strcmp(format_safely(&w, text), text) != 0)
            fail_msg("%s is not in the one style; nin fmt puts it right", path);
        free(text);
        world_close(&w);
        seen++;
    }
    closedir(dir);
    return seen;
}

static void repository_is_formatted(void **state)
{
    (void)state;
    static const char *const folders[] = {"../stdlib", "../examples", "run", "lang", "lang/parts", "data/targets"};
    for (int i = 0; i < COUNT(folders); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", NIN_TESTS, folders[i]);
        assert_true(files_are_formatted(path) > 0);
    }
}

static int longest_line(const char *text)
{
    int longest = 0;
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        int n = (int)strcspn(at, "\n");
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* Each program without its line ends inside brackets, then with one behind each token where that is allowed: the text
 * that comes out has no line above the limit either way. */
static void lines_are_short(void **state)
{
    (void)state;
    static const char *const names[] = {"kim", "kan", "robustness", "residual", "sequence", "kim_mlp_mnist"};
    for (int i = 0; i < COUNT(names); i++) {
        World w;
        char path[1024];
        world_open(&w);
        snprintf(path, sizeof path, "%s/data/targets/%s.nin", NIN_TESTS, names[i]);
        char *text = read_file(path);
        Buf joined = {0}, broken = {0};
        int depth = 0;
        bool quoted = false;
        for (char *at = text; *at; at++) {
            quoted ^= *at == '"';
            if (*at == '#' && !quoted)
                at += strcspn(at, "\n");
            if (quoted) {
                buf_put(&joined, at, 1);
                buf_put(&broken, at, 1);
                continue;
            }
            depth += (*at == '(' || *at == '[') - (*at == ')' || *at == ']');
            buf_put(&joined, depth && *at == '\n' ? " " : at, 1);
            buf_put(&broken, at, 1);
            if (depth && strchr("([,", *at))
                buf_text(&broken, "\n\n");
        }
        buf_put(&joined, "", 1);
        buf_put(&broken, "", 1);
        assert_in_range(longest_line(format_safely(&w, joined.at)), 1, FORMAT_COLUMNS);
        assert_in_range(longest_line(format_safely(&w, broken.at)), 1, FORMAT_COLUMNS);
        buf_free(&joined);
        buf_free(&broken);
        free(text);
        world_close(&w);
    }
}

/* ---- generated programs ---- */
typedef struct Gen { Buf out; uint64_t state; int depth, brackets; } Gen;

static int pick(Gen *g, int n)
{
    g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((g->state >> 33) % (uint64_t)n);
}

static void word(Gen *g, const char *text)
{
    buf_text(&g->out, text);
}

static void one_of(Gen *g, const char *const *texts, int n)
{
    word(g, texts[pick(g, n)]);
}

/* Blanks, line ends and comments where a line end means nothing. */
static void loose(Gen *g)
{
    switch (pick(g, 12)) {
    case 0: word(g, "\n"); break;
    case 1: word(g, "  # behind\n\t"); break;
    case 2: word(g, "\n\n   # on a line of its own\n"); break;
    case 3: word(g, "\n    "); break;
    case 4: word(g, "   "); break;
    case 5: word(g, "\r\n"); break;
    default: word(g, " "); break;
    }
}

static void gap(Gen *g)
{
    if (g->brackets)
        loose(g);
    else if (pick(g, 3))
        word(g, " ");
}

static void expr(Gen *g);
static void block(Gen *g, bool value);

static void name(Gen *g)
{
    static const char *const names[] = {"x", "net", "cell", "state", "param", "per", "test", "use", "fn", "experiment",
                                        "a_rather_long_name_of_something", "y2", "layernorm", "h"};
    one_of(g, names, COUNT(names));
}

static void args(Gen *g, const char *open, const char *close, bool labels)
{
    int n = pick(g, 4) + (*open == '[');
    bool labelled = false;
    word(g, open);
    g->brackets++;
    for (int i = 0; i < n; i++) {
        gap(g);
        labelled |= labels && pick(g, 2);
        if (labelled) {
            static const char *const all[] = {"first", "second", "third_label", "fourth", "fifth"};
            word(g, all[i]);
            gap(g);
            word(g, ":");
            gap(g);
        } else if (!pick(g, 6)) {
            word(g, "...");
        }
        expr(g);
        gap(g);
        if (i + 1 < n || !pick(g, 4))
            word(g, ",");
    }
    gap(g);
    g->brackets--;
    word(g, close);
}

static void record(Gen *g)
{
    int n = pick(g, 4), brackets = g->brackets;
    static const char *const labels[] = {"one", "\"two[1, *]\"", "three", "four"};
    g->brackets = 0;
    word(g, "{ ");
    for (int i = 0; i < n; i++) {
        if (pick(g, 5)) {
            word(g, labels[i]);
            word(g, ":  ");
        } else {
            word(g, "...");
        }
        expr(g);
        if (i + 1 < n) {
            static const char *const between[] = {", ", "\n", ",\n", "  # why\n", ",  # why\n", "\n\n# above\n"};
            one_of(g, between, COUNT(between));
        }
    }
    word(g, pick(g, 2) ? " }" : "\n  }");
    g->brackets = brackets;
}

static void primary(Gen *g)
{
    static const char *const atoms[] = {"1",    "50_000", "1e-3", "0.5",         "\"text # not a comment\"",
                                        "true", "?",      "1..3", "\"\xC3\xA9\""};
    switch (g->depth > 5 ? pick(g, 2) : pick(g, 12)) {
    case 0: one_of(g, atoms, g->depth > 5 ? 4 : 7); break;
    case 1: case 2: name(g); break;
    case 3: name(g); args(g, "(", ")", true); break;
    case 4: name(g); args(g, "[", "]", true); args(g, "(", ")", true); break;
    case 5: args(g, "[", "]", false); break;
    case 6: record(g); break;
    case 7: word(g, "("); g->brackets++; loose(g); expr(g); loose(g); g->brackets--; word(g, ")"); break;
    case 8: name(g); word(g, "."); name(g); break;
    case 9:
        word(g, "["); g->brackets++; expr(g); loose(g); word(g, "for i in"); loose(g); name(g);
        g->brackets--; word(g, "]"); break;
    case 10: name(g); word(g, "[..,"); word(g, " -1 .. 2]"); break;
    default: name(g); word(g, "(3 .x)"); break;
    }
}

static void conditional(Gen *g)
{
    word(g, "if (");
    expr(g);
    word(g, ") ");
    block(g, true);
    if (pick(g, 2)) {
        word(g, pick(g, 2) ? " else " : "\n\nelse ");
        block(g, true);
    }
}

static void expr(Gen *g)
{
    static const char *const operators[] = {"+", "-", "*", "/", "@", "^", "and", "or"};
    g->depth++;
    int n = pick(g, 5) ? 1 : 2 + pick(g, 3);
    if (g->depth < 4 && !pick(g, 10)) {
        conditional(g);
        n = 0;
    }
    for (int i = 0; i < n; i++) {
        if (!pick(g, 8))
            word(g, pick(g, 2) ? "- " : "-");
        primary(g);
        if (i + 1 < n) {
            word(g, " ");
            one_of(g, operators, COUNT(operators));
            loose(g);
        }
    }
    g->depth--;
}

static void statement_end(Gen *g)
{
    static const char *const ends[] = {"\n", "\n\n", "\n\n\n\n", " ;", ";\n", "  # behind\n", "\n# above\n",
                                       "\n## about the next\n",
                                       "\n  # far\n\n# nearer\n", "\t\n", "; # behind\n"};
    one_of(g, ends, COUNT(ends));
}

static void statement(Gen *g)
{
    g->depth++;
    switch (pick(g, g->depth > 4 ? 4 : 7)) {
    case 0: case 1: word(g, pick(g, 2) ? "x = " : "some_name   = "); expr(g); break;
    case 2: word(g, "[a, b]="); loose(g); expr(g); break;
    case 3: word(g, "y :f32[2]="); expr(g); break;
    case 4: word(g, "for a in "); name(g); word(g, ",\n  b in "); name(g); block(g, false); break;
    case 5: word(g, "param  p:f32[3] per unit="); expr(g); break;
    default: word(g, "state s = "); expr(g); break;
    }
    g->depth--;
}

static void block(Gen *g, bool value)
{
    static const char *const opens[] = {" {\n", " { ", "{# behind\n", "{\n\n# first\n"};
    int n = pick(g, 4), brackets = g->brackets;
    g->brackets = 0;
    one_of(g, opens, COUNT(opens));
    for (int i = 0; i < n; i++) {
        statement(g);
        statement_end(g);
    }
    word(g, value ? "h" : "");
    word(g, pick(g, 2) ? " }" : "\n# last\n}");
    g->brackets = brackets;
}

static void item(Gen *g, int number)
{
    switch (pick(g, 6)) {
    case 0: buf_printf(&g->out, "v%d = ", number); expr(g); break;
    case 1: buf_printf(&g->out, "cell c%d = ", number); expr(g); break;
    case 2:
        buf_printf(&g->out, "net n%d[h:int=3,  act : cell](x: f32[n, ...p],\n  # of a formal\n y=2)->f32[h, ...p]",
                   number);
        if (pick(g, 2)) {
            word(g, pick(g, 2) ? "=" : " =\n   ");
            expr(g);
        } else {
            block(g, true);
        }
        break;
    case 3: buf_printf(&g->out, "fn f%d(x,y)  =  ", number); expr(g); break;
    case 4: buf_printf(&g->out, "experiment e%d(lr: real=0.1)", number); block(g, false); break;
    default: buf_printf(&g->out, "test \"%d\"", number); block(g, false); break;
    }
}

static void generated_programs(void **state)
{
    (void)state;
    enum { PROGRAMS = 3000 };
    int parsed_well = 0;
    for (int i = 0; i < PROGRAMS; i++) {
        World w;
        Gen g = {.state = (uint64_t)i * 7919 + 1};
        world_open(&w);
        word(&g, pick(&g, 2) ? "## A program.\n\nuse  a.b :c,\n d\n" : "");
        for (int k = 0, n = 1 + pick(&g, 5); k < n; k++) {
            item(&g, k);
            statement_end(&g);
        }
        buf_put(&g.out, "", 1);
        parsed(&w, g.out.at);
        if (!w.diags.errors) {
            format_safely(&w, g.out.at);
            parsed_well++;
        }
        buf_free(&g.out);
        world_close(&w);
    }
    print_message("%d of %d generated programs are right\n", parsed_well, PROGRAMS);
    assert_true(parsed_well > PROGRAMS / 2);
}

/* ---- the style ---- */
typedef struct Case { const char *from, *to; } Case;
#define LONG "a_long_name_of_an_argument, another_long_name_of_one"
static const Case cases[] = {
    {"", ""},
    {"# only\n\n\n", "# only\n"},
    {"x=3", "x = 3\n"},
    {"x   =   3\r\n\r\n\r\n\r\ny=  -2", "x = 3\n\ny = -2\n"},
    {"x = [ 1,2 ,3, ]\n", "x = [1, 2, 3]\n"},
    {"x = [\n1,2 ,\n3, ]\n", "x = [\n  1, 2,\n  3,\n]\n"},
    {"x = f( a:1 , b : { c:1 , d:2 } ) ^ - 2\n", "x = f(a: 1, b: { c: 1, d: 2 })^-2\n"},
    {"x = { a: 1,\n b: 2 }\n", "x = {\n  a: 1,\n  b: 2\n}\n"},
    {"x = a [ 1 .. n ] . b ( ...xs )\n", "x = a[1..n].b(...xs)\n"},
    {"x = 3 .foo\n", "x = 3 .foo\n"},
    {"x = not ( a==b ) and-c<d\n", "x = not (a == b) and -c < d\n"},
    {"x = f(a,\n  b)\n", "x = f(a, b)\n"},
    {"x = a +\n\n b\n", "x = a + b\n"},
    {"fn f(x) {\n\n\n y = x;;\n   y\n\n}\n", "fn f(x) {\n  y = x\n  y\n}\n"},
    {"fn f(x) { y = x;  y }\n", "fn f(x) { y = x; y }\n"},
    {"fn f(x) { y = x\n  y }\n", "fn f(x) {\n  y = x\n  y\n}\n"},
    {"fn f(x) = if x { 1 }\n\nelse { 2 }\n", "fn f(x) = if x { 1 } else { 2 }\n"},
    {"fn f(x) = if x { 1 } else {\n 2 }\n", "fn f(x) = if x {\n  1\n} else {\n  2\n}\n"},
    {"net n(x : f32[ 2 ])->f32[1]=x\n", "net n(x: f32[2]) -> f32[1] = x\n"},
    {"cell c(x) { param a:f32[2]per unit=1\n a }\n", "cell c(x) {\n  param a: f32[2] per unit = 1\n  a\n}\n"},
    {"per = 1\nx = per (2)+cell [1]\n", "per = 1\nx = per(2) + cell[1]\n"},
    /* comments */
    {"#a\nx = 3 #b\n  #c\n\n\n#d\ny = 4\n#e", "#a\nx = 3  #b\n#c\n\n#d\ny = 4\n#e\n"},
    {"x = 3     # kept\nyy = 44   # below\n", "x = 3     # kept\nyy = 44   # below\n"},
    {"x=3 # one\nyy=44 # two\n", "x = 3  # one\nyy = 44  # two\n"},
    {"fn f(x) {\n      # deep   \n x # why\n # last\n}\n", "fn f(x) {\n  # deep\n  x  # why\n  # last\n}\n"},
    {"x = f(a, # first\nb)\n", "x = f(a,  # first\n      b)\n"},
    {"x = [ # all\n a ]\n", "x = [  # all\n  a\n]\n"},
    {"x = 1\n\n# above\n;y = 2\n", "x = 1\n\n# above\ny = 2\n"},
    {"x = 1 # behind\n; y = 2\n", "x = 1  # behind\ny = 2\n"},
    /* columns that the author began */
    {"a   = 1\nbbb = 2\nc = 3\n", "a   = 1\nbbb = 2\nc   = 3\n"},
    {"a = 1\nbbb = 2\n", "a = 1\nbbb = 2\n"},
    {"a  = 1\n\nbbb = 2\n", "a = 1\n\nbbb = 2\n"},
    {"x = {\n  a:  1\n  bbb: 2\n}\n", "x = {\n  a:   1\n  bbb: 2\n}\n"},
    {"fn f(x)  -> y = 1\nfn gg(x) -> y = 2\n", "fn f(x)  -> y = 1\nfn gg(x) -> y = 2\n"},
    /* long lines */
    {"x = f(" LONG ", " LONG ", " LONG ")\n", "x = f(" LONG ", " LONG ",\n      " LONG ")\n"},
    {"fn f(" LONG ") = g(" LONG ", " LONG ")\n", "fn f(" LONG ") =\n  g(" LONG ", " LONG ")\n"},
    {"x = { a: f(" LONG "), b: f(" LONG ") }\n", "x = {\n  a: f(" LONG "),\n  b: f(" LONG ")\n}\n"},
    {"fn f(" LONG ") { y = g(" LONG "); y }\n", "fn f(" LONG ") {\n  y = g(" LONG ")\n  y\n}\n"},
    {"x = (" LONG "_of_some_length_that_is_too_long_to_stand_in_a_line) + (another_long_name_of_one)\n", NULL},
};

static void style(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(cases); i++) {
        if (!cases[i].to)
            continue;
        World w;
        world_open(&w);
        assert_string_equal(format_safely(&w, cases[i].from), cases[i].to);
        world_close(&w);
    }
}

static void errors_are_told(void **state)
{
    (void)state;
    static const char *const texts[] = {"x = (",        "x = 1 +",     "f(x) = 3\n", "x = [1; 2]\n",
                                        "x = \"open\n", "x = 1\x01\n", "}"};
    for (int i = 0; i < COUNT(texts); i++) {
        World w;
        world_open(&w);
        assert_null(formatted(&w, texts[i]));
        assert_true(w.diags.errors > 0);
        world_close(&w);
    }
}

/* What is compared: trees, doc comments, other comments. */
static void differences_are_seen(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "## a\nx = 1\n", "## b\nx = 1\n", "x = 1\n",        "x = 1  # c\n",       "# c\nx = 1\n", "x = 2\n",
        "y = 1\n",       "x: int = 1\n",  "x = { a: 1 }\n", "x = { \"a\": 1 }\n", "x = [...a]\n", "x = [a]\n"};
    World w;
    world_open(&w);
    for (int i = 0; i < COUNT(texts); i++)
        for (int k = 0; k < COUNT(texts); k++)
            assert_int_equal(format_same(parsed(&w, texts[i]), parsed(&w, texts[k])), i == k);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(style),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(differences_are_seen),
        cmocka_unit_test(repository_is_formatted),
        cmocka_unit_test(lines_are_short),
        cmocka_unit_test(generated_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
