/* Any bytes as the Unicode table: unicode_open refuses them, or tokenising over them does no harm.
 * Input: the first byte says how a table is made of the rest: as it is, a small one that is nearly right, or the real
 * one with a few words changed. */
#include "fuzz.h"

static u8 *real;
static size_t real_size;
static Model model;
static Scratch *scratch;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    real = unicode_file(&real_size);
    model.vocab = small_vocabulary();
    model.table.dim = 2;
    CHECK((scratch = scratch_new(&model)));
    return 0;
}

static u32 word_at(const u8 *data, size_t size, size_t i) { /* the input, over and over */
    u8 b[4];
    u32 w;
    for (size_t k = 0; k < 4; k++) b[k] = size ? data[(4 * i + k) % size] : 0;
    memcpy(&w, b, 4);
    return w;
}

static u8 *nearly_right(const u8 *data, size_t size, size_t *made) {
    u64 state = size;
    u32 head[4], pages = 1 + word_at(data, size, 0) % 3, pool = word_at(data, size, 1) % 600, faults = word_at(data, size, 2) % 4;
    size_t entries = (size_t)pages * 256, at = UNICODE_HEADER;
    u8 *table = malloc(*made = UNICODE_HEADER + 2 * UNICODE_INDEX + 4 * (entries + pool));
    CHECK(table);
    for (size_t i = 0; i < 16; i++) state = state * 0x100000001B3ull ^ word_at(data, size, i);
    memcpy(head, "SSEU", 4);
    head[1] = UNICODE_VERSION;
    head[2] = pages;
    head[3] = pool;
    memcpy(table, head, sizeof head);
    for (int i = 0; i < UNICODE_INDEX; i++, at += 2) {
        u16 page = (u16)(draw(&state) % pages);
        memcpy(table + at, &page, 2);
    }
    u32 *words = (u32 *)(void *)(table + at);
    for (u32 i = 0; i < pool; i++) { /* a count, or a class and a code point, whatever reads it */
        u32 left = pool - i, count = (u32)draw(&state) % left;
        words[entries + i] = draw(&state) % 4 ? count % 20 % left : word_at(data, size, i);
        if (draw(&state) % 3 == 0) words[entries + i] = (u32)(draw(&state) % 7) << 24 | ((u32)draw(&state) & 0xFFFFFF);
    }
    for (size_t i = 0; i < entries; i++) {
        u32 class = (u32)draw(&state) % 5, place = pool ? (u32)draw(&state) % pool : 0;
        if (class == MAPPED && (!pool || words[entries + place] > pool - place - 1)) class = IN_WORD;
        words[i] = class == MAPPED ? place << 3 | MAPPED : class | ((u32)draw(&state) & ~7u);
    }
    for (u32 i = 0; i < faults; i++) {
        u32 value = word_at(data, size, 3 + i);
        size_t place = 4 * (draw(&state) % (*made / 4));
        memcpy(table + place, &value, 4);
    }
    return table;
}

static u8 *changed(const u8 *data, size_t size, size_t *made) {
    u8 *table = malloc(real_size);
    CHECK(table);
    memcpy(table, real, real_size);
    for (size_t i = 0; i + 8 <= size && i < 32 * 8; i += 8) {
        u32 place, value, old;
        memcpy(&place, data + i, 4);
        memcpy(&value, data + i + 4, 4);
        place = place % (u32)(real_size / 4) * 4;
        memcpy(&old, table + place, 4);
        if (value & 1) value = old + (value >> 1) % 17 - 8; /* a little off */
        memcpy(table + place, &value, 4);
    }
    *made = real_size;
    return table;
}

static void tokenise(const u8 *raw, size_t size) {
    static const int64_t limits[] = {0, 1, 600};
    size_t n;
    u8 *text = valid_utf8(raw, size, &n);
    for (int i = 0; i < 3; i++) {
        CHECK(text_ids(scratch, text, n, limits[i]) == OK);
        CHECK(!limits[i] || scratch->tokens <= limits[i]);
        for (int64_t k = 0; k < scratch->tokens; k++) CHECK(scratch->all[k] < ROWS);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size) {
    static const char fixed[] = "The caf\xC3\xA9 \xC3\x9F\xC3\x80 \xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xE4\xB8\xAD\xE6\x96\x87"
                                "\xED\x95\x9C \xEF\xB7\xBA\xEF\xAC\x83 \xF0\x9F\x99\x82\xF4\x8F\xBF\xBF\xCC\x88 [MASK]a\xE2\x80\x8D"
                                "aaaaaaaaaaaaaaaaaaa\xC2\xA0\xCC\x81\xE0\xA4\x95\xE0\xA4\xBC";
    size_t used = size > 0, made;
    u8 mode = size ? data[0] % 8 : 0, *table;
    if (used) data++;
    size -= used;
    if (mode == 0) {
        CHECK((table = malloc(size + !size)));
        if (size) memcpy(table, data, size);
        made = size;
    } else if (mode < 5) table = nearly_right(data, size, &made);
    else table = changed(data, size, &made);
    if (mode == 7 && made) { /* too short, to the byte */
        size_t cut = word_at(data, size, 0) % made;
        u8 *shorter = malloc(cut + !cut);
        CHECK(shorter);
        memcpy(shorter, table, cut);
        free(table);
        table = shorter;
        made = cut;
    }
    if (unicode_open(&model.unicode, table, made)) {
        u32 max_chars[] = {100, 1000, 3};
        vocab_finish(&model.vocab, 1, max_chars[size % 3]);
        tokenise((const u8 *)fixed, sizeof fixed);
        tokenise(data, size);
        u8 spread[4 * 300]; /* every part of the code space */
        u64 state = size;
        size_t n = 0;
        for (int i = 0; i < 300; i++) n += (size_t)utf8_put((u32)(draw(&state) % 0x110000), spread + n);
        tokenise(spread, n);
    }
    free(table);
    return 0;
}
