/* test_results.c -- shards of an experiment and their merging, tables and rows again, progress as JSON. */
#define _GNU_SOURCE
#include "child.h"

#include "report/tensorboard.h"

#include <jansson.h>

static const char study[] =
    "digits = dataset(\"digits\", shape: [64], normalize: affine(mean: 0.5, sd: 0.5), valid: 300, test: 300)\n"
    "net mlp(x: f32[64]) -> f32[10] = dense[10](relu(dense[8](x)))\n"
    "fn plan(lr) = session(learn: all, loss: cross_entropy, optimizer: adam[lr: lr], batch: 64, epochs: 2)\n"
    "experiment e {\n"
    "  record(start: 1)\n"
    "  for lr in [0.001, 0.01, 0.1], seed in 1..2 {\n"
    "    run = train(mlp, on: digits, with: plan(lr), seed: seed)\n"
    "    record(acc: run.test_accuracy, curve: run.curve)\n"
    "    for k in 1..2 { record(twice: k * run.test_accuracy) }\n"
    "  }\n"
    "  table(\"t\", by: lr, acc: mean(acc), n: count())\n"
    "  for seed in 7..9 { record(late: seed) }\n"
    "}\n";

static const char *text_of(Child *c, const char *folder, const char *name)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path_join(c->arena, folder, name), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

static const char *sha256_of(Child *c, const char *folder, const char *name)
{
    char *bytes, *error = NULL, *hex = arena_alloc(c->arena, 65);
    size_t length;
    if (!file_read(c->arena, path_join(c->arena, folder, name), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    sha256_hex(bytes, length, hex);
    return hex;
}

static void test_shards(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *whole = child_path(c, "whole"),
               *merged = child_path(c, "merged"), *part[3];
    Outcome o = child_run(c, "run", file, "--out", whole, NULL);
    expect_status(&o, 0);
    for (int i = 0; i < 3; i++) {
        part[i] = child_path(c, arena_printf(c->arena, "part%d", i));
        const char *shard = arena_printf(c->arena, "--shard=%d/3", i + 1), *threads = i == 1 ? "1" : "2";
        o = child_run(c, "run", file, "--out", part[i], shard, "--threads", threads, NULL);
        expect_status(&o, 0);
    }
    o = child_run(c, "results", "merge", part[2], part[0], part[1], "--out", merged, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "22 rows of 3 of 3 shards");
    assert_string_equal(text_of(c, merged, "study/e/records.jsonl"), text_of(c, whole, "study/e/records.jsonl"));
    assert_string_equal(sha256_of(c, merged, "study/e/0.01-2.safetensors"),
                        sha256_of(c, whole, "study/e/0.01-2.safetensors"));
    o = child_run(c, "run", file, "--out", merged, NULL); /* the runs are found again; the tables are made */
    expect_status(&o, 0);
    assert_string_equal(text_of(c, merged, "study/e/t.tsv"), text_of(c, whole, "study/e/t.tsv"));
    o = child_run(c, "results", "merge", part[0], part[0], "--out", merged, NULL);
    expect_status(&o, 3);
    expect_text(o.err, "are not shards of one run");
    o = child_run(c, "results", "merge", whole, "--out", merged, NULL);
    expect_status(&o, 3);
    o = child_run(c, "run", file, "--shard", "4/3", NULL);
    expect_status(&o, 2);
}

/* What needs more rows than a shard has is no error there: tables and figures wait for all rows. */
static void test_shard_reports(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "spread.nin",
                                  "experiment e {\n"
                                  "  for lr in [0.1, 0.2], seed in 1..2 { record(acc: lr * seed) }\n"
                                  "  t = table(\"t\", by: lr, acc: mean(acc), sd: sd(acc))\n"
                                  "  table(\"of\", of: t, by: [], all: mean(acc))\n"
                                  "  figure(\"f\", band(x: lr, y: acc, spread: sd))\n"
                                  "}\n"),
               *out = child_path(c, "spread"), *shard[2] = {"1/2", "2/2"};
    Outcome o;
    for (int i = 0; i < 2; i++) {
        o = child_run(c, "run", file, "--out", out, "--shard", shard[i], NULL);
        expect_status(&o, 0);
        assert_string_equal(o.err, "");
        expect_text(o.out, "tables and figures are of all 2 shards");
        expect_text(o.out, "nin results merge");
    }
    assert_false(file_exists(child_path(c, "spread/spread/e/shard-1-of-2/t.tsv")));
    assert_false(file_exists(child_path(c, "spread/spread/e/shard-1-of-2/f.svg")));
    o = child_run(c, "results", "merge", out, "--out", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "tables and figures: `nin run` with --out");
    o = child_run(c, "run", file, "--out", out, NULL);
    expect_status(&o, 0);
    assert_null(strstr(o.out, "of all"));
    assert_true(file_exists(child_path(c, "spread/spread/e/t.tsv")));
    assert_true(file_exists(child_path(c, "spread/spread/e/f.svg")));
}

static void test_results(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "whole");
    Outcome o = child_run(c, "run", file, "--out", out, "--log", "json", NULL);
    expect_status(&o, 0);
    for (char *rest = o.err, *line; (line = strsep(&rest, "\n")) && *line;) {
        json_t *log = json_loads(line, 0, NULL);
        assert_non_null(log);
        assert_true(json_is_string(json_object_get(log, "what")) && json_is_integer(json_object_get(log, "done")));
        json_decref(log);
    }
    o = child_run(c, "results", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "study/e: 22 rows");
    expect_text(o.out, "acc");
    o = child_run(c, "results", out, "--where", "lr=0.1", "--where", "seed=2", "--tsv", NULL);
    expect_status(&o, 0);
    expect_text(o.out, "lr\tseed\tk\ttwice\n0.1\t2\t1\t");
    o = child_run(c, "results", out, "--where", "late=8", "--json", NULL);
    expect_status(&o, 0);
    assert_string_equal(o.out, "{\"seed\":8,\"late\":8}\n");
    o = child_run(c, "results", child_path(c, "nowhere"), NULL);
    expect_status(&o, 3);
    o = child_run(c, "results", out, "--where", "late", NULL);
    expect_status(&o, 2);
}

static void test_params(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "nets.nin",
                                  "cell bend[n: int](x: f32[n]) = dense[1](tanh(dense[4](x)))\n"
                                  "net mlp[h: int](x: f32[64]) -> f32[10] = dense[10](apply(bend[2], dense[h](x)))\n"
                                  "net open(x: f32[n]) -> f32[10] = dense[10](x)\n"
                                  "small = mlp[6]\n");
    Outcome o = child_run(c, "params", file, "--tsv", NULL);
    expect_status(&o, 0);
    assert_string_equal(o.out, "parameter\tshape\tnumbers\tmultiplies\tbytes\n"
                               "dense[1].w\t[6, 64]\t384\t384\t1536\ndense[1].b\t[6]\t6\t0\t24\n"
                               "bend.dense[1].w\t[4, 2]\t8\t24\t32\nbend.dense[1].b\t[4]\t4\t0\t16\n"
                               "bend.dense[2].w\t[1, 4]\t4\t12\t16\nbend.dense[2].b\t[1]\t1\t0\t4\n"
                               "dense[2].w\t[10, 3]\t30\t30\t120\ndense[2].b\t[10]\t10\t0\t40\n");
    o = child_run(c, "params", file, "--net", "mlp[20]", NULL);
    expect_status(&o, 0);
    expect_text(o.out, "parameters, 17 of them in cells");
    expect_text(o.out, "in batches of 100 on ");
    o = child_run(c, "params", file, "--net", "mlp[20]", "--batch", "1", "--threads", "1", NULL);
    expect_status(&o, 0);
    expect_text(o.out, "in batches of 1 on 1 thread, beside the parameters");
    expect_text(o.out, " kB for a prediction, ");                      /* so little is no 0.0 MB */
    o = child_run(c, "params", file, "--net", "open", NULL);
    expect_status(&o, 1);
    expect_text(o.err, "E0416");
}

/* ---- event files, read back by the format's description ---- */

typedef struct Event { int64_t step; char tag[64]; float value; } Event;

static uint64_t varint(const uint8_t **p)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = *(*p)++;
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return x;
    }
}

/* The fields of one message; those that are messages themselves are gone into. */
static void event_read(const uint8_t *p, const uint8_t *end, int depth, Event *out)
{
    while (p < end) {
        uint64_t key = varint(&p), field = key >> 3, length;
        switch (key & 7) {
        case 0: {
            uint64_t x = varint(&p);
            if (depth == 0 && field == 2)
                out->step = (int64_t)x;
            break;
        }
        case 1: p += 8; break;
        case 2:
            length = varint(&p);
            assert_true(p + length <= end);
            if ((depth == 0 && field == 5) || (depth == 1 && field == 1))
                event_read(p, p + length, depth + 1, out);
            else if (depth == 2 && field == 1)
                memcpy(out->tag, p, length < 63 ? length : 63);
            p += length;
            break;
        case 5: memcpy(&out->value, p, 4); p += 4; break;
        default: fail_msg("kind %d of a field", (int)(key & 7));
        }
    }
    assert_true(p == end);
}

static void checked(const void *bytes, size_t length, const uint8_t *checksum)
{
    uint32_t masked;
    memcpy(&masked, checksum, 4);
    masked -= 0xa282ead8u;
    assert_int_equal(masked >> 17 | masked << 15, crc32c(bytes, length));
}

static void test_tensorboard(void **state)
{
    Child *c = *state;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "board"), *to = child_path(c, "events");
    Outcome o = child_run(c, "run", file, "--out", out, NULL);
    expect_status(&o, 0);
    o = child_run(c, "results", out, "--tensorboard", to, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "6 runs, in ");
    char *bytes, *error = NULL;
    size_t length, scalars = 0;
    assert_true(file_read(c->arena, path_join(c->arena, to, "study/e/0.01-2/events.out.tfevents.nin"), 0, &bytes,
                          &length, &error));
    const char *curve = path_join(c->arena, out, "study/e/0.01-2.safetensors");
    char target[256] = "";
    assert_true(readlink(curve, target, sizeof target - 1) > 0);
    *strrchr(target, '/') = 0;
    json_t *root = json_load_file(
        path_join(c->arena, path_join(c->arena, path_join(c->arena, out, "study/e"), target), "curve.json"), 0, NULL);
    assert_non_null(root);
    const uint8_t *p = (const uint8_t *)bytes, *end = p + length;
    for (bool first = true; p < end; first = false) {
        uint64_t size;
        Event event = {0};
        memcpy(&size, p, 8);
        checked(p, 8, p + 8);
        checked(p + 12, size, p + 12 + size);
        event_read(p + 12, p + 12 + size, 0, &event);
        p += 16 + size;
        if (first) {
            assert_non_null(memmem(p - 4 - size, size, "brain.Event:2", 13));
            continue;
        }
        assert_int_equal(strncmp(event.tag, "session/", 8), 0);
        const char *text = json_string_value(
            json_array_get(json_object_get(json_object_get(root, "columns"), event.tag + 8), (size_t)event.step));
        assert_non_null(text);
        assert_true((float)strtod(text, NULL) == event.value);
        scalars++;
    }
    assert_int_equal(scalars, 3 * 6); /* epochs 0 to 2, loss and accuracy of three parts */
    json_decref(root);
    o = child_run(c, "results", out, "--tensorboard", to, "--experiment", "none", NULL);
    expect_status(&o, 3);
}

/* What is not there yet is said: shards that are not merged, seeds that are missing. */
static void test_incomplete(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "shared");
    Outcome o = child_run(c, "run", file, "--out", out, "--shard", "2/2", NULL);
    expect_status(&o, 0);
    o = child_run(c, "results", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "study/e/shard-2-of-2: ");
    expect_text(o.out, "shard 2 of 2: the rows of its turns only");
    o = child_run(c, "results", "merge", out, "--out", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "1 of 2 shards");
    o = child_run(c, "results", out, NULL);
    expect_status(&o, 0);
    expect_text(o.out, "study/e: ");
    assert_null(strstr(o.out, "shard-2-of-2: "));
    const char *folder = child_path(c, "rows/p/e");
    char *error = NULL;
    assert_true(folder_make(c->arena, folder, &error));
    const char *rows =
        "{\"lr\":0.1,\"seed\":1,\"a\":1}\n{\"lr\":0.1,\"seed\":4,\"a\":2}\n{\"lr\":0.2,\"seed\":4,\"a\":3}\n";
    assert_true(
        file_write(c->arena, path_join(c->arena, folder, "records.jsonl"), rows, strlen(rows), FILE_NO_SYNC, &error));
    o = child_run(c, "results", child_path(c, "rows"), NULL);
    expect_status(&o, 0);
    expect_text(o.out, "incomplete: lr = 0.2 has 1 of 2 seeds; missing: 1\n");
    assert_null(strstr(o.out, "lr = 0.1 has"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tensorboard), cmocka_unit_test(test_incomplete),
                                       cmocka_unit_test(test_shards), cmocka_unit_test(test_results),
                                       cmocka_unit_test(test_shard_reports),
                                       cmocka_unit_test(test_params)};
    return cmocka_run_group_tests(tests, child_open, child_close);
}
