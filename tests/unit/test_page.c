/* test_page.c -- nin report: a page that is well formed and needs nothing else, whatever lies in the folder. */
#define _GNU_SOURCE
#include "child.h"

#include <ctype.h>

#include "report/markup.h"
#include "report/page.h"

/* ---- a reader of pages: every element closed, every attribute quoted, no way out of the page ---- */
typedef struct Reader {
    const char *at; char open[256][32]; int depth, elements; Arena *arena; VEC(const char *) ids, uses;
} Reader;

static const char *word(Reader *r)
{
    size_t n = strcspn(r->at, " \t\n=/>\"'<");
    const char *text = arena_copy(r->arena, r->at, n);
    r->at += n;
    return text;
}

static void check_reference(Reader *r, const char *element, const char *name, const char *value)
{
    bool refers = strcmp(name, "href") == 0 || strcmp(name, "src") == 0;
    const char *url = strstr(value, "url(");
    if (refers && strncmp(value, "#", 1) != 0 && strncmp(value, "data:image/png;base64,", 22) != 0 &&
        strcmp(value, "data:,") != 0)
        fail_msg("%s %s=\"%.60s\"", element, name, value);
    if (url && strncmp(url, "url(#", 5) != 0)
        fail_msg("%s %s=\"%.60s\"", element, name, value);
    if (refers && *value == '#')
        vec_push(r->arena, &r->uses, value + 1);
    if (url)
        vec_push(r->arena, &r->uses, (const char *)arena_copy(r->arena, url + 5, strcspn(url + 5, ")")));
}

static void read_attributes(Reader *r, const char *element)
{
    for (;;) {
        r->at += strspn(r->at, " \t\n");
        if (*r->at == '>' || *r->at == '/')
            return;
        const char *name = word(r);
        if (!*name || *r->at++ != '=' || *r->at++ != '"')
            fail_msg("attribute of %s before \"%.40s\"", element, r->at);
        size_t n = strcspn(r->at, "\"<");
        const char *value = arena_copy(r->arena, r->at, n);
        r->at += n;
        assert_int_equal(*r->at++, '"');
        assert_true(strncmp(name, "on", 2) != 0);
        if (strcmp(name, "id") == 0) {
            for (int i = 0; i < r->ids.len; i++)
                assert_string_not_equal(r->ids.at[i], value);
            vec_push(r->arena, &r->ids, value);
        }
        check_reference(r, element, name, value);
    }
}

static void read_element(Reader *r)
{
    static const char *const never[] = {"script", "iframe",        "object",  "embed", "form",
                                        "base",   "foreignObject", "animate", "set",   "a:a"};
    if (r->at[1] == '/') {
        r->at += 2;
        const char *name = word(r);
        if (r->depth == 0 || strcmp(r->open[r->depth - 1], name) != 0)
            fail_msg("</%s> closes <%s>", name, r->depth ? r->open[r->depth - 1] : "nothing");
        r->depth--;
        assert_int_equal(*r->at++, '>');
        return;
    }
    r->at++;
    const char *name = word(r);
    for (int i = 0; i < COUNT(never); i++)
        assert_string_not_equal(name, never[i]);
    read_attributes(r, name);
    bool empty = *r->at == '/';
    r->at += empty;
    assert_int_equal(*r->at++, '>');
    r->elements++;
    if (empty)
        return;
    assert_in_range(r->depth, 0, 255);
    snprintf(r->open[r->depth++], sizeof r->open[0], "%s", name);
}

/* Reads to the end; what refers to nothing is the caller's. */
static Reader *read_markup(Arena *arena, const char *text)
{
    Reader *r = arena_new_of(arena, Reader);
    r->arena = arena;
    r->at = text;
    while (*r->at) {
        if (*r->at == '<') {
            read_element(r);
        } else if (*r->at == '&') {
            size_t n = strcspn(r->at, ";");
            assert_in_range(n, 2, 8);
            r->at += n;
        } else {
            assert_true((unsigned char)*r->at >= 0x20 || isspace((unsigned char)*r->at));
            r->at++;
        }
    }
    assert_int_equal(r->depth, 0);
    return r;
}

static void check_page(Arena *arena, const char *page)
{
    assert_true(strncmp(page, "<!DOCTYPE html>", 15) == 0);
    Reader *r = read_markup(arena, page + 15);
    for (int i = 0; i < r->uses.len; i++) {
        bool known = false;
        for (int k = 0; k < r->ids.len; k++)
            known |= strcmp(r->ids.at[k], r->uses.at[i]) == 0;
        if (!known)
            fail_msg("nothing has the id \"%s\"", r->uses.at[i]);
    }
}

static const char *page_text(Child *c, const char *path)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path, 0, &bytes, &length, &error))
        fail_msg("%s", error);
    assert_int_equal(strlen(bytes), length);
    check_page(c->arena, bytes);
    return bytes;
}

/* ---- a study ---- */
static const char study[] =
    "data = examples(x: [[0, 0], [0, 1], [1, 0], [1, 1]], y: [0, 1, 1, 0])\n"
    "net small(x: f32[2]) -> f32[1] = dense[1](tanh(dense[2](x)))\n"
    "experiment later {\n"
    "  for lr in [0.01, 0.1], seed in 1..3 {\n"
    "    run = train(small, on: data, with: session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, "
    "epochs: 3), seed: seed)\n"
    "    record(loss: run.train_loss, model: run.model)\n"
    "  }\n"
    "  table(\"losses\", by: lr, loss: mean(loss), n: count())\n"
    "  figure(\"surface\", heat(z: mean(model), over: [-1..1, -1..1]), contour(z: mean(model), over: [-1..1, -1..1], "
    "levels: [0]), columns: lr)\n"
    "}\n"
    "experiment earlier(k: int = 2) {\n"
    "  for seed in 1..4 { record(twice: k * seed) }\n"
    "  figure(\"twos\", lines(x: seed, y: twice))\n"
    "}\n";

static void test_study(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "out"),
               *page = child_path(c, "out/report.html");
    Outcome o = child_run(c, "run", file, "--out", out, "--set", "k=3", NULL);
    expect_status(&o, 0);
    o = child_run(c, "report", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "2 experiments, 2 figures, 1 table");
    assert_string_equal(o.err, "");
    const char *text = page_text(c, page), *first = strstr(text, "<h2>later"), *second = strstr(text, "<h2>earlier");
    assert_true(first && second && first < second);                     /* as in the program */
    expect_text(text, "nin run study.nin --experiment earlier --set k=3");
    expect_text(text, "<dt>Seeds</dt><dd>1\xe2\x80\x93""4</dd>");
    expect_text(text, "Runs (6)");
    expect_text(text, "<caption>losses</caption>");
    expect_text(text, "net small(x: f32[2]) -&gt; f32[1]");
    expect_text(text, "aria-label=\"twos\"");
    assert_null(strstr(text, "http:"));
    assert_null(strstr(text, "https:"));
    assert_null(strstr(text, "Seeds are missing"));
    o = child_run(c, "report", child_path(c, "out/study"), "--experiment", "earlier", "-o", child_path(c, "one.html"),
                  NULL);
    expect_status(&o, 0);
    assert_null(strstr(page_text(c, child_path(c, "one.html")), "<h2>later"));
    o = child_run(c, "report", child_path(c, "out/study/earlier"), NULL);
    expect_status(&o, 0);
    expect_text(page_text(c, child_path(c, "out/study/earlier/report.html")), "<h1>study</h1>");
    o = child_run(c, "report", out, NULL); /* the same bytes, and the page itself is no result */
    expect_status(&o, 0);
    assert_string_equal(text, page_text(c, page));
}

static void test_shards_apart(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "apart");
    Outcome o = child_run(c, "run", file, "--out", out, "--shard", "1/2", "--experiment", "earlier", NULL);
    expect_status(&o, 0);
    o = child_run(c, "report", out, NULL);
    expect_status(&o, 0);
    expect_text(page_text(c, child_path(c, "apart/report.html")), "1 shard, not yet joined");
}

static void test_refused(void **state)
{
    Child *c = *state;
    Outcome o = child_run(c, "report", child_path(c, "nowhere"), NULL);
    expect_status(&o, 3);
    expect_text(o.err, "there is no such folder");
    o = child_run(c, "report", child_text(c, "two.nin", "x = 1\n"), NULL);
    expect_status(&o, 3);
    expect_text(o.err, "a file; a folder is wanted");
    char *error = NULL;
    assert_true(folder_make(c->arena, child_path(c, "empty"), &error));
    o = child_run(c, "report", child_path(c, "empty"), NULL);
    expect_status(&o, 3);
    expect_text(o.err, "no experiment has left results here");
    assert_false(file_exists(child_path(c, "empty/report.html")));
    o = child_run(c, "report", NULL);
    expect_status(&o, 2);
}

/* ---- figures ---- */
static const char marks[] =
    "cell wave(p: f32, q: f32) = sin(3 * p) * cos(2 * q)\n"
    "fn two(v) = 2\n"
    "experiment e {\n"
    "  for kind in [\"a\", \"b\"], lr in [0.01, 0.1], seed in 1..3 {\n"
    "    if kind == \"a\" or lr > 0.05 { record(loss: lr * seed) }\n"
    "  }\n"
    "  figure(\"errors\", bars(x: lr, y: loss, color: kind))\n"
    "  figure(\"sem\", band(x: lr, y: loss, spread: sem), where: kind == \"a\")\n"
    "  figure(\"half\", band(x: lr, y: loss, spread: two), where: kind == \"a\")\n"
    "  figure(\"side\", heat(z: wave, over: [-1..1, -2..2]), lines(x: lr, y: mean(loss), color: kind), "
    "columns: marks)\n"
    "  figure(\"both\", lines(x: lr, y: mean(loss)), lines(x: lr, y: max(loss), style: dashed), where: kind == \"a\")\n"
    "  figure(\"lined\", heat(z: wave, over: [-1..1, -2..2], levels: 0))\n"
    "  figure(\"zero\", contour(z: wave, over: [-1..1, -2..2], levels: [0]))\n"
    "}\n";

static const char *figure_text(Child *c, const char *file)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path_join(c->arena, child_path(c, "out/marks/e"), file), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

static void test_marks(void **state)
{
    Child *c = *state;
    Outcome o = child_run(c, "run", child_text(c, "marks.nin", marks), "--out", child_path(c, "out"), "--pdf", NULL);
    expect_status(&o, 0);
    const char *bars = figure_text(c, "errors.plot/panel-1.tsv"), *script = figure_text(c, "errors.plot/panels.gp");
    expect_text(script, "('0.01' 0, '0.1' 1)");                         /* numbers as categories */
    expect_text(script, "loss (mean \xc2\xb1 sd, n = 3)");
    expect_text(bars, "# x\tlow\thigh\n-0.2\t0.01\t0.03\n0.8\t0.1\t0.30000000000000004\n");
    expect_text(bars, "# x\ty\twidth\n1.2000000000000002\t"); /* of b there is only 0.1, which is the second place */
    expect_text(figure_text(c, "sem.plot/panels.gp"), "loss (mean \xc2\xb1 sem, n = 3)");
    expect_text(figure_text(c, "half.plot/panel-1.tsv"), "# x\tlow\thigh\n0.01\t-1.98\t2.02\n");
    script = figure_text(c, "side.plot/panels.gp");
    expect_text(script, "set xrange [-1:1]");                           /* each panel has its own scales and titles */
    expect_text(script, "set yrange [-2:2]");
    expect_text(script, "set label 'p' at");
    expect_text(script, "set label 'mean(loss)' at");
    expect_text(script, "set title 'wave'");
    expect_text(script, "#f7f7f7");                                     /* both sides of 0 */
    script = figure_text(c, "both.plot/panels.gp"); /* two things on one axis: the legend says which */
    expect_text(script, "title 'mean(loss)'");
    expect_text(script, "title 'max(loss)'");
    assert_null(strstr(script, "set label 'mean(loss)'"));
    expect_text(figure_text(c, "lined.plot/panel-1.tsv"), "# x\ty\tz\n");
    expect_text(figure_text(c, "lined.plot/panel-1.tsv"), "# x\ty\n");
    script = figure_text(c, "zero.plot/panels.gp");
    expect_text(script, "set xrange [-1:1]");
    assert_null(strstr(script, "palette"));
    if (o.err && !strstr(o.err, "gnuplot is not installed"))
        assert_true(memcmp(figure_text(c, "zero.pdf"), "%PDF", 4) == 0);
}

/* ---- what somebody else may have put there ---- */
static void put(Child *c, const char *folder, const char *name, const char *text)
{
    char *error = NULL;
    assert_true(folder_make(c->arena, folder, &error));
    if (!file_write(c->arena, path_join(c->arena, folder, name), text, strlen(text), FILE_NO_SYNC, &error))
        fail_msg("%s", error);
}

static void test_hostile(void **state)
{
    Child *c = *state;
    const char *folder = child_path(c, "bad/p\"><script>/<img src=x onerror=alert(1)>");
    put(c, folder, "run.json", "{\"program_sha256\":\"<b>\",\"notes\":[\"</p><script>alert(1)</script>\"],\"nin\":7,"
                               "\"data\":{\"<x>\":\"'\\\"&\"},"
                               "\"settings\":{\"a b\":\"$(rm -rf "
                               "~)'\"},\"seeds\":{\"seed\":[3,1,2,7]},\"machine\":[]}");
    put(c, folder, "t<u>.tsv", "<i>\ta&b\n</table>\t\n\"\tnan\nx\t\xff\xfe\x01\n");
    put(c, folder, "records.jsonl",
        "{\"net\":\"<s>\",\"seed\":1,\"z\":[1,2]}\n{\"net\":\"<s>\",\"seed\":2,\"z\":1}\nbroken\n"
        "{\"net\":\"b\",\"seed\":2,\"z\":\"\xe2\x80\xae\"}\n");
    put(c, folder, "f.svg", "<svg width=\"10\" height=\"10\" onload=\"alert(1)\"><script>alert(1)</script><a "
                            "href=\"https://x/\"><text>in</text></a>"
                            "<rect fill=\"url(https://x/)\" width=\"3\" onclick=\"x\" "
                            "style=\"background:url(https://x/)\"/>"
                            "<image href=\"https://x/y.png\" width=\"1\"/><text x='1' y=\"2\">a &lt; "
                            "b &amp c &#x202e;</text></svg>");
    put(c, folder, "g.svg", "<svg width=\"10\" height=\"10\"><g></svg>");
    put(c, folder, "program.nin", "not it");
    Outcome o = child_run(c, "report", child_path(c, "bad"), NULL);
    expect_status(&o, 0);
    expect_text(o.err, "g.svg is not a drawing");
    expect_text(o.err, "1 line(s) are damaged");
    const char *text = page_text(c, child_path(c, "bad/report.html"));
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "https"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    expect_text(text, "&lt;script&gt;");
    expect_text(text, "a &lt; b &amp;amp c");
    expect_text(text, "--set &#39;a b=$(rm -rf ~)&#39;\\&#39;&#39;&#39;");
    expect_text(text, "<td class=\"missing\">missing</td>");
    expect_text(text, "g was not drawn");
    expect_text(text, "net = b: 1 of 2 seeds; missing: 1");
}

/* Cut anywhere, a drawing is taken whole or not at all. */
static void test_drawings(void **state)
{
    Child *c = *state;
    static const char svg[] =
        "<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg width=\"20\" height=\"10\"><defs><circle id='p' r='1'/></defs>"
        "<g color=\"black\" fill=\"#ffffff\"><use xlink:href='#p'/><!-- no --><unknown><g/></unknown>"
        "<text style='filter:url(#p)'><tspan>x &gt; 1</tspan></text></g></svg>\n";
    for (size_t n = 0; n <= sizeof svg - 1; n++) {
        Buf out = {0};
        char *cut = arena_copy(c->arena, svg, n);
        bool whole = html_svg(&out, cut, n, "k-", "a \"b\"");
        assert_int_equal(whole, n >= sizeof svg - 2);
        assert_true(whole || out.len == 0);
        buf_put(&out, "", 1);
        if (whole)
            assert_string_equal(out.at, "<svg viewBox=\"0 0 20 10\" width=\"20\" height=\"10\" style=\"--w:20px\" "
                                        "role=\"img\" aria-label=\"a "
                                        "&quot;b&quot;\"><defs><circle id=\"k-p\" r=\"1\"/></defs><g "
                                        "color=\"var(--ink)\" fill=\"var(--paper)\">"
                                        "<use href=\"#k-p\"/><text filter=\"url(#k-p)\"><tspan>x &gt; "
                                        "1</tspan></text></g></svg>");
        buf_free(&out);
    }
    /* Changed at random, what comes of it is well formed all the same. */
    uint32_t random = 1, taken = 0;
    for (int k = 0; k < 3000; k++) {
        char *changed = arena_copy(c->arena, svg, sizeof svg - 1);
        for (int i = 0; i <= k % 3; i++) {
            random = random * 1664525 + 1013904223;
            changed[(random >> 8) % (sizeof svg - 1)] = "<>/\'\"=&#;(u\1"[(random >> 24) % 13];
        }
        Buf out = {0};
        if (html_svg(&out, changed, sizeof svg - 1, "k-", "l") && ++taken) {
            Arena *scratch = arena_new();
            read_markup(scratch, out.at);
            arena_free(scratch);
        }
        buf_free(&out);
    }
    assert_in_range(taken, 100, 2900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_study),    cmocka_unit_test(test_shards_apart),
                                       cmocka_unit_test(test_refused),  cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_drawings), cmocka_unit_test(test_marks)};
    return cmocka_run_group_tests(tests, child_open, child_close);
}
