/* test_support.c -- SHA-256 known answers; files: limits, atomic writes, folders, exact errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "support/file.h"
#include "support/sha256.h"

/* FIPS 180-4 examples. */
static void test_sha256(void **state) {
    (void)state;
    char hex[65];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    Sha256 sha;
    sha256_start(&sha);
    for (int i = 0, left = 1000000; left > 0; i++) {   /* a million a's in odd pieces */
        char piece[211];
        int n = i % 211 < left ? i % 211 : left;
        memset(piece, 'a', sizeof piece);
        sha256_add(&sha, piece, (size_t)n);
        left -= n;
    }
    sha256_end_hex(&sha, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Much at once goes another way: the same, whatever stands before and behind. */
static void test_sha256_much(void **state) {
    (void)state;
    static uint8_t bytes[3 * 4096 + 200];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i * 7 + i / 5);
    for (size_t before = 0; before < 130; before += 13) {
        char whole[65], parts[65];
        size_t length = sizeof bytes - before;
        Sha256 sha;
        sha256_start(&sha);
        sha256_add(&sha, bytes, before);
        sha256_add(&sha, bytes + before, length);
        sha256_end_hex(&sha, whole);
        sha256_start(&sha);
        for (size_t i = 0; i < sizeof bytes; i++) sha256_add(&sha, bytes + i, 1);
        sha256_end_hex(&sha, parts);
        assert_string_equal(whole, parts);
    }
    char hex[65];
    static char many[1000000];
    memset(many, 'a', sizeof many);
    sha256_hex(many, sizeof many, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

typedef struct Desk { Arena *arena; char *folder; } Desk;

static int setup(void **state) {
    Desk *desk = malloc(sizeof *desk);
    char template[] = P_tmpdir "/nin-test-XXXXXX";
    desk->arena = arena_new();
    desk->folder = mkdtemp(template);
    desk->folder = desk->folder ? arena_copy(desk->arena, template, strlen(template)) : NULL;
    *state = desk;
    return desk->folder ? 0 : -1;
}

static int teardown(void **state) {
    Desk *desk = *state;
    char *command = arena_printf(desk->arena, "rm -rf %s", desk->folder);
    int rc = system(command);
    arena_free(desk->arena);
    free(desk);
    return rc;
}

static void test_write(void **state) {
    Desk *desk = *state;
    Arena *arena = desk->arena;
    char *error = NULL, *bytes, *path = path_join(arena, desk->folder, "a/b//c/file");
    size_t length;
    assert_false(file_write(arena, path, "x", 1, FILE_SYNC, &error));
    assert_non_null(strstr(error, "/a/b//c/file: cannot write: No such file or directory"));
    assert_true(folder_make(arena, path_join(arena, desk->folder, "a/b//c/"), &error));
    assert_true(folder_make(arena, path_join(arena, desk->folder, "a/b/c"), &error));
    assert_true(file_write(arena, path, "first", 5, FILE_SYNC, &error));
    assert_true(file_write(arena, path, "second\0!", 8, FILE_NO_SYNC, &error));
    assert_true(file_read(arena, path, 0, &bytes, &length, &error));
    assert_int_equal(length, 8);
    assert_memory_equal(bytes, "second\0!", 9);
    assert_true(file_append(arena, path, "more", 4, FILE_SYNC, &error));
    assert_false(file_read(arena, path, 11, &bytes, &length, &error));
    assert_non_null(strstr(error, "file: has 12 bytes; the limit is 11"));
    assert_true(file_exists(path) && !folder_exists(path));
    assert_false(folder_make(arena, path, &error));
    assert_non_null(strstr(error, "cannot make this folder: Not a directory"));
    assert_false(file_read(arena, desk->folder, 0, &bytes, &length, &error));
    assert_non_null(strstr(error, "is a folder, not a file"));
    assert_false(file_read(arena, "/dev/null", 0, &bytes, &length, &error));
    assert_string_equal(path_join(arena, "/", "x"), "/x");
    assert_string_equal(path_join(arena, "y//", "x"), "y/x");
}

static void test_writer(void **state) {
    Desk *desk = *state;
    Arena *arena = desk->arena;
    FileWriter writer;
    char *error = NULL, *bytes, *path = path_join(arena, desk->folder, "large"), line[100];
    size_t length;
    assert_true(writer_open(&writer, arena, path, FILE_NO_SYNC, &error));
    for (int i = 0; i < 3000; i++) {
        memset(line, 'a' + i % 26, sizeof line);
        writer_put(&writer, line, sizeof line);
    }
    assert_false(file_exists(path));
    assert_true(writer_close(&writer, &error));
    assert_true(file_read(arena, path, 0, &bytes, &length, &error));
    assert_int_equal(length, 300000);
    for (int i = 0; i < 3000; i++) assert_int_equal(bytes[i * 100 + 99], 'a' + i % 26);
    assert_true(writer_open(&writer, arena, path, FILE_NO_SYNC, &error));
    writer_put(&writer, "x", 1);
    char *temporary = writer.temporary;
    assert_true(file_exists(temporary));
    writer_cancel(&writer);
    assert_true(!file_exists(temporary) && file_exists(path));
}

/* /dev/full stands for a full disk. */
static void test_full(void **state) {
    Desk *desk = *state;
    char *error = NULL;
    if (access("/dev/full", W_OK) != 0) skip();
    assert_false(file_append(desk->arena, "/dev/full", "x", 1, FILE_NO_SYNC, &error));
    assert_string_equal(error, "/dev/full: cannot write: the disk is full");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256), cmocka_unit_test(test_sha256_much),
        cmocka_unit_test_setup_teardown(test_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
    };
    return cmocka_run_group_tests_name("support", tests, NULL, NULL);
}
