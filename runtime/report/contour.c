/* contour.c -- level lines by marching squares, chained into polylines.
 *
 * A crossing lies on an edge of the grid; edge 2 i is that from point i to its right neighbour, 2 i + 1 that to the one
 * above.  A square joins its crossings in pairs (a saddle by the mean of its corners), so that a crossing has at most
 * two partners, one on each side.  Squares with a value that is not finite are passed over. */
#include <math.h>

#include "report/figure_parts.h"

typedef struct Walk {
    const FigureGrid *grid; double level;
    int *partner;                   /* of edge e at 2 e and 2 e + 1: the other edge + 1, or 0 */
    bool *used;
} Walk;

static void join(Walk *walk, int a, int b) {
    walk->partner[2 * a + (walk->partner[2 * a] != 0)] = b + 1;
    walk->partner[2 * b + (walk->partner[2 * b] != 0)] = a + 1;
}

static bool above(const Walk *walk, int point) { return walk->grid->z[point] >= walk->level; }

static void join_square(Walk *walk, int ix, int iy) {
    int nx = walk->grid->nx, p = iy * nx + ix, corner[4] = {p, p + 1, p + nx + 1, p + nx};
    int edge[4] = {2 * p, 2 * (p + 1) + 1, 2 * (p + nx), 2 * p + 1};       /* bottom, right, top, left */
    int crossed[4], n = 0;
    double mean = 0;
    for (int k = 0; k < 4; k++) {
        double z = walk->grid->z[corner[k]];
        if (!isfinite(z)) return;
        mean += z / 4;
        if (above(walk, corner[k]) != above(walk, corner[(k + 1) % 4])) crossed[n++] = edge[k];
    }
    if (n == 2) join(walk, crossed[0], crossed[1]);
    if (n != 4) return;
    bool corner_cut = (mean >= walk->level) == above(walk, p);     /* the lines cut off corners 1 and 3, not 0 and 2 */
    join(walk, edge[corner_cut ? 0 : 3], edge[corner_cut ? 1 : 0]);
    join(walk, edge[corner_cut ? 2 : 1], edge[corner_cut ? 3 : 2]);
}

static void crossing(const Walk *walk, int edge, double *x, double *y) {
    const FigureGrid *g = walk->grid;
    int from = edge / 2, to = edge % 2 ? from + g->nx : from + 1, ix = from % g->nx, iy = from / g->nx;
    double share = (walk->level - g->z[from]) / (g->z[to] - g->z[from]);
    double dx = (g->x_hi - g->x_lo) / (g->nx - 1), dy = (g->y_hi - g->y_lo) / (g->ny - 1);
    *x = g->x_lo + dx * (ix + (edge % 2 ? 0 : share));
    *y = g->y_lo + dy * (iy + (edge % 2 ? share : 0));
}

typedef VEC(double) Points;

/* Follows the line from an edge; a closed one returns to its start. */
static void follow(Arena *arena, Walk *walk, int edge, Points *out) {
    int start = edge, last = -1;
    for (;;) {
        double x, y;
        crossing(walk, edge, &x, &y);
        vec_push(arena, out, x);
        vec_push(arena, out, y);
        if (edge == start && last >= 0) return;
        walk->used[edge] = true;
        int a = walk->partner[2 * edge] - 1, b = walk->partner[2 * edge + 1] - 1, next = a == last ? b : a;
        if (last < 0) next = a >= 0 ? a : b;
        if (next < 0 || (walk->used[next] && next != start)) return;
        last = edge, edge = next;
    }
}

static void middle(const Points *points, int from, int *longest, LevelText *text) {
    int n = (points->len - from) / 2;
    if (n <= *longest) return;
    *longest = n;
    text->x = points->at[from + n / 2 * 2];
    text->y = points->at[from + n / 2 * 2 + 1];
}

Polyline contour_lines(Arena *arena, const FigureGrid *grid, double level, LevelText *text) {
    int edges = 2 * grid->nx * grid->ny, longest = 0;
    Walk walk = {grid, level, arena_array(arena, int, 2 * edges), arena_array(arena, bool, edges)};
    Points points = {0};
    for (int iy = 0; iy + 1 < grid->ny; iy++)
        for (int ix = 0; ix + 1 < grid->nx; ix++) join_square(&walk, ix, iy);
    *text = (LevelText){NAN, NAN, level};
    for (int ends = 1; ends >= 0; ends--)              /* lines with ends first, then the closed ones */
        for (int e = 0; e < edges; e++) {
            if (walk.used[e] || !walk.partner[2 * e] || (ends && walk.partner[2 * e + 1])) continue;
            if (points.len) vec_push(arena, &points, NAN);
            if (points.len) vec_push(arena, &points, NAN);
            int from = points.len;
            follow(arena, &walk, e, &points);
            middle(&points, from, &longest, text);
        }
    return (Polyline){points.at, points.len / 2};
}

/* ---- fewer points ---- */
/* How far point p is from the line from a to b, in units. */
static double off_line(const double *a, const double *b, const double *p, double dx, double dy) {
    double ux = (b[0] - a[0]) / dx, uy = (b[1] - a[1]) / dy, px = (p[0] - a[0]) / dx, py = (p[1] - a[1]) / dy;
    double length = hypot(ux, uy);
    return length > 0 ? fabs(ux * py - uy * px) / length : hypot(px, py);
}

/* Marks what stays between two points that stay. */
static void thin(const double *xy, bool *stays, int64_t from, int64_t to, double dx, double dy) {
    while (to > from + 1) {
        int64_t far = from;
        double most = 1;
        for (int64_t i = from + 1; i < to; i++) {
            double d = off_line(xy + 2 * from, xy + 2 * to, xy + 2 * i, dx, dy);
            if (d > most) most = d, far = i;
        }
        if (far == from) return;
        stays[far] = true;
        if (far - from < to - far) thin(xy, stays, from, far, dx, dy), from = far;
        else thin(xy, stays, far, to, dx, dy), to = far;
    }
}

Polyline polyline_thinned(Arena *arena, Polyline line, double dx, double dy) {
    bool *stays = arena_array(arena, bool, line.points + 1);
    double *out = arena_array(arena, double, 2 * line.points + 1);
    int64_t n = 0;
    for (int64_t from = 0, to; from < line.points; from = to + 1) {
        for (to = from; to < line.points && isfinite(line.xy[2 * to]); to++) {}
        if (to < line.points) stays[to] = true;        /* a break */
        if (to == from) continue;
        stays[from] = stays[to - 1] = true;
        thin(line.xy, stays, from, to - 1, dx, dy);
    }
    for (int64_t i = 0; i < line.points; i++)
        if (stays[i]) memcpy(out + 2 * n++, line.xy + 2 * i, 2 * sizeof *out);
    return (Polyline){out, n};
}

double round_step(double lo, double hi, int wanted) {
    double rough = (hi - lo) / wanted, power = pow(10, floor(log10(rough))), rest = rough / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

int contour_levels(double lo, double hi, int wanted, double *out, int room) {
    double step = round_step(lo, hi, wanted);
    int n = 0;
    if (!(hi > lo) || !isfinite(step)) return 0;
    for (double k = ceil(lo / step); k * step < hi && n < room; k++)
        if (k * step > lo) out[n++] = k * step;
    return n;
}
