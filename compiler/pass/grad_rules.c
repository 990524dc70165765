/* grad_rules.c -- derivative rules of leaves and of what works element by element, each under its formula.
 *
 * dx stands for the adjoint of operand x, dy for that of the result y. */
#include "pass/grad.h"

#define A ad_in(ad, 0)
#define B ad_in(ad, 1)
#define Y (ad->y)
#define DY (ad->dy)

static Val neg(Ad *ad, Val a) { return graph_1(ad->g, G_NEG, a); }
static Val sub(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_SUB, a, b); }
static Val mul(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_MUL, a, b); }
static Val over(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_DIV, a, b); }
static Val less(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_LT, a, b); }
static Val choose(Ad *ad, Val c, Val a, Val b) { return graph_3(ad->g, G_SELECT, c, a, b); }

/* ---- leaves: no operands; what is not a number that varies: nothing to give ---- */

static void nothing(Ad *ad) { (void)ad; }
void vjp_CONST(Ad *ad) { nothing(ad); }
void vjp_TABLE(Ad *ad) { nothing(ad); }
void vjp_INPUT(Ad *ad) { nothing(ad); }
void vjp_HOLE(Ad *ad) { nothing(ad); }
void vjp_IOTA(Ad *ad) { nothing(ad); }
void vjp_NOISE(Ad *ad) { nothing(ad); }
void vjp_NORMAL(Ad *ad) { nothing(ad); }

/* Comparisons and logic: the derivative is zero (bools carry no adjoint). */
void vjp_NOT(Ad *ad) { nothing(ad); }
void vjp_LT(Ad *ad) { nothing(ad); }
void vjp_LE(Ad *ad) { nothing(ad); }
void vjp_EQ(Ad *ad) { nothing(ad); }
void vjp_NE(Ad *ad) { nothing(ad); }
void vjp_AND(Ad *ad) { nothing(ad); }
void vjp_OR(Ad *ad) { nothing(ad); }

/* ---- one operand ---- */

/* y = -x.  dx = -dy */
void vjp_NEG(Ad *ad) { GIVE(0, neg(ad, DY)); }

/* y = |x|.  dx = dy where x > 0, -dy where x < 0, 0 at 0 */
void vjp_ABS(Ad *ad) {
    Val zero = ad_number(ad, 0);
    GIVE(0, choose(ad, less(ad, zero, A), DY, choose(ad, less(ad, A, zero), neg(ad, DY), zero)));
}

/* y = sign x.  dx = 0 */
void vjp_SIGN(Ad *ad) { nothing(ad); }

/* y = sqrt x.  dx = dy / (2 y) */
void vjp_SQRT(Ad *ad) { GIVE(0, over(ad, DY, mul(ad, ad_number(ad, 2), Y))); }

/* y = exp x.  dx = dy y */
void vjp_EXP(Ad *ad) { GIVE(0, mul(ad, DY, Y)); }

/* y = log x.  dx = dy / x */
void vjp_LOG(Ad *ad) { GIVE(0, over(ad, DY, A)); }

/* y = sin x.  dx = dy cos x */
void vjp_SIN(Ad *ad) { GIVE(0, mul(ad, DY, graph_1(ad->g, G_COS, A))); }

/* y = cos x.  dx = -(dy sin x) */
void vjp_COS(Ad *ad) { GIVE(0, neg(ad, mul(ad, DY, graph_1(ad->g, G_SIN, A)))); }

/* y = tanh x.  dx = dy (1 - y y) */
void vjp_TANH(Ad *ad) { GIVE(0, mul(ad, DY, sub(ad, ad_number(ad, 1), mul(ad, Y, Y)))); }

/* y = erf x.  dx = dy (2 / sqrt(pi)) exp(-(x x)) */
void vjp_ERF(Ad *ad) {
    Val slope = ad_number(ad, 1.1283791670955126);
    GIVE(0, mul(ad, DY, mul(ad, slope, graph_1(ad->g, G_EXP, neg(ad, mul(ad, A, A))))));
}

static void stop(Ad *ad) {
    if (ad_wants(ad, 0)) ad_stop(ad, op_name((Op)graph_node(ad->g, Y)->op));
}
void vjp_FLOOR(Ad *ad) { stop(ad); }
void vjp_CEIL(Ad *ad) { stop(ad); }
void vjp_ROUND(Ad *ad) { stop(ad); }

/* y = x in another dtype.  dx = dy in x's */
void vjp_CAST(Ad *ad) {
    GIVE(0, graph_cast(ad->g, DY, (DType)graph_node(ad->g, A)->dtype));
    ad_touch(ad, 0);
}

/* ---- two and three operands ---- */

/* y = a + b.  da = dy, db = dy */
void vjp_ADD(Ad *ad) {
    GIVE(0, DY);
    GIVE(1, DY);
}

/* y = a - b.  da = dy, db = -dy */
void vjp_SUB(Ad *ad) {
    GIVE(0, DY);
    GIVE(1, neg(ad, DY));
}

/* y = a b.  da = dy b, db = dy a */
void vjp_MUL(Ad *ad) {
    GIVE(0, mul(ad, DY, B));
    GIVE(1, mul(ad, DY, A));
}

/* y = a / b.  da = dy / b, db = -(dy y / b) */
void vjp_DIV(Ad *ad) {
    GIVE(0, over(ad, DY, B));
    GIVE(1, neg(ad, over(ad, mul(ad, DY, Y), B)));
}

/* y = a - b floor(a / b).  da = dy; b decides where it jumps: no useful derivative */
void vjp_MOD(Ad *ad) {
    GIVE(0, DY);
    if (ad_wants(ad, 1)) ad_stop(ad, "the second argument of mod");
}

/* y = max(a, b).  da = dy where a > b, db = dy where b > a; at a tie neither */
void vjp_MAX(Ad *ad) {
    GIVE(0, choose(ad, less(ad, B, A), DY, ad_number(ad, 0)));
    GIVE(1, choose(ad, less(ad, A, B), DY, ad_number(ad, 0)));
}

/* y = min(a, b).  da = dy where a < b, db = dy where b < a; at a tie neither */
void vjp_MIN(Ad *ad) {
    GIVE(0, choose(ad, less(ad, A, B), DY, ad_number(ad, 0)));
    GIVE(1, choose(ad, less(ad, B, A), DY, ad_number(ad, 0)));
}

/* y = a ^ b.  da = dy (b a^(b - 1)), db = dy (y log a) */
void vjp_POW(Ad *ad) {
    if (ad_wants(ad, 0)) {
        Val power = graph_2(ad->g, G_POW, A, sub(ad, B, ad_number(ad, 1)));
        ad_give(ad, 0, mul(ad, DY, mul(ad, B, power)));
    }
    GIVE(1, mul(ad, DY, mul(ad, Y, graph_1(ad->g, G_LOG, A))));
}

/* The value of a constant, also of one that is repeated. */
static bool known_int(const Graph *g, Val v, int64_t *n) {
    while (graph_node(g, v)->op == G_BROADCAST) v = graph_in(g, v, 0);
    *n = graph_attr(g, v)->i64;
    return graph_node(g, v)->op == G_CONST;
}

/* y = a ^ n, n an integer.  da = dy (n a^(n - 1)); a^0 and a^1 are not computed */
void vjp_POWI(Ad *ad) {
    int64_t n;
    if (!ad_wants(ad, 0)) return;
    if (!known_int(ad->g, B, &n)) {
        Val power = graph_2(ad->g, G_POWI, A, graph_2(ad->g, G_SUB, B, graph_int(ad->g, 1)));
        Val times = graph_cast(ad->g, B, (DType)graph_node(ad->g, Y)->dtype);
        ad_give(ad, 0, mul(ad, DY, mul(ad, times, power)));
    } else if (n == 1) {
        ad_give(ad, 0, DY);
    } else if (n != 0) {
        Val power = n == 2 ? A : graph_2(ad->g, G_POWI, A, graph_int(ad->g, n - 1));
        ad_give(ad, 0, mul(ad, DY, mul(ad, ad_number(ad, (double)n), power)));
    }
}

/* y = c ? a : b.  da = c ? dy : 0, db = c ? 0 : dy */
void vjp_SELECT(Ad *ad) {
    GIVE(1, choose(ad, A, DY, ad_number(ad, 0)));
    GIVE(2, choose(ad, A, ad_number(ad, 0), DY));
}
