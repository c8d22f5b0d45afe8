/* The WordPiece vocabulary: an open-addressing hash of pieces, and greedy longest match over one word. */
#ifndef SSE_VOCAB_H
#define SSE_VOCAB_H
#include "unicode.h"

enum { MAX_SPECIALS = 64, MAX_WORD_CHARS = 1000 };
#define NO_ID 0xFFFFFFFFu
#define MAX_ID (1u << 28) /* ids share a word with a count in the word cache */

typedef struct {
    u32 tag; /* high bits of the hash; bit 0: a continuation piece */
    u32 id;  /* NO_ID: empty */
    u32 offset, length;
} Slot;
typedef struct {
    char text[60];
    u32 length, id;
} Special;

typedef struct {
    Slot *slots;
    u32 mask, used;
    u8 *text; /* all pieces, one after the other, without "##" */
    size_t text_size, text_cap;
    u32 longest; /* bytes */
    u32 unk, max_chars;
    Special specials[MAX_SPECIALS];
    int n_specials;
    u8 special_first[256];          /* may a special token start with this byte? */
    u8 ascii_class[256], lower[256]; /* classes of ASCII; MAPPED stands for "not ASCII" */
    u32 punct_id[128];
} Vocab;

static inline u64 hash_bytes(const u8 *p, size_t n, int cont) {
    u64 h = cont ? 0xBB67AE8584CAA73Bull : 0, x = 0; /* fractional bits of the square root of three */
    u64 length = n;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        h = mix(h, x);
    }
    x = 0;
    if (n) memcpy(&x, p, n);
    return mix(h ^ x, length * 0x9E3779B97F4A7C15ull);
}

static u32 vocab_find(const Vocab *v, const u8 *p, size_t n, int cont) {
    u64 h = hash_bytes(p, n, cont);
    u32 tag = ((u32)(h >> 32) & ~1u) | (u32)cont;
    for (u32 i = (u32)h & v->mask;; i = (i + 1) & v->mask) {
        const Slot *s = &v->slots[i];
        if (s->id == NO_ID) return NO_ID;
        if (s->tag == tag && s->length == n && !memcmp(v->text + s->offset, p, n)) return s->id;
    }
}

static void vocab_free(Vocab *v) {
    free(v->slots);
    free(v->text);
    v->slots = NULL;
    v->text = NULL;
}

static int vocab_init(Vocab *v, size_t pieces, size_t bytes) { /* 0: no memory */
    size_t slots = 64;
    if (pieces > MAX_ID || bytes > 1u << 30) return 0;
    while (slots < 2 * pieces) slots *= 2; /* at most half full: short probes, and a search always ends */
    memset(v, 0, sizeof *v);
    v->slots = malloc(slots * sizeof(Slot));
    v->text = malloc(bytes + 1);
    if (!v->slots || !v->text) {
        vocab_free(v);
        return 0;
    }
    for (size_t i = 0; i < slots; i++) v->slots[i].id = NO_ID;
    v->mask = (u32)(slots - 1);
    v->text_cap = bytes;
    return 1;
}

static int vocab_add(Vocab *v, const u8 *piece, size_t n, u32 id) { /* 0: more than was announced */
    int cont = n > 2 && piece[0] == '#' && piece[1] == '#'; /* '#' is punctuation: no word of a text starts with it */
    if (cont) { piece += 2; n -= 2; }
    if (!n) return 1; /* an empty piece never matches */
    if (n > v->text_cap - v->text_size || 2 * (size_t)v->used > v->mask) return 0;
    if (vocab_find(v, piece, n, cont) != NO_ID) return 1;
    u64 h = hash_bytes(piece, n, cont);
    u32 i = (u32)h & v->mask;
    while (v->slots[i].id != NO_ID) i = (i + 1) & v->mask;
    v->slots[i] = (Slot){((u32)(h >> 32) & ~1u) | (u32)cont, id, (u32)v->text_size, (u32)n};
    memcpy(v->text + v->text_size, piece, n);
    v->text_size += n;
    v->used++;
    if (n > v->longest) v->longest = (u32)n;
    return 1;
}

static int vocab_special(Vocab *v, const char *text, size_t n, u32 id) { /* 0: not one that can be matched here */
    if (!n || n >= sizeof v->specials[0].text || v->n_specials == MAX_SPECIALS) return 0;
    Special *s = &v->specials[v->n_specials++];
    memcpy(s->text, text, n);
    s->length = (u32)n;
    s->id = id;
    v->special_first[(u8)text[0]] = 1;
    return 1;
}

static void vocab_finish(Vocab *v, u32 unk, u32 max_chars) { /* after all pieces are in */
    v->unk = unk;
    v->max_chars = max_chars;
    for (int c = 0; c < 256; c++) {
        int upper = c >= 'A' && c <= 'Z';
        int word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        v->lower[c] = (u8)(upper ? c + 32 : c);
        v->ascii_class[c] = (u8)(c >= 128                                              ? MAPPED
                                 : c == ' ' || c == '\t' || c == '\n' || c == '\r' ? SPACE
                                 : c < 32 || c == 127                                  ? DROP
                                 : word                                                ? IN_WORD
                                                                                       : PUNCT);
        if (v->ascii_class[c] == PUNCT) {
            u8 byte = (u8)c;
            u32 id = vocab_find(v, &byte, 1, 0);
            v->punct_id[c] = id == NO_ID || !max_chars ? unk : id;
        }
    }
}

/* Leftmost-longest, in the raw text, as the reference does. */
static inline const Special *special_at(const Vocab *v, const u8 *p, const u8 *end) {
    const Special *best = NULL;
    for (int i = 0; i < v->n_specials; i++) {
        const Special *s = &v->specials[i];
        if ((size_t)(end - p) >= s->length && !memcmp(p, s->text, s->length) && (!best || s->length > best->length)) best = s;
    }
    return best;
}

/* Greedy longest match over one normalised word of `n` bytes and `chars` characters; writes at most max_chars ids.
 * The window is the longest piece, so a word costs at most n * longest probes. */
static u32 wordpiece(const Vocab *v, const u8 *w, size_t n, size_t chars, u32 *out) {
    size_t start = 0;
    u32 k = 0;
    if (chars > v->max_chars) {
        out[0] = v->unk;
        return 1;
    }
    while (start < n) {
        size_t end = n;
        u32 id = NO_ID;
        if (end - start > v->longest) {
            end = start + v->longest;
            while (end > start && (w[end] & 0xC0) == 0x80) end--;
        }
        while (end > start) {
            id = vocab_find(v, w + start, end - start, start > 0);
            if (id != NO_ID) break;
            end--;
            while (end > start && (w[end] & 0xC0) == 0x80) end--;
        }
        if (id == NO_ID) {
            out[0] = v->unk;
            return 1;
        }
        out[k++] = id;
        start = end;
    }
    return k;
}
#endif
