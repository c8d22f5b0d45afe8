/* Text to ids: one pass over UTF-8, ids handed over in chunks, so that memory does not grow with the text. */
#ifndef SSE_TOKENIZE_H
#define SSE_TOKENIZE_H
#include "vocab.h"

enum { CHUNK = 512, CACHE_BITS = 15 };
#define COUNT_SHIFT 29
#define ID_MASK ((1u << COUNT_SHIFT) - 1)

/* A word of at most 16 bytes, zero padded, and its 1 to 4 ids; the count is in the high bits of ids[0]. 2^15 entries
 * are 1 MB; fewer are slower, more are not faster (measured). */
typedef struct {
    u64 lo, hi;
    u32 ids[4];
} Cached;

typedef struct Stream Stream;
struct Stream { /* what one call needs; used by one thread at a time */
    const Vocab *vocab;
    const Unicode *unicode;
    Cached *cache;
    u32 *ids;     /* CHUNK, then room for one more word */
    u32 n;        /* ids waiting */
    int64_t left; /* how many more the caller wants */
    int done;
    void (*take)(Stream *); /* called with ids[0..n); empties nothing itself */
    u8 *word;               /* the word under construction on the general path */
    size_t word_bytes, word_chars;
};

/* Hand the waiting ids over. 1: the caller wants no more. */
static int stream_flush(Stream *s) {
    if ((int64_t)s->n >= s->left) {
        s->n = (u32)s->left;
        s->done = 1;
    }
    s->left -= s->n;
    s->take(s);
    s->n = 0;
    return s->done;
}

static inline void emit_id(Stream *s, u32 id) { s->ids[s->n++] = id; }

static void emit_miss(Stream *s, Cached *e, u64 lo, u64 hi, size_t n, size_t chars) {
    u8 bytes[16];
    u32 *out = s->ids + s->n, k;
    memcpy(bytes, &lo, 8);
    memcpy(bytes + 8, &hi, 8);
    k = wordpiece(s->vocab, bytes, n, chars, out);
    s->n += k;
    if (k > 4) return;
    e->lo = lo;
    e->hi = hi;
    for (u32 i = 0; i < 4; i++) e->ids[i] = i < k ? out[i] : 0;
    e->ids[0] |= k << COUNT_SHIFT;
}

/* A normalised word of n <= 16 bytes; no word holds a NUL, so padding with zeros keeps words apart. */
static inline void emit_short(Stream *s, u64 lo, u64 hi, size_t n, size_t chars) {
    Cached *e = &s->cache[mix(lo, hi) >> (64 - CACHE_BITS)];
    if (LIKELY(e->lo == lo && e->hi == hi)) {
        u32 *out = s->ids + s->n;
        memcpy(out, e->ids, 16);
        s->n += out[0] >> COUNT_SHIFT;
        out[0] &= ID_MASK;
    } else emit_miss(s, e, lo, hi, n, chars);
}

static inline void load_short(const u8 *w, size_t n, u64 *lo, u64 *hi) {
    u8 padded[16] = {0};
    memcpy(padded, w, n);
    memcpy(lo, padded, 8);
    memcpy(hi, padded + 8, 8);
}

static inline void word_end(Stream *s) {
    if (!s->word_chars) return;
    if (s->word_bytes <= 16 && s->word_chars <= s->vocab->max_chars) {
        u64 lo, hi;
        load_short(s->word, s->word_bytes, &lo, &hi);
        emit_short(s, lo, hi, s->word_bytes, s->word_chars);
    } else s->n += wordpiece(s->vocab, s->word, s->word_bytes, s->word_chars, s->ids + s->n);
    s->word_bytes = s->word_chars = 0;
}

static inline void word_add(Stream *s, u32 class, u32 cp) {
    if (class == IN_WORD) { /* characters over the cap are counted, not stored: the word is [UNK] */
        if (++s->word_chars <= s->vocab->max_chars) s->word_bytes += (size_t)utf8_put(cp, s->word + s->word_bytes);
        return;
    }
    word_end(s);
    if (class == PUNCT) {
        s->word_bytes = (size_t)utf8_put(cp, s->word);
        s->word_chars = 1;
        word_end(s);
    }
}

/* Length of the run of ASCII letters and digits at p, at most 16, and the run in lower case, zero padded. Reads 16 bytes. */
static inline int scan_word(const u8 *p, u64 *lo, u64 *hi) {
    static const u8 keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
#if defined(ON_X86_64)
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), bit = _mm_set1_epi8(0x20);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, bit), _mm_set1_epi8('a')), digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    u32 m = (u32)_mm_movemask_epi8(_mm_or_si128(is_letter, is_digit));
    int n = trailing_zeros(~(u64)m);
    __m128i r = _mm_and_si128(_mm_or_si128(v, _mm_and_si128(is_letter, bit)),
                              _mm_loadu_si128((const __m128i *)(const void *)(keep + 16 - n)));
    *lo = (u64)_mm_cvtsi128_si64(r);
    *hi = (u64)_mm_cvtsi128_si64(_mm_unpackhi_epi64(r, r));
    return n;
#elif defined(ON_ARM64)
    uint8x16_t v = vld1q_u8(p), bit = vdupq_n_u8(0x20);
    uint8x16_t is_letter = vcltq_u8(vsubq_u8(vorrq_u8(v, bit), vdupq_n_u8('a')), vdupq_n_u8(26));
    uint8x16_t is_digit = vcltq_u8(vsubq_u8(v, vdupq_n_u8('0')), vdupq_n_u8(10));
    uint16x8_t both = vreinterpretq_u16_u8(vorrq_u8(is_letter, is_digit));
    u64 m = ~vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(both, 4)), 0); /* four bits a byte */
    int n = m ? trailing_zeros(m) / 4 : 16;
    uint8x16_t r = vandq_u8(vorrq_u8(v, vandq_u8(is_letter, bit)), vld1q_u8(keep + 16 - n));
    *lo = vgetq_lane_u64(vreinterpretq_u64_u8(r), 0);
    *hi = vgetq_lane_u64(vreinterpretq_u64_u8(r), 1);
    return n;
#else
    u8 r[16] = {0};
    int n = 0;
    for (; n < 16; n++) {
        u8 c = p[n], low = (u8)(c | 0x20);
        if (low >= 'a' && low <= 'z') r[n] = low;
        else if (c >= '0' && c <= '9') r[n] = c;
        else break;
    }
    (void)keep;
    memcpy(lo, r, 8);
    memcpy(hi, r + 8, 8);
    return n;
#endif
}

/* The general path: from p to the end of the word or of what one code point becomes. Returns the new p. */
static const u8 *tokenize_general(Stream *s, const u8 *p, const u8 *end) {
    const Vocab *v = s->vocab;
    do {
        u32 cp, entry, class;
        if (*p < 0x80) {
            class = v->ascii_class[*p];
            if (class == IN_WORD) {
                if (++s->word_chars <= v->max_chars) s->word[s->word_bytes++] = v->lower[*p];
            } else if (class != DROP) break;
            p++;
            continue;
        }
        p += utf8_get(p, &cp);
        entry = unicode_entry(s->unicode, cp);
        class = entry & 7;
        if (class == DROP) continue;
        if (class == MAPPED) {
            const u32 *r = s->unicode->pool + (entry >> 3);
            for (u32 m = *r++; m--; r++) {
                word_add(s, *r >> 24, *r & 0xFFFFFF);
                if (s->n >= CHUNK && stream_flush(s)) return end;
            }
            continue;
        }
        word_add(s, class, cp);
        if (class != IN_WORD) break;
    } while (p < end);
    word_end(s);
    return p;
}

/* Tokenise valid UTF-8; ids go to s->take in chunks, the last one (perhaps empty) included. */
static void tokenize(Stream *s, const u8 *p, size_t size, int64_t limit) {
    const Vocab *v = s->vocab;
    const u8 *end = p + size;
    s->n = 0;
    s->left = limit > 0 ? limit : INT64_MAX;
    s->done = 0;
    s->word_bytes = s->word_chars = 0;
    while (p < end) {
        u8 c = *p, class = v->ascii_class[c];
        if (class == SPACE) {
            p++;
            continue;
        }
        if (s->n >= CHUNK && stream_flush(s)) return;
        if (class == PUNCT) {
            const Special *special = v->special_first[c] ? special_at(v, p, end) : NULL;
            emit_id(s, special ? special->id : v->punct_id[c]);
            p += special ? special->length : 1;
            continue;
        }
        if (class == IN_WORD && v->max_chars >= 16) { /* an ASCII word of at most 16 bytes with an ASCII boundary after it */
            u64 lo, hi;
            int n;
            u8 next;
            if (end - p > 16) {
                n = scan_word(p, &lo, &hi);
                next = v->ascii_class[p[n]];
            } else {
                u8 tail[17] = {0};
                memcpy(tail, p, (size_t)(end - p));
                n = scan_word(tail, &lo, &hi);
                next = n < end - p ? v->ascii_class[p[n]] : SPACE;
            }
            if (next == SPACE || next == PUNCT) {
                emit_short(s, lo, hi, (size_t)n, (size_t)n);
                p += n;
                continue;
            }
        }
        p = tokenize_general(s, p, end);
    }
    stream_flush(s);
}
#endif
