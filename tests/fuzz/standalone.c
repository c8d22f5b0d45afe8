/* For compilers without libFuzzer: the same targets fed with mutated corpus files and random bytes, without coverage.
 * Takes libFuzzer's options -runs=, -max_len= and -seed=, then files and directories; ignores its other options. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../sse/edge/native/unicode.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FILES = 1000 };
static struct {
    uint8_t *data;
    size_t size;
} corpus[MAX_FILES];
static size_t files;
static uint8_t *input;
static size_t input_size;

static uint64_t state;
static uint64_t draw(void) {
    uint64_t z = state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static void add(const char *path) {
    struct stat st;
    FILE *file;
    if (stat(path, &st)) {
        perror(path);
        exit(2);
    }
    if (S_ISDIR(st.st_mode)) {
        DIR *directory = opendir(path);
        struct dirent *entry;
        while (directory && (entry = readdir(directory))) {
            char name[4096];
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            if (entry->d_name[0] != '.') add(name);
        }
        if (directory) closedir(directory);
        return;
    }
    if (files == MAX_FILES || !(file = fopen(path, "rb"))) return;
    corpus[files].data = malloc((size_t)st.st_size + 1);
    corpus[files].size = corpus[files].data ? fread(corpus[files].data, 1, (size_t)st.st_size, file) : 0;
    files++;
    fclose(file);
}

static size_t code_point(uint8_t *o) { /* often of a low plane */
    uint32_t top[] = {0x80, 0x800, 0x3100, 0x10000, 0x110000}, c = (uint32_t)(draw() % top[draw() % 5]);
    return (size_t)utf8_put(c, o);
}

/* Put `n` bytes at `at`, in place of what lies there or before it. */
static void put(size_t at, const uint8_t *bytes, size_t n, int insert, size_t max) {
    if (at > input_size) at = input_size;
    if (n > max - at) n = max - at;
    if (insert) {
        size_t keep = input_size - at;
        if (keep > max - at - n) keep = max - at - n;
        memmove(input + at + n, input + at, keep);
        input_size = at + n + keep;
    } else if (at + n > input_size) input_size = at + n;
    memcpy(input + at, bytes, n);
}

static void mutate(size_t max) {
    uint8_t bytes[64];
    size_t at = input_size ? draw() % (input_size + 1) : 0, n = 0, from;
    switch (draw() % 6) {
    case 0: bytes[0] = (uint8_t)draw(); put(at, bytes, 1, draw() & 1, max); break;
    case 1: for (int i = (int)(draw() % 8); i >= 0; i--) n += code_point(bytes + n); put(at, bytes, n, draw() & 1, max); break;
    case 2: { /* a part of another file */
        if (!files) break;
        size_t other = draw() % files;
        if (!corpus[other].size) break;
        from = draw() % corpus[other].size;
        n = draw() % (corpus[other].size - from) + 1;
        put(at, corpus[other].data + from, n, draw() & 1, max);
        break;
    }
    case 3: /* the same letters again and again: long words */
        for (n = draw() % sizeof bytes + 1, from = 0; from < n; from++) bytes[from] = (uint8_t)"aAb9"[n % 4];
        put(at, bytes, n, 1, max);
        break;
    case 4: if (input_size) input_size -= draw() % input_size; break;
    default:
        for (n = draw() % sizeof bytes + 1, from = 0; from < n; from++) bytes[from] = (uint8_t)draw();
        put(at, bytes, n, draw() & 1, max);
    }
    if (input_size < 5) return;
    if (draw() % 2) for (int i = 0; i < 5; i++) input[i] = (uint8_t)draw(); /* the settings of a target */
}

int main(int argc, char **argv) {
    size_t runs = 10000, max = 512;
    state = 1;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-runs=", 6)) runs = strtoull(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "-max_len=", 9)) max = strtoull(argv[i] + 9, NULL, 10);
        else if (!strncmp(argv[i], "-seed=", 6)) state = strtoull(argv[i] + 6, NULL, 10);
        else if (argv[i][0] != '-') add(argv[i]);
    }
    if (!(input = malloc(max ? max : 1))) return 2;
    LLVMFuzzerInitialize(&argc, &argv);
    for (size_t run = 0; run < runs; run++) {
        input_size = 0;
        if (files && draw() % 8) {
            size_t one = run < files ? run : draw() % files;
            put(0, corpus[one].data, corpus[one].size, 0, max);
        }
        for (size_t k = run < files ? 0 : draw() % 6 + 1; k; k--) mutate(max);
        uint8_t *exact = malloc(input_size ? input_size : 1);
        if (!exact) return 2;
        memcpy(exact, input, input_size);
        LLVMFuzzerTestOneInput(exact, input_size);
        free(exact);
    }
    for (size_t i = 0; i < files; i++) free(corpus[i].data);
    free(input);
    printf("Done %zu runs\n", runs);
    return 0;
}
