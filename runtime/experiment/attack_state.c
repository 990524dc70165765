/* attack_state.c -- what an attack has reached, so that the same call goes on from it to the same bits, or finds it
 * done.
 *
 * OUT/attacks/HASH holds a file of state.h's kind: the place in the ensemble, accuracies so far, and the fooled points.
 *  HASH is of the model's bits, the data, the protocol, what its own fns compute, the seed and the semantics.  A file
 *  that is not
 * right is as none. */
#include "experiment/attacking.h"
#include "experiment/state.h"
#include "support/sha256.h"

static const char magic[] = "NIN ATTACK\n";

const char *attack_path(Eval *e, const ProtocolObject *p, const Model *model, const DataObject *data,
                        const Seeds *seeds, const Buf *computes) {
    Buf text = {0};
    char hex[65], bits[65];
    if (!store_usable(e)) return NULL;
    model_hash(model, bits);
    buf_printf(&text, "nin %d attack\n%s\n%s\n%s\n%s\n%llu %llu\n", SEMANTICS_VERSION, model->info->hash, bits,
               data->hash, p->identity, (unsigned long long)seeds->attack,
               (unsigned long long)(p->training ? seeds->dropout ^ seeds->noise << 1 : 0));
    buf_put(&text, computes->at, computes->len);
    sha256_hex(text.at, text.len, hex);
    buf_free(&text);
    return path_join(e->arena, path_join(e->arena, e->session->out_folder, "attacks"),
                     arena_printf(e->arena, "%s", hex));
}

bool attack_save(Eval *e, const char *path, const AttackPlace *place, const AttackReport *r, int attacks, int64_t n,
                 int64_t inputs, Span span) {
    Buf out = {0};
    char *error = NULL;
    if (!folder_make(e->arena, arena_copy(e->arena, path, (size_t)(strrchr(path, '/') - path)), &error)) {
        diag_add(e->diags, D_R0103, span, "%s", error);
        return false;
    }
    state_begin(&out, magic);
    const int64_t head[] = {attacks, n, inputs, place->attack, place->run, place->next, r->done};
    for (int i = 0; i < COUNT(head); i++) put_int(&out, head[i]);
    put_real(&out, r->clean);
    put_real(&out, r->largest);
    for (int i = 0; i < attacks; i++) put_real(&out, i < r->done ? r->after[i] : 0);
    put_bytes(&out, r->robust, (size_t)n * sizeof *r->robust);
    for (int64_t i = 0; i < n; i++)
        if (!r->robust[i]) put_bytes(&out, r->adv + i * inputs, (size_t)inputs * sizeof *r->adv);
    state_seal(&out);
    bool ok = file_write(e->arena, path, out.at, out.len, FILE_NO_SYNC, &error);
    buf_free(&out);
    if (!ok) diag_add(e->diags, D_R0103, span, "%s", error);
    return ok;
}

bool attack_restore(Eval *e, const char *path, AttackPlace *place, AttackReport *r, int attacks, int64_t n,
                    int64_t inputs) {
    Cursor c;
    if (!state_load(e->arena, path, magic, &c)) return false;
    int64_t head[7];
    for (int i = 0; i < COUNT(head); i++) head[i] = take_int(&c);
    bool fits = head[0] == attacks && head[1] == n && head[2] == inputs && head[3] >= 0 && head[3] <= attacks &&
                head[4] >= 0 && head[4] < 1000000000 && head[5] >= 0 && head[5] <= n && head[6] == head[3];
    if (c.bad || !fits) return false;
    *place = (AttackPlace){(int)head[3], (int)head[4], head[5]};
    r->done = (int)head[6];
    r->clean = take_real(&c);
    r->largest = take_real(&c);
    for (int i = 0; i < attacks; i++) r->after[i] = take_real(&c);
    Bytes robust = take_bytes(&c);
    if (c.bad || robust.length != (size_t)n * sizeof *r->robust) return false;
    for (int64_t i = 0; i < n; i++) {
        r->robust[i] = robust.at[i] != 0;
        if (r->robust[i]) continue;
        Bytes adv = take_bytes(&c);
        if (c.bad || adv.length != (size_t)inputs * sizeof *r->adv) return false;
        memcpy(r->adv + i * inputs, adv.at, adv.length);
    }
    return c.at == c.end;
}
