/* build_main.c -- the C of --emit executable: rows of numbers, or an .npy file, on standard input; a line of answers
 * each. */
#include <sys/stat.h>

#include "driver/build.h"

bool build_executable_bit(const char *path) { return chmod(path, 0755) == 0; }

static const char reader[] =
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n"
    "/* Numbers of a text, apart by blanks, commas or line ends. */\n"
    "static int read_text(double *out)\n{\n    char word[64];\n    int n = 0, c = getchar();\n"
    "    while (c == ' ' || c == ',' || c == ';' || c == '\\t' || c == '\\n' || c == '\\r')\n        c = getchar();\n"
    "    while (c != EOF && !strchr(\" ,;\\t\\n\\r\", c) && n < 63) {\n        word[n++] = (char)c;\n"
    "        c = getchar();\n    }\n"
    "    word[n] = 0;\n    if (n == 0)\n        return 0;\n    {\n        char *end;\n"
    "        *out = strtod(word, &end);\n"
    "        if (*end != 0) {\n            fprintf(stderr, \"`%s` is no number\\n\", word);\n            exit(1);\n"
    "        }\n    }\n    return 1;\n}\n\n"
    "/* .npy: its element type, f or u and a width; NULL after a message. */\n"
    "static const char *npy_type(void)\n{\n    unsigned char head[10];\n    static char text[70000];\n    size_t n;\n"
    "    char *descr;\n"
    "    if (fread(head, 1, 10, stdin) != 10)\n        return NULL;\n    n = head[8] + 256u * head[9];\n"
    "    if (head[6] == 2) {\n"
    "        unsigned char more[2];\n        if (fread(more, 1, 2, stdin) != 2 || more[0] || more[1])\n"
    "            return NULL;\n    }\n"
    "    if (fread(text, 1, n, stdin) != n)\n        return NULL;\n    text[n] = 0;\n"
    "    descr = strstr(text, \"'descr'\");\n"
    "    if (strstr(text, \"'fortran_order': True\"))\n        return NULL;\n"
    "    if (descr && strstr(descr, \"'<f4'\"))\n        return \"f4\";\n    if (descr && strstr(descr, \"'<f8'\"))\n"
    "        return \"f8\";\n"
    "    if (descr && strstr(descr, \"'|u1'\"))\n        return \"u1\";\n    if (descr && strstr(descr, \"'<i4'\"))\n"
    "        return \"i4\";\n    return NULL;\n}\n\n"
    "static const char *type;\n\n"
    "static int read_number(double *out)\n{\n    float f;\n    double d;\n    int i;\n    unsigned char u;\n"
    "    int ok = 0;\n"
    "    if (type == NULL)\n        return read_text(out);\n"
    "    if (strcmp(type, \"f4\") == 0) {\n        ok = fread(&f, sizeof f, 1, stdin) == 1;\n"
    "        *out = ok ? (double)f : 0.0;\n"
    "    } else if (strcmp(type, \"f8\") == 0) {\n        ok = fread(&d, sizeof d, 1, stdin) == 1;\n"
    "        *out = ok ? d : 0.0;\n"
    "    } else if (strcmp(type, \"i4\") == 0) {\n        ok = fread(&i, sizeof i, 1, stdin) == 1;\n"
    "        *out = ok ? (double)i : 0.0;\n"
    "    } else {\n        ok = fread(&u, 1, 1, stdin) == 1;\n        *out = ok ? (double)u : 0.0;\n    }\n"
    "    return ok;\n}\n\n";

void build_main(const Artifact *a, const char *header, Buf *out)
{
    const char *p = a->prefix, *real = c_element(a->output_element), *state = a->state_bytes ? "&state, " : "";
    buf_printf(out, "#include \"%s\"\n\n%s", header, reader);
    buf_printf(out, "int main(void)\n{\n    static %s_work work;\n    static %s x[%lld];\n    double number;\n"
                    "    long row;\n    int c = getchar();\n", p,
               c_element(a->input_element), (long long)a->inputs);
    if (a->state_bytes)
        buf_printf(out, "    static %s_state state;\n    %s_start(&state);\n", p, p);
    if (a->gives_values)
        buf_printf(out, "    static %s y[%lld];\n", real, (long long)a->outputs);
    buf_text(out, "    if (c != EOF)\n        ungetc(c, stdin);\n    if (c == 0x93 && (type = npy_type()) == NULL) {\n"
                  "        fprintf(stderr, \"this .npy file holds something else than rows of f4, f8, i4 or u1\\n\");\n"
                  "        return 1;\n    }\n");
    buf_printf(out, "    for (row = 1;; row++) {\n        int i;\n"
                    "        for (i = 0; i < %lld && read_number(&number); i++)\n            x[i] = (%s)number;\n"
                    "        if (i == 0)\n            return 0;\n        if (i < %lld) {\n"
                    "            fprintf(stderr, \"row %%ld has %%d of %lld numbers\\n\", row, i);\n"
                    "            return 1;\n        }\n        {\n            ",
               (long long)a->inputs, c_element(a->input_element), (long long)a->inputs, (long long)a->inputs);
    buf_printf(out, "%s%s_predict(%s&work, x%s);\n", a->gives_class ? "const int32_t best = " : "", p, state,
               a->gives_values ? ", y" : "");
    if (a->gives_class)
        buf_printf(out, "            printf(\"%%ld%s\", (long)best);\n", a->gives_values ? " " : "");
    if (a->gives_values)
        buf_printf(out, "            for (i = 0; i < %lld; i++)\n"
                        "                printf(i ? \" %%.%dg\" : \"%%.%dg\", (double)y[i]);\n", (long long)a->outputs,
                   a->output_element == KS_F64 ? 17 : 9, a->output_element == KS_F64 ? 17 : 9);
    buf_text(out, "            printf(\"\\n\");\n        }\n    }\n}\n");
}
