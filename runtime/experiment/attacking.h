/* attacking.h -- attacks as values: protocols, and what the compiler can know of them before they run. */
#ifndef NIN_ATTACKING_H
#define NIN_ATTACKING_H

#include "attack/attack.h"
#include "experiment/train.h"

enum { MAX_ATTACKS = 12, BUILTIN_LOSSES = 4 };          /* losses beyond the builtin ones are the program's own */

typedef struct ProtocolObject {
    Object object;
    const char *label;
    bool sealed;                         /* made by standard(...) */
    bool published;                      /* its attacks are the published ensemble's list */
    AttackSpec attack[MAX_ATTACKS]; int attacks;
    Value loss[MAX_ATTACKS]; int losses; /* of AttackLoss BUILTIN_LOSSES + i */
    Value own[MAX_ATTACKS]; int owns;    /* by attack, where its kind is KIND_OWN: a fn of (model, x, y) */
    AttackNorm norm; double eps;
    bool network;                        /* eps and box in the units of the net's input */
    bool boxed; double lo, hi;
    bool training;
    const char *identity;
} ProtocolObject;
extern const ObjectClass protocol_class;

/* What an attack has reached, in OUT/attacks (attack_state.c).  The path is NULL where it is not kept.  computes:
 * hashes of what the protocol's own fns compute. */
const char *attack_path(Eval *e, const ProtocolObject *p, const Model *model, const DataObject *data,
                        const Seeds *seeds, const Buf *computes);
bool attack_save(Eval *e, const char *path, const AttackPlace *place, const AttackReport *report, int attacks,
                 int64_t n, int64_t inputs, Span span);
bool attack_restore(Eval *e, const char *path, AttackPlace *place, AttackReport *report, int attacks, int64_t n,
                    int64_t inputs);

/* E0706 (masked.c). */
bool masked_check(Eval *e, const Model *model, Span span);
/* E0701 to E0705, E0707, E0708, E0710, W0709: is this protocol rightly set up for this model and these data? */
bool protocol_check(Eval *e, const ProtocolObject *p, const Model *model, const DataObject *data,
                    const BuiltinCall *call);

/* ---- attack_front.c ---- */
/* What a program of logits begins with, and programs for what is before and behind that; arena of the Eval.  NULL: it
 * begins otherwise, or is for the interpreter, or R0103. */
typedef struct AttackFront {
    Front front; Program *seen, *rest;
    void *block; const double *settings;
    Pool *pool; int classes;
} AttackFront;
const AttackFront *attack_front(Eval *e, const TrainPlan *plan, void *block, const double *settings, Span span);
void attack_front_free(const AttackFront *front);

#endif
