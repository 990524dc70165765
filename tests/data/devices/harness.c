/* Microseconds of an inference: the least of fifteen times a hundred (tests/bench/devices.sh). */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>

#ifdef MODEL_HEADER
#include MODEL_HEADER
static MODEL_WORK work;
#define PREDICT(x, y) (void)MODEL_PREDICT(&work, x, y)
#else
void plain_loops(const float x[64], float y[10]);
#define PREDICT(x, y) plain_loops(x, y)
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

int main(void)
{
    static float x[64], y[10];
    double best = 1e9, sum = 0;
    for (int i = 0; i < 64; i++)
        x[i] = (float)(i % 17) / 8 - 1;
    for (int time = 0; time < 15; time++) {
        double start = now(), took;
        for (int k = 0; k < 100; k++) {
            x[k % 64] += 1e-3f;
            PREDICT(x, y);
            sum += (double)y[k % 10];
        }
        took = (now() - start) / 100;
        best = took < best ? took : best;
    }
    printf("%.2f\n", best);
    return sum != sum;
}
