/* analysis.h -- what the analysis of cells gives: the inputs a cell gets, regions of them (analysis.c).
 *
 * Both are immutable and can be recorded.  Fields of inputs: n, lost, mean, sd, covariance, density, layers; of a
 * region: share, held, box, size (its area), n. */
#ifndef NIN_EXPERIMENT_ANALYSIS_H
#define NIN_EXPERIMENT_ANALYSIS_H

#include "analysis/bins.h"
#include "experiment/experiment.h"

typedef struct InputsObject {
    Object object;
    const Bins *bins;                             /* of all calls together */
    const Bins *const *layer; int layers;         /* call by call in the order of the net; 0: this is one of them */
} InputsObject;
typedef struct RegionObject { Object object; const Region *region; } RegionObject;
extern const ObjectClass inputs_class, region_class;
const InputsObject *value_inputs(const Value *value);                    /* NULL if it is none */
const Region *value_region(const Value *value);
extern const BuiltinRow builtins_analysis[], builtins_approximate[], builtins_spectrum[], builtins_distill[];

#endif
