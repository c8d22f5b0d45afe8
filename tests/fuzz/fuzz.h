/* What the fuzz targets share: checks, a vocabulary, and bytes made into valid UTF-8. */
#ifndef SSE_FUZZ_H
#define SSE_FUZZ_H
#include <stdio.h>

#include "../../sse/edge/native/embed.h"

#define CHECK(truth)                                                               \
    do {                                                                           \
        if (!(truth)) {                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #truth); \
            abort();                                                               \
        }                                                                          \
    } while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static inline u64 draw(u64 *state) { /* splitmix64 */
    u64 z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

/* The bytes of `data` that are valid UTF-8, in a block of exactly their size: a read behind it is caught. */
static u8 *valid_utf8(const u8 *data, size_t size, size_t *valid) {
    u8 *all = malloc(size + 1), *exact;
    size_t n = 0;
    CHECK(all);
    for (size_t i = 0; i < size;) {
        u8 first = data[i];
        size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
        int good = length > 0 && length <= size - i;
        for (size_t k = 1; good && k < length; k++) good = (data[i + k] & 0xC0) == 0x80;
        if (good && length > 2) { /* overlong forms, surrogates, above U+10FFFF */
            u8 second = data[i + 1];
            good = !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second > 0x9F) && !(first == 0xF0 && second < 0x90) &&
                   !(first == 0xF4 && second > 0x8F);
        }
        if (!good) {
            i++;
            continue;
        }
        memcpy(all + n, data + i, length);
        n += length;
        i += length;
    }
    exact = malloc(n ? n : 1);
    CHECK(exact);
    if (n) memcpy(exact, all, n);
    free(all);
    *valid = n;
    return exact;
}

static u8 *whole_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    u8 *data;
    long end;
    if (!file) {
        perror(path);
        exit(2);
    }
    CHECK(!fseek(file, 0, SEEK_END) && (end = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET));
    data = malloc((size_t)end + !end);
    CHECK(data && fread(data, 1, (size_t)end, file) == (size_t)end);
    fclose(file);
    *size = (size_t)end;
    return data;
}

static u8 *unicode_file(size_t *size) {
    const char *path = getenv("SSE_UNICODE_BIN");
    return whole_file(path ? path : "sse/edge/unicode.bin", size);
}

/* Single letters too, so that a word can become one id a letter. The ids count from 0 without gaps. */
static const char *const PIECES[] = {
    "[PAD]", "[UNK]", "[CLS]", "[MASK]", "<\xC3\xA9>", "the", "token", "##ization", "##ing", "internationalization",
    "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa", "##aaaaaaaaaaaaaaaa", "un", "##aff", "##able", "2026", "##99", "\xC3\x9F",
    "##\xC3\x9F", "\xD1\x8F", "\xD0\xBF\xD1\x80\xD0\xB8", "##\xD0\xB2\xD0\xB5\xD1\x82", "\xE4\xB8\xAD", "\xE6\x96\x87",
    "\xE3\x82\xAB", "##\xE3\x82\xBF", "\xE1\x84\x92", "##\xE1\x85\xA1", "##\xE1\x86\xAB", "\xF0\x9F\x99\x82", "##\xF0\x9F\x99\x82",
    "\xE2\x82\xAC", "\xE2\x80\x94", "\xCE\xBC", "##\xCF\x83", "##", "###", "!", "\"", "#", "'", "(", ")", ",", "-", ".", "/", ":",
    ";", "<", ">", "?", "@", "[", "]", "_", "|", "~", "\xF0\x9D\x94\x98\xF0\x9D\x94\x98"};
enum { LISTED = sizeof PIECES / sizeof *PIECES, SINGLE = 36, ROWS = LISTED + 2 * SINGLE };

static Vocab small_vocabulary(void) {
    static const char singles[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    Vocab v;
    u32 id = 0;
    CHECK(vocab_init(&v, ROWS, 4096));
    for (; id < LISTED; id++) CHECK(vocab_add(&v, (const u8 *)PIECES[id], strlen(PIECES[id]), id));
    for (int i = 0; i < SINGLE; i++) {
        u8 piece[3] = {'#', '#', (u8)singles[i]};
        CHECK(vocab_add(&v, piece + 2, 1, id++));
        CHECK(vocab_add(&v, piece, 3, id++));
    }
    CHECK(id == ROWS);
    for (u32 i = 1; i < 5; i++) CHECK(vocab_special(&v, PIECES[i], strlen(PIECES[i]), i));
    CHECK(vocab_special(&v, "[MASK][", 7, 0)); /* longer than one it starts with */
    vocab_finish(&v, 1, 100);
    return v;
}
#endif
