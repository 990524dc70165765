/* textures.c -- see textures.h. */
#include "experiment/textures.h"

#include <dirent.h>
#include <stdlib.h>

#include "data/picture.h"
#include "experiment/experiment.h"
#include "support/file.h"
#include "support/sha256.h"

static const size_t LARGEST = (size_t)256 << 20;

static const char *folder_find(Eval *e, const char *name, Span span) {
    const Session *s = e->session;
    if (name[0] == '/' || strstr(name, "..")) {
        diag_add(e->diags, D_E0901, span, "\"%s\" lies outside the data folders", name);
        return NULL;
    }
    for (int i = 0; s->data_folders && s->data_folders[i]; i++) {
        const char *path = path_join(e->arena, s->data_folders[i], name);
        if (folder_exists(path)) return path;
    }
    diag_add(e->diags, D_E0601, span, "there is no folder \"%s\" under the data folders", name);
    return NULL;
}

static int is_picture(const struct dirent *entry) { return entry->d_name[0] != '.' && picture_named(entry->d_name); }
static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* What counts is where every fifth pixel leaves more than one place for the window. */
static bool texture_read(Eval *e, const char *path, int height, int width, Span span, Sha256 *all, FrostTexture *out) {
    char *bytes, *error = NULL;
    size_t length;
    Picture picture;
    if (!file_read(e->arena, path, LARGEST, &bytes, &length, &error) ||
        !read_picture(e->arena, path, bytes, length, &picture, &error)) {
        diag_add(e->diags, D_E0601, span, "%s", error);
        return false;
    }
    sha256_add(all, bytes, length);
    *out = (FrostTexture){picture.height, picture.width, picture.rgb};
    if ((picture.height + 2) / 5 > height && (picture.width + 2) / 5 > width) return true;
    diag_add(e->diags, D_E0712, span, "%s is %d x %d; a texture for images of %d x %d has %d x %d or more",
             strrchr(path, '/') + 1, picture.height, picture.width, height, width, 5 * height + 3, 5 * width + 3);
    return false;
}

static void note_textures(Eval *e, const char *folder, const Textures *t) {
    Experiment *x = lab_of(e)->experiment;
    bool known = false;
    if (!x) return;
    const char *note = arena_printf(e->arena, "frost by %d texture%s of %s, sha256 %s", t->n, t->n == 1 ? "" : "s",
                                    folder, t->hash);
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->strategies.len; i++) known |= strcmp(x->strategies.at[i], note) == 0;
    if (!known) vec_push(x->arena, &x->strategies, arena_copy(x->arena, note, strlen(note)));
    pthread_mutex_unlock(&x->lock);
}

bool textures_read(Eval *e, const char *folder, int height, int width, Span span, Textures *out) {
    struct dirent **entry;
    const char *path = folder_find(e, folder, span);
    *out = (Textures){.n = 0};
    if (!path || e->mode == EVAL_CHECK) return path != NULL;
    int files = scandir(path, &entry, is_picture, by_bytes);
    bool ok = files > 0;
    Sha256 all;
    sha256_start(&all);
    if (!ok) diag_add(e->diags, D_E0601, span, "there is no .png and no .jpg file in %s", path);
    for (int i = 0; i < files; i++) {
        if (ok && out->n < MOST_TEXTURES)
            ok = texture_read(e, path_join(e->arena, path, entry[i]->d_name), height, width, span, &all,
                              &out->at[out->n++]);
        free(entry[i]);
    }
    if (files >= 0) free(entry);
    sha256_end_hex(&all, out->hash);
    if (ok) note_textures(e, folder, out);
    return ok;
}
