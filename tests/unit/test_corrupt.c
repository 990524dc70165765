/* test_corrupt.c -- the corruptions against files of the reference (tests/data/corruptions): outputs without
 * randomness, outputs with recorded draws, and statistics over draws of our own.  Tolerances are those of its
 * README. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "corrupt/corrupt.h"
#include "support/sha256.h"

enum { IMAGES = 6, SIDE = 32, NUMBERS = SIDE * SIDE * 3, SET = IMAGES * NUMBERS, DRAWS = 24 };

/* The numbers of an .npy file (version 1, gzip) after its header. */
static size_t load(const char *folder, const char *name, void *out, size_t room) {
    char path[512];
    unsigned char head[10];
    snprintf(path, sizeof path, "%s/data/corruptions/%s%s.npy.gz", NIN_TESTS, folder, name);
    gzFile file = gzopen(path, "rb");
    if (!file) fail_msg("no %s", path);
    assert_int_equal(gzread(file, head, 10), 10);
    assert_int_equal(gzseek(file, 10 + head[8] + 256 * head[9], SEEK_SET), 10 + head[8] + 256 * head[9]);
    int n = gzread(file, out, (unsigned)room);
    assert_true(n > 0);
    gzclose(file);
    return (size_t)n;
}

static Corruptor *corruptor(Arena *arena, int kind, int severity, const FrostTexture *frost) {
    CorruptOptions o = {kind, severity, SIDE, SIDE, 3, frost, frost != NULL};
    return corruptor_new(arena, &o);
}

static uint8_t *images(Arena *arena) {
    uint8_t *all = arena_array(arena, uint8_t, SET);
    assert_int_equal(load("", "images", all, SET), SET);
    return all;
}

typedef struct Match { int exact, worst; } Match;
static void match(Match *m, const uint8_t *a, const uint8_t *b) {
    for (int i = 0; i < NUMBERS; i++) {
        int d = abs(a[i] - b[i]);
        m->exact += d == 0;
        if (d > m->worst) m->worst = d;
    }
}

static void expect_match(const char *name, const Match *m) {
    double share = (double)m->exact / (CORRUPT_SEVERITIES * SET);
    if (m->worst > 1 || share < 0.995)
        fail_msg("%s: %.3f %% exact, largest difference %d", name, 100 * share, m->worst);
}

static double no_draw(void *data, DrawKind kind, double a, double b) {
    (void)data, (void)kind, (void)a, (void)b;
    fail_msg("a random number was drawn");
    return 0;
}

static void test_deterministic(void **state) {
    (void)state;
    static const char *const names[] = {"brightness",       "contrast",  "defocus_blur",  "pixelate",
                                        "jpeg_compression", "zoom_blur", "gaussian_blur", "saturate"};
    Arena *arena = arena_new();
    uint8_t *in = images(arena), *want = arena_array(arena, uint8_t, CORRUPT_SEVERITIES * SET), out[NUMBERS];
    for (int k = 0; k < COUNT(names); k++) {
        Match m = {0, 0};
        assert_int_equal(load("deterministic/", names[k], want, CORRUPT_SEVERITIES * SET), CORRUPT_SEVERITIES * SET);
        for (int s = 0; s < CORRUPT_SEVERITIES; s++) {
            Corruptor *c = corruptor(arena, corruption_find(names[k]), s + 1, NULL);
            for (int i = 0; i < IMAGES; i++) {
                corrupt_image(c, (CorruptDraws){NULL, no_draw}, in + i * NUMBERS, out);
                match(&m, out, want + s * SET + i * NUMBERS);
            }
        }
        expect_match(names[k], &m);
    }
    arena_free(arena);
}

/* ---- recorded draws ---- */

typedef enum Width { W_F32, W_F64, W_I32, W_I8 } Width;
typedef struct Replay { const char *name; Width width; } Replay;
typedef struct Tape { const Replay *replay; const unsigned char *at; int64_t used, n; } Tape;

static double tape_draw(void *data, DrawKind kind, double a, double b) {
    Tape *t = data;
    (void)b;
    assert_true(t->used < t->n);
    int64_t i = t->used++;
    if (strcmp(t->replay->name, "frost") == 0 && i == 0) return 0;          /* which texture: there is one */
    switch (t->replay->width) {
    case W_F32: return (double)((const float *)(const void *)t->at)[i];
    case W_F64: return ((const double *)(const void *)t->at)[i];
    case W_I32: return ((const int32_t *)(const void *)t->at)[i];
    case W_I8: return ((const signed char *)t->at)[i] + (kind == DRAW_BELOW ? a / 2 : 0);   /* recorded from -a/2 on */
    }
    return 0;
}

/* The recorded texture is reduced already: every fifth pixel of a large one. */
static FrostTexture frost_texture(Arena *arena) {
    enum { H = 62, W = 112 };
    uint8_t *small = arena_array(arena, uint8_t, H * W * 3), *large = arena_array(arena, uint8_t, 25 * H * W * 3);
    assert_int_equal(load("replay/", "frost_texture_rgb", small, H * W * 3), H * W * 3);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) memcpy(large + 3 * ((5 * y + 2) * 5 * W + 5 * x + 2), small + 3 * (y * W + x), 3);
    return (FrostTexture){5 * H, 5 * W, large};
}

static void test_replay(void **state) {
    (void)state;
    static const Replay replays[] = {
        {"gaussian_noise", W_F32}, {"speckle_noise", W_F32}, {"shot_noise", W_I32}, {"glass_blur", W_I8},
        {"motion_blur", W_F64},    {"snow", W_F64},          {"fog", W_F32},        {"elastic_transform", W_F32},
        {"frost", W_I32},          {"spatter", W_F32}};
    enum { ROOM = IMAGES * 4 * 4096 };
    static const int bytes[] = {4, 8, 4, 1};
    Arena *arena = arena_new();
    FrostTexture frost = frost_texture(arena);
    uint8_t *in = images(arena), *want = arena_array(arena, uint8_t, CORRUPT_SEVERITIES * SET), out[NUMBERS];
    unsigned char *tape = arena_alloc(arena, ROOM * 8);
    for (int k = 0; k < COUNT(replays); k++) {
        Match m = {0, 0};
        char name[64];
        snprintf(name, sizeof name, "%s_out", replays[k].name);
        assert_int_equal(load("replay/", name, want, CORRUPT_SEVERITIES * SET), CORRUPT_SEVERITIES * SET);
        for (int s = 0; s < CORRUPT_SEVERITIES; s++) {
            snprintf(name, sizeof name, "%s_draws_s%d", replays[k].name, s + 1);
            int64_t row = (int64_t)load("replay/", name, tape, ROOM * 8) / IMAGES / bytes[replays[k].width];
            Corruptor *c = corruptor(arena, corruption_find(replays[k].name), s + 1, &frost);
            for (int i = 0; i < IMAGES; i++) {
                Tape t = {&replays[k], tape + i * row * bytes[replays[k].width], 0, row};
                corrupt_image(c, (CorruptDraws){&t, tape_draw}, in + i * NUMBERS, out);
                assert_int_equal(t.used, row);
                match(&m, out, want + s * SET + i * NUMBERS);
            }
        }
        expect_match(replays[k].name, &m);
    }
    arena_free(arena);
}

/* ---- statistics ---- */

enum { MEAN_DIFF, MEAN_ABS, VAR_DIFF, MSE_MEAN, MSE_SD, PSNR_MEAN, PSNR_SD, SCALARS };
typedef struct Spread { double sum, squares; } Spread;
static void spread_add(Spread *s, double x) { s->sum += x; s->squares += x * x; }
static double spread_mean(const Spread *s) { return s->sum / DRAWS; }
static double spread_sd(const Spread *s) { return sqrt(fmax(0, s->squares - s->sum * s->sum / DRAWS) / (DRAWS - 1)); }

typedef struct Band {
    const double *scalar; const uint16_t *pixel, *pixel_sd; int outside; double psnr_sd, reference_sd;
} Band;

static void one_cell(const char *name, Corruptor *c, int severity, int image, const uint8_t *in, Band *band) {
    Spread diff = {0}, psnr = {0}, *pixel = calloc(NUMBERS, sizeof *pixel);
    uint8_t out[NUMBERS];
    double q = sqrt(1.0 / 50 + 1.0 / DRAWS);
    for (int n = 0; n < DRAWS; n++) {
        CorruptStream stream = corrupt_stream(c, 7, (uint32_t)(image * DRAWS + n));
        double sum = 0, squares = 0;
        corrupt_image(c, corrupt_draws(&stream), in, out);
        for (int i = 0; i < NUMBERS; i++) {
            double d = (double)out[i] - in[i];
            sum += d;
            squares += d * d;
            spread_add(&pixel[i], out[i]);
        }
        spread_add(&diff, sum / NUMBERS);
        spread_add(&psnr, 10 * log10(255.0 * 255.0 / (squares / NUMBERS)));
    }
    int cell = (severity - 1) * IMAGES + image;
    const double *want = band->scalar + cell;
    enum { STEP = CORRUPT_SEVERITIES * IMAGES };
    double d_psnr = fabs(spread_mean(&psnr) - want[PSNR_MEAN * STEP]),
           d_mean = fabs(spread_mean(&diff) - want[MEAN_DIFF * STEP]);
    if (!(d_psnr <= fmax(4 * q * want[PSNR_SD * STEP], 0.05)) || !(d_mean <= 4 * q * spread_sd(&diff) + 0.01))
        fail_msg("%s, severity %d, image %d: PSNR differs by %g dB, mean by %g", name, severity, image, d_psnr, d_mean);
    for (int i = 0; i < NUMBERS; i++) {
        double sd = fmax(spread_sd(&pixel[i]), band->pixel_sd[cell * NUMBERS + i] / 256.0);
        band->outside += fabs(spread_mean(&pixel[i]) - band->pixel[cell * NUMBERS + i] / 256.0) > 5 * q * sd + 0.5;
    }
    band->psnr_sd += spread_sd(&psnr);
    band->reference_sd += want[PSNR_SD * STEP];
    free(pixel);
}

static void test_statistics(void **state) {
    (void)state;
    static const char *const names[] = {"gaussian_noise", "shot_noise", "impulse_noise", "glass_blur",
                                        "motion_blur",    "snow",       "fog",           "elastic_transform",
                                        "speckle_noise",  "spatter"};
    Arena *arena = arena_new();
    uint8_t *in = images(arena);
    double *scalar = arena_array(arena, double, SCALARS * CORRUPT_SEVERITIES * IMAGES);
    uint16_t *pixel = arena_array(arena, uint16_t, CORRUPT_SEVERITIES *SET),
             *pixel_sd = arena_array(arena, uint16_t, CORRUPT_SEVERITIES *SET);
    for (int k = 0; k < COUNT(names); k++) {
        char name[64];
        int kind = corruption_find(names[k]);
        Band band = {scalar, pixel, pixel_sd, 0, 0, 0};
        snprintf(name, sizeof name, "%s_scalars", names[k]);
        load("statistics/", name, scalar, SCALARS * CORRUPT_SEVERITIES * IMAGES * sizeof *scalar);
        snprintf(name, sizeof name, "%s_pixel_mean_x256", names[k]);
        load("statistics/", name, pixel, CORRUPT_SEVERITIES * SET * sizeof *pixel);
        snprintf(name, sizeof name, "%s_pixel_std_x256", names[k]);
        load("statistics/", name, pixel_sd, CORRUPT_SEVERITIES * SET * sizeof *pixel_sd);
        for (int s = 1; s <= CORRUPT_SEVERITIES; s++) {
            Corruptor *c = corruptor(arena, kind, s, NULL);
            for (int i = 0; i < IMAGES; i++) one_cell(names[k], c, s, i, in + i * NUMBERS, &band);
        }
        double ratio = band.psnr_sd / band.reference_sd;
        if (band.outside > CORRUPT_SEVERITIES * SET / 1000 || ratio > 1.5 || ratio < 1 / 1.5)
            fail_msg("%s: %d pixels outside, spread of PSNR %.2f of the reference's", names[k], band.outside, ratio);
    }
    arena_free(arena);
}

/* ---- what the files do not say ---- */

/* Every kind at every severity on grey and colour images of other sizes, in place too; more severe noise is worse. */
static void test_sizes(void **state) {
    (void)state;
    static const int sizes[][3] = {{28, 28, 1}, {28, 28, 3}, {32, 32, 1}, {16, 40, 3}, {65, 33, 1}};
    for (int k = 0; k < CORRUPT_KINDS; k++)
        for (int n = 0; n < COUNT(sizes); n++)
            for (int s = 1; s <= CORRUPT_SEVERITIES; s++) {
                Arena *arena = arena_new();
                CorruptOptions o = {k, s, sizes[n][0], sizes[n][1], sizes[n][2], NULL, 0};
                int numbers = o.height * o.width * o.channels;
                Corruptor *c = corruptor_new(arena, &o);
                uint8_t *in = arena_array(arena, uint8_t, numbers), *out = arena_array(arena, uint8_t, numbers);
                for (int i = 0; i < numbers; i++) in[i] = (uint8_t)(i * 2654435761u >> 24);
                CorruptStream a = corrupt_stream(c, 3, 5), b = a;
                corrupt_image(c, corrupt_draws(&a), in, out);
                corrupt_image(c, corrupt_draws(&b), in, in);
                assert_memory_equal(in, out, numbers);
                arena_free(arena);
            }
}

/* The same bytes wherever it runs (JPEG is its library's). */
static void test_fixed(void **state) {
    (void)state;
    Arena *arena = arena_new();
    uint8_t *in = images(arena), out[NUMBERS];
    char hex[65];
    Sha256 sha;
    sha256_start(&sha);
    for (int k = 0; k < CORRUPT_KINDS; k++)
        for (int s = 1; s <= CORRUPT_SEVERITIES; s++) {
            if (k == corruption_find("jpeg_compression")) continue;
            Corruptor *c = corruptor(arena, k, s, NULL);
            CorruptStream stream = corrupt_stream(c, 1, 0);
            corrupt_image(c, corrupt_draws(&stream), in, out);
            sha256_add(&sha, out, sizeof out);
        }
    sha256_end_hex(&sha, hex);
    assert_string_equal(hex, "eb0c531a2a791e86c506c6292c92eebbc72fa56452cdc2bff83ec58849590599");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deterministic), cmocka_unit_test(test_replay),
                                       cmocka_unit_test(test_statistics), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_fixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
