/* known.c -- see known.h.  Hashes: of the files that the authors (or for Fashion-MNIST, Debian) distribute. */
#include "data/known.h"

#include "data/archive.h"
#include "data/input.h"
#include "support/file.h"
#include "support/sha256.h"

/* ---- the table ---- */
static const char *const mnist_places[] = {"mnist", "MNIST", "MNIST/raw", NULL};
static const char *const fashion_places[] = {"fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw",
                                             NULL};
static const char *const cifar10_places[] = {"cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin",
                                             "cifar-10", NULL};
static const char *const cifar100_places[] = {"cifar100", "cifar100/cifar-100-binary", "cifar-100-binary", "cifar-100",
                                              NULL};
static const char *const cifar10_archives[] = {"cifar-10-binary.tar.gz", "cifar-10-binary.tar.xz",
                                               "cifar-10-binary.tar", NULL};
static const char *const cifar100_archives[] = {"cifar-100-binary.tar.gz", "cifar-100-binary.tar.xz",
                                                "cifar-100-binary.tar", NULL};

#define MNIST_SHAPE {3, {1, 28, 28}}
#define CIFAR_SHAPE {3, {3, 32, 32}}
static const KnownSet known_sets[] = {
    {{"mnist", MNIST_SHAPE, 10, 60000, 10000, 0, 1, false,
      "MNIST is distributed by its authors (LeCun, Cortes, Burges); many collections mirror its four idx files"},
     mnist_places,
     {{"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
      {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
      {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
      {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
     NULL, "https://ossci-datasets.s3.amazonaws.com/mnist/",
     {{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
      {"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
      {"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
      {"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}}},
    {{"fashion_mnist", MNIST_SHAPE, 10, 60000, 10000, 0, 1, false,
      "on Debian, the package dataset-fashion-mnist puts it into /usr/share/datasets"},
     fashion_places,
     {{"train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
      {"train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
      {"t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
      {"t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}},
     NULL, "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
     {{"train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
      {"train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
      {"t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
      {"t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}}},
    {{"cifar10", CIFAR_SHAPE, 10, 50000, 10000, 0, 1, false,
      "its author, A. Krizhevsky, distributes the binary version (cifar-10-binary.tar.gz)"},
     cifar10_places,
     {{"data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
      {"data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
      {"data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
      {"data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
      {"data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
      {"test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}},
     cifar10_archives, "https://www.cs.toronto.edu/~kriz/",
     {{"cifar-10-binary.tar.gz", 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}}},
    {{"cifar100", CIFAR_SHAPE, 100, 50000, 10000, 0, 1, false,
      "its author, A. Krizhevsky, distributes the binary version (cifar-100-binary.tar.gz)"},
     cifar100_places, {{"train.bin", NULL}, {"test.bin", NULL}}, cifar100_archives, "https://www.cs.toronto.edu/~kriz/",
     {{"cifar-100-binary.tar.gz", 168513733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}}},
    {{"digits", {3, {1, 8, 8}}, 10, 1347, 450, 0, 1, true, "built in"}, NULL, {{NULL, NULL}}, NULL, NULL,
     {{NULL, 0, NULL}}},
};
static const char *const known_names[] = {"mnist", "fashion_mnist", "cifar10", "cifar100", "digits", NULL};
_Static_assert(COUNT(known_names) == COUNT(known_sets) + 1, "each set has its name here");

const KnownSet *known_set(const char *name) {
    for (int i = 0; i < COUNT(known_sets); i++)
        if (strcmp(known_sets[i].facts.name, name) == 0) return &known_sets[i];
    return NULL;
}

const DatasetFacts *dataset_facts(const char *name) {
    const KnownSet *set = known_set(name);
    return set ? &set->facts : NULL;
}

const char *const *dataset_known(void) { return known_names; }

/* ---- finding files ---- */
/* FOLDER/NAME, FOLDER/NAME.gz, and with the dot that some copies of the MNIST files have before "idx". */
static char *find_in(Arena *arena, const char *folder, const char *name) {
    char *path = path_join(arena, folder, name);
    for (int variant = 0; variant < 4; variant++) {
        char *at = arena_printf(arena, "%s%s", path, variant % 2 ? ".gz" : "");
        char *dash = variant / 2 ? strstr(at + strlen(folder), "-idx") : NULL;
        if (variant / 2 && !dash) break;
        if (dash) *dash = '.';
        if (file_exists(at)) return at;
    }
    return NULL;
}

/* 1: the set is there; 0: nothing of it; -1: a part of it, *error says what is not. */
static int find_set(Arena *arena, const KnownSet *set, const char *folder, KnownPlace *out, char **error) {
    *out = (KnownPlace){.folder = folder};
    for (const PlainFile *file = set->plain; out->count < KNOWN_FILES && file->name; file++) {
        const char *path = find_in(arena, folder, file->name);
        if (!path && out->count == 0) break;
        if (!path) {
            *error = arena_printf(arena, "%s: there is no %s or %s.gz", folder, file->name, file->name);
            return -1;
        }
        out->path[out->count++] = path;
    }
    for (const char *const *name = set->archives; !out->count && name && *name; name++) {
        char *path = path_join(arena, folder, *name);
        if (!file_exists(path)) continue;
        out->path[out->count++] = path;
        out->archive = true;
    }
    return out->count > 0;
}

/* A data folder itself counts as a set's place, unless its name says it is the other set with the same file names. */
static bool own_folder(const KnownSet *set, const char *folder) {
    bool says = strstr(folder, "fashion") || strstr(folder, "Fashion"), fashion = set->places == fashion_places;
    return set->archives || says == fashion;
}

static void missing(Arena *arena, const KnownSet *set, const char *const *folders, char **error) {
    Buf text = {0};
    bool none = !folders || !*folders;
    buf_printf(&text, "%s%s%s is not in %s", set->plain[0].name, set->archives ? " or " : "",
               set->archives ? set->archives[0] : "", none ? "any data folder: none is given" : "");
    for (const char *const *folder = folders; folder && *folder; folder++)
        buf_printf(&text, "%s%s", folder == folders ? "" : ", ", *folder);
    buf_printf(&text, "\n%s; `nin data fetch %s` gets", set->facts.where, set->facts.name);
    for (const OfficialFile *file = set->official; file->name; file++)
        buf_printf(&text, "%s %s (%llu bytes, SHA-256 %.16s...)", file == set->official ? "" : ",", file->name,
                   (unsigned long long)file->size, file->sha256);
    *error = buf_done(&text, arena);
}

bool known_find(Arena *arena, const KnownSet *set, const char *const *folders, KnownPlace *out, char **error) {
    int found = 0;
    *out = (KnownPlace){0};
    for (const char *const *folder = folders; folder && *folder && !found; folder++) {
        for (const char *const *place = set->places; place && *place && !found; place++)
            found = find_set(arena, set, path_join(arena, *folder, *place), out, error);
        if (!found && own_folder(set, *folder))
            found = find_set(arena, set, arena_copy(arena, *folder, strlen(*folder)), out, error);
    }
    if (!found) missing(arena, set, folders, error);
    return found > 0;
}

/* ---- verifying ---- */
static void piece(void *sha, const void *bytes, size_t length) { sha256_add(sha, bytes, length); }

static bool compare(Arena *arena, const char *path, const PlainFile *plain, const char *hex, char **error) {
    if (strcmp(plain->sha256, hex) == 0) return true;
    *error = arena_printf(arena, "%s: the contents of %s have the SHA-256 %s, the official ones %s", path, plain->name,
                          hex, plain->sha256);
    return false;
}

static bool verify_plain(Arena *arena, const PlainFile *plain, const char *path, bool *official, char **error) {
    Arena *scratch = arena_new();
    Input input;
    const uint8_t *bytes;
    size_t length;
    char hex[65], *failure = NULL;
    bool ok = input_open(&input, scratch, path, NULL, &failure);
    if (ok) {
        ok = input_rest(&input, &bytes, &length, &failure);
        input_close(&input);
    }
    if (ok) {
        sha256_hex(bytes, length, hex);
        *official &= compare(arena, path, plain, hex, error);
    } else {
        *error = arena_copy(arena, failure, strlen(failure));
    }
    arena_free(scratch);
    return ok;
}

static bool verify_archive(Arena *arena, const KnownSet *set, const char *path, bool *official, char **error) {
    ArchiveReader reader;
    int seen = 0, wanted = 0, more = 0;
    if (!archive_open(&reader, arena, path, NULL, error)) return false;
    for (const PlainFile *plain = set->plain; wanted < KNOWN_FILES && plain->name; plain++) wanted++;
    while (*official && seen < wanted && (more = archive_next(&reader, error)) == 1)
        for (int i = 0; i < wanted; i++) {
            Sha256 sha;
            char hex[65];
            if (strcmp(set->plain[i].name, reader.member) != 0) continue;
            sha256_start(&sha);
            if (!archive_pieces(&reader, piece, &sha, error)) {
                archive_close(&reader);
                return false;
            }
            sha256_end_hex(&sha, hex);
            *official &= compare(arena, path, &set->plain[i], hex, error);
            seen++;
        }
    archive_close(&reader);
    if (more < 0 || !*official || seen == wanted) return more >= 0;
    *official = false;
    *error = arena_printf(arena, "%s: holds %d of the %d files of the set", path, seen, wanted);
    return true;
}

/* The file as a whole is one that the authors distribute. */
static bool as_distributed(const KnownSet *set, const char *hex) {
    for (const OfficialFile *file = set->official; file->name; file++)
        if (strcmp(file->sha256, hex) == 0) return true;
    return false;
}

bool known_verify(Arena *arena, const KnownSet *set, const KnownPlace *place, bool *official, char **error) {
    *official = true;
    for (int i = 0; *official && i < place->count; i++) {
        char hex[65];
        if (!file_sha256(arena, place->path[i], hex, error)) return false;
        if (as_distributed(set, hex)) continue;
        if (!set->plain[0].sha256) {
            *official = false;
            *error = arena_printf(arena, "%s: has the SHA-256 %s, which is not that of %s (%s)", place->path[i], hex,
                                  set->official[0].name, set->official[0].sha256);
        } else if (!(place->archive ? verify_archive(arena, set, place->path[i], official, error)
                                    : verify_plain(arena, &set->plain[i], place->path[i], official, error))) {
            return false;
        }
    }
    return true;
}
