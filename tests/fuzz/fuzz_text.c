/* Any text, over every kind of table: no fault, the same ids with a cold and a warm cache and from embed and text_ids,
 * the same bits from every instruction set, and only finite numbers.
 * Input: table, longest word, limit, width and flags from the first five bytes, then the text. */
#include "fuzz.h"

enum { TABLES = 3 * KINDS + 2, WORDS = 5 };
static Model models[TABLES];
static Scratch *scratches[TABLES];
static Vocab vocabularies[WORDS];
static const size_t LONGEST[WORDS] = {100, 100, 10, 1000, 0};
static const Kernels *kernels[3];
static int n_kernels;
static u8 *unicode_data;

static float number(u64 *state) { return (float)((double)(draw(state) >> 11) * 0x1p-53 * 8 - 4); }

static u16 half(u64 *state) { /* finite, of magnitude below 2 */
    u64 bits = draw(state);
    return (u16)((bits & 0x8000) | (bits >> 16) % 0x4000);
}

/* `wild`: any bits, infinities and NaN among them. */
static void make_table(Table *t, int kind, size_t dim, size_t groups, int wild, u64 *state) {
    static const size_t bits[KINDS] = {32, 16, 8, 8, 4};
    size_t width = padded(dim), size;
    u8 *codes;
    t->kind = kind;
    t->rows = ROWS;
    t->dim = dim;
    t->stride = dim * bits[kind] / 8;
    t->groups = groups;
    t->group = dim / groups;
    size = t->stride * t->rows; /* to the byte: a read behind the last row is caught */
    t->codes = codes = malloc(size);
    CHECK(codes);
    for (size_t i = 0; i < size; i++) codes[i] = (u8)draw(state);
    for (size_t i = 0; !wild && i < t->rows * dim; i++) {
        float f = number(state);
        u16 h = half(state);
        if (kind == F32) memcpy(codes + 4 * i, &f, 4);
        if (kind == F16) memcpy(codes + 2 * i, &h, 2);
    }
    if (kind == INT8_ROW || kind == INT4) {
        size_t n = t->rows * groups;
        u8 *scales = malloc(n * (t->scales_f16 ? 2 : 4));
        CHECK(scales);
        for (size_t i = 0; i < n; i++) {
            float f = number(state);
            u16 h = half(state);
            if (t->scales_f16) memcpy(scales + 2 * i, &h, 2);
            else memcpy(scales + 4 * i, &f, 4);
        }
        t->scales = scales;
    }
    if (kind == INT4) {
        float levels[16];
        for (int i = 0; i < 16; i++) levels[i] = number(state);
        for (int b = 0; b < 256; b++) {
            t->pairs[b][0] = levels[b >> 4];
            t->pairs[b][1] = levels[b & 15];
        }
    }
    t->alpha = calloc(width, sizeof(float));
    t->beta = calloc(width, sizeof(float));
    t->bias = calloc(width, sizeof(float));
    CHECK(t->alpha && t->beta && t->bias);
    for (size_t i = 0; i < dim; i++) {
        t->alpha[i] = number(state);
        t->beta[i] = number(state);
        t->bias[i] = number(state);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    static const size_t dims[] = {36, 130, 62}, groups[] = {3, 5, 1};
    u64 state = 1;
    size_t size;
    Unicode unicode;
    Vocab v = small_vocabulary();
    (void)argc;
    (void)argv;
    unicode_data = unicode_file(&size);
    CHECK(unicode_open(&unicode, unicode_data, size));
    for (int i = 0; i < WORDS; i++) {
        vocabularies[i] = v;
        vocab_finish(&vocabularies[i], 1, (u32)LONGEST[i]);
    }
    for (int i = 0; i < 3; i++)
        if ((kernels[n_kernels] = kernels_for(names[i]))) n_kernels++;
    fprintf(stderr, "instruction sets: %d\n", n_kernels);
    for (int i = 0; i < TABLES; i++) {
        Model *m = &models[i];
        int wild = i >= 3 * KINDS;
        m->vocab = v;
        m->unicode = unicode;
        m->kernels = kernels[0];
        m->empty_zero = i % 2;
        weigh_counts(m, 0.5); /* so that there is room for counts; each input chooses its own */
        m->table.scales_f16 = i % 2;
        make_table(&m->table, wild ? i - 3 * KINDS : i % KINDS, dims[i / KINDS % 3], i % KINDS == INT4 && !wild ? groups[i / KINDS] : 1, wild,
                   &state);
        CHECK((scratches[i] = scratch_new(m)));
    }
    return 0;
}

static size_t width_of(u8 a, size_t dim) { return a < 64 ? dim : 1 + a % dim; }

int LLVMFuzzerTestOneInput(const u8 *data, size_t size) {
    static const int64_t limits[] = {0, 0, 0, 0, 1, 2, 3, 511, 512, 513, 1000, 1024, 1025, INT64_MAX};
    static const double exponents[] = {1, 0.75, 0.5};
    u8 set[5] = {0};
    size_t used = size < sizeof set ? size : sizeof set, n, d, known = 0;
    if (used) memcpy(set, data, used);
    u8 *text = valid_utf8(used ? data + used : data, size - used, &n);
    int which = set[0] % TABLES;
    Model *m = &models[which];
    Scratch *s = scratches[which];
    int64_t limit = limits[set[2] % (sizeof limits / sizeof *limits)], tokens;
    int normalize = set[4] & 1, first = OK;
    float *first_out = NULL;
    u32 *ids = NULL;
    m->vocab = vocabularies[set[1] % WORDS];
    weigh_counts(m, exponents[(set[4] >> 1) % 3]);
    d = width_of(set[3], m->table.dim);
    /* the memory of words is of one vocabulary; and now and then it starts empty in any case */
    static u8 last[TABLES];
    if (last[which] != set[1] % WORDS || !(set[4] & 0xF0)) memset(s->stream.cache, 0, sizeof(Cached) << CACHE_BITS);
    last[which] = set[1] % WORDS;
    for (int again = 0; again < 2; again++) {
        CHECK(text_ids(s, text, n, limit) == OK);
        tokens = s->tokens;
        CHECK(tokens >= 0 && (!limit || tokens <= limit) && (uint64_t)tokens <= 18 * (uint64_t)n);
        for (int64_t i = 0; i < tokens; i++) CHECK(s->all[i] < ROWS);
        if (again) CHECK((size_t)tokens == known && (!known || !memcmp(ids, s->all, known * sizeof(u32))));
        else {
            known = (size_t)tokens;
            CHECK((ids = malloc(known * sizeof(u32) + 1)));
            if (known) memcpy(ids, s->all, known * sizeof(u32));
        }
    }
    for (int k = 0; k < n_kernels; k++) {
        float *out = malloc(d * sizeof(float));
        CHECK(out);
        m->kernels = kernels[k];
        int got = embed(s, text, n, d, normalize, limit, out);
        CHECK((size_t)s->tokens == known);
        for (int i = 0; i < ROWS; i++) CHECK(!s->seen[i]); /* nothing is left for the next text */
        CHECK(got == OK || (which >= 3 * KINDS && got == NOT_FINITE));
        for (size_t i = 0; got == OK && i < d; i++) CHECK(isfinite(out[i]));
        if (!k) {
            first = got;
            first_out = out;
            continue;
        }
        CHECK(got == first && (got != OK || !memcmp(out, first_out, d * sizeof(float))));
        free(out);
    }
    free(first_out);
    free(ids);
    free(text);
    return 0;
}
