/* print.c -- kernel IR as text, for reading and for tests of structure; the same module gives the same bytes. */
#include "kernel/kernel.h"

const char *kscalar_name(KScalar s)
{
    switch (s) {
    case KS_VOID: return "void";
    case KS_BOOL: return "bool";
    case KS_I32: return "i32";
    case KS_I64: return "i64";
    case KS_F32: return "f32";
    case KS_F64: return "f64";
    case KS_PTR: return "ptr";
    }
    return "?";
}

static bool prints_imm(KOp op)
{
    return op == K_ARG || op == K_INT || op == K_LOCAL || op == K_DATA || op == K_LANE || op == K_INSERT ||
           op == K_ROTATE || op == K_QUAD || op == K_OFFSET || op == K_PREFETCH;
}

static void print_operand(Buf *out, bool first, KVal x) { buf_printf(out, "%s%%%u", first ? " " : ", ", x); }

static void print_inst(const KFunc *func, KVal at, int depth, Buf *out)
{
    const KInst *i = &func->code.at[at];
    KOp op = i->op;
    buf_printf(out, "%*s", 2 + 2 * depth, "");
    if (i->type.scalar != KS_VOID)
        buf_printf(out, "%%%u = ", at);
    buf_text(out, kop_name(op));
    int n = kop_operands(op);
    if (n > 0)
        print_operand(out, true, i->a);
    if (n > 1)
        print_operand(out, false, i->b);
    if (n > 2)
        print_operand(out, false, i->c);
    char number[32];
    if (op == K_REAL) {
        if (i->type.scalar == KS_F32)
            text_of_f32(number, (float)i->real);
        else
            text_of_f64(number, i->real);
        buf_printf(out, " %s", number);
    }
    if (prints_imm(op))
        buf_printf(out, "%s %lld", n ? "," : "", (long long)i->imm);
    if (op == K_FOR)
        buf_printf(out, " step %lld", (long long)i->imm);
    if (i->type.scalar != KS_VOID)
        buf_printf(out, " : %s%s", kscalar_name(i->type.scalar), i->type.lanes == 16 ? "x16" : "");
    buf_text(out, "\n");
}

static void print_data(const KData *data, int number, Buf *out)
{
    buf_printf(out, "data %d: %zu bytes, %016llx\n", number, data->size,
               (unsigned long long)fnv1a(data->bytes, data->size, FNV1A_START));
}

void kernel_print(const KModule *module, Buf *out)
{
    for (int k = 0; k < module->data.len; k++)
        print_data(&module->data.at[k], k, out);
    for (int k = 0; k < module->func.len; k++) {
        const KFunc *func = module->func.at[k];
        buf_printf(out, "kernel %s\n", func->name);
        int depth = 0;
        for (KVal at = 1; at < (KVal)func->code.len; at++) {
            KOp op = func->code.at[at].op;
            if (op == K_END)
                depth--;
            if (op != K_NOP)
                print_inst(func, at, depth, out);
            if (op == K_FOR)
                depth++;
        }
    }
}
