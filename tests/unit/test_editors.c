/* test_editors.c -- the grammars of lang/editors know the words and signs of the lexer, and no word that it does not
 * have. */
#include "syntax/token.h"
#include "support/file.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <jansson.h>

#define EDITORS NIN_TESTS "/../lang/editors/"

static char *text_of(Arena *arena, const char *name)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(arena, arena_printf(arena, EDITORS "%s", name), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

static bool is_letter(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Does a text hold a word, not as a part of another? */
static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++)
        if ((at == text || !is_letter(at[-1])) && !is_letter(at[n]))
            return true;
    return false;
}

static void words(void **state)
{
    (void)state;
    static const char *const files[] = {"vim/syntax/nin.vim", "vscode/syntaxes/nin.tmLanguage.json",
                                        "tree-sitter/grammar.js", "tree-sitter/queries/highlights.scm"};
    Arena *arena = arena_new();
    int seen = 0;
    for (int i = 0; i < COUNT(files); i++) {
        const char *text = text_of(arena, files[i]);
        for (int kind = 0; kind < token_kinds(); kind++) {
            const char *word = token_spelling(kind);
            if (!word || !islower((unsigned char)*word) ||
                (strstr(files[i], ".scm") && (kind == T_TRUE || kind == T_FALSE)))
                continue;
            if (!has_word(text, word))
                fail_msg("%s does not know `%s`", files[i], word);
            seen++;
        }
    }
    assert_true(seen > 4 * 15);
    arena_free(arena);
}

/* Every sign stands in the tree-sitter grammar between quotes; every quoted word there is one of the lexer's. */
static void tree_sitter(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    const char *text = text_of(arena, "tree-sitter/grammar.js");
    for (int kind = 0; kind < token_kinds(); kind++) {
        const char *sign = token_spelling(kind);
        if (sign && !strstr(text, arena_printf(arena, "'%s'", sign)))
            fail_msg("grammar.js does not know %s", sign);
    }
    for (const char *at = text; (at = strchr(at, '\'')); at += strcspn(at + 1, "'") + 2) {
        const char *word = arena_printf(arena, "%.*s", (int)strcspn(at + 1, "'"), at + 1);
        bool known = !islower((unsigned char)*word) || strcmp(word, "nin") == 0;
        bool field = strncmp(at - 6, "field(", 6) == 0;
        for (int kind = 0; kind < token_kinds() && !known; kind++)
            known = token_spelling(kind) && strcmp(token_spelling(kind), word) == 0;
        if (!known && !field)
            fail_msg("`%s` of grammar.js is no word of the language", word);
    }
    arena_free(arena);
}

static void json(void **state)
{
    (void)state;
    static const char *const files[] = {"vscode/package.json", "vscode/language-configuration.json",
                                        "vscode/syntaxes/nin.tmLanguage.json"};
    Arena *arena = arena_new();
    for (int i = 0; i < COUNT(files); i++) {
        json_error_t error;
        json_t *root = json_loads(text_of(arena, files[i]), JSON_REJECT_DUPLICATES, &error);
        if (!root)
            fail_msg("%s:%d: %s", files[i], error.line, error.text);
        json_decref(root);
    }
    arena_free(arena);
}

/* What the TextMate grammar includes is in its repository. */
static void includes(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    char *text = text_of(arena, "vscode/syntaxes/nin.tmLanguage.json");
    json_t *root = json_loads(text, 0, NULL), *repository = json_object_get(root, "repository");
    int seen = 0;
    for (char *at = text; (at = strstr(at, "\"#")); at += 2) {
        char *name = arena_copy(arena, at + 2, strcspn(at + 2, "\""));
        if (!*name || !is_letter(*name) || strncmp(at - 11, "\"include\": ", 11) != 0)
            continue;
        assert_non_null(json_object_get(repository, name));
        seen++;
    }
    assert_int_equal(seen, (int)json_object_size(repository));
    json_decref(root);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words), cmocka_unit_test(tree_sitter), cmocka_unit_test(json),
                                       cmocka_unit_test(includes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
