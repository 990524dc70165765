/* The layers of models.nin's `plain` (KIND 0), `fitted` (KIND 1) and `tabled` (KIND 2) as plain loops, as a converter
 * would write them: what is emitted is measured beside it (tests/bench/devices.sh). */
#include "weights.h"

void plain_loops(const float x[64], float y[10]);

static void dense(const float *w, const float *b, const float *x, float *y, int inputs, int outputs)
{
    for (int o = 0; o < outputs; o++) {
        float sum = b[o];
        for (int i = 0; i < inputs; i++)
            sum += w[o * inputs + i] * x[i];
        y[o] = sum;
    }
}

#if KIND == 0
static void relu(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = x[i] < 0 ? 0 : x[i];
}

static float cell(const float *z)
{
    float h1[64], h2[64], y;
    dense(inner_dense_1_w, inner_dense_1_b, z, h1, 2, 64);
    relu(h1, 64);
    dense(inner_dense_2_w, inner_dense_2_b, h1, h2, 64, 64);
    relu(h2, 64);
    dense(inner_dense_3_w, inner_dense_3_b, h2, &y, 64, 1);
    return y;
}
#elif KIND == 2
/* TABLE: 25 nodes along each argument over -6 .. 6. */
static float cell(const float *z)
{
    float at[2], part[2];
    int node[2];
    for (int k = 0; k < 2; k++) {
        at[k] = (z[k] + 6) * 2;
        at[k] = at[k] < 0 ? 0 : at[k] > 24 ? 24 : at[k];
        node[k] = at[k] < 24 ? (int)at[k] : 23;
        part[k] = at[k] - (float)node[k];
    }
    const float *corner = TABLE + 25 * node[0] + node[1];
    float low = corner[0] + part[1] * (corner[1] - corner[0]), high = corner[25] + part[1] * (corner[26] - corner[25]);
    return low + part[0] * (high - low);
}
#else
static float cell(const float *z)
{
    const float *c = inner_fit;
    return c[0] + c[1] * z[0] + c[2] * z[1] + c[3] * z[0] * z[0] + c[4] * z[0] * z[1] + c[5] * z[1] * z[1];
}
#endif

void plain_loops(const float x[64], float y[10])
{
    float z[32], h[16];
    dense(dense_1_w, dense_1_b, x, z, 64, 32);
    for (int i = 0; i < 16; i++)
        h[i] = cell(z + 2 * i);
    dense(dense_2_w, dense_2_b, h, y, 16, 10);
}
