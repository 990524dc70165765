/* data.c -- seconds of processor time from the files of MNIST and CIFAR-10 (below NIN_DATA) to f32 tensors, without and
 * with the cache.
 *
 * The numbers asked for: MNIST from .gz below 1 s, CIFAR-10 from the cache below 0.5 s. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "data/dataset.h"

/* Of this thread's work: what else the machine does does not count. */
static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads and normalises both parts, as the builtin `dataset` does. */
static void measure(const char *name, const char *folder, const char *cache, const char *what) {
    const char *folders[] = {folder, NULL};
    double mean[1] = {0.5}, sd[1] = {0.5}, start = seconds_now();
    DatasetRequest request = {.name = name, .folders = folders, .cache = cache};
    DatasetFailure why;
    Dataset set;
    Arena *raw = arena_new(), *given = arena_new();
    char *error;
    if (!dataset_read(raw, &request, NULL, &set, &why, &error)) {
        printf("%s: skipped: %s\n", name, error);
    } else {
        double read = seconds_now();
        const DataPart *parts[] = {&set.train, &set.test};
        for (int i = 0; i < 2; i++) {
            float *x = arena_array(given, float, parts[i]->n * shape_size(&parts[i]->x.shape));
            column_gather_f32(&parts[i]->x, &(Affine){1, mean, sd}, NULL, 0, parts[i]->n, x);
        }
        double end = seconds_now();
        printf("%-10s %-24s %6.3f s  (bytes %.3f, tensors %.3f)\n", name, what, end - start, read - start, end - read);
    }
    arena_free(raw);
    arena_free(given);
}

int main(void) {
    const char *folder = getenv("NIN_DATA");
    char cache[] = P_tmpdir "/nin-bench-XXXXXX";
    if (!folder || !mkdtemp(cache)) {
        printf("skipped: NIN_DATA names no folder\n");
        return 0;
    }
    static const char *const names[] = {"mnist", "cifar10"};
    for (int i = 0; i < 2; i++) {
        if (i == 0) measure(names[i], folder, NULL, "files");
        measure(names[i], folder, cache, "files, writing the cache");
        for (int k = 0; k < 3; k++) measure(names[i], folder, cache, "cache");
    }
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", cache);
    return system(command) != 0;
}
