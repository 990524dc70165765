/* text.c -- dataset("text", file:, tokens: characters, window:): a text cut into windows, each with the next characters
 * as targets.
 *
 * The alphabet is what occurs in the file, in the order of the code points: its size is the set's `tokens` and a fact
 * of its type, so a check reads the file too.  Windows follow one another; the last characters that fill none are left
 * out. */
#include "data/dataset.h"
#include "experiment/train.h"
#include "support/sha256.h"

enum { LARGEST_WINDOW = 1 << 20 };

static bool text_part(Eval *e, const BuiltinCall *call, int arg, int64_t n, const char *what, int64_t *count) {
    bool drawn;
    if (!dataset_part_count(e, &call->args[arg], n, what, call->arg_spans[arg], count, &drawn)) return false;
    if (!drawn) return true;
    diag_add(e->diags, D_E0314, call->arg_spans[arg],
             "a text is split in its order: %s: is a number of windows or a share", what);
    return false;
}

static bool text_arguments(Eval *e, const BuiltinCall *call, const TextArguments *at) {
    const Value *a = call->args;
    int wrong = -1;
    const char *text = NULL;
    if (a[at->file].kind != V_TEXT) wrong = at->tokens, text = "a text is read from a file: give file:";
    else if (a[at->tokens].kind != V_TEXT || strcmp(a[at->tokens].text, "characters") != 0)
        wrong = at->tokens, text = "tokens: is characters";
    else if (a[at->window].kind != V_INT || a[at->window].integer < 1 || a[at->window].integer > LARGEST_WINDOW)
        wrong = at->window, text = "window: is a number of characters, from 1 to 1048576";
    else if (a[at->normalize].kind != V_NONE)
        wrong = at->normalize, text = "a text holds characters, which are not normalised";
    if (wrong < 0) return true;
    diag_add(e->diags, D_E0314, a[wrong].kind == V_NONE ? call->span : call->arg_spans[wrong], "%s", text);
    return false;
}

static void windows(const TextData *text, int64_t n, int64_t window, Arena *arena, DataObject *data) {
    int32_t *x = arena_array(arena, int32_t, n * window + 16), *y = arena_array(arena, int32_t, n * window + 16);
    memcpy(x, text->token, sizeof *x * (size_t)(n * window));
    memcpy(y, text->token + 1, sizeof *y * (size_t)(n * window));
    data->size = n;
    data->x = (Column){DT_I32, shape_of(1, window), x, text->tokens};
    data->y = (Column){DT_I32, shape_of(1, window), y, text->tokens};
    data->raw_hi = text->tokens - 1;
    data->fixed_range = true;
}

bool dataset_text(Eval *e, const BuiltinCall *call, const TextArguments *at, DataObject *data) {
    const Value *a = call->args;
    if (!text_arguments(e, call, at)) return false;
    DatasetRequest request = {.name = a[at->name].text,
                              .folders = e->session->data_folders,
                              .cache = e->session->cache_folder,
                              .file = a[at->file].text};
    Arena *scratch = arena_new();
    TextData text;
    char *error = NULL, hex[65];
    int64_t window = a[at->window].integer, valid = 0, test = 0, n = 0;
    bool ok = dataset_text_read(scratch, &request, &text, hex, &error);
    if (!ok) diag_add(e->diags, D_E0601, call->span, "%s", error);
    if (ok && (n = (text.length - 1) / window) < 1) {
        diag_add(e->diags, D_E0405, call->arg_spans[at->window],
                 "the text has %lld characters, which fill no window of %lld and the one behind it",
                 (long long)text.length, (long long)window);
        ok = false;
    }
    ok = ok && text_part(e, call, at->valid, n, "valid", &valid) &&
         text_part(e, call, at->test, n - valid, "test", &test);
    if (ok) {
        windows(&text, n, window, e->arena, data);
        char *identity = arena_printf(e->arena, "text %s %lld", hex, (long long)window);
        sha256_hex(identity, strlen(identity), data->hash);
        data_split(e->arena, data, valid, test);
    }
    arena_free(scratch);
    return ok;
}
