/* One text to one vector: tokenize.h fills chunks of ids, the kernels sum their rows, the finish makes the vector. */
#ifndef SSE_EMBED_H
#define SSE_EMBED_H
#include "kernels.h"
#include "tokenize.h"

enum { POWERS = 64 };

typedef struct {
    Vocab vocab;
    Unicode unicode;
    Table table;
    const Kernels *kernels;
    int empty_zero;
    double count_exponent; /* a token that a text has c times weighs c ** count_exponent */
    double powers[POWERS]; /* of the first counts */
} Model;

static void weigh_counts(Model *m, double exponent) {
    m->count_exponent = exponent;
    for (int count = 0; count < POWERS; count++) m->powers[count] = pow((double)count, exponent);
}

typedef struct Scratch Scratch;
struct Scratch { /* buffers of one call at a time */
    Stream stream; /* first: a Stream * is a Scratch * */
    const Model *model;
    size_t d;
    float *acc;
    void *work;
    float *group;   /* sum of tokens that come equally often */
    double *wide;   /* sums of the chunks before this one, for texts of more than CHUNK tokens */
    u32 *seen;      /* for an exponent below 1: how often the text has each token; all 0 between texts */
    u32 *different; /* the tokens that it has, by first appearance; then room for as many */
    size_t kinds;
    int64_t tokens; /* of the chunks taken so far */
    u32 *all;       /* for scratch_ids: every id of the text */
    size_t all_cap;
    int no_memory;
    Scratch *next;
};
enum { OK = 0, NOT_FINITE = 1, NO_MEMORY = 2 };

static void scratch_free(Scratch *s) {
    if (!s) return;
    free(s->stream.cache);
    free(s->stream.ids);
    free(s->stream.word);
    free(s->acc);
    free(s->group);
    free(s->work);
    free(s->wide);
    free(s->seen);
    free(s->different);
    free(s->all);
    free(s);
}

static Scratch *scratch_new(const Model *m) { /* NULL: no memory */
    size_t width = padded(m->table.dim);
    Scratch *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->model = m;
    s->stream.vocab = &m->vocab;
    s->stream.unicode = &m->unicode;
    s->stream.cache = calloc((size_t)1 << CACHE_BITS, sizeof(Cached)); /* touched as words come */
    s->stream.ids = malloc(sizeof(u32) * (CHUNK + MAX_WORD_CHARS + 16));
    s->stream.word = malloc(4 * (size_t)MAX_WORD_CHARS + 16);
    s->acc = calloc(width, sizeof(float)); /* the columns that pad it are computed on, so they must be numbers */
    s->group = malloc(width * sizeof(float));
    s->work = malloc(width * (sizeof(int32_t) + sizeof(int16_t)));
    s->wide = malloc(width * sizeof(double));
    if (m->count_exponent < 1) { /* touched where a text has tokens, nowhere else */
        s->seen = calloc(m->table.rows, sizeof(u32));
        s->different = calloc(m->table.rows, 2 * sizeof(u32));
    }
    if ((m->count_exponent < 1 && (!s->seen || !s->different)) || !s->stream.cache || !s->stream.ids || !s->stream.word || !s->acc || !s->group || !s->work || !s->wide) {
        scratch_free(s);
        return NULL;
    }
    return s;
}

static void take_rows(Stream *stream) {
    Scratch *s = (Scratch *)stream;
    const Model *m = s->model;
    if (s->tokens && !stream->n) return;
    m->kernels->sum[m->table.kind](&m->table, stream->ids, stream->n, s->d, s->acc, s->work);
    if (s->tokens)
        for (size_t i = 0; i < s->d; i++) s->wide[i] += (double)s->acc[i];
    else if (stream->n >= CHUNK)
        for (size_t i = 0; i < s->d; i++) s->wide[i] = (double)s->acc[i];
    s->tokens += stream->n;
}

static void count_rows(Stream *stream) {
    Scratch *s = (Scratch *)stream;
    for (u32 j = 0; j < stream->n; j++)
        if (!s->seen[stream->ids[j]]++) s->different[s->kinds++] = stream->ids[j];
    s->tokens += stream->n;
}

static void add_group(Scratch *s, const u32 *ids, size_t n, double weight, int wide) {
    const Model *m = s->model;
    for (size_t from = 0; from < n; from += CHUNK) {
        u32 part = (u32)(n - from < CHUNK ? n - from : CHUNK);
        m->kernels->sum[m->table.kind](&m->table, ids + from, part, s->d, s->group, s->work);
        if (wide) m->kernels->add(s->group, s->d, weight, s->wide);
        else m->kernels->blend(s->group, s->d, (float)weight, s->acc);
    }
}

/* Leaves the weighted sum of the text's rows in `acc` and clears `seen`; returns the sum of the weights. Tokens that
 * come equally often are summed by one call of the kernel, so a text without repetition costs what its mean does. */
static double sum_counted(Scratch *s) {
    const Model *m = s->model;
    u32 *once = s->different, *more = s->different + m->table.rows;
    size_t singles = 0, left = 0;
    int wide = s->kinds > CHUNK; /* fewer are summed in float32, as for a plain mean */
    double total;
    for (size_t k = 0; k < s->kinds; k++) {
        u32 id = s->different[k];
        if (s->seen[id] > 1) more[left++] = id;
        else {
            once[singles++] = id;
            s->seen[id] = 0;
        }
    }
    total = (double)singles;
    if (wide) {
        for (size_t i = 0; i < s->d; i++) s->wide[i] = 0;
        add_group(s, once, singles, 1, wide);
    } else
        m->kernels->sum[m->table.kind](&m->table, once, (u32)singles, s->d, s->acc, s->work);
    while (left) { /* the group of the smallest count that is left goes to the front, and is taken off */
        u32 count = s->seen[more[0]];
        size_t n = 0;
        double weight;
        for (size_t k = 1; k < left; k++)
            if (s->seen[more[k]] < count) count = s->seen[more[k]];
        for (size_t k = 0; k < left; k++) {
            u32 id = more[k];
            if (s->seen[id] != count) continue;
            s->seen[id] = 0;
            more[k] = more[n];
            more[n++] = id;
        }
        weight = count < POWERS ? m->powers[count] : pow((double)count, m->count_exponent);
        total += weight * (double)n;
        add_group(s, more, n, weight, wide);
        more += n;
        left -= n;
    }
    if (wide)
        for (size_t i = 0; i < s->d; i++) s->acc[i] = (float)s->wide[i];
    return total;
}

/* The vector of valid UTF-8 text: d floats. `limit`: tokens to use at most, 0 for all. */
static int embed(Scratch *s, const u8 *text, size_t size, size_t d, int normalize, int64_t limit, float *out) {
    const Model *m = s->model;
    float *acc = s->acc, sum, r = 1;
    double weights;
    s->d = d;
    s->tokens = 0;
    s->kinds = 0;
    s->stream.take = m->count_exponent < 1 ? count_rows : take_rows;
    tokenize(&s->stream, text, size, limit);
    if (!s->tokens && m->empty_zero) {
        memset(out, 0, d * sizeof(float));
        return OK;
    }
    weights = m->count_exponent < 1 ? sum_counted(s) : (double)s->tokens;
    if (m->count_exponent >= 1 && s->tokens >= CHUNK)
        for (size_t i = 0; i < d; i++) acc[i] = (float)s->wide[i];
    if (m->table.kind <= F16 && !m->kernels->finite(acc, d)) { /* the other kinds hold numbers only */
        memset(acc, 0, padded(m->table.dim) * sizeof(float)); /* nothing of this text may reach the next one */
        return NOT_FINITE;
    }
    sum = m->kernels->finish(&m->table, d, s->tokens ? (float)(1.0 / weights) : 0.f, acc);
    if (!(sum <= 3.4e38f)) return NOT_FINITE;
    if (normalize) r = sum > 0 ? 1.f / sqrtf(sum) : 0.f;
    m->kernels->scale(acc, d, r, out);
    return OK;
}

static void take_ids(Stream *stream) {
    Scratch *s = (Scratch *)stream;
    size_t n = (size_t)s->tokens + stream->n;
    if (s->no_memory) return;
    if (n > s->all_cap) {
        size_t cap = n + n / 2 + 64;
        u32 *all = cap > SIZE_MAX / sizeof(u32) ? NULL : realloc(s->all, cap * sizeof(u32));
        if (!all) {
            s->no_memory = 1;
            return;
        }
        s->all = all;
        s->all_cap = cap;
    }
    if (stream->n) memcpy(s->all + s->tokens, stream->ids, stream->n * sizeof(u32));
    s->tokens += stream->n;
}

/* The ids of valid UTF-8 text: s->all[0..s->tokens). */
static int text_ids(Scratch *s, const u8 *text, size_t size, int64_t limit) {
    s->tokens = 0;
    s->no_memory = 0;
    s->stream.take = take_ids;
    tokenize(&s->stream, text, size, limit);
    return s->no_memory ? NO_MEMORY : OK;
}
#endif
