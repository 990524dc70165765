/* embed.c -- a program that holds a Nin program: one neuron learns XOR, is saved, is read back by another session.
 *
 *     cc embed.c $(pkg-config --cflags --libs nin) -o embed && ./embed weights.safetensors */
#include <nin.h>

#include <stdio.h>
#include <string.h>

static const char study[] =
    "net neuron(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: none](x))\n"
    "recipe = session(learn: all, loss: mse, optimizer: adam[lr: 0.1], batch: all, epochs: 300)\n";

static const float inputs[4][2] = {{-1, -1}, {-1, 1}, {1, -1}, {1, 1}}, targets[4] = {0, 1, 1, 0};

/* Shows what went wrong; the exit code. */
static int give_up(NinSession *session)
{
    NinDiagnostic d;
    for (int i = 0; nin_diagnostic(session, i, &d); i++)
        fprintf(stderr, "%s:%d:%d: %s: %s\n", d.path, d.line, d.column, d.code, d.message);
    nin_session_free(session);
    return 1;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "neuron.safetensors";
    float learned[4], read_back[4];
    int64_t two = 2, one = 1;
    NinSession *session = nin_session_new(NULL);
    NinProgram *program = nin_load_text(session, "study.nin", study);
    NinData *data = nin_data(session, 4, inputs[0], 1, &two, targets, 1, &one);
    NinModel *model = program && data ? nin_train_on(program, "neuron", data, "recipe", 1) : NULL;
    if (!model || !nin_predict(model, inputs[0], 4, learned) || !nin_save(model, path))
        return give_up(session);
    printf("%lld parameters\n", (long long)nin_parameters(model));
    for (int i = 0; i < 4; i++)
        printf("%2g xor %2g: %.3f\n", inputs[i][0], inputs[i][1], learned[i]);

    NinSession *other = nin_session_new(NULL);
    NinProgram *again = nin_load_text(other, "study.nin", study);
    NinModel *same = again ? nin_load_weights(again, "neuron", path) : NULL;
    if (!same || !nin_predict(same, inputs[0], 4, read_back))
        return give_up(other);
    printf("read back: %s\n", memcmp(learned, read_back, sizeof learned) == 0 ? "the same bits" : "other bits");
    nin_session_free(other);
    nin_session_free(session);
    return 0;
}
