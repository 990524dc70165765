/* test_objects.c -- kept objects: found again, refused when cut, changed, or writable by others, bounded in size,
 * written by several processes at once; and the linker refuses what is not an object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "desk.h"
#include "emit/cpu.h"
#include "emit/object.h"
#include "emit/objects.h"
#include "emit/plugin.h"

/* y[i] = exp(x[i]) + scale in lanes, a second function without constants, and memory that must be cleared. */
static KModule *module_of(Arena *arena, double scale) {
    KModule *m = kmodule_new(arena);
    KFunc *f = kfunc_new(m, "vector"), *g = kfunc_new(m, "scalar");
    KVal x = k_arg(m, f, 0), y = k_arg(m, f, 1), i = k_for(m, f, k_lo(m, f), k_hi(m, f), 16);
    KVal e = k_exp(m, f, k_load(m, f, KV(F32), x, i));
    k_store(m, f, y, i, k_2(m, f, K_ADD, e, k_real(m, f, KV(F32), scale)));
    k_end(m, f);
    KVal to = k_arg(m, g, 0), k = k_for(m, g, k_lo(m, g), k_hi(m, g), 1);
    k_store(m, g, to, k, k_real(m, g, KT(F32), 0));
    k_end(m, g);
    return m;
}

static float run(const Code *code, double scale) {
    float x[48] = {0}, y[48] = {0}, worst = 0;
    for (int i = 0; i < 48; i++) x[i] = 0.1f * (float)i;
    void *table[2] = {x, y};
    code_function(code, 0)(table, 0, 48);
    for (int i = 0; i < 48; i++) worst += y[i];
    code_function(code, 1)(table, 0, 48);
    assert_true(x[5] == 0);
    return worst - 48 * (float)scale;
}

static CodeOptions options_of(Desk *desk) {
    return (CodeOptions){
        .opt_level = 2, .plugin = NIN_PLUGIN, .objects = path_join(desk->arena, desk->folder, "objects")};
}

static void compile(Desk *desk, double scale) {
    CodeOptions options = options_of(desk), plain = options;
    plain.objects = NULL;
    const char *error = NULL;
    Code *code = code_jit(desk->arena, module_of(desk->arena, scale), &options, &error);
    if (!code) fail_msg("%s", error);
    Code *other = code_jit(desk->arena, module_of(desk->arena, scale), &plain, &error);
    assert_true(run(code, scale) == run(other, scale));
    code_free(code);
    code_free(other);
}

static int find(Desk *desk, double scale, ObjectPart *part) {
    CodeOptions options = options_of(desk);
    KModule *module = module_of(desk->arena, scale);
    char key[65];
    assert_true(objects_key(module, &options, key));
    return objects_find(desk->arena, &options, key, module, part, 8);
}

static char *path_of(Desk *desk, double scale) {
    CodeOptions options = options_of(desk);
    char key[65];
    assert_true(objects_key(module_of(desk->arena, scale), &options, key));
    return path_join(desk->arena, options.objects, key);
}

static bool can_keep(void) {
    Buf text = {0};
    bool can = cpu_identity(NULL, &text);
    buf_free(&text);
    return can;
}

static void found_again(void **state) {
    ObjectPart part[8];
    if (!can_keep()) skip();
    assert_int_equal(find(*state, 2, part), 0);
    compile(*state, 2);
    assert_int_equal(find(*state, 2, part), 1);
    assert_int_equal(part[0].functions, 2);
    assert_int_equal(find(*state, 3, part), 0);
    compile(*state, 2);
}

/* What changes the code changes the key. */
static void keys(void **state) {
    Desk *desk = *state;
    if (!can_keep()) skip();
    CodeOptions options[5];
    char key[5][65];
    for (int i = 0; i < 5; i++) options[i] = options_of(desk);
    options[1].opt_level = 0;
    options[2].cpu = "haswell";
    options[3].neuron = true;
    options[4].plugin = desk_put(desk, "other.so", "x", 1);
    for (int i = 0; i < 5; i++) {
        assert_true(objects_key(module_of(desk->arena, 2), &options[i], key[i]));
        for (int k = 0; k < i; k++) assert_string_not_equal(key[i], key[k]);
    }
    options[0].plugin = "/no/plugin";
    assert_false(objects_key(module_of(desk->arena, 2), &options[0], key[0]));
}

/* Cut anywhere or with any byte changed: refused, removed, made anew. */
static void damaged(void **state) {
    Desk *desk = *state;
    if (!can_keep()) skip();
    compile(desk, 2);
    char *path = path_of(desk, 2), *bytes, *error = NULL;
    size_t length;
    ObjectPart part[8];
    assert_true(file_read(desk->arena, path, 0, &bytes, &length, &error));
    for (size_t i = 0; i < length; i += 1 + length / 97) {
        assert_true(file_write(desk->arena, path, bytes, i, FILE_NO_SYNC, &error));
        assert_int_equal(find(desk, 2, part), 0);
        char *changed = arena_copy(desk->arena, bytes, length);
        changed[i] ^= 0x10;
        assert_true(file_write(desk->arena, path, changed, length, FILE_NO_SYNC, &error));
        assert_int_equal(find(desk, 2, part), 0);
        assert_false(file_exists(path));
    }
    compile(desk, 2);
    assert_int_equal(find(desk, 2, part), 1);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(find(desk, 2, part), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(find(desk, 2, part), 1);
}

/* Objects cut or changed in any place: linked or refused, never read beyond. */
static void hostile_objects(void **state) {
    Desk *desk = *state;
    ObjectPart part[8];
    if (!can_keep()) skip();
    compile(desk, 2);
    assert_int_equal(find(desk, 2, part), 1);
    const char *symbol[] = {"vector_0", "scalar_1"};
    KernelFn functions[2];
    Linked linked;
    assert_true(object_link(part[0].bytes, part[0].length, symbol, functions, 2, &linked));
    object_unlink(&linked);
    int refused = 0;
    uint32_t random = 1;
    for (int i = 0; i < 4000; i++) {
        random = random * 1664525u + 1013904223u;
        size_t length = i % 2 ? part[0].length : random % part[0].length;
        char *copy = malloc(length + 1);                     /* exact: a sanitizer sees an overrun */
        memcpy(copy, part[0].bytes, length);
        for (int k = 0; k < 1 + i % 3 && length; k++) {
            random = random * 1664525u + 1013904223u;
            copy[random % length] ^= (char)(1 << (random >> 24) % 8);
        }
        bool ok = object_link(copy, length, symbol, functions, 2, &linked);
        refused += !ok;
        if (ok) object_unlink(&linked);
        free(copy);
    }
    assert_in_range(refused, 2000, 4000);
    assert_false(object_link(part[0].bytes, part[0].length, (const char *[]){"absent"}, functions, 1, &linked));
}

static void put_old(Desk *desk, char letter, off_t size, time_t age) {
    char name[80] = "objects/";
    memset(name + 8, letter, 64);
    name[72] = 0;
    char *path = desk_put(desk, name, "x", 1);
    assert_int_equal(truncate(path, size), 0);
    struct timeval times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(utimes(path, times), 0);
}

static bool there(Desk *desk, char letter) {
    char name[80] = "objects/";
    memset(name + 8, letter, 64);
    name[72] = 0;
    return file_exists(path_join(desk->arena, desk->folder, name));
}

/* The longest unused go first, and what an interrupted writer left. */
static void bounded(void **state) {
    Desk *desk = *state;
    ObjectPart part[8];
    if (!can_keep()) skip();
    off_t each = (off_t)(OBJECTS_LIMIT / 3);
    put_old(desk, 'a', each, 4000);
    put_old(desk, 'b', each, 5000);
    put_old(desk, 'c', each, 3000);
    const char *left = desk_put(desk, "objects/x.tmp-1-0", "x", 1);
    struct timeval times[2] = {{.tv_sec = time(NULL) - 200000}, {.tv_sec = time(NULL) - 200000}};
    assert_int_equal(utimes(left, times), 0);
    compile(desk, 2);
    assert_false(there(desk, 'b'));
    assert_true(there(desk, 'a') && there(desk, 'c'));
    assert_false(file_exists(left));
    assert_int_equal(find(desk, 2, part), 1);
}

static void processes(void **state) {
    Desk *desk = *state;
    ObjectPart part[8];
    if (!can_keep()) skip();
    pid_t child[4];
    for (int i = 0; i < 4; i++) {
        child[i] = fork();
        if (!child[i]) {
            for (int k = 0; k < 3; k++) compile(desk, k);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(child[i], &status, 0);
        assert_int_equal(status, 0);
    }
    for (int k = 0; k < 3; k++) assert_int_equal(find(desk, k, part), 1);
}

/* A folder that cannot be made is no error. */
static void no_folder(void **state) {
    Desk *desk = *state;
    desk_put(desk, "objects", "a file", 6);
    compile(desk, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_again, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(keys, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(damaged, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(hostile_objects, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(bounded, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(processes, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(no_folder, desk_setup, desk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
