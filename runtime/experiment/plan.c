/* plan.c -- programs: from a net, a loss and an optimizer to one graph of a training step, or from a net and fns to
 * one graph of an evaluation; simplified, lowered, compiled, cached.
 *
 * A real number in brackets is lifted to a setting of the graph before tracing, so one program serves a sweep over it.
 * What a program depends on is its signature: identities with such reals left out.  A real whose number a trace needed
 * (an `if`, a floor) is pinned: it is part of the key from then on. */
#include "experiment/train.h"
#include "graph/scan.h"
#include "pass/pass.h"
#include "sema/strategy.h"
#include "support/rng.h"

#include <stdlib.h>

/* Everything of a request that is a value, in one order for signing and for lifting (trace_lift). */
enum { MAX_PARTS = 24 };
static const double QUICK_WORK = 2e6; /* parameters times examples: some milliseconds without optimisation */
static int request_parts(const PlanRequest *r, const Value **part) {
    int n = 0;
    part[n++] = &r->info->net;
    if (r->session) {
        part[n++] = r->session->loss;
    }
    for (int i = 0; i < r->measure_count; i++) part[n++] = &r->measures[i];
    if (r->session) {
        const Value *optimizer = r->session->optimizer;
        if (optimizer->kind == V_RECORD)
            for (int i = 0; i < optimizer->record->len && n < MAX_PARTS - 8; i++) part[n++] = &optimizer->record->at[i];
        else part[n++] = optimizer;
        if (r->session->against) part[n++] = r->session->against;
        for (int i = 0; i < r->session->augments; i++) part[n++] = r->session->augmentation[i];
    }
    if (r->attacker) part[n++] = r->attacker;
    if (r->slope) part[n++] = r->slope;
    return n;
}

/* The numbers of the affine map are constants of the step. */
static void sign_affine(const PlanRequest *r, Buf *out) {
    buf_printf(out, "augment %d %d", r->raw, r->session ? r->session->augments : 0);
    for (int i = 0; r->affine && i < r->affine->features; i++)
        buf_printf(out, " %.17g %.17g", r->affine->mean[i], r->affine->sd[i]);
    buf_text(out, "|");
}

/* Less work than optimising its program takes: by the parameters, as if each were used once for an example. */
static bool request_quick(const PlanRequest *r) {
    return lab_of(r->e)->options.tiers && r->visits && (double)r->visits * (double)(r->info->count + 1) < QUICK_WORK;
}

static void request_sign(const PlanRequest *r, Buf *out, RealList *reals) {
    const Value *part[MAX_PARTS + 8];
    int n = request_parts(r, part);
    bool cell = r->info->net.kind == V_CALLABLE && r->info->net.callable->what == DEF_CELL;
    if (request_quick(r)) buf_text(out, "quick ");
    if (r->boxes) buf_text(out, "boxes ");
    if (r->uses) buf_printf(out, "uses %s ", r->uses);
    buf_text(out, r->session ? "train" : "look");
    buf_text(out, cell ? " cell " : " ");
    buf_int(out, r->outputs * 2 + r->accuracy);
    buf_text(out, dtype_name(r->info->precision));
    for (int i = 0; i < n; i++) {
        value_kernel_identity(part[i], out, reals);
        buf_text(out, "|");
    }
    buf_text(out, dtype_name(r->x.dtype));
    shape_print(&r->x.shape, out);
    buf_text(out, dtype_name(r->y.dtype));
    shape_print(&r->y.shape, out);
    if (r->session && r->session->clip) buf_text(out, "clip|");
    if (r->attack) buf_printf(out, "attack %d%d|", r->training, r->slope != NULL);
    bool against = r->attacker || (r->session && r->session->against);
    if (r->raw || against || (r->session && r->session->augments)) sign_affine(r, out);
    if (against) buf_printf(out, "against %d %.17g %.17g|", r->attacker != NULL, r->raw_lo, r->raw_hi);
    buf_int(out, r->y.classes);
    buf_text(out, " ");
    buf_int(out, r->examples);
    if (r->session && r->session->optimizer->kind == V_RECORD)
        for (int i = 0; i < r->session->optimizer->record->len; i++)
            buf_printf(out, "%s;", r->session->optimizer->record->name[i]);
    for (int i = 0; r->learn && i < r->info->params; i++) buf_text(out, r->learn[i] ? "1" : "0");
}

/* ---- building the graph ---- */

typedef struct Build {
    const PlanRequest *r; Eval e; Arena *arena; Trace *trace; TrainPlan *plan;
    const Value *part[MAX_PARTS]; int parts;
    Val x, seen, out, target, batch,
        clip;        /* input, as the net takes it, output, target, batch size as a number, its bound */
    Val held, clean; /* the attacked input, and the output without the attack; 0: no attack */
} Build;

static NodeType row_type(const Column *column, DType precision) {
    return (NodeType){column->dtype == DT_I32 ? DT_I32 : precision, column->shape, true};
}

/* What a rate is called with: now.step and now.epoch from 0, now.done from 0 to 1.  Steps per epoch and in all are
 * settings of their own, after the lifted ones. */
static void build_progress(Build *b) {
    Graph *g = b->trace->graph;
    static const char *const text[] = {"epoch", "step", "done"};
    Name *names = arena_array(b->arena, Name, 3);
    for (int i = 0; i < 3; i++) names[i] = intern_text(b->e.session->names, text[i]);
    b->plan->per_epoch_setting = b->trace->settings.len;
    Value per_epoch = trace_setting(&b->e, 1);
    b->plan->total_setting = b->trace->settings.len;
    Value total = trace_setting(&b->e, 1);
    if (b->r->session->clip) {
        b->plan->clip_setting = b->trace->settings.len;
        b->clip = trace_setting(&b->e, b->r->session->clip_norm).node;
    }
    Val step = graph_input(g, IN_STEP, 0, "step", (NodeType){DT_I32, SHAPE0, false}),
        real = graph_cast(g, step, DT_F64);
    Value at[3] = {trace_value(graph_1(g, G_FLOOR, graph_2(g, G_DIV, real, per_epoch.node))), trace_value(real),
                   trace_value(graph_2(g, G_DIV, real, total.node))};
    b->trace->progress = value_record(b->arena, names, at, 3);
}

static bool build_start(Build *b) {
    const PlanRequest *r = b->r;
    b->e = *r->e;
    b->e.arena = b->arena;
    b->trace = trace_new(&b->e, r->info->precision, r->session != NULL || r->training);
    b->e.trace = b->trace;
    b->parts = request_parts(r, b->part);
    for (int i = 0; i < b->parts; i++)
        if (b->part[i]->kind == V_CALLABLE) trace_lift(&b->e, b->trace, b->part[i]);
    if (r->session) build_progress(b);
    b->trace->exact_cells = r->boxes;
    b->trace->watch = r->uses != NULL;
    Val x = graph_input(b->trace->graph, IN_ROWS, 0, "x", row_type(&r->x, r->info->precision));
    Value y;
    b->x = x;
    if (r->raw && r->affine && !affine_trace(&b->e, r->affine, false, r->span, &x)) return false;
    int augments = r->session ? r->session->augments : 0;
    if (!augment_trace(&b->e, r->session, b->part + b->parts - augments, r->affine, r->span, &x)) return false;
    b->seen = x;
    if (!net_apply(&b->e, b->trace, b->part[0], x, r->span, &y)) return false;
    b->e.trace = b->trace;
    if (!value_as_node(&b->e, &y, r->span, &b->out)) return false;
    b->target = graph_input(b->trace->graph, IN_ROWS, 1, "target", row_type(&r->y, r->info->precision));
    if (r->y.classes) trace_mark_classes(b->trace, b->target, r->y.classes);
    return true;
}

/* A target of another kind than the loss takes is E0604, whatever the call said. */
static bool loss_misfit(Build *b, const Value *fn, int mark) {
    Diags *diags = b->e.diags;
    if (diags->list.len == mark || diags->list.at[diags->list.len - 1]->code != D_E0403) return false;
    diags_discard(diags, mark);
    int64_t classes = b->r->y.classes;
    Shape out = graph_type(b->trace->graph, b->out).shape;
    Buf gives = {0}, targets = {0};
    shape_print(&out, &gives);
    if (classes) buf_printf(&targets, "class[%lld]", (long long)classes);
    else shape_print(&b->r->y.shape, &targets);
    Diag *diag = diag_add(diags, D_E0604, b->r->span, "%s does not fit: the net gives %.*s, the targets are %.*s",
                          value_shown(&b->e, fn), (int)gives.len, gives.at, (int)targets.len, targets.at);
    if (classes && out.rank && out.dim[0] != classes) diag_hint(diag, "an output for each of the %lld classes",
                                                                (long long)classes);
    else if (classes) diag_hint(diag, "cross_entropy");
    buf_free(&gives);
    buf_free(&targets);
    return false;
}

/* fn(y, target) as a node, one number per example. */
static bool build_per_example(Build *b, const Value *fn, Val *out) {
    Value args[2] = {{.kind = V_NODE, .node = b->out}, {.kind = V_NODE, .node = b->target}}, result;
    int mark = diags_mark(b->e.diags);
    if (!trace_call(&b->e, b->trace, "loss", fn, args, 2, b->r->span, &result)) return loss_misfit(b, fn, mark);
    if (!value_as_node(&b->e, &result, b->r->span, out)) return false;
    Graph *g = b->trace->graph;
    NodeType type = graph_type(g, *out);
    if (shape_size(&type.shape) != 1) {
        Buf shape = {0};
        shape_print(&type.shape, &shape);
        diag_add(b->e.diags, D_E0604, b->r->span,
                 "a loss or measure gives one number for each example; this gives %.*s", (int)shape.len, shape.at);
        buf_free(&shape);
        return false;
    }
    if (type.shape.rank) *out = graph_reshape(g, *out, SHAPE0);
    if (!type.batched)
        *out = graph_add(g, G_BROADCAST, out, 1, NULL, &(NodeType){type.dtype, SHAPE0, true}, b->r->span);
    return true;
}

/* Class targets: is the largest output the target's class? */
static Val build_accuracy(Build *b) {
    Graph *g = b->trace->graph;
    return graph_2(g, G_EQ, graph_1(g, G_ARGMAX, b->out), b->target);
}

static Val batch_size(Build *b) {
    if (!b->batch) {
        Val n = graph_input(b->trace->graph, IN_BATCH, 0, "batch", (NodeType){DT_I32, SHAPE0, false});
        b->batch = graph_cast(b->trace->graph, n, b->r->info->precision);
    }
    return b->batch;
}

/* The batch sum of a number per example; divided by the batch size if `mean`. */
static Val batch_total(Build *b, Val each, bool mean) {
    Graph *g = b->trace->graph;
    Val sum = graph_reduce(g, G_BATCH_SUM, graph_cast(g, each, b->r->info->precision), 0);
    return mean ? graph_2(g, G_DIV, sum, batch_size(b)) : sum;
}

static const Value *build_optimizer(Build *b, int param, Value *scratch) {
    const Value *optimizer = b->r->session->optimizer;
    int first = 2 + b->r->measure_count;
    if (optimizer->kind != V_RECORD) return b->part[first];
    bool *mask = arena_array(b->e.arena, bool, b->r->info->params + 1);
    for (int i = 0; i < optimizer->record->len; i++) {
        Name label = optimizer->record->name[i];
        Value choice = {.kind = V_CHOICE, .choice = label};
        if (value_selection(b->e.arena, &choice)) *scratch = choice;
        else {
            Selection *pattern = arena_new_of(b->e.arena, Selection);
            *pattern = (Selection){.object = {&selection_class}, .kind = SELECT_PARAMS, .pattern = label};
            *scratch = value_object(&pattern->object);
        }
        if (!selection_mask(&b->e, scratch, b->r->info, b->r->span, mask)) return NULL;
        if (mask[param]) return b->part[first + i];
    }
    diag_add(b->e.diags, D_E0606, b->r->span, "no optimizer is given for %s", b->r->info->param[param].path);
    return NULL;
}

/* The new value of one learned parameter: optimizer(w, g). */
static bool build_update(Build *b, int param, Val w, Val g) {
    Value scratch, result;
    const Value *optimizer = build_optimizer(b, param, &scratch);
    if (!optimizer) return false;
    Graph *graph = b->trace->graph;
    NodeType type = graph_type(graph, w);
    if (!g) g = graph_broadcast(graph, graph_const(graph, type.dtype, 0), type.shape);
    Value args[2] = {{.kind = V_NODE, .node = w}, {.kind = V_NODE, .node = g}};
    Val next;
    const char *path = arena_printf(b->arena, "optimizer/%s", b->r->info->param[param].path);
    if (!trace_call(&b->e, b->trace, path, optimizer, args, 2, b->r->span, &result)
        || !value_as_node(&b->e, &result, b->r->span, &next))
        return false;
    next = graph_cast(graph, next, type.dtype);
    NodeType after = graph_type(graph, next);
    if (!shape_equal(&after.shape, &type.shape) || after.batched) {
        diag_add(b->e.diags, D_E0409, b->r->span, "the optimizer's result has another shape than %s",
                 b->r->info->param[param].path);
        return false;
    }
    for (int i = 0; i < b->trace->params.len; i++)
        if (b->trace->params.at[i].node == w) graph_output(graph, OUT_BLOCK, i, b->trace->params.at[i].path, next);
    return true;
}

/* clip: the gradients times min(1, clip / norm), norm = sqrt of the sum of squares of all of them: SUM over each
 * parameter's elements, these added in the order of the parameters. */
static void build_clip(Build *b, Val *grad, int n) {
    Graph *g = b->trace->graph;
    DType dtype = b->r->info->precision;
    Val total = 0;
    for (int i = 0; i < n; i++) {
        if (!grad[i]) continue;
        int rank = graph_node(g, grad[i])->shape.rank;
        Val square = graph_2(g, G_MUL, grad[i], grad[i]);
        Val sum = rank ? graph_reduce(g, G_SUM, square, (1u << rank) - 1) : square;
        total = total ? graph_2(g, G_ADD, total, sum) : sum;
    }
    if (!total) return;
    Val norm = graph_1(g, G_SQRT, total), bound = graph_cast(g, b->clip, dtype);
    Val scale = graph_2(g, G_MIN, graph_const(g, dtype, 1), graph_2(g, G_DIV, bound, norm));
    for (int i = 0; i < n; i++)
        if (grad[i]) grad[i] = graph_2(g, G_MUL, grad[i], scale);
}

static bool build_gradient(Build *b, Val loss, int net_params) {
    const PlanRequest *r = b->r;
    Graph *g = b->trace->graph;
    Val *wrt = arena_array(b->arena, Val, net_params + 1), *grad = arena_array(b->arena, Val, net_params + 1);
    int *param = arena_array(b->arena, int, net_params + 1), n = 0;
    for (int i = 0; i < net_params; i++) {
        int k = net_param_index(r->info, b->trace->params.at[i].path);
        if (k < 0 || !r->learn[k]) continue;
        param[n] = k;
        wrt[n++] = b->trace->params.at[i].node;
    }
    Val seed = graph_2(g, G_DIV, graph_const(g, r->info->precision, 1), batch_size(b));
    if (!pass_grad_held(g, loss, seed, wrt, n, b->held, grad, b->e.diags)) return false;
    if (b->clip) build_clip(b, grad, n);
    for (int i = 0; i < n; i++)
        if (!build_update(b, param[i], wrt[i], grad[i])) return false;
    return true;
}

static bool build_boxes(Build *b) {
    trace_boxes(&b->e, b->trace);
    for (int i = 0; i < b->trace->params.len; i++) {
        const ParamInfo *p = &b->trace->params.at[i];
        size_t length = strlen(p->path);
        bool box = p->state && p->next && length > 4 && strcmp(p->path + length - 4, ".box") == 0;
        if (box) graph_output(b->trace->graph, OUT_BLOCK, i, p->path, p->next);
    }
    return true;
}

static AttackSite attack_site(const Build *b, const Value *fn, const Affine *affine) {
    const PlanRequest *r = b->r;
    return (AttackSite){.fn = fn, .affine = affine, .lo = r->raw_lo, .hi = r->raw_hi, .x = b->seen, .out = b->out,
                        .target = b->target, .span = r->span};
}

/* Training against an attack: the output and the states that the net gives on the attacked input. */
static bool build_attacked(Build *b) {
    const PlanRequest *r = b->r;
    Graph *g = b->trace->graph;
    Val raw;
    if (!r->session->against) return true;
    AttackSite *site = arena_new_of(b->arena, AttackSite);
    *site = attack_site(b, r->session->against, r->affine);
    trace_boxes(&b->e, b->trace);
    b->e.trace = b->trace;
    int states = b->trace->params.len;
    if (!against_trace(&b->e, site, &raw, &b->held)) return false;
    b->clean = b->out;
    b->out = graph_substitute(g, b->seen, b->held, b->out);
    for (int i = 0; i < states; i++) {
        ParamInfo *p = &b->trace->params.at[i];
        if (p->next) p->next = graph_substitute(g, b->seen, b->held, p->next);
    }
    return true;
}

/* trades: the loss without the attack, and beta times the divergence of the attacked output from the other. */
static bool build_trades(Build *b, Val *loss) {
    const SessionSpec *s = b->r->session;
    if (!against_is_trades(s)) return true;
    Val attacked = b->out;
    b->out = b->clean;
    bool ok = build_per_example(b, b->part[1], loss);
    b->out = attacked;
    b->e.trace = b->trace;
    Value lifted = trace_lift(&b->e, b->trace, s->against), fn, args[2], parts[2];
    if (!ok || !library_value(&b->e, "softmax", &fn)) return false;
    args[0] = trace_value(b->clean);
    if (!trace_call(&b->e, b->trace, "trades", &fn, args, 1, b->r->span, &args[1]) || !library_value(&b->e, "kl", &fn))
        return false;
    args[0] = trace_value(attacked);
    if (!trace_call(&b->e, b->trace, "trades", &fn, args, 2, b->r->span, &parts[1])) return false;
    parts[0] = lifted.callable->settings[against_setting(&lifted, "beta")];
    b->e.trace = b->trace;
    if (!eval_op(&b->e, G_MUL, parts, 2, b->r->span, &parts[1])) return false;
    parts[0] = trace_value(*loss);
    return eval_op(&b->e, G_ADD, parts, 2, b->r->span, &parts[0]) && value_as_node(&b->e, &parts[0], b->r->span, loss);
}

static bool build_training(Build *b) {
    const PlanRequest *r = b->r;
    Graph *g = b->trace->graph;
    int net_params = b->trace->params.len;
    Val loss, each;
    if (!build_attacked(b) || !build_per_example(b, b->part[1], &loss) || !build_trades(b, &loss)) return false;
    bool in_loop = r->examples > 0 && r->info->same_in_training && !r->session->augments && !b->held;
    graph_output(g, OUT_SERIES, 0, "train_loss", batch_total(b, loss, in_loop));
    b->plan->loss_series = in_loop;
    b->plan->series = 1;
    if (r->accuracy)
        graph_output(g, OUT_SERIES, b->plan->series++, "train_accuracy", batch_total(b, build_accuracy(b), in_loop));
    for (int i = 0; i < r->measure_count; i++) {
        if (!build_per_example(b, b->part[2 + i], &each)) return false;
        graph_output(g, OUT_SERIES, b->plan->series++, "measure", batch_total(b, each, in_loop));
    }
    if (!build_gradient(b, graph_cast(g, loss, r->info->precision), net_params)) return false;
    if (!b->held) trace_boxes(&b->e, b->trace);
    for (int i = 0; i < b->trace->params.len; i++) {
        const ParamInfo *p = &b->trace->params.at[i];
        if (p->state && p->next) graph_output(g, OUT_BLOCK, i, p->path, p->next);
    }
    return true;
}

/* slope(y, target, aim) and its gradient by the input, as rows. */
static bool build_slope(Build *b, Val *value, Val *gradient) {
    Graph *g = b->trace->graph;
    Val aim = graph_input(g, IN_ROWS, 2, "aim", row_type(&b->r->y, b->r->info->precision));
    trace_mark_classes(b->trace, aim, b->r->y.classes);
    Value args[3] = {trace_value(b->out), trace_value(b->target), trace_value(aim)}, result;
    const Value *fn = b->part[b->parts - 1];
    if (!trace_call(&b->e, b->trace, "attack", fn, args, callable_arity(&b->e, fn) == 3 ? 3 : 2, b->r->span, &result))
        return false;
    b->e.trace = b->trace;
    return value_as_node(&b->e, &result, b->r->span, value) &&
           pass_grad(g, *value, 0, &b->x, 1, gradient, b->e.diags) && *gradient;
}

/* One row: for each call of the cell, all its first arguments, then all its second ones. */
static Val build_uses(Build *b) {
    Graph *g = b->trace->graph;
    const CellUse *uses;
    int n = trace_uses(b->trace, b->r->uses, &uses), parts = 0;
    Val *part = arena_array(b->arena, Val, 3 * n + 1);
    b->plan->use_size = arena_array(b->arena, int64_t, n + 1);
    b->plan->uses = n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < uses[i].n; j++) {
            NodeType type = graph_type(g, uses[i].x[j]);
            int64_t size = shape_size(&type.shape);
            Val x = graph_reshape(g, uses[i].x[j], shape_of(1, size));
            if (!type.batched)
                x = graph_add(g, G_BROADCAST, &x, 1, NULL, &(NodeType){type.dtype, shape_of(1, size), true},
                              b->r->span);
            part[parts++] = x;
            b->plan->use_arity = uses[i].n;
            b->plan->use_size[i] = size;
        }
    return parts > 1 ? graph_add(g, G_CONCAT, part, parts, &(Attr){.axis = 0}, NULL, b->r->span)
           : parts   ? part[0]
                     : b->out;
}

/* What an own attack makes of the given inputs. */
static bool build_changed(Build *b, Val *raw) {
    AttackSite *site = arena_new_of(b->arena, AttackSite);
    Val seen;
    *site = attack_site(b, b->r->attacker, b->r->raw ? b->r->affine : NULL);
    site->raw = b->x;
    return against_trace(&b->e, site, raw, &seen);
}

static bool build_evaluation(Build *b) {
    const PlanRequest *r = b->r;
    Graph *g = b->trace->graph;
    Val out[9];
    int n = 0;
    if (r->slope) {
        if (!build_slope(b, &out[1], &out[2])) return false;
        out[0] = b->out;
        n = 3;
    }
    if (r->uses) out[n++] = build_uses(b);
    if (r->attacker && !build_changed(b, &out[n++])) return false;
    if (r->outputs && !r->slope) out[n++] = b->out;
    if (r->accuracy) out[n++] = build_accuracy(b);
    if (r->answer) out[n++] = graph_1(g, G_ARGMAX, b->out);
    for (int i = 0; i < r->measure_count; i++, n++)
        if (!build_per_example(b, b->part[1 + i], &out[n])) return false;
    for (int i = 0; i < n; i++) {
        NodeType type = graph_type(g, out[i]);
        if (!type.batched)
            out[i] = graph_add(g, G_BROADCAST, &out[i], 1, NULL, &(NodeType){type.dtype, type.shape, true}, r->span);
        b->plan->row_type[i] = (DType)type.dtype;
        b->plan->row_shape[i] = type.shape;
        graph_output(g, OUT_ROWS, i, "row", out[i]);
    }
    b->plan->rows = n;
    return true;
}

static bool build_outputs(Build *b) {
    if (b->r->boxes) return build_boxes(b);
    return b->r->session ? build_training(b) : build_evaluation(b);
}

/* ---- slots, settings and code ---- */

static bool plan_slots(Build *b, BlockLayout *layout) {
    const NetInfo *info = b->r->info;
    TrainPlan *plan = b->plan;
    plan->slots = b->trace->params.len;
    plan->slot_of_param = arena_array(b->arena, int, info->params + 1);
    plan->is_optimizer = arena_array(b->arena, bool, plan->slots + 1);
    plan->start = arena_array(b->arena, double, plan->slots + 1);
    for (int i = 0; i < info->params; i++) plan->slot_of_param[i] = -1;
    Slot *slot = arena_array(b->arena, Slot, plan->slots + 1);
    for (int i = 0; i < plan->slots; i++) {
        const ParamInfo *p = &b->trace->params.at[i];
        slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
        int k = net_param_index(info, p->path);
        if (k >= 0) { plan->slot_of_param[k] = i; continue; }
        plan->is_optimizer[i] = true;
        if (p->initial.kind == V_INT) plan->start[i] = (double)p->initial.integer;
        else if (p->initial.kind == V_REAL) plan->start[i] = p->initial.real;
        else if (p->initial.kind == V_TENSOR && shape_size(&p->initial.tensor->shape)) {
            const Tensor *t = p->initial.tensor;                    /* zeros(w.shape), ones(...): all equal */
            plan->start[i] = t->dtype == DT_F64   ? *(double *)t->data
                             : t->dtype == DT_F32 ? *(float *)t->data
                                                  : *(int32_t *)t->data;
        }
    }
    block_layout(slot, plan->slots, layout);
    return true;
}

static void owner_free(void *code) { code_free(code); }

static Code *compile(const Lab *lab, Arena *arena, const Lowered *lowered, bool quick, const char **error) {
    const LabOptions *options = &lab->options;
    CodeOptions code = options->code;
    if (quick) code.opt_level = 0;
    code.neuron = lowered->neuron && !lowered->trials;
    return options->backend == BACKEND_C
               ? code_from_c(arena, lowered->module, options->c_compiler, options->c_folder, error)
               : code_jit(arena, lowered->module, &code, error);
}

static const KernelFn *functions_of(Arena *arena, const Lowered *lowered, const Code *code) {
    KernelFn *fns = arena_array(arena, KernelFn, lowered->module->func.len + 1);
    for (int i = 0; i < lowered->module->func.len; i++) fns[i] = code_function(code, i);
    return fns;
}

static void compile_failed(Eval *e, Span span, const char *error) {
    diag_add(e->diags, D_R0103, span, "cannot compile: %s", error ? error : "unknown reason");
}

/* A neuron's training loop is compiled when a trial first runs by itself: its sweeps run in lanes. */
static Program *plan_compile(Build *b, const Graph *graph, BlockLayout layout) {
    Lab *lab = lab_of(b->r->e);
    const LabOptions *options = &lab->options;
    TrainPlan *plan = b->plan;
    if (options->backend == BACKEND_INTERPRET) return program_interpret(b->arena, graph, layout);
    const char *error = NULL;
    plan->target = (Target){.vector_bytes = 4, .registers = 16};
    Lowered *lowered = NULL;
    Code *code = NULL;
    if (options->backend != BACKEND_JIT || emit_target(&options->code, &plan->target, &error)) {
        lowered = lower(b->arena, pass_needed(b->arena, pass_simplify(b->arena, graph)), layout, b->r->examples,
                        plan->target);
        plan->neuron = lowered->neuron;
        plan->quick = request_quick(b->r);
        if (plan->neuron && b->r->session && options->backend == BACKEND_JIT) {
            plan->lazy = lowered;
            return program_execute(b->arena, lowered, NULL, NULL, NULL);
        }
        code = compile(lab, b->arena, lowered, plan->quick, &error);
    }
    if (code) return program_execute(b->arena, lowered, functions_of(b->arena, lowered, code), code, owner_free);
    compile_failed(b->r->e, b->r->span, error);
    return NULL;
}

Program *lab_program(Eval *e, Arena *arena, const Graph *graph, BlockLayout layout, Span span) {
    const LabOptions *options = &lab_of(e)->options;
    const char *error = NULL;
    Target target = {.vector_bytes = 4, .registers = 16};
    if (options->backend == BACKEND_INTERPRET) return program_interpret(arena, graph, layout);
    if (options->backend != BACKEND_JIT || emit_target(&options->code, &target, &error)) {
        Lowered *lowered = lower(arena, pass_simplify(arena, graph), layout, 0, target);
        Code *code = compile(lab_of(e), arena, lowered, false, &error);
        if (code) return program_execute(arena, lowered, functions_of(arena, lowered, code), code, owner_free);
    }
    compile_failed(e, span, error);
    return NULL;
}

bool plan_ready(Eval *e, TrainPlan *plan, Span span) {
    Lab *lab = lab_of(e);
    const char *error = NULL;
    double start = training_seconds();
    pthread_mutex_lock(&lab->lock);
    const Lowered *lowered = plan->lazy;
    Code *code = lowered ? compile(lab, plan->arena, lowered, plan->quick, &error) : NULL;
    if (code) {
        program_functions(plan->program, functions_of(plan->arena, lowered, code), code, owner_free);
        plan->lazy = NULL;
    }
    pthread_mutex_unlock(&lab->lock);
    lab_turn(e)->preparing += training_seconds() - start;
    if (lowered && !code) compile_failed(e, span, error);
    return code || !lowered;
}

/* ---- trials in lanes ---- */

void plan_lanes_note(Eval *e, TrainPlan *plan, const double *settings) {
    Lab *lab = lab_of(e);
    size_t size = sizeof *settings * (size_t)plan->settings;
    pthread_mutex_lock(&lab->lock);
    if (!plan->seen) {
        double *seen = arena_array(plan->arena, double, plan->settings + 1);
        memcpy(seen, settings, size);
        plan->seen = seen;
        plan->differs = arena_array(plan->arena, bool, plan->settings + 1);
    }
    for (int i = 0; i < plan->settings; i++)
        plan->differs[i] |= memcmp(&plan->seen[i], &settings[i], sizeof *settings) != 0;
    pthread_mutex_unlock(&lab->lock);
}

static LaneCode *lanes_compile(const Lab *lab, TrainPlan *plan) {
    LaneCode *lanes = arena_new_of(plan->arena, LaneCode);
    bool *slot = arena_array(plan->arena, bool, plan->slots + 1);
    *lanes = (LaneCode){.before = plan->lanes, .setting = arena_array(plan->arena, bool, plan->settings + 1)};
    for (int i = 0; i < plan->slots; i++) slot[i] = !plan->is_optimizer[i];
    memcpy(lanes->setting, plan->differs, sizeof *lanes->setting * (size_t)plan->settings);
    Lanes differ = {slot, lanes->setting, plan->slots, plan->settings};
    lanes->lowered = lower_lanes(plan->arena, plan->program->graph, plan->program->layout, plan->examples, plan->target,
                                 &differ);
    const char *error = NULL;
    lanes->code = lanes->lowered ? compile(lab, plan->arena, lanes->lowered, false, &error) : NULL;
    if (lanes->code) lanes->function = code_function(lanes->code, lanes->lowered->stage[0].func);
    return lanes;
}

const LaneCode *plan_lanes(Eval *e, TrainPlan *plan) {
    Lab *lab = lab_of(e);
    pthread_mutex_lock(&lab->lock);
    bool covers = plan->lanes != NULL;
    for (int i = 0; covers && i < plan->settings; i++) covers = plan->lanes->setting[i] || !plan->differs[i];
    if (!covers) plan->lanes = lanes_compile(lab, plan);
    const LaneCode *lanes = plan->lanes;
    pthread_mutex_unlock(&lab->lock);
    return lanes->code ? lanes : NULL;
}

/* Graph, layout, settings and keys; no code. */
static TrainPlan *plan_build(Build *b, const PlanRequest *r, Arena *arena, BlockLayout *layout) {
    TrainPlan *plan = arena_new_of(arena, TrainPlan);
    plan->arena = arena;
    plan->examples = r->examples;
    plan->per_epoch_setting = plan->total_setting = plan->clip_setting = -1;
    *b = (Build){.r = r, .arena = arena, .plan = plan};
    int before = r->e->diags->errors;
    if (!build_start(b) || !build_outputs(b) || r->e->diags->errors > before || !plan_slots(b, layout))
        return NULL;
    plan->settings = b->trace->settings.len;
    plan->setting = arena_array(arena, double, plan->settings + 1);
    plan->pinned = arena_array(arena, bool, plan->settings + 1);
    plan->keys = b->trace->graph->keys;
    plan->key_names = b->trace->graph->key_names.at;
    for (int i = 0; i < plan->settings; i++) {
        plan->setting[i] = b->trace->settings.at[i].value;
        plan->pinned[i] = b->trace->settings.at[i].pinned;
    }
    return plan;
}

bool plan_graph(const PlanRequest *r, Arena *arena, PlanGraph *out) {
    Build b;
    out->plan = plan_build(&b, r, arena, &out->layout);
    if (!out->plan) return false;
    /* Devices have no loop around stages. */
    bool scans = graph_has_scan(b.trace->graph);
    out->graph = pass_simplify(arena, (scans ? graph_unroll : graph_copy)(arena, b.trace->graph));
    out->plan->program = plan_compile(&b, out->graph, out->layout);
    return out->plan->program != NULL;
}

static void *plan_make(void *data) {
    const PlanRequest *r = data;
    Arena *arena = arena_new();
    Build b;
    BlockLayout layout;
    TrainPlan *plan = plan_build(&b, r, arena, &layout);
    if (plan) plan->program = plan_compile(&b, graph_copy(arena, b.trace->graph), layout);
    if (plan && plan->program) return plan;
    arena_free(arena);
    return NULL;
}

static void *check_make(void *data) {
    const PlanRequest *r = data;
    Arena *arena = arena_new();
    TrainPlan *plan = arena_new_of(arena, TrainPlan);
    plan->per_epoch_setting = plan->total_setting = plan->clip_setting = -1;
    Build b = {.r = r, .arena = arena, .plan = plan};
    int before = r->e->diags->errors;
    bool ok = build_start(&b) && build_outputs(&b) && r->e->diags->errors == before;
    uint64_t *hash = ok ? malloc(sizeof *hash) : NULL;
    if (hash) *hash = graph_hash(graph_copy(arena, b.trace->graph));
    arena_free(arena);
    return hash;
}

/* A graph that was built once without diagnostics is not built again. */
bool plan_check(const PlanRequest *r, uint64_t *hash) {
    Buf key = {0};
    RealList reals = {.arena = r->e->arena};
    buf_text(&key, "check ");
    request_sign(r, &key, &reals);
    const uint64_t *made = cache_get(lab_of(r->e)->families, key.at, key.len, check_make, (void *)(uintptr_t)r);
    buf_free(&key);
    if (made && hash) *hash = *made;
    return made != NULL;
}

void plan_free(TrainPlan *plan) {
    plan->program->free(plan->program);
    for (const LaneCode *lanes = plan->lanes; lanes; lanes = lanes->before) code_free(lanes->code);
    arena_free(plan->arena);
}

/* ---- plans of one signature differ in the values of pinned settings only ---- */

enum { MAX_PINNED = 64 };
typedef struct PlanFamily { int len, index[MAX_PINNED]; } PlanFamily;

static void *family_new(void *data) {
    (void)data;
    return calloc(1, sizeof(PlanFamily));
}

void plan_family_free(void *family) { free(family); }

/* Adds what the plan pinned to the family; false if that was news, so that the key must be made again. */
static bool family_covers(PlanFamily *family, const TrainPlan *plan) {
    bool covers = true;
    for (int i = 0; i < plan->settings; i++) {
        bool known = !plan->pinned[i];
        for (int k = 0; k < family->len; k++) known |= family->index[k] == i;
        if (known || family->len == MAX_PINNED) continue;
        family->index[family->len++] = i;
        covers = false;
    }
    return covers;
}

static TrainPlan *plan_find(const PlanRequest *r, Buf *key, const RealList *reals) {
    Lab *lab = lab_of(r->e);
    size_t signature = key->len;
    PlanFamily *family = cache_get(lab->families, key->at, key->len, family_new, NULL);
    TrainPlan *plan;
    pthread_mutex_lock(&lab->lock);
    do {
        key->len = signature;
        for (int i = 0; i < family->len; i++)
            buf_printf(key, "|%d=%.17g", family->index[i], reals->list.at[family->index[i]]);
        plan = cache_get(lab->plans, key->at, key->len, plan_make, (void *)(uintptr_t)r);
    } while (plan && !family_covers(family, plan));
    pthread_mutex_unlock(&lab->lock);
    return plan;
}

TrainPlan *plan_get(const PlanRequest *r, const double **settings) {
    Buf key = {0};
    RealList reals = {.arena = r->e->arena};
    double start = training_seconds();
    request_sign(r, &key, &reals);
    TrainPlan *plan = plan_find(r, &key, &reals);
    buf_free(&key);
    lab_turn(r->e)->preparing += training_seconds() - start;
    if (plan && settings) {
        double *own = arena_array(r->e->arena, double, plan->settings + 1);
        for (int i = 0; i < plan->settings; i++) own[i] = i < reals.list.len ? reals.list.at[i] : plan->setting[i];
        *settings = own;
    }
    return plan;
}

/* "purpose/path/occurrence" -> the purpose's seed. */
static uint64_t seed_of(const Seeds *seeds, const char *purpose, size_t length) {
    static const char *const name[] = {"init", "order", "dropout", "noise", "augment", "attack", "split"};
    const uint64_t seed[] = {seeds->init,    seeds->order,  seeds->dropout, seeds->noise,
                             seeds->augment, seeds->attack, seeds->split};
    for (int i = 0; i < COUNT(name); i++)
        if (strlen(name[i]) == length && strncmp(name[i], purpose, length) == 0) return seed[i];
    return seeds->noise;
}

const uint64_t *plan_keys(Eval *e, const TrainPlan *plan, const Seeds *seeds, uint32_t session) {
    uint64_t *key = arena_array(e->arena, uint64_t, plan->keys + 1);
    for (int i = 0; i < plan->keys; i++) {
        const char *name = plan->key_names[i], *slash = strchr(name, '/'), *last = strrchr(name, '/');
        size_t length = slash ? (size_t)(slash - name) : strlen(name);
        char *purpose = arena_copy(e->arena, name, length);
        char *path = slash && last > slash ? arena_copy(e->arena, slash + 1, (size_t)(last - slash - 1))
                                           : arena_copy(e->arena, "", 0);
        uint32_t occurrence = last ? (uint32_t)strtoul(last + 1, NULL, 10) : 0;
        key[i] = rng_key(seed_of(seeds, purpose, length), purpose, session, path, occurrence);
    }
    return key;
}
