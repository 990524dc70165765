/* loop.c -- running experiments and tests: loops, turns, threads. */
#include "experiment/training.h"

#include <stdlib.h>
#include <time.h>

enum { MAX_LOOP_NAMES = 16 };

/* ---- the turns of a loop ---- */

typedef struct TurnList { VEC(Value *) at; const Name *name; const int *pattern; int names; } TurnList;

static int pattern_names(const Ast *pattern, Name *names, int n) {
    if (pattern->kind == AST_NAME) {
        if (n < MAX_LOOP_NAMES) names[n++] = pattern->name;
        return n;
    }
    for (int i = 0; i < pattern->list.len; i++) n = pattern_names(pattern->list.args[i].value, names, n);
    return n;
}

static int pattern_values(Eval *e, const Ast *pattern, const Value *value, Value *values, int n) {
    if (pattern->kind == AST_NAME) {
        if (n < MAX_LOOP_NAMES) values[n++] = *value;
        return n;
    }
    ValueList parts;
    if (!eval_elements(e, value, pattern->span, &parts)) return -1;
    if (parts.len != pattern->list.len) {
        diag_add(e->diags, D_E0410, pattern->span, "%d names for a list of %d", pattern->list.len, parts.len);
        return -1;
    }
    for (int i = 0; i < parts.len && n >= 0; i++)
        n = pattern_values(e, pattern->list.args[i].value, &parts.at[i], values, n);
    return n;
}

static bool all_numbers(const ValueList *list) {
    for (int i = 0; i < list->len; i++)
        if (list->at[i].kind != V_INT && list->at[i].kind != V_REAL) return false;
    return true;
}

/* Every combination of the iterators from k on; later ones may use earlier names.  In check mode a list of numbers is
 * visited at its first element. */
static bool turns_list(Eval *e, const Ast *loop, int k, Scope *scope, Value *values, int n, TurnList *out) {
    if (k == loop->loop.len) {
        Value *copy = arena_array(e->arena, Value, n + 1);
        memcpy(copy, values, sizeof *values * (size_t)n);
        vec_push(e->arena, &out->at, copy);
        return true;
    }
    const AstIterator *it = &loop->loop.iterators[k];
    Value in;
    ValueList list;
    if (!eval_expr(e, it->in, scope, &in)) return false;
    if (in.kind == V_ABSTRACT) {
        diag_add(e->diags, D_E0411, it->in->span, "a loop runs over a list that is known before");
        return false;
    }
    if (!eval_elements(e, &in, it->in->span, &list)) return false;
    int len = e->mode == EVAL_CHECK && list.len > 1 && all_numbers(&list) ? 1 : list.len;
    for (int i = 0; i < len; i++) {
        Scope *inner = scope_new(e->arena, scope, SCOPE_TURN);
        int m = pattern_values(e, it->pattern, &list.at[i], values, n);
        if (m < 0 || !eval_pattern(e, it->pattern, &list.at[i], inner)) return false;
        if (!turns_list(e, loop, k + 1, inner, values, m, out)) return false;
    }
    return true;
}

static bool loop_turns(Eval *e, const Ast *loop, Scope *scope, TurnList *out) {
    *out = (TurnList){0};
    Name names[MAX_LOOP_NAMES];
    Value values[MAX_LOOP_NAMES];
    int *pattern = arena_array(e->arena, int, MAX_LOOP_NAMES);
    for (int i = 0; i < loop->loop.len; i++) {
        int before = out->names;
        out->names = pattern_names(loop->loop.iterators[i].pattern, names, before);
        for (int k = before; k < out->names; k++) pattern[k] = i;
    }
    out->pattern = pattern;
    Name *copy = arena_array(e->arena, Name, out->names + 1);
    memcpy(copy, names, sizeof *names * (size_t)out->names);
    out->name = copy;
    return turns_list(e, loop, 0, scope, values, 0, out);
}

/* ---- one turn ---- */

static bool turn_run(Eval *e, const Ast *loop, Scope *scope, const TurnList *list, int i, Turn *turn) {
    Scope *inner = scope_new(e->arena, scope, SCOPE_TURN);
    for (int k = 0; k < list->names; k++) scope_bind(inner, list->name[k], &list->at.at[i][k], loop->span);
    turn->name = list->name;
    turn->value = list->at.at[i];
    turn->names = list->names;
    turn->pattern = list->pattern;
    LabTurn here = *lab_turn(e);
    here.turn = turn;
    void *before = e->lab;
    e->lab = &here;
    Value ignored;
    bool ok = eval_block(e, loop->loop.body, inner, &ignored);
    e->lab = before;
    return ok;
}

/* A turn that has ended: its rows settle, and its memory goes unless something still points into it. */
static Row **turn_settle(Experiment *x, Turn *turn, int *rows) {
    pthread_mutex_lock(&x->lock);
    Row **settled = arena_array(x->arena, Row *, turn->rows.len + 1);
    *rows = turn->rows.len;
    for (int k = 0; k < turn->rows.len; k++) settled[k] = row_settle(x, turn->rows.at[k]);
    if (turn->keeps) vec_push(x->arena, &x->kept, turn->arena);
    pthread_mutex_unlock(&x->lock);
    if (!turn->keeps) arena_free(turn->arena);
    return settled;
}

/* May what a turn inside a turn has computed go?  Its own rows are copied out; runs, messages, and what is no plain
 * value stay. */
static bool inner_settle(const Eval *e, const Turn *turn, int messages) {
    bool plain = !turn->keeps && !turn->runs.len && e->diags->list.len == messages;
    for (int k = 0; plain && k < turn->rows.len; k++) {
        Row *row = turn->rows.at[k];
        plain = row->turn == turn;
        for (int i = 0; plain && i < row->set->keys; i++) row->key[i] = value_keep(turn->arena, &row->key[i], &plain);
        for (int i = 0; plain && i < row->set->columns; i++)
            row->column[i] = value_keep(turn->arena, &row->column[i], &plain);
    }
    return plain;
}

/* One turn inside a turn, in memory that goes when it ends, unless something still points into it. */
static bool inner_run(Eval *e, const Ast *loop, Scope *scope, const TurnList *list, int i, Turn *turn) {
    if (e->mode == EVAL_CHECK) return turn_run(e, loop, scope, list, i, turn);
    Arena *around = e->arena, *own = arena_new();
    int messages = e->diags->list.len;
    e->arena = own;
    bool ok = turn_run(e, loop, scope, list, i, turn);
    e->arena = around;
    if (ok && inner_settle(e, turn, messages)) arena_free(own);
    else arena_join(around, own);
    return ok;
}

/* Turns inside a turn, or in check mode: one after the other. */
static bool loop_inline(Eval *e, const Ast *loop, Scope *scope, const TurnList *list) {
    Turn *outer = lab_turn(e)->turn;
    bool ok = true;
    for (int i = 0; i < list->at.len && (ok || e->mode == EVAL_CHECK); i++) {
        Turn *turn = arena_new_of(outer->arena, Turn);
        *turn = (Turn){.outer = outer, .experiment = outer->experiment, .arena = outer->arena, .number = outer->number};
        ok &= inner_run(e, loop, scope, list, i, turn);
        for (int k = 0; k < turn->rows.len; k++) vec_push(e->arena, &outer->rows, turn->rows.at[k]);
        outer->keeps |= turn->keeps;
    }
    return ok;
}

/* ---- turns of the outermost loop, on threads ---- */

enum { GROUP = 32, SAMPLES = 48 };               /* turns whose trainings go side by side; turns looked at before */

typedef struct LoopWork {
    Eval *e; const Ast *loop; Scope *scope; const TurnList *list; Turn *turn; Diags *diags; bool *ok; Experiment *x;
        bool parallel;
    int *number, mine;                            /* the turns that this shard runs */
    int *order;                                   /* in which groups of them begin */
    Row ***settled; int *rows;                    /* by turn: its rows, settled */
    volatile bool stop;
} LoopWork;
/* One turn under way. */
typedef struct TurnWork { Eval e; LabTurn here; LaneTrial *trial; int i; } TurnWork;

bool lab_interrupted(const Lab *lab) {
    return lab->options.interrupted && lab->options.interrupted(lab->options.interrupted_data);
}

static void turn_open(LoopWork *w, int i, TurnWork *t) {
    Turn *turn = &w->turn[i];
    turn->arena = arena_new();
    diags_init(&w->diags[i], turn->arena, w->e->diags->sources);
    *t = (TurnWork){.e = *w->e, .here = *lab_turn(w->e), .i = i};
    t->e.arena = turn->arena;
    t->e.diags = &w->diags[i];
    t->here.pool = w->parallel ? NULL : t->here.pool;
    t->here.keep = turn->arena;
    t->e.lab = &t->here;
}

/* What a turn has said outlives its memory. */
static void turn_said(LoopWork *w, int i) {
    Diags kept;
    diags_init(&kept, w->x->arena, w->e->diags->sources);
    pthread_mutex_lock(&w->x->lock);
    diags_take(&kept, &w->diags[i]);
    pthread_mutex_unlock(&w->x->lock);
    w->diags[i] = kept;
}

static void turn_close(LoopWork *w, TurnWork *t) {
    int i = t->i;
    w->ok[i] = turn_run(&t->e, w->loop, w->scope, w->list, i, &w->turn[i]);
    if (!w->ok[i] || lab_interrupted(w->x->lab)) w->stop = true;
    turn_said(w, i);
    w->settled[i] = turn_settle(w->x, &w->turn[i], &w->rows[i]);
    if (w->ok[i]) experiment_progress(w->x);
}

static void loop_work(void *data, int thread, int64_t i) {
    LoopWork *w = data;
    TurnWork t;
    (void)thread;
    if (w->stop) return;
    turn_open(w, w->number[i], &t);
    turn_close(w, &t);
}

static void loop_work_rest(void *data, int thread, int64_t i) { loop_work(data, thread, i + 1); }

/* The turn up to its first training; what it has recorded and said is forgotten. */
static bool turn_look(LoopWork *w, TurnWork *t) {
    Turn *turn = &w->turn[t->i];
    t->here.trial = t->trial = lane_trial_new(turn->arena);
    turn_run(&t->e, w->loop, w->scope, w->list, t->i, turn);
    if (w->diags[t->i].list.len) lanes_said(t->trial);
    diags_discard(&w->diags[t->i], 0);
    turn->rows.len = turn->runs.len = 0;
    turn->keeps = false;
    return lanes_offered(t->trial);
}

/* Turns spread over the loop: do their trainings go in lanes, and in what do they differ? */
static bool loop_sample(LoopWork *w) {
    int samples = w->mine < SAMPLES ? w->mine : SAMPLES;
    bool suits = w->mine > 1 && lanes_suit(w->x, w->loop);
    for (int k = 0; suits && k < samples; k++) {
        TurnWork t;
        turn_open(w, w->number[samples > 1 ? (int64_t)k * (w->mine - 1) / (samples - 1) : 0], &t);
        suits = turn_look(w, &t) || k > 0;
        arena_free(w->turn[t.i].arena);
        w->turn[t.i].arena = NULL;
    }
    return suits;
}

static void loop_group(void *data, int thread, int64_t group) {
    LoopWork *w = data;
    TurnWork t[GROUP];
    LaneTrial *trial[GROUP] = {0};
    int first = (int)group * GROUP, n = w->mine - first < GROUP ? w->mine - first : GROUP;
    (void)thread;
    if (w->stop) return;
    for (int k = 0; k < n; k++) {
        turn_open(w, w->number[first + k], &t[k]);
        turn_look(w, &t[k]);
        trial[k] = t[k].trial;
    }
    lanes_train(&t[0].e, trial, n);
    for (int k = 0; k < n; k++) {
        if (!w->stop) {
            turn_close(w, &t[k]);
            continue;
        }
        arena_free(w->turn[t[k].i].arena);
        w->turn[t[k].i].arena = NULL;
    }
}

static void loop_group_rest(void *data, int thread, int64_t i) {
    LoopWork *w = data;
    loop_group(w, thread, w->order[i]);
}

/* The groups but the first; some from all over the loop come early, so that threads compile different programs. */
static int groups_order(LoopWork *w) {
    static const int early[] = {4, 2, 6, 1, 3, 5, 7};
    int groups = (w->mine + GROUP - 1) / GROUP, n = 0;
    bool *taken = arena_array(w->e->arena, bool, groups + 1);
    w->order = arena_array(w->e->arena, int, groups + 1);
    for (int k = 0; k < COUNT(early); k++) {
        int group = (int)((int64_t)early[k] * groups / (COUNT(early) + 1));
        if (group && !taken[group]) w->order[n++] = group;
        taken[group] = true;
    }
    for (int group = 1; group < groups; group++)
        if (!taken[group]) w->order[n++] = group;
    return n;
}

/* The first turns alone tell whether trainings use the threads themselves. */
static void loop_run(LoopWork *w) {
    Experiment *x = w->x;
    if (!w->mine) return;
    bool lanes = loop_sample(w);
    if (lanes) loop_group(w, 0, 0);
    else loop_work(w, 0, 0);
    w->parallel = pool_threads(x->lab->pool) > 1 && !x->measures_time && !x->wide;
    Pool *pool = w->parallel ? x->lab->pool : NULL;
    if (lanes) pool_each(pool, groups_order(w), loop_group_rest, w);
    else pool_each(pool, w->mine - 1, loop_work_rest, w);
}

static int shard_turns(const Lab *lab, Arena *arena, int n, int **out) {
    int shards = lab->options.shards ? lab->options.shards : 1,
        first = lab->options.shards ? lab->options.shard - 1 : 0, mine = 0;
    *out = arena_array(arena, int, n + 1);
    for (int i = first; i < n; i += shards) (*out)[mine++] = i;
    return mine;
}

static bool loop_parallel(Eval *e, const Ast *loop, Scope *scope, const TurnList *list) {
    Turn *outer = lab_turn(e)->turn;
    Experiment *x = outer->experiment;
    int n = list->at.len;
    LoopWork w = {.e = e, .loop = loop, .scope = scope, .list = list, .x = x};
    w.turn = arena_array(e->arena, Turn, n + 1);
    w.diags = arena_array(e->arena, Diags, n + 1);
    w.ok = arena_array(e->arena, bool, n + 1);
    w.settled = arena_array(e->arena, Row **, n + 1);
    w.rows = arena_array(e->arena, int, n + 1);
    for (int i = 0; i < n; i++) w.turn[i] = (Turn){.outer = outer, .experiment = x, .number = x->numbered + i};
    x->numbered += n;
    w.mine = shard_turns(x->lab, e->arena, n, &w.number);
    x->turns += w.mine;
    loop_run(&w);
    bool ok = true;
    for (int k = 0; k < w.mine; k++) {
        int i = w.number[k];
        Turn *turn = &w.turn[i];
        if (!turn->arena) { ok = false; continue; }                      /* never begun: stopped */
        ok &= w.ok[i];
        diags_take(e->diags, &w.diags[i]);
        for (int r = 0; r < w.rows[i]; r++) row_add(x, w.settled[i][r]);
    }
    return ok;
}

bool lab_loop(Eval *e, const Ast *loop, Scope *scope) {
    LabTurn *here = e->lab;
    TurnList list;
    if (!loop_turns(e, loop, scope, &list)) return false;
    if (!here || !here->turn) {                                          /* a `for` in a test */
        bool ok = true;
        for (int i = 0; i < list.at.len && ok; i++) {
            Scope *inner = scope_new(e->arena, scope, SCOPE_BLOCK);
            for (int k = 0; k < list.names; k++) scope_bind(inner, list.name[k], &list.at.at[i][k], loop->span);
            Value ignored;
            ok = eval_block(e, loop->loop.body, inner, &ignored);
        }
        return ok;
    }
    bool outermost = !here->turn->outer && e->mode == EVAL_RUN;
    return outermost ? loop_parallel(e, loop, scope, &list) : loop_inline(e, loop, scope, &list);
}

/* ---- experiments ---- */

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Does the text use what the clock says? */
static void find_measured(void *data, Ast *node) {
    bool *found = data;
    if (node->kind == AST_SELECT && strcmp(node->select.field, "seconds") == 0) *found = true;
    if (node->kind == AST_NAME && strcmp(node->name, "time_per_call") == 0) *found = true;
    if (!*found) ast_children(node, find_measured, data);
}

bool ast_measures_time(const Ast *ast) {
    bool found = false;
    find_measured(&found, (Ast *)(uintptr_t)ast);
    return found;
}

static Experiment *experiment_new(Lab *lab, Arena *arena, LoadedModule *module, const Ast *ast) {
    Experiment *x = arena_new_of(arena, Experiment);
    *x = (Experiment){.lab = lab, .arena = arena, .module = module, .ast = ast, .name = ast->experiment.name,
                      .started = seconds_now()};
    pthread_mutex_init(&x->lock, NULL);
    x->measures_time = ast_measures_time(ast->experiment.body);
    return x;
}

/* Rows recorded outside all loops, before a table or figure looks for them. */
void loop_flush(Experiment *x, Turn *turn) {
    for (int i = 0; i < turn->rows.len; i++) row_add(x, row_settle(x, turn->rows.at[i]));
    turn->rows.len = 0;
}

static bool experiment_body(Eval *e, Experiment *x, const Name *names, const Value *values, int n) {
    Turn *top = arena_new_of(e->arena, Turn);
    *top = (Turn){.experiment = x, .arena = e->arena, .keeps = true, .number = -1};
    LabTurn here = {.lab = x->lab, .pool = x->lab->pool, .keep = e->arena, .turn = top};
    e->lab = &here;
    Scope *scope = eval_experiment_scope(e, x->module->scope, x->ast, names, values, n);
    Value ignored;
    bool ok = scope && eval_block(e, x->ast->experiment.body, scope, &ignored);
    loop_flush(x, top);
    e->lab = NULL;
    return ok;
}

bool lab_check(Eval *e, LoadedModule *module, const Ast *ast) {
    Lab *lab = e->session->lab.state;
    if (ast->kind == AST_EXPERIMENT) {
        Experiment *x = experiment_new(lab, e->arena, module, ast);
        bool ok = experiment_body(e, x, NULL, NULL, 0);
        pthread_mutex_destroy(&x->lock);
        return ok;
    }
    LabTurn here = {.lab = lab, .keep = e->arena};
    e->lab = &here;
    Value ignored;
    bool ok = eval_block(e, ast->test.body, scope_new(e->arena, module->scope, SCOPE_TEST), &ignored);
    e->lab = NULL;
    return ok;
}

bool experiment_run(Lab *lab, LoadedModule *module, const Ast *ast, const Name *names, const Value *values, int n) {
    Arena *arena = arena_new();
    Experiment *x = experiment_new(lab, arena, module, ast);
    Eval e;
    eval_init(&e, lab->session, arena, &lab->session->diags, EVAL_RUN);
    lab->experiment = x;
    x->settings = arena_array(arena, Field, n + 1);
    for (int i = 0; i < n; i++) x->settings[x->setting_count++] = (Field){names[i], value_datum(arena, &values[i])};
    bool opened = experiment_open(x, &e), ok = opened && experiment_body(&e, x, names, values, n);
    if (x->rows) ok &= records_write(x, &e);
    if (opened) ok &= experiment_close(x, &e);
    lab->experiment = NULL;
    /* diagnostics point into the arenas: they are the session's to show before the lab goes */
    lab_adopt(lab, arena);
    for (int i = 0; i < x->kept.len; i++) lab_adopt(lab, x->kept.at[i]);
    pthread_mutex_destroy(&x->lock);
    return ok && !lab_interrupted(lab);
}

bool test_run(Lab *lab, LoadedModule *module, const Ast *ast) {
    Arena *arena = arena_new();
    Eval e;
    eval_init(&e, lab->session, arena, &lab->session->diags, EVAL_RUN);
    LabTurn here = {.lab = lab, .pool = lab->pool, .keep = arena};
    e.lab = &here;
    int before = lab->session->diags.errors;
    Value ignored;
    bool ok = eval_block(&e, ast->test.body, scope_new(arena, module->scope, SCOPE_TEST), &ignored);
    lab_adopt(lab, arena);
    return ok && lab->session->diags.errors == before;
}
