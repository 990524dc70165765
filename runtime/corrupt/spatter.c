/* spatter.c -- drops of water or mud: thresholded smooth noise; water is lit along its edges. */
#include "corrupt/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- edges: Canny, 3x3 Sobel, magnitude |gx| + |gy|, thresholds 50 and 150 ---- */

enum { LOW = 50, HIGH = 150, TAN_22 = 13573 /* tan(22.5 degrees) * 2^15 */ };
enum { EDGE_NONE, EDGE_WEAK, EDGE_STRONG };

typedef struct Slope { int gx, gy, size; } Slope;
static Slope slope_at(const Corruptor *c, const uint8_t *a, int y, int x) {
    int h = c->o.height, w = c->o.width, p[3][3];
    if (y < 0 || x < 0 || y >= h || x >= w) return (Slope){0, 0, 0};
    for (int i = 0; i < 9; i++)
        p[i / 3][i % 3] = a[border_at(BORDER_EDGE, y + i / 3 - 1, h) * w + border_at(BORDER_EDGE, x + i % 3 - 1, w)];
    int gx = p[0][2] + 2 * p[1][2] + p[2][2] - p[0][0] - 2 * p[1][0] - p[2][0];
    int gy = p[2][0] + 2 * p[2][1] + p[2][2] - p[0][0] - 2 * p[0][1] - p[0][2];
    return (Slope){gx, gy, abs(gx) + abs(gy)};
}

/* Whether the slope is largest across the edge, in one of four directions. */
static bool is_ridge(const Corruptor *c, const uint8_t *a, int y, int x, Slope s) {
    int64_t ax = abs(s.gx), ay = (int64_t)abs(s.gy) << 15, flat = ax * TAN_22, steep = flat + (ax << 16);
    if (ay < flat) return s.size > slope_at(c, a, y, x - 1).size && s.size >= slope_at(c, a, y, x + 1).size;
    if (ay > steep) return s.size > slope_at(c, a, y - 1, x).size && s.size >= slope_at(c, a, y + 1, x).size;
    int side = (s.gx ^ s.gy) < 0 ? -1 : 1;
    return s.size > slope_at(c, a, y - 1, x - side).size && s.size > slope_at(c, a, y + 1, x + side).size;
}

/* edge: EDGE_STRONG where there is an edge; weak points count if a path of weak ones leads to a strong one. */
static void find_edges(const Corruptor *c, const uint8_t *a, uint8_t *edge) {
    int h = c->o.height, w = c->o.width;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            Slope s = slope_at(c, a, y, x);
            edge[y * w + x] = s.size <= LOW || !is_ridge(c, a, y, x, s) ? EDGE_NONE
                              : s.size > HIGH                           ? EDGE_STRONG
                                                                        : EDGE_WEAK;
        }
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < h * w; i++) {
            if (edge[i] != EDGE_WEAK) continue;
            for (int k = 0; k < 9; k++) {
                int y = i / w + k / 3 - 1, x = i % w + k % 3 - 1;
                if (y < 0 || x < 0 || y >= h || x >= w || edge[y * w + x] != EDGE_STRONG) continue;
                edge[i] = EDGE_STRONG;
                more = true;
                break;
            }
        }
    }
}

/* ---- distance to the nearest edge: chamfer, 5x5, weights 1, 1.4, 2.1969 in 16-bit fixed point; 20 at most ---- */

static void distances(const Corruptor *c, const uint8_t *edge, double *out) {
    enum { STRAIGHT = 65536, DIAGONAL = 91750, KNIGHT = 143976, FAR = 1 << 29 };
    static const int steps[8][3] = {{-2, -1, KNIGHT},  {-2, 1, KNIGHT},   {-1, -2, KNIGHT}, {-1, -1, DIAGONAL},
                                    {-1, 0, STRAIGHT}, {-1, 1, DIAGONAL}, {-1, 2, KNIGHT},  {0, -1, STRAIGHT}};
    int h = c->o.height, w = c->o.width;
    for (int i = 0; i < h * w; i++) out[i] = edge[i] == EDGE_STRONG ? 0 : FAR;
    for (int pass = 0; pass < 2; pass++) {
        int sign = pass ? -1 : 1;
        for (int j = 0; j < h * w; j++) {
            int i = pass ? h * w - 1 - j : j;
            for (int k = 0; k < 8; k++) {
                int y = i / w + sign * steps[k][0], x = i % w + sign * steps[k][1];
                if (y < 0 || x < 0 || y >= h || x >= w) continue;
                out[i] = fmin(out[i], out[y * w + x] + steps[k][2]);
            }
        }
    }
    for (int i = 0; i < h * w; i++) out[i] = fmin((float)(out[i] / 65536), 20);
}

/* ---- the light on water ---- */

static void equalise(const Corruptor *c, uint8_t *a) {
    int count[256] = {0}, n = c->pixels, lo = 0, sum = 0;
    uint8_t lut[256] = {0};
    for (int i = 0; i < n; i++) count[a[i]]++;
    while (!count[lo]) lo++;
    if (count[lo] == n) return;
    float scale = 255.0f / (float)(n - count[lo]);
    for (int v = lo + 1; v < 256; v++) {
        sum += count[v];
        long x = lrintf((float)sum * scale);
        lut[v] = (uint8_t)(x > 255 ? 255 : x);
    }
    for (int i = 0; i < n; i++) a[i] = lut[a[i]];
}

static double saturated(double x) { return x < 0 ? 0 : x > 255 ? 255 : nearbyint(x); }

/* m = drops * light, scaled to the intensity. */
static void water(Corruptor *c, const double *drops, double *m) {
    static const double emboss[9] = {-2, -1, 0, -1, 1, 1, 0, 1, 2}, box[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    uint8_t *bytes = c->byte[0], *edge = c->byte[1], *level = c->byte[2];
    double *distance = c->plane[1], *light = c->plane[2], most = 0;
    for (int i = 0; i < c->pixels; i++) bytes[i] = (uint8_t)(int)(255 * drops[i]);
    find_edges(c, bytes, edge);
    distances(c, edge, distance);
    correlate(c, distance, 1, box, BORDER_REFLECT101, light);
    for (int i = 0; i < c->pixels; i++) level[i] = (uint8_t)(light[i] / 9);
    equalise(c, level);
    for (int i = 0; i < c->pixels; i++) distance[i] = level[i];
    correlate(c, distance, 1, emboss, BORDER_REFLECT101, light);
    for (int i = 0; i < c->pixels; i++) light[i] = saturated(light[i]);
    correlate(c, light, 1, box, BORDER_REFLECT101, distance);
    for (int i = 0; i < c->pixels; i++) most = fmax(most, m[i] = bytes[i] * saturated(distance[i] / 9));
    for (int i = 0; i < c->pixels; i++) m[i] = most > 0 ? m[i] / most * c->p[4] : 0;
}

void corrupt_spatter(Corruptor *c, uint8_t *out) {
    static const double liquid[2][3] = {{175, 238, 238}, {63, 42, 20}};
    bool mud = c->p[5] != 0;
    int n = c->o.channels;
    double *drops = c->plane[0], *m = mud ? c->plane[1] : c->frost, color[3];
    for (int i = 0; i < c->pixels; i++) drops[i] = draw(c, DRAW_NORMAL, c->p[0], c->p[1]);
    gauss(c, drops, 1, c->p[2], BORDER_EDGE, 4);
    for (int i = 0; i < c->pixels; i++)
        if (drops[i] < c->p[3]) drops[i] = 0;
    if (mud) {
        for (int i = 0; i < c->pixels; i++) m[i] = drops[i] > c->p[3];
        gauss(c, m, 1, c->p[4], BORDER_EDGE, 4);
        for (int i = 0; i < c->pixels; i++)
            if (m[i] < 0.8) m[i] = 0;
    } else {
        water(c, drops, m);
    }
    for (int k = 0; k < 3; k++) color[k] = liquid[mud][k] / 255;
    if (n == 1) color[0] = .299 * color[0] + .587 * color[1] + .114 * color[2];
    for (int i = 0; i < c->numbers; i++) {
        double x = mud ? c->x[i] * (1 - m[i / n]) : c->x[i];
        out[i] = byte_of(x + m[i / n] * color[i % n]);
    }
}
