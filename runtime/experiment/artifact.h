/* artifact.h -- what `nin build` builds: the value of artifact(...), and its making.
 *
 * A spec is checked when it is made; artifact_make builds the programs of its roles twice from one graph: for the
 * device (emit/artifact.h), and by the JIT, whose answers are the self-test's vectors and what `nin verify` compares
 * with. */
#ifndef NIN_EXPERIMENT_ARTIFACT_H
#define NIN_EXPERIMENT_ARTIFACT_H

#include "emit/artifact.h"
#include "experiment/train.h"

typedef struct ArtifactSpec {
    Object object;
    const Model *model;
    Name emission, prefix;                 /* prefix NULL: the name it is bound to */
    bool pixels, gives_class, gives_values, separate;
    const SessionSpec *train;              /* NULL */
    const DataObject *self_test;           /* NULL: drawn numbers */
    int64_t ram, flash;                    /* bytes allowed; 0: any */
    Span span;
} ArtifactSpec;
extern const ObjectClass artifact_class;
extern const BuiltinRow builtins_artifact[];
/* A spec of a model alone: values of the network, nothing else. */
ArtifactSpec artifact_plain(const Model *model, Span span);

/* The JIT's side.  block: weights and states at the start. */
typedef struct ReferenceRole { PlanGraph made; char *block; const uint64_t *keys; bool used; } ReferenceRole;
typedef struct Reference {
    Arena *arena;
    ReferenceRole role[ROLES];
} Reference;

/* Diagnostics and false if it cannot be built.  What is made lives in the arena until reference_free. */
bool artifact_make(Eval *e, const ArtifactSpec *spec, const char *prefix, Arena *arena, Artifact *out,
                   Reference *reference);
void reference_free(Reference *reference);
/* n examples, the JIT's answers (y or best may be NULL). */
bool reference_predict(const Reference *r, const void *x, int64_t n, void *y, int32_t *best);
/* n steps of one example each from the start: losses, and the block after them (in the arena). */
bool reference_train(const Reference *r, const void *x, const void *target, int64_t n, double *losses,
                     const char **block);
/* Inputs for tests: uniform in the raw range, or -2 .. 2; tokens and targets too. */
void artifact_inputs(const ArtifactSpec *spec, const Artifact *a, uint64_t seed, int64_t n, void *x, void *target);
/* E0903 after the measure is known. */
bool artifact_budget(Eval *e, const ArtifactSpec *spec, const Artifact *a);

#endif
