/* test_report.c -- one recorded value, tables, progress, provenance and figures: exact text, equal bytes, hostile
 * names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/figure_parts.h"
#include "report/progress.h"
#include "report/provenance.h"
#include "report/table.h"
#include "desk.h"

static char *path_of(Desk *desk, const char *name) { return path_join(desk->arena, desk->folder, name); }

static char *text_of(Desk *desk, const char *path) {
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(desk->arena, path, 0, &bytes, &length, &error)) fail_msg("%s", error);
    return bytes;
}

static char *done(Desk *desk, Buf *buf) {
    buf_put(buf, "", 1);
    char *text = arena_copy(desk->arena, buf->at, strlen(buf->at));
    buf_free(buf);
    *buf = (Buf){0};
    return text;
}

/* ---- data ---- */
static void test_datum(void **state) {
    Desk *desk = *state;
    Buf out = {0};
    Datum list[] = {datum_number(0.1), datum_number(NAN), datum_number(-INFINITY), datum_number(1e-8),
                    datum_number(-0.0)};
    Field fields[] = {{"net", datum_text("a\"b\\\n\t\x01\xc3\xa9\xff")}, {"n", datum_int(INT64_MIN)},
                      {"ok", datum_bool(true)}, {"none", datum_null()}, {"l", datum_list(list, 5)}};
    json_fields(&out, fields, 5);
    assert_string_equal(done(desk, &out), "{\"net\":\"a\\\"b\\\\\\n\\t\\u0001\xc3\xa9\xef\xbf\xbd\","
                                          "\"n\":-9223372036854775808,\"ok\":true,\"none\":null,"
                                          "\"l\":[0.1,\"nan\",\"-inf\",1e-08,-0]}");
    assert_int_equal(text_width("t\xc3\xa4nh \xe3\x83\x97 e\xcc\x81"), 9);
    text_cut(&out, "abcdef", 4);
    text_cut(&out, "\xe3\x83\x97\xe3\x83\xac", 3);
    text_cut(&out, "a\033[1mb", 20);
    assert_string_equal(done(desk, &out), "abc\xe2\x80\xa6\xe3\x83\x97\xe2\x80\xa6" "a [1mb");
}

/* ---- tables ---- */
#define LINE4 "\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80"
static void test_table(void **state) {
    Desk *desk = *state;
    static const char *const names[] = {"net", "lr", "rate", "n"}, *const notes[] = {"n = 97 of 100"};
    Datum at[] = {datum_text("prelu"), datum_number(0.001), datum_number(1), datum_int(100),
                  datum_text("a\tb"), datum_number(10), datum_number(0.125), datum_int(7),
                  datum_text("gcu"), datum_number(NAN), datum_null(), datum_int(-1)};
    Table table = {"success", 1, 4, 3, names, at, notes, 1};
    Buf out = {0};
    table_text(&table, &(TableStyle){0}, &out);
    assert_string_equal(done(desk, &out),
                        "success\nnet        lr   rate    n\n" LINE4 LINE4 LINE4 LINE4 LINE4 LINE4 "\xe2\x94\x80\n"
                        "prelu   0.001  1.000  100\na b    10.000  0.125    7\ngcu       nan      -   -1\nn = 97 of "
                            "100\n");
    table_text(&table, &(TableStyle){.width = 14, .rows = 1}, &out);
    assert_string_equal(done(desk, &out),
                        "success\nnet       lr\n" LINE4 LINE4 LINE4 "\nprelu  0.001\n\n"
                        "net     rate\n" LINE4 LINE4 LINE4 "\nprelu  1.000\n\n"
                        "net      n\n" LINE4 LINE4 "\xe2\x94\x80\xe2\x94\x80\nprelu  100\n... 2 more rows\nn = 97 of "
                            "100\n");
    table_tsv(&table, &out);
    assert_string_equal(done(desk, &out), "net\tlr\trate\tn\n"
                                          "prelu\t0.001\t1\t100\na\\tb\t10\t0.125\t7\ngcu\tnan\t\t-1\n");
    static const char *const one[] = {"x"};
    Datum wide[] = {datum_number(1e-9), datum_number(12345.678), datum_number(0.1)};
    table_text(&(Table){NULL, 0, 1, 3, one, wide, NULL, 0}, &(TableStyle){0}, &out);
    assert_string_equal(done(desk, &out), "    x\n" LINE4 "\xe2\x94\x80\n1e-09\n12346\n  0.1\n");
    table_text(&(Table){"empty", 1, 4, 0, names, at, NULL, 0}, &(TableStyle){.width = 40, .bold = true}, &out);
    assert_non_null(strstr(done(desk, &out), "\033[1mempty\033[0m\n"));
    static const char *const memory[] = {"81.8 kB for a prediction, \xe2\x80\xa6 in uninterruptedly", ""};
    table_text(&(Table){NULL, 0, 1, 1, one, wide, memory, 2}, &(TableStyle){.width = 13}, &out);
    assert_string_equal(done(desk, &out), "    x\n" LINE4 "\xe2\x94\x80\n1e-09\n"
                                          "81.8 kB for a\nprediction, \xe2\x80\xa6\nin\nuninterrupted\nly\n\n");
    table_text(&(Table){"keys", 1, 1, 3, one, wide, NULL, 0}, &(TableStyle){.width = 5}, &out);
    assert_non_null(strstr(done(desk, &out), "12346"));
}

/* ---- progress ---- */
typedef struct Screen { Buf text; int writes; } Screen;
static void keep(void *data, const char *text, size_t length) {
    Screen *screen = data;
    buf_put(&screen->text, text, length);
    screen->writes++;
}

static void test_progress(void **state) {
    Desk *desk = *state;
    Screen screen = {0};
    Progress *progress = progress_new(PROGRESS_TERMINAL, 44, keep, &screen);
    progress_start(progress, 0, "fig2", "trials", 400);
    for (int i = 1; i <= 2000; i++) progress_update(progress, i * 0.001, i / 10, "lr 0.1");
    assert_in_range(screen.writes, 15, 20);            /* ten a second, no more */
    char *text = done(desk, &screen.text);
    assert_non_null(strstr(text, "\r\033[Kfig2  10 of 400 trials  100/s  4 s left\r"));
    progress_say(progress, 2.05, "note");
    text = done(desk, &screen.text);
    assert_true(strncmp(text, "\r\033[Knote\n\r\033[Kfig2  200", 22) == 0);
    progress_finish(progress, 2.1, 400);
    assert_string_equal(done(desk, &screen.text), "\r\033[K");
    progress_free(progress);

    progress = progress_new(PROGRESS_PLAIN, 0, keep, &screen);
    progress_start(progress, 100, "fig2", "trials", 5000);
    for (int i = 1; i <= 250; i++) progress_update(progress, 100 + i * 0.1, i, NULL);
    progress_finish(progress, 130, 300);
    assert_string_equal(done(desk, &screen.text), "fig2  100 of 5000 trials  10/s  8 min 10 s left\n"
                                                  "fig2  200 of 5000 trials  10/s  8 min 00 s left\nfig2  300 trials "
                                                      "in 30 s\n");
    progress_free(progress);

    progress = progress_new(PROGRESS_PLAIN, 0, keep, &screen);                     /* a detail is there in whole */
    progress_start(progress, 0, "attack", "done", 4);
    progress_update(progress, 20, 2, "fab_targeted, robust accuracy so far 0.6589");
    assert_non_null(strstr(done(desk, &screen.text), "  fab_targeted, robust accuracy so far 0.6589\n"));
    progress_free(progress);

    progress = progress_new(PROGRESS_QUIET, 0, keep, &screen);
    progress_start(progress, 0, "fig2", "trials", 0);
    progress_update(progress, 100, 1, NULL);
    progress_finish(progress, 200, 2);
    progress_say(progress, 200, "said\n");
    assert_string_equal(done(desk, &screen.text), "said\n");
    progress_free(progress);
}

/* ---- provenance ---- */
static void test_provenance(void **state) {
    Desk *desk = *state;
    char *error = NULL, *path = path_of(desk, "run.json");
    ProvenanceData data[] = {{"xor", "12"}, {"mnist", "ab"}};
    Field settings[] = {{"lr", datum_number(0.1)}, {"epochs", datum_int(300)}};
    Provenance p = {.version = "0.1", .semantics = 1, .program = "xor.nin", .experiment = "fig\"2",
                    .program_sha256 = "00", .data = data, .data_count = 2, .settings = settings, .setting_count = 2,
                    .precision = "f32",
                        .cpu = "none", .threads = 2};
    assert_true(provenance_write(desk->arena, path, &p, FILE_NO_SYNC, &error));
    assert_string_equal(text_of(desk, path),
                        "{\n  \"data\": {\n    \"mnist\": \"ab\",\n    \"xor\": \"12\"\n  },\n  \"defaults\": {},\n"
                        "  \"experiment\": \"fig\\\"2\",\n  \"machine\": {\n    \"cpu\": \"none\",\n    \"threads\": "
                            "2\n  },\n  \"nin\": \"0.1\",\n"
                        "  \"notes\": [],\n  \"precision\": \"f32\",\n  \"program\": \"xor.nin\",\n  "
                            "\"program_sha256\": \"00\",\n  \"seeds\": {},\n"
                        "  \"semantics\": 1,\n  \"settings\": {\n    \"epochs\": 300,\n    \"lr\": 0.1\n  }\n}\n");
    assert_true(strlen(provenance_cpu(desk->arena)) > 0);
}

/* ---- figures ---- */
/* A circle: every point of the line at its distance, a closed line; a saddle in two pieces; holes passed over. */
static void test_contour(void **state) {
    Desk *desk = *state;
    enum { N = 41 };
    double z[N * N];
    for (int i = 0; i < N * N; i++) {
        double x = -1 + i % N * 0.05, y = -1 + i / N * 0.05;
        z[i] = sqrt(x * x + y * y);
    }
    FigureGrid grid = {N, N, -1, 1, -1, 1, z};
    LevelText text;
    Polyline line = contour_lines(desk->arena, &grid, 0.7, &text);
    assert_true(line.points > 60);
    for (int64_t i = 0; i < line.points; i++) assert_true(fabs(hypot(line.xy[2 * i], line.xy[2 * i + 1]) - 0.7) < 1e-3);
    assert_true(line.xy[0] == line.xy[2 * line.points - 2] && line.xy[1] == line.xy[2 * line.points - 1]);
    assert_true(fabs(hypot(text.x, text.y) - 0.7) < 1e-3 && text.level == 0.7);
    z[20 * N + 34] = NAN;                              /* (0.7, 0): the line has a gap */
    line = contour_lines(desk->arena, &grid, 0.7, &text);
    assert_true(line.xy[0] != line.xy[2 * line.points - 2] || line.xy[1] != line.xy[2 * line.points - 1]);
    static const double saddle[4] = {1, 0, 0, 1};
    line = contour_lines(desk->arena, &(FigureGrid){2, 2, 0, 1, 0, 1, saddle}, 0.4, &text);
    assert_true(line.points == 5 && isnan(line.xy[4]));
    assert_int_equal(contour_lines(desk->arena, &(FigureGrid){2, 2, 0, 1, 0, 1, saddle}, 2, &text).points, 0);
    double levels[8];
    assert_int_equal(contour_levels(0, 1, 5, levels, 8), 4);
    assert_true(levels[0] == 0.2);
    assert_int_equal(contour_levels(1, 1, 5, levels, 8), 0);
}

/* A figure of everything: two panels. */
static bool draw_all(Desk *desk, const char *name, const FigureTools *tools, FigureResult *result, char **error) {
    static const double x[] = {1, 2, 3, 4, 0}, y[] = {0.5, NAN, 2, 3, 1}, lo[] = {0, 1, 1, 2, 0};
    static const double hi[] = {1, 2, 3, 4, 2};
    static const double z[] = {0, 1, 2, 1, 0, 3, NAN, 2, 1};
    const FigureSeries series[] = {{"one", 0, STYLE_SOLID, x, y, lo, hi, 5},
                                   {"tw'o `date` $x\n", 1, STYLE_DASHED, x, hi, lo, hi, 5}};
    const FigureGrid grid = {3, 3, 1, 2, 1, 2, z};
    const FigureMark left[] = {{.kind = MARK_LINES, .series = series, .count = 2},
                               {.kind = MARK_POINTS, .series = series, .count = 2},
                               {.kind = MARK_BAND, .series = series, .count = 2},
                               {.kind = MARK_BARS, .series = series, .count = 2},
                               {.kind = MARK_HIST, .series = series, .count = 2},
                               {.kind = MARK_CDF, .series = series, .count = 2},
                               {.kind = MARK_RULE, .at = 2, .vertical = true, .style = STYLE_DOTTED}};
    const FigureMark right[] = {{.kind = MARK_HEAT, .grid = &grid}, {.kind = MARK_CONTOUR, .grid = &grid}};
    const FigurePanel panels[] = {{0, 0, left, 7}, {0, 1, right, 2}};
    static const char *const titles[] = {"left 'quoted'\n!rm x", "right"};
    FigureSpec spec = {.name = name, .x = {.title = "x_1", .log = true}, .y = {.title = "`touch broken`"},
                       .z_title = "z", .rows = 1, .columns = 2, .column_title = titles,
                       .panels = panels, .panel_count = 2,
                       .legend_title = "key"};
    return figure_write(desk->arena, desk->folder, &spec, tools, result, error);
}

/* A closed line's first point is its last: what is farthest from it stays. */
static void test_thinned(void **state) {
    Desk *desk = *state;
    double xy[] = {0, 0, 1, 0.0001, 2, 0, 3, 1, 4, 2, NAN, NAN, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0};
    Polyline line = polyline_thinned(desk->arena, (Polyline){xy, COUNT(xy) / 2}, 0.01, 0.01);
    const double left[] = {0, 0, 2, 0, 4, 2, NAN, NAN, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0};
    assert_int_equal(line.points, COUNT(left) / 2);
    for (int i = 0; i < COUNT(left); i++) assert_true(line.xy[i] == left[i] || (isnan(line.xy[i]) && isnan(left[i])));
    assert_int_equal(polyline_thinned(desk->arena, (Polyline){xy, 0}, 1, 1).points, 0);
    assert_int_equal(polyline_thinned(desk->arena, (Polyline){xy, 1}, 1, 1).points, 1);
}

static void test_figure(void **state) {
    Desk *desk = *state;
    FigureResult result;
    char *error = NULL;
    assert_true(draw_all(desk, "fig/2 ü", &(FigureTools){.gnuplot = ""}, &result, &error));
    assert_true(result.notes.len == 1 && !result.svg && !result.png);
    assert_non_null(strstr(result.notes.at[0], "values at or below 0 have no place on the log axis x"));
    char *script = text_of(desk, path_of(desk, "fig_2___.plot/panels.gp"));
    assert_non_null(strstr(script, "set title 'left ''quoted'' !rm x'"));
    assert_null(strchr(script, '`'));
    assert_non_null(strstr(text_of(desk, path_of(desk, "fig_2___.plot/panel-1.tsv")),
                           "# x\ty\n1\t0.5\n2\tNaN\n3\t2\n"));
    assert_true(draw_all(desk, "again", &(FigureTools){.gnuplot = ""}, &result, &error));
    assert_true(draw_all(desk, "again", &(FigureTools){.gnuplot = "/none/gnuplot"}, &result, &error));
    assert_non_null(strstr(result.notes.at[result.notes.len - 1], "/none/gnuplot: cannot start: No such file"));
    assert_true(draw_all(desk, "again", &(FigureTools){.gnuplot = "/bin/false"}, &result, &error));
    assert_non_null(strstr(result.notes.at[result.notes.len - 1], "/bin/false failed"));
    assert_false(figure_write(desk->arena, desk->folder, &(FigureSpec){.name = "none"}, NULL, &result, &error));
    assert_false(file_exists("broken"));
}

/* A band that reaches below 0 begins at the border of a log axis: no gap. */
static void test_log_band(void **state) {
    static const double x[] = {1, 2, 3}, y[] = {1, 2, 8}, lo[] = {0.5, -1, 4}, hi[] = {2, 5, 12};
    const FigureSeries series = {"one", 0, STYLE_SOLID, x, y, lo, hi, 3};
    const FigureMark marks[] = {{.kind = MARK_LINES, .series = &series, .count = 1},
                                {.kind = MARK_BAND, .series = &series, .count = 1}};
    const FigurePanel panel = {0, 0, marks, 2};
    FigureSpec spec = {.name = "log",
                       .y = {.log = true, .ranged = true, .lo = 0.25, .hi = 16},
                       .rows = 1,
                       .columns = 1,
                       .panels = &panel,
                       .panel_count = 1};
    Desk *desk = *state;
    FigureResult result;
    char *error = NULL;
    assert_true(figure_write(desk->arena, desk->folder, &spec, &(FigureTools){.gnuplot = ""}, &result, &error));
    assert_int_equal(result.notes.len, 0);
    assert_non_null(strstr(text_of(desk, path_of(desk, "log.plot/panel-1.tsv")), "1\t0.5\t2\n2\t0.25\t5\n3\t4\t12\n"));
}

/* A band's sides stay where they are where they leave the axes: a point stands at each crossing, of y and of x. */
static void test_band_leaves(void **state) {
    static const double x[] = {0, 2, 4}, y[] = {0.25, 1.5, 3}, lo[] = {0, 1, 2}, hi[] = {0.5, 2, 4};
    const FigureSeries series = {"one", 0, STYLE_SOLID, x, y, lo, hi, 3};
    const FigureMark marks[] = {{.kind = MARK_BAND, .series = &series, .count = 1}};
    const FigurePanel panel = {0, 0, marks, 1};
    FigureSpec spec = {.name = "leaves", .x = {.ranged = true, .lo = 0, .hi = 3},
                       .y = {.ranged = true, .lo = 0.25, .hi = 8}, .rows = 1, .columns = 1, .panels = &panel,
                       .panel_count = 1};
    Desk *desk = *state;
    FigureResult result;
    char *error = NULL;
    assert_true(figure_write(desk->arena, desk->folder, &spec, &(FigureTools){.gnuplot = ""}, &result, &error));
    assert_non_null(strstr(text_of(desk, path_of(desk, "leaves.plot/panel-1.tsv")),
                           "0\t0\t0.5\n0.5\t0.25\t0.875\n2\t1\t2\n3\t1.5\t3\n4\t2\t4\n"));
    static const double below[] = {1, -1, 1}, above[] = {2, 32, 2}; /* on a log axis, both ends at once: no gap */
    const FigureSeries wide = {"one", 0, STYLE_SOLID, x, y, below, above, 3};
    const FigureMark wide_marks[] = {{.kind = MARK_BAND, .series = &wide, .count = 1}};
    const FigurePanel wide_panel = {0, 0, wide_marks, 1};
    spec = (FigureSpec){.name = "wide", .y = {.log = true, .ranged = true, .lo = 0.25, .hi = 16}, .rows = 1,
                        .columns = 1, .panels = &wide_panel, .panel_count = 1};
    assert_true(figure_write(desk->arena, desk->folder, &spec, &(FigureTools){.gnuplot = ""}, &result, &error));
    const char *points = text_of(desk, path_of(desk, "wide.plot/panel-1.tsv"));
    assert_non_null(strstr(points, "0\t1\t2\n1.5\t"));
    assert_null(strstr(points, "NaN"));
}

static void test_gnuplot(void **state) {
    Desk *desk = *state;
    FigureResult result;
    char *error = NULL;
    if (!gnuplot_find()) skip();
    assert_true(draw_all(desk, "all", NULL, &result, &error));
    assert_int_equal(result.notes.len, 1);             /* the log axis alone */
    char *svg = text_of(desk, result.svg), *png = text_of(desk, result.png);
    assert_true(memcmp(png, "\x89PNG", 4) == 0 && strstr(svg, "</svg>"));
    assert_non_null(strstr(svg, "tw'o \xcb\x8b" "date\xcb\x8b $x"));
    assert_true(draw_all(desk, "all", NULL, &result, &error));
    assert_string_equal(text_of(desk, result.svg), svg);
    assert_true(draw_all(desk, "all", &(FigureTools){.gnuplot = "/bin/false"}, &result, &error)); /* not drawn again */
    assert_true(result.notes.len == 1 && result.svg && result.png);
    assert_true(file_write(desk->arena, result.png, "else", 4, FILE_NO_SYNC, &error));
    assert_true(
        draw_all(desk, "all", &(FigureTools){.gnuplot = "/bin/false"}, &result, &error)); /* that is another one */
    assert_true(result.notes.len == 2 && !result.svg);
    assert_false(file_exists(path_of(desk, "all.plot/broken")));
    char *slow = path_of(desk, "slow.gp"), *why = NULL;
    assert_true(file_write(desk->arena, slow, "pause 60\n", 9, FILE_NO_SYNC, &error));
    assert_false(gnuplot_run(desk->arena, gnuplot_find(), desk->folder, "slow.gp", 0.3, &why));
    assert_non_null(strstr(why, "was stopped after 0.3 s"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_datum),   TEST(test_table),  TEST(test_progress), TEST(test_provenance),  TEST(test_contour),
        TEST(test_thinned), TEST(test_figure), TEST(test_log_band), TEST(test_band_leaves), TEST(test_gnuplot),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
