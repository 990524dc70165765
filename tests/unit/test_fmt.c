/* test_fmt.c -- nin fmt from outside: files in place, the pipe, --check, what it leaves alone. */
#define _GNU_SOURCE
#include "child.h"

#include <sys/stat.h>

static const char ragged[] = "x  =3 # why\nfn f( a )={\n b:a }\n", even[] = "x = 3  # why\nfn f(a) = {\n  b: a\n}\n";

static const char *text_of(Child *c, const char *path)
{
    char *bytes, *error;
    size_t length;
    assert_true(file_read(c->arena, path, 0, &bytes, &length, &error));
    return bytes;
}

static void in_place(void **state)
{
    Child *c = *state;
    const char *a = child_text(c, "a.nin", ragged), *b = child_text(c, "b.nin", even),
               *link = child_path(c, "link.nin");
    struct stat s;
    assert_int_equal(chmod(a, 0640), 0);
    Outcome o = child_run(c, "fmt", "--check", a, b, NULL);
    expect_status(&o, 1);
    assert_string_equal(o.out, arena_printf(c->arena, "%s\n", a));
    assert_string_equal(text_of(c, a), ragged);
    assert_int_equal(symlink(a, link), 0);
    o = child_run(c, "fmt", link, b, NULL);
    expect_status(&o, 0);
    assert_string_equal(o.out, "");
    assert_string_equal(text_of(c, a), even);
    assert_int_equal(lstat(link, &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_int_equal(stat(a, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
    o = child_run(c, "fmt", "--check", a, b, NULL);
    expect_status(&o, 0);
    assert_string_equal(o.out, "");
}

static void faulty_files_stay(void **state)
{
    Child *c = *state;
    const char *bad = child_text(c, "bad.nin", "x  = (\n"), *good = child_text(c, "good.nin", ragged);
    Outcome o = child_run(c, "fmt", bad, good, NULL);
    expect_status(&o, 1);
    expect_text(o.err, "E0105");
    assert_string_equal(text_of(c, bad), "x  = (\n");
    assert_string_equal(text_of(c, good), even);
    o = child_run(c, "fmt", child_path(c, "absent.nin"), NULL);
    expect_status(&o, 3);
    o = child_run(c, "fmt", NULL);
    expect_status(&o, 2);
}

static void through_a_pipe(void **state)
{
    Child *c = *state;
    const char *a = child_text(c, "pipe.nin", ragged);
    const char *argv[] = {"/bin/sh", "-c", arena_printf(c->arena, "'%s' fmt - < '%s'", c->nin, a), NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 0);
    assert_string_equal(o.out, even);
    argv[2] = arena_printf(c->arena, "'%s' fmt --check - < '%s'", c->nin, a);
    o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 1);
    assert_string_equal(o.out, "standard input\n");
    argv[2] = arena_printf(c->arena, "printf 'x = )' | '%s' fmt - ", c->nin);
    o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 1);
    assert_string_equal(o.out, "");
    expect_text(o.err, "E0104");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_place), cmocka_unit_test(faulty_files_stay),
                                       cmocka_unit_test(through_a_pipe)};
    return cmocka_run_group_tests(tests, child_open, child_close);
}
