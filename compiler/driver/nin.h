/* nin.h -- libnin: Nin programs inside other programs.
 *
 *     NinSession *session = nin_session_new(NULL);
 *     NinProgram *program = nin_load_file(session, "study.nin");
 *     NinModel *model = program ? nin_train(program, "mlp[relu, 64]", "digits", "recipe", 1) : NULL;
 *     if (model && nin_predict(model, pixels, 1, logits)) ...
 *     else for (int i = 0; i < nin_diagnostics(session); i++) ...
 *     nin_session_free(session);
 *
 * Everything hangs off a session; sessions know nothing of each other and may be used at once, each by any thread.
 * Calls on one session, its programs and its models wait for each other.  Nothing here prints, ends the process or
 * reads the environment; nothing is written but by nin_save, and runs where NinOptions.output says.
 *
 * Errors are values: NULL, false or -1, and at least one diagnostic in the session.  A program, data or model
 * that is NULL, as a call that failed gives it, makes the next call fail likewise, and adds no diagnostic.  Strings
 * given to a call are copied.  All numbers are f32, dense and row-major with the example first:
 * x[example][feature][place...].  The same calls give the same bits on any number of threads and any processor. */
#ifndef NIN_H
#define NIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NIN_API __attribute__((visibility("default")))
#else
#define NIN_API
#endif

typedef struct NinSession NinSession;
typedef struct NinProgram NinProgram;             /* belongs to its session */
typedef struct NinModel NinModel;                 /* a net with weights; belongs to its session */
typedef struct NinData NinData;                   /* examples; belongs to its session */

/* "0.1.0"; static. */
NIN_API const char *nin_version(void);

/* ---- sessions ---- */
typedef struct NinOptions {
    size_t size;                        /* sizeof(NinOptions): fields that a caller does not know of are 0 */
    const char *plugin;                 /* libnin-llvm.so, the machine-code back end; NULL: found beside libnin */
    const char *cpu;                    /* LLVM's name of the processor to compile for; NULL: this one */
    const char *const *data;            /* folders of data sets, ends with NULL; NULL: none */
    const char *output;                 /* where finished runs are stored and found again; NULL: nowhere */
    int threads;                        /* of a training; 0: 1.  Never changes a result */
    bool interpret;                     /* the reference interpreter in place of machine code; the same bits, slowly */
    bool (*interrupted)(void *data);    /* asked now and then while a training runs, from any thread; true
                                         * ends it: NULL without a diagnostic */
    void *interrupted_data;
} NinOptions;
/* options NULL: all as 0.  The caller frees it with nin_session_free, which frees all that belongs to it. */
NIN_API NinSession *nin_session_new(const NinOptions *options);
NIN_API void nin_session_free(NinSession *session);           /* NULL: nothing */

/* ---- diagnostics: data, in the order they arose ---- */
typedef enum NinSeverity { NIN_NOTE, NIN_WARNING, NIN_ERROR } NinSeverity;
typedef struct NinDiagnostic {
    NinSeverity severity;
    const char *code;                   /* "E0401"; `nin explain E0401` says more */
    const char *message;                /* one line, UTF-8 */
    const char *path;                   /* "" where there is no place */
    int line, column;                   /* from 1, in code points; 0 where there is no place */
} NinDiagnostic;
NIN_API int nin_diagnostics(NinSession *session);             /* how many since the session began or was cleared */
/* Number i, from 0, into *out; its texts live as long as the session.  false if there is none. */
NIN_API bool nin_diagnostic(NinSession *session, int i, NinDiagnostic *out);
NIN_API void nin_diagnostics_clear(NinSession *session);

/* ---- programs ---- */
/* Reads, parses and checks a program, without running it.  NULL if it has errors. */
NIN_API NinProgram *nin_load_file(NinSession *session, const char *path);
/* The same from text that ends with NUL; `name` stands in diagnostics. */
NIN_API NinProgram *nin_load_text(NinSession *session, const char *name, const char *text);
/* The value of an expression, in the scope of the program, as `nin eval` prints it.  The caller frees it with free().
 */
NIN_API char *nin_evaluate(NinProgram *program, const char *expression);

/* ---- data ---- */
/* `examples` rows of inputs and targets, copied.  x_shape[x_rank] and y_shape[y_rank] are the shapes of one example; a
 * rank of 0 is one number. */
NIN_API NinData *nin_data(NinSession *session, int64_t examples, const float *x, int x_rank, const int64_t *x_shape,
                          const float *y, int y_rank, const int64_t *y_shape);
/* The same with classes, labels from 0 to classes - 1, as targets. */
NIN_API NinData *nin_data_classes(NinSession *session, int64_t examples, const float *x, int x_rank,
                                  const int64_t *x_shape, const int32_t *labels, int classes);

/* ---- models ---- */
/* A net, an expression such as "mlp[relu, 64]", with weights drawn from a seed. */
NIN_API NinModel *nin_instantiate(NinProgram *program, const char *net, int64_t seed);
/* The same with the weights of a .safetensors file. */
NIN_API NinModel *nin_load_weights(NinProgram *program, const char *net, const char *path);
/* Trains a net on data with a session (or a record of sessions), all of them expressions. */
NIN_API NinModel *nin_train(NinProgram *program, const char *net, const char *data, const char *recipe, int64_t seed);
/* The same on data from memory. */
NIN_API NinModel *nin_train_on(NinProgram *program, const char *net, NinData *data, const char *recipe, int64_t seed);
/* The numbers of one example's input and output; their shapes: the rank, and up to 8 sizes in `shape`. */
NIN_API int64_t nin_input_size(const NinModel *model);
NIN_API int64_t nin_output_size(const NinModel *model);
NIN_API int nin_input_shape(const NinModel *model, int64_t shape[8]);
NIN_API int nin_output_shape(const NinModel *model, int64_t shape[8]);
NIN_API int64_t nin_parameters(const NinModel *model);        /* how many numbers it has learned */
/* y[examples * nin_output_size] for x[examples * nin_input_size]. */
NIN_API bool nin_predict(NinModel *model, const float *x, int64_t examples, float *y);
/* Writes the weights as a .safetensors file, whole or not at all. */
NIN_API bool nin_save(NinModel *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
