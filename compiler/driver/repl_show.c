/* repl_show.c -- values of the prompt for people: in full where they are small, their shape and ends where not.
 *
 * Cells show as their formula, nets as the table of their parameters, runs with the course of their curves; numbers,
 * lists and tensors are cut to a few lines of the terminal. */
#include "driver/repl_parts.h"

#include <ctype.h>
#include <math.h>

#include "driver/inspect.h"
#include "experiment/experiment.h"
#include "sema/strategy.h"
#include "report/terminal.h"

enum { MOST_ITEMS = 6, MOST_LINES = 8 };

int text_columns(const char *text, size_t length)
{
    int n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* Cuts a line at the terminal's width. */
static void put_line(Repl *repl, Buf *line)
{
    int room = repl->options.width, n = 0;
    size_t cut = line->len;
    if (text_columns(line->at, line->len) > room) {
        for (size_t i = 0; i < line->len; i++)
            if (((unsigned char)line->at[i] & 0xC0) != 0x80 && n++ == room - 1) {
                cut = i;
                break;
            }
    }
    repl_say(repl, "%.*s%s\n", (int)cut, line->at ? line->at : "", cut < line->len ? "…" : "");
    buf_free(line);
}

/* Breaks a long text at blanks: at most MOST_LINES lines. */
static void put_wrapped(Repl *repl, Buf *text)
{
    buf_put(text, "", 1);
    const char *at = text->at;
    for (int line = 0; *at; line++) {
        size_t n = text_line(at, repl->options.width);
        bool last = line == MOST_LINES - 1 && at[n];
        repl_say(repl, "%.*s%s\n", (int)n, at, last ? " …" : "");
        if (last)
            break;
        at += n + strspn(at + n, " ");
    }
    buf_free(text);
}

/* ---- numbers, lists, tensors: shortened ---- */

static void short_value(const Value *value, int depth, Buf *out);

static void tensor_part(const Tensor *t, int axis, int64_t *at, Buf *out)
{
    if (axis == t->shape.rank) {
        Tensor one = {t->dtype, SHAPE0, (char *)t->data + (size_t)*at * dtype_size(t->dtype)};
        value_show(&(Value){.kind = V_TENSOR, .tensor = &one}, out);
        (*at)++;
        return;
    }
    int64_t n = t->shape.dim[axis], inner = 1;
    for (int i = axis + 1; i < t->shape.rank; i++)
        inner *= t->shape.dim[i];
    buf_text(out, "[");
    for (int64_t i = 0; i < n; i++) {
        if (n > MOST_ITEMS && i == MOST_ITEMS / 2) {
            buf_text(out, ", …");
            *at += (n - MOST_ITEMS) * inner;
            i = n - MOST_ITEMS / 2;
        }
        if (i)
            buf_text(out, ", ");
        tensor_part(t, axis + 1, at, out);
    }
    buf_text(out, "]");
}

static void short_list(const ValueList *list, int depth, Buf *out)
{
    buf_text(out, "[");
    for (int i = 0; i < list->len; i++) {
        if (list->len > MOST_ITEMS && i == MOST_ITEMS / 2) {
            buf_text(out, ", …");
            i = list->len - MOST_ITEMS / 2;
        }
        if (i)
            buf_text(out, ", ");
        short_value(&list->at[i], depth + 1, out);
    }
    buf_text(out, "]");
}

static void short_record(const ValueRecord *record, int depth, Buf *out)
{
    buf_text(out, "{ ");
    for (int i = 0; i < record->len; i++) {
        buf_printf(out, "%s%s: ", i ? ", " : "", record->name[i]);
        short_value(&record->at[i], depth + 1, out);
    }
    buf_text(out, " }");
}

static void short_value(const Value *value, int depth, Buf *out)
{
    int64_t at = 0;
    if (value->kind == V_TENSOR && shape_size(&value->tensor->shape))
        tensor_part(value->tensor, 0, &at, out);
    else if (value->kind == V_LIST)
        short_list(value->list, depth, out);
    else if (value->kind == V_RECORD && value->record->len && depth < 4)
        short_record(value->record, depth, out);
    else
        value_show(value, out);
}

static void list_size(const Value *value, Buf *out)
{
    if (value->kind == V_TENSOR) {
        buf_text(out, dtype_name(value->tensor->dtype));
        shape_print(&value->tensor->shape, out);
    } else {
        buf_printf(out, "%d elements", value->list->len);
    }
}

static void show_plain(Repl *repl, const Value *value)
{
    Buf whole = {0}, small = {0};
    int64_t size = value->kind == V_TENSOR ? shape_size(&value->tensor->shape)
                   : value->kind == V_LIST ? value->list->len
                                           : 0;
    if (size <= 1000)
        value_show(value, &whole);
    if (size <= 1000 && text_columns(whole.at, whole.len) <= 2 * repl->options.width) {
        put_wrapped(repl, &whole);
        return;
    }
    buf_free(&whole);
    if (size) {
        list_size(value, &small);
        buf_text(&small, ": ");
    }
    short_value(value, 0, &small);
    put_wrapped(repl, &small);
}

/* A record that does not fit into a line: a field a line, or of a binding what there is room for. */
static void show_record(Repl *repl, const Value *value, bool full)
{
    Buf line = {0};
    value_show(value, &line);
    if (!full || text_columns(line.at, line.len) <= repl->options.width) {
        put_line(repl, &line);
        return;
    }
    line.len = 0;
    for (int i = 0; i < value->record->len; i++) {
        Buf field = {0};
        buf_printf(&field, "%s: ", value->record->name[i]);
        short_value(&value->record->at[i], 1, &field);
        put_line(repl, &field);
    }
    buf_free(&line);
}

/* ---- definitions ---- */

static void put_span(Repl *repl, Span span, Buf *out)
{
    Arena *scratch = arena_new();
    const char *text = sources_text(repl->session->sources, scratch, span);
    for (bool space = false; *text; text++) {
        if (strchr(" \t\r\n", *text)) {
            space = true;
            continue;
        }
        if (space)
            buf_text(out, " ");
        space = false;
        buf_put(out, text, 1);
    }
    arena_free(scratch);
}

static void put_formals(Repl *repl, const AstFormal *formals, int n, const char *brackets, Buf *out)
{
    buf_put(out, brackets, 1);
    for (int i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", formals[i].name);
        if (formals[i].type) {
            buf_text(out, ": ");
            put_span(repl, formals[i].type->span, out);
        }
        if (formals[i].initial) {
            buf_text(out, " = ");
            put_span(repl, formals[i].initial->span, out);
        }
    }
    buf_put(out, brackets + 1, 1);
}

void show_signature(Repl *repl, const Ast *def, Buf *out)
{
    static const char *const words[] = {"cell", "net", "fn"};
    buf_printf(out, "%s %s", words[def->def.what], def->def.name);
    if (def->def.settings_len)
        put_formals(repl, def->def.settings, def->def.settings_len, "[]", out);
    put_formals(repl, def->def.formals, def->def.formals_len, "()", out);
    if (def->def.type) {
        buf_text(out, " -> ");
        put_span(repl, def->def.type->span, out);
    }
}

static bool is_ready(const Callable *c)
{
    for (int i = 0; !c->settings && i < c->def->ast->def.settings_len; i++)
        if (!c->def->ast->def.settings[i].initial)
            return false;
    return true;
}

static void count_text(Buf *out, int64_t n, const char *what)
{
    buf_printf(out, "%lld %s%s", (long long)n, what, n == 1 ? "" : "s");
}

/* ", by grid[...]": how a model's cell is evaluated. */
static void put_strategy(const Callable *c, Buf *out)
{
    if (!c->strategies || !c->strategies->n)
        return;
    buf_text(out, ", by ");
    strategy_text(c->strategies->at[0].strategy, out);
}

/* "2 arguments, 1 parameter"; without diagnostics where it is not known. */
static void cell_facts(Repl *repl, Eval *e, const Value *cell, Buf *out)
{
    int64_t in_cells = 0, outer = 0;
    int mark = diags_mark(&repl->session->diags), arity = callable_arity(e, cell);
    if (arity >= 0)
        count_text(out, arity, "argument");
    if (!is_ready(cell->callable) || !count_parameters(e, cell, NULL, 0, (Span){0}, &in_cells, &outer)) {
        diags_discard(&repl->session->diags, mark);
        return;
    }
    if (in_cells + outer)
        count_text((buf_text(out, ", "), out), in_cells + outer, "parameter");
    else
        buf_text(out, ", no parameters");
    put_strategy(cell->callable, out);
}

static void net_type(Repl *repl, const Ast *def, Buf *out)
{
    for (int i = 0; i < def->def.formals_len; i++) {
        if (i)
            buf_text(out, ", ");
        if (def->def.formals[i].type)
            put_span(repl, def->def.formals[i].type->span, out);
        else
            buf_text(out, "any");
    }
    if (def->def.type) {
        buf_text(out, " -> ");
        put_span(repl, def->def.type->span, out);
    }
}

/* ---- what a fn gives: found by calling it, as the check does, with arguments of the kinds that it takes ---- */

static void find_loop(void *data, Ast *ast)
{
    bool *found = data;
    if (!ast)
        return;
    *found |= ast->kind == AST_FOR || ast->kind == AST_RANGE;
    ast_children(ast, find_loop, data);
}

static Value sample(const TypeValue *type)
{
    if (type->kind == TYPE_REAL)
        return value_real(0.1);
    if (type->kind == TYPE_INT && !(type->shaped && type->shape.rank))
        return value_int(1);
    if (type->kind == TYPE_BOOL)
        return value_bool(true);
    return type->kind == TYPE_TEXT ? value_text("") : value_abstract(type);
}

/* A session is a record, told by what only it has. */
static bool is_session(const Value *value)
{
    return value->kind == V_RECORD && record_get(value, "optimizer") && record_get(value, "learn");
}

/* " -> session"; nothing where it is declared, depends on the arguments, or takes loops to know. */
static void put_result(Repl *repl, const Value *fn, Buf *out)
{
    const Definition *def = fn->callable->def;
    int n = def->ast->def.formals_len, mark = diags_mark(&repl->session->diags);
    Arena *scratch = arena_new();
    bool loops = false;
    Eval check;
    Value *args = arena_array(scratch, Value, n + 1), result;
    find_loop(&loops, def->ast->def.body);
    eval_init(&check, repl->session, scratch, &repl->session->diags, EVAL_CHECK);
    for (int i = 0; i < n; i++)
        args[i] = sample(def->formal_types[i]);
    bool known = !loops && !def->builtin && !def->ast->def.type && is_ready(fn->callable) &&
                 eval_call(&check, fn, args, n, (Span){0}, &result);
    if (known && result.kind != V_ABSTRACT && result.kind != V_NONE && result.kind != V_ERROR &&
        result.kind != V_CALLABLE) {
        buf_text(out, " -> ");
        if (is_session(&result))
            buf_text(out, "session");
        else
            type_show(value_type(&check, &result), out);
    }
    diags_discard(&repl->session->diags, mark);
    arena_free(scratch);
}

void show_definition(Repl *repl, Eval *e, const Value *value)
{
    static const char *const words[] = {"cell", "net", "fn"};
    Buf line = {0};
    if (value->kind != V_CALLABLE) {
        show_value(repl, e, value, false);
        return;
    }
    const Callable *c = value->callable;
    const Ast *def = c->def->ast;
    buf_printf(&line, "%s %s", words[c->what], c->type_name ? c->type_name : c->def->name);
    if (!c->settings && def->def.settings_len)
        put_formals(repl, def->def.settings, def->def.settings_len, "[]", &line);
    buf_text(&line, " : ");
    if (c->what == DEF_CELL)
        cell_facts(repl, e, value, &line);
    else if (c->what == DEF_NET)
        net_type(repl, def, &line);
    else
        put_formals(repl, def->def.formals, def->def.formals_len, "()", &line);
    if (c->what == DEF_FN && def->def.type) {
        buf_text(&line, " -> ");
        put_span(repl, def->def.type->span, &line);
    } else if (c->what == DEF_FN) {
        put_result(repl, value, &line);
    }
    put_wrapped(repl, &line);
}

/* ---- types ---- */

static void net_facts(Repl *repl, Eval *e, const Value *net, Buf *out)
{
    Value y;
    int mark = diags_mark(&repl->session->diags);
    net_type(repl, net->callable->def->ast, out);
    Trace *trace = is_ready(net->callable) ? net_trace(e, net, repl->session->precision, false, NULL, 0, (Span){0}, &y)
                                           : NULL;
    if (!trace) {
        diags_discard(&repl->session->diags, mark);
        return;
    }
    enum { MOST_CELLS = 16 };
    const char *paths[MOST_CELLS];
    Value cells[MOST_CELLS];
    int64_t numbers = 0;
    for (int i = 0; i < trace->params.len; i++)
        numbers += trace->params.at[i].state ? 0 : shape_size(&trace->params.at[i].shape);
    if (!net->callable->def->ast->def.type && y.kind == V_NODE) {
        buf_text(out, " -> ");
        NodeType type = graph_type(trace->graph, y.node);
        buf_text(out, type.dtype == repl->session->precision ? "f32" : dtype_name((DType)type.dtype));
        shape_print(&type.shape, out);
    }
    int n = trace_cells(trace, paths, cells, MOST_CELLS);
    count_text((buf_text(out, ", "), out), numbers, "parameter");
    if (!n)
        return;
    count_text((buf_text(out, ", "), out), n, "cell");
    for (int i = 0; i < n; i++)
        buf_printf(out, "%s%s", i ? ", " : " (", paths[i]);
    buf_text(out, ")");
}

void show_type(Repl *repl, Eval *e, const Value *value, Buf *out)
{
    if (value->kind == V_CALLABLE && value->callable->what == DEF_NET) {
        net_facts(repl, e, value, out);
    } else if (value->kind == V_CALLABLE && value->callable->what == DEF_CELL) {
        buf_text(out, "cell, ");
        cell_facts(repl, e, value, out);
    } else if (value->kind == V_CALLABLE) {
        show_signature(repl, value->callable->def->ast, out);
    } else if (value->kind == V_LIST || value->kind == V_RECORD) {
        const Tensor *t;
        int mark = diags_mark(&repl->session->diags);
        if (value->kind == V_LIST && value->list->len && value_as_tensor(e, value, DT_F64, (Span){0}, &t)) {
            buf_text(out, "list of numbers, ");
            shape_print(&t->shape, out);
        } else {
            buf_printf(out, value->kind == V_LIST ? "list of %d" : "record of %d",
                       value->kind == V_LIST ? value->list->len : value->record->len);
        }
        diags_discard(&repl->session->diags, mark);
    } else if (value->kind == V_OBJECT) {
        buf_printf(out, "%s: ", value->object->class->name);
        value_show(value, out);
    } else {
        type_show(value_type(e, value), out);
    }
}

/* ---- cells, nets, runs ---- */

/* Inside of a cell its parameters go by their own names. */
char *own_names(Arena *arena, const Value *cell, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) + 1), *to = out;
    const char *name = "";
    if (cell->kind == V_CALLABLE)
        name = cell->callable->type_name ? cell->callable->type_name : cell->callable->def->name;
    size_t n = strlen(name);
    for (bool word = false; *text;) {
        if (n && !word && strncmp(text, name, n) == 0 && text[n] == '.') {
            text += n + 1;
            continue;
        }
        word = isalnum((unsigned char)*text) || *text == '_' || *text == '.';
        *to++ = *text++;
    }
    *to = 0;
    return out;
}

/* The numbers that a trained cell holds. */
static void show_weights(Repl *repl, const Callable *c)
{
    for (int i = 0; c->weights && i < c->weights->len && i < MOST_LINES; i++) {
        Buf line = {0};
        buf_printf(&line, "  %s = ", c->weights->name[i]);
        short_value(&c->weights->at[i], 0, &line);
        put_line(repl, &line);
    }
}

static bool show_formula(Repl *repl, Eval *e, const Value *cell)
{
    CellGraph graph;
    Buf line = {0};
    int mark = diags_mark(&repl->session->diags);
    Value exact = cell->kind == V_CALLABLE ? strategies_on(e->arena, cell, NULL) : *cell;
    char *text = cell_graph(e, &exact, DT_F64, (Span){0}, &graph) ? inspect_formula(e, &graph, -1, false) : NULL;
    if (!text) {
        diags_discard(&repl->session->diags, mark);
        return false;
    }
    value_show(cell, &line);
    text = own_names(e->arena, cell, text);
    buf_text(&line, "(");
    for (int k = 0; k < graph.arity; k++)
        buf_printf(&line, "%s%s", k ? ", " : "", inspect_argument(e->arena, &graph, k));
    buf_printf(&line, ") = %s", text);
    if (cell->kind == V_CALLABLE)
        put_strategy(cell->callable, &line);
    put_wrapped(repl, &line);
    if (cell->kind == V_CALLABLE)
        show_weights(repl, cell->callable);
    return true;
}

static void show_table(Repl *repl, const Table *table)
{
    TableStyle style = {.width = repl->options.width, .rows = 40, .bold = repl->options.color};
    Buf text = {0};
    table_text(table, &style, &text);
    repl_put(repl, &text);
    buf_free(&text);
}

static void show_net(Repl *repl, Eval *e, const Value *net)
{
    Buf line = {0};
    int mark = diags_mark(&repl->session->diags);
    const Table *table = is_ready(net->callable) ? inspect_params(e, net, NULL, repl->session->precision, NULL) : NULL;
    diags_discard(&repl->session->diags, mark);
    if (!table) {
        show_definition(repl, e, net);
        return;
    }
    value_show(net, &line);
    buf_text(&line, " : ");
    net_facts(repl, e, net, &line);
    put_wrapped(repl, &line);
    show_table(repl, table);
}

/* A line for each column of the curve: first and last value, and its course. */
static void show_curve(Repl *repl, const Curve *curve)
{
    int wide = 0;
    for (int i = 0; i < curve->columns; i++)
        wide = (int)strlen(curve->column[i].name) > wide ? (int)strlen(curve->column[i].name) : wide;
    for (int i = 0; curve->rows > 1 && i < curve->columns; i++) {
        Buf line = {0};
        int last = curve->rows - 1, room = repl->options.width - wide - 28;
        buf_printf(&line, "  %-*s %9.4g ", wide, curve->column[i].name, curve->column[i].at[0]);
        terminal_spark(curve->column[i].at, curve->rows, room < 8 ? 8 : room > 40 ? 40 : room, &line);
        buf_printf(&line, " %.4g", curve->column[i].at[last]);
        put_line(repl, &line);
    }
}

static void show_model(Repl *repl, Eval *e, const Model *model)
{
    const NetInfo *info = model->info;
    for (int i = 0; i < info->params && i < MOST_LINES * 2; i++) {
        Buf line = {0};
        Value value = model_param_value(e, model, i);
        const NetParam *param = &info->param[i];
        Tensor number = {info->layout.slot[i].dtype, SHAPE0, (char *)model->block + param->offset};
        if (!param->shape.rank)
            value = (Value){.kind = V_TENSOR, .tensor = &number};
        buf_printf(&line, "  %s%s", param->path, param->state ? " (state)" : "");
        if (param->shape.rank)
            shape_print(&param->shape, &line);
        buf_text(&line, " = ");
        short_value(&value, 0, &line);
        put_line(repl, &line);
    }
    if (info->params > MOST_LINES * 2)
        repl_say(repl, "  and %d more\n", info->params - MOST_LINES * 2);
}

static void show_object(Repl *repl, Eval *e, const Value *value, bool full)
{
    Buf line = {0};
    value_show(value, &line);
    put_wrapped(repl, &line);
    if (!full)
        return;
    if (value->object->class == &run_class)
        show_curve(repl, &((const Run *)value->object)->curve);
    if (value->object->class == &model_class && ((const Model *)value->object)->known)
        show_model(repl, e, (const Model *)value->object);
}

void show_value(Repl *repl, Eval *e, const Value *value, bool full)
{
    if (value->kind == V_CALLABLE && value->callable->what == DEF_CELL) {
        if (!is_ready(value->callable) || !show_formula(repl, e, value))
            show_definition(repl, e, value);
    } else if (value->kind == V_CALLABLE && value->callable->what == DEF_NET && full) {
        show_net(repl, e, value);
    } else if (value->kind == V_CALLABLE) {
        show_definition(repl, e, value);
    } else if (value->kind == V_OBJECT) {
        show_object(repl, e, value, full);
    } else if (value->kind == V_RECORD) {
        show_record(repl, value, full);
    } else {
        show_plain(repl, value);
    }
}
