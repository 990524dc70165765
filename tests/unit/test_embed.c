/* test_embed.c -- make install, and a program that is compiled with pkg-config alone against what it installed: with
 * the shared library and with the archive; make uninstall leaves nothing. */
#define _GNU_SOURCE
#include "child.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static Outcome shell(Child *c, const char *command)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    return process_run(c->arena, argv, CHILD_TIME);
}

static void expect_done(Child *c, const char *command)
{
    Outcome o = shell(c, command);
    if (o.status)
        fail_msg("exit %d: %s\n%s%s", o.status, command, o.out, o.err);
}

static const char *build_of(Child *c)
{
    return arena_printf(c->arena, "%.*s", (int)(strlen(c->nin) - strlen("/nin")), c->nin);
}

/* With the build folder on the path, where a newcomer puts it: nothing in it may stand for a tool. */
static const char *make(Child *c, const char *target)
{
    return arena_printf(c->arena, "PATH='%s':$PATH make -s -C '%s/..' %s BUILD='%s' DESTDIR='%s/root' PREFIX=/opt/nin",
                        build_of(c), NIN_TESTS, target, build_of(c), c->folder);
}

/* What the example says, compiled with the given flags. */
static void embed(Child *c, const char *name, const char *flags, const char *library)
{
    const char *root = child_path(c, "root");
    const char *pc = arena_printf(
        c->arena, "PKG_CONFIG_PATH='%s/opt/nin/lib/pkgconfig' PKG_CONFIG_SYSROOT_DIR='%s' pkg-config", root, root);
    expect_done(c, arena_printf(c->arena, "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror %s/../examples/embed/embed.c "
                                          "$(%s --cflags nin) %s -o '%s/%s'",
                                NIN_TESTS, pc, arena_printf(c->arena, flags, pc), c->folder, name));
    Outcome o = shell(
        c, arena_printf(c->arena, "cd '%s' && LD_LIBRARY_PATH='%s' ./%s w.safetensors", c->folder, library, name));
    if (o.status)
        fail_msg("exit %d\n%s%s", o.status, o.out, o.err);
    expect_text(o.out, "3 parameters");
    expect_text(o.out, "read back: the same bits");
}

static void installed(void **state)
{
    Child *c = *state;
    /* from nothing, all that install copies is made */
    Outcome whole = shell(c, arena_printf(c->arena, "make -n -C '%s/..' install BUILD='%s/none'", NIN_TESTS,
                                          c->folder));
    expect_text(whole.out, "-Wl,-soname,libnin.so");
    expect_done(c, make(c, "install"));
    const char *root = child_path(c, "root"), *lib = arena_printf(c->arena, "%s/opt/nin/lib", root);
    embed(c, "shared", "$(%s --libs nin)", lib);
    /* as an archive it finds its back end beside the program, as an installed program does */
    expect_done(c, arena_printf(c->arena, "ln -s '%s/nin' '%s/nin'", lib, c->folder));
    embed(c, "archive", arena_printf(c->arena, "'%s/libnin.a' $(%%s --static --libs nin | sed 's/-lnin//')", lib), "");
    Outcome o = shell(
        c, arena_printf(c->arena,
                        "nm -D --defined-only '%s/libnin.so' | awk '{ print $3 }' | grep -v '^nin_'; "
                        "nm --defined-only '%s/libnin.a' | awk '$2 ~ /[A-Z]/ { print $3 }' | grep -v '^nin_'",
                        lib, lib));
    assert_string_equal(o.out, "");
    o = shell(c,
              arena_printf(c->arena,
                           "'%s/opt/nin/bin/nin' grad --cell gcu && '%s/opt/nin/bin/nin' eval %s/../examples/xor.nin "
                           "'predict(fresh(prelu_neuron, seed: 1), [[1, 1]])'",
                           root, root, NIN_TESTS));
    expect_status(&o, 0);
    o = shell(c, arena_printf(c->arena, "bash -n '%s/opt/nin/share/bash-completion/completions/nin'", root));
    expect_status(&o, 0);
    expect_done(c, make(c, "uninstall"));
    o = shell(c, arena_printf(c->arena, "find '%s' -not -type d", root));
    assert_string_equal(o.out, "");
}

/* The completions know every command and every option of the help. */
static void completions(void **state)
{
    Child *c = *state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    Outcome help = child_run(c, "--help", NULL), run = child_run(c, "run", "--help", NULL);
    for (int i = 0; i < COUNT(shells); i++) {
        Outcome o = shell(c, arena_printf(c->arena, "'%s/../tools/completions.sh' %s", NIN_TESTS, shells[i]));
        expect_status(&o, 0);
        for (const char *at = help.out; (at = strstr(at, "\n  nin ")) && at[7] != 'C' && at[7] != '-'; at++)
            expect_text(o.out, arena_printf(c->arena, "%.*s", (int)strcspn(at + 7, " "), at + 7));
        for (const char *at = run.out; (at = strstr(at, "\n  --")); at++)
            expect_text(o.out, arena_printf(c->arena, "%.*s", (int)strcspn(at + 5, " "), at + 5));
    }
}

int main(void)
{
    /* What is installed is a build without sanitizers. */
    const struct CMUnitTest tests[] = {cmocka_unit_test(completions), cmocka_unit_test(installed)};
    return _cmocka_run_group_tests("embed", tests, COUNT(tests) - SANITIZED, child_open, child_close);
}
