/* sse.edge._native: the type Core, one model. Text in, float32 out; the GIL is released while it works.
 * All state belongs to a Core or to one call, so any number of models and threads can be used at once. */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030A0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "embed.h"
#include "mapping.h"

enum { RELEASE_BYTES = 2000 }; /* less text than this is done sooner than the GIL is given away and taken back */

typedef struct {
    PyObject_HEAD
    Model model;
    Mapping file;
    PyObject *unicode; /* bytes: the table's memory */
    Scratch *free;     /* buffers not in use; only touched with the GIL held */
    int ready;
} Core;

static Scratch *scratch_take(Core *c) {
    Scratch *s = c->free;
    if (s) c->free = s->next;
    else if (!(s = scratch_new(&c->model))) PyErr_NoMemory();
    return s;
}
static void scratch_give(Core *c, Scratch *s) {
    if (s->all_cap > 1 << 20) { /* one long text must not be paid for ever after */
        free(s->all);
        s->all = NULL;
        s->all_cap = 0;
    }
    s->next = c->free;
    c->free = s;
}

static void core_dealloc(PyObject *self) {
    Core *c = (Core *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    while (c->free) {
        Scratch *s = c->free;
        c->free = s->next;
        scratch_free(s);
    }
    vocab_free(&c->model.vocab);
    free(c->model.table.alpha);
    free(c->model.table.beta);
    free(c->model.table.bias);
    mapping_close(&c->file);
    Py_XDECREF(c->unicode);
    release(self);
    Py_DECREF(type);
}

static int fail(const char *what) {
    PyErr_SetString(PyExc_ValueError, what);
    return 0;
}

static int load_vocabulary(Vocab *v, PyObject *pieces, const char *ids, Py_ssize_t ids_size, PyObject *specials, unsigned long unk,
                           int max_chars, size_t rows) {
    Py_ssize_t n = PyList_Size(pieces), k = PyList_Size(specials), size;
    size_t total = 0;
    const char *text;
    if (n < 0 || k < 0) return 0;
    if (ids_size != n * 4 || unk >= rows || rows > MAX_ID || max_chars < 0 || max_chars > MAX_WORD_CHARS) return fail("the vocabulary does not fit");
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!(text = PyUnicode_AsUTF8AndSize(PyList_GetItem(pieces, i), &size))) return 0;
        total += (size_t)size;
    }
    if (!vocab_init(v, (size_t)n, total)) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        u32 id;
        memcpy(&id, ids + 4 * i, 4);
        if (!(text = PyUnicode_AsUTF8AndSize(PyList_GetItem(pieces, i), &size))) return 0;
        if (id >= rows) return fail("a piece has no row");
        if (!vocab_add(v, (const u8 *)text, (size_t)size, id)) return fail("the vocabulary does not fit");
    }
    for (Py_ssize_t i = 0; i < k; i++) {
        unsigned long id;
        if (!PyArg_ParseTuple(PyList_GetItem(specials, i), "s#k", &text, &size, &id)) return 0;
        if (id >= rows || !vocab_special(v, text, (size_t)size, (u32)id)) return fail("a special token does not fit");
    }
    vocab_finish(v, (u32)unk, (u32)max_chars);
    return 1;
}

static float *load_vector(const char *data, Py_ssize_t size, size_t dim) {
    float *v;
    if (size != (Py_ssize_t)(4 * dim)) {
        fail("alpha, beta and bias must have one float32 a column");
        return NULL;
    }
    if (!(v = calloc(padded(dim), sizeof(float)))) PyErr_NoMemory();
    else memcpy(v, data, 4 * dim);
    return v;
}

/* `n` bytes at `offset` of the file, or NULL. */
static const u8 *part_of(const Mapping *m, unsigned long long offset, u64 n, size_t align) {
    if (offset > m->size || n > m->size - offset || offset % align) return NULL;
    return m->data + offset;
}

static int load_table(Core *c, unsigned long long codes, unsigned long long scales, Py_ssize_t groups, const char *book, Py_ssize_t book_size) {
    static const u64 bits[KINDS] = {32, 16, 8, 8, 4};
    static const size_t align[KINDS] = {4, 2, 1, 1, 1};
    Table *t = &c->model.table;
    u64 row_bits;
    if (t->kind < 0 || t->kind >= KINDS || !t->rows || !t->dim || t->dim > 1u << 20 || t->rows > MAX_ID) return fail("the table does not fit");
    row_bits = t->dim * bits[t->kind];
    if (row_bits % 8) return fail("a 4-bit table needs an even number of columns");
    t->stride = (size_t)(row_bits / 8);
    if (!(t->codes = part_of(&c->file, codes, (u64)t->stride * t->rows, align[t->kind]))) return fail("the table does not lie in the file");
    if (t->kind == INT8_ROW || t->kind == INT4) {
        if (groups < 1 || (size_t)groups > t->dim || t->dim % (size_t)groups) return fail("the scales do not fit");
        t->groups = (size_t)groups;
        t->group = t->dim / t->groups;
        t->scales = part_of(&c->file, scales, (u64)(t->scales_f16 ? 2 : 4) * t->rows * t->groups, 1);
        if (!t->scales || (t->kind == INT4 && t->group % 2) || (t->kind == INT8_ROW && groups != 1)) return fail("the scales do not fit");
    }
    if (t->kind == INT4) {
        float levels[16];
        if (book_size != sizeof levels) return fail("the codebook must have 16 levels");
        memcpy(levels, book, sizeof levels);
        for (int b = 0; b < 256; b++) {
            t->pairs[b][0] = levels[b >> 4];
            t->pairs[b][1] = levels[b & 15];
        }
    }
    return 1;
}

#if defined(_WIN32)
static int open_path(Mapping *m, PyObject *path) {
    PathChar *wide = PyUnicode_AsWideCharString(path, NULL);
    int ok = wide && mapping_open(m, wide);
    PyMem_Free(wide);
    return ok;
}
#else
static int open_path(Mapping *m, PyObject *path) {
    PyObject *bytes = NULL;
    int ok = PyUnicode_FSConverter(path, &bytes) && mapping_open(m, PyBytes_AsString(bytes));
    Py_XDECREF(bytes);
    return ok;
}
#endif

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"pieces", "ids", "specials", "unk", "max_chars", "unicode", "path", "kind", "rows", "dim", "codes",
                            "scales", "scales_f16", "groups", "codebook", "alpha", "beta", "bias", "empty_zero",
                            "count_exponent", "isa", NULL};
    PyObject *pieces, *specials, *unicode, *path;
    const char *ids, *book, *alpha, *beta, *bias, *isa;
    Py_ssize_t ids_size, book_size, alpha_size, beta_size, bias_size, rows, dim, groups;
    unsigned long unk;
    unsigned long long codes, scales;
    int max_chars, kind, scales_f16, empty_zero, found;
    double count_exponent;
    char *data;
    Py_ssize_t size;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!y#O!kiSUinnKKpny#y#y#y#pds", names, &PyList_Type, &pieces, &ids, &ids_size,
                                     &PyList_Type, &specials, &unk, &max_chars, &unicode, &path, &kind, &rows, &dim, &codes, &scales,
                                     &scales_f16, &groups, &book, &book_size, &alpha, &alpha_size, &beta, &beta_size, &bias,
                                     &bias_size, &empty_zero, &count_exponent, &isa))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Core *c = (Core *)alloc(type, 0); /* zeroed */
    if (!c) return NULL;
    Model *m = &c->model;
    Py_INCREF(unicode);
    c->unicode = unicode;
    m->empty_zero = empty_zero;
    weigh_counts(m, count_exponent);
    m->table.kind = kind;
    m->table.scales_f16 = scales_f16;
    m->table.rows = rows < 0 ? 0 : (size_t)rows;
    m->table.dim = dim < 0 ? 0 : (size_t)dim;
    if (PyBytes_AsStringAndSize(unicode, &data, &size) < 0) goto failed;
    if (!unicode_open(&m->unicode, (const u8 *)data, (size_t)size)) {
        fail("the Unicode table is damaged");
        goto failed;
    }
    if (!(m->kernels = kernels_for(isa))) {
        fail("this processor has no such instruction set");
        goto failed;
    }
    found = open_path(&c->file, path);
    if (!found) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_OSError, "the model file cannot be mapped");
        goto failed;
    }
    if (!(count_exponent > 0 && count_exponent <= 1)) {
        fail("the exponent of counts does not fit");
        goto failed;
    }
    if (!load_table(c, codes, scales, groups, book, book_size)) goto failed;
    if (!load_vocabulary(&m->vocab, pieces, ids, ids_size, specials, unk, max_chars, m->table.rows)) goto failed;
    if (!(m->table.alpha = load_vector(alpha, alpha_size, m->table.dim)) || !(m->table.beta = load_vector(beta, beta_size, m->table.dim)) ||
        !(m->table.bias = load_vector(bias, bias_size, m->table.dim)))
        goto failed;
    c->ready = 1;
    return (PyObject *)c;
failed:
    Py_DECREF(c);
    return NULL;
}

typedef struct {
    const char *text;
    Py_ssize_t size;
} View;

/* encode(texts, dim, normalize, limit, out=None, row=0): float32 rows into a new bytearray, or into `out` from `row` on. */
static PyObject *core_encode(PyObject *self, PyObject *args) {
    Core *c = (Core *)self;
    PyObject *texts, *out = Py_None, *result = NULL, *held, *pin = NULL;
    Py_ssize_t dim, row = 0, n, total = 0, failed_at = -1;
    long long limit;
    int normalize;
    View few[32], *views = few;
    Scratch *s = NULL;
    float *to;
    if (!PyArg_ParseTuple(args, "OnpL|On", &texts, &dim, &normalize, &limit, &out, &row)) return NULL;
    if (dim < 1 || (size_t)dim > c->model.table.dim || limit < 0 || row < 0 || (out == Py_None && row)) {
        fail("dim, limit or row out of range");
        return NULL;
    }
    if (!(held = PySequence_Tuple(texts))) return NULL; /* keeps every string alive while the GIL is away */
    n = PyTuple_Size(held);
    if (n > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(View) || n > PY_SSIZE_T_MAX / 4 / dim - row || (n > 32 && !(views = malloc((size_t)n * sizeof(View))))) {
        views = few;
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *text = PyTuple_GetItem(held, i);
        if (!PyUnicode_Check(text)) {
            PyErr_Format(PyExc_TypeError, "text %zd is not a string", i);
            goto done;
        }
        if (!(views[i].text = PyUnicode_AsUTF8AndSize(text, &views[i].size))) goto done; /* a lone surrogate */
        total += views[i].size;
    }
    if (out != Py_None && !(pin = PyMemoryView_FromObject(out))) goto done; /* nobody can resize it while the GIL is away */
    if (out == Py_None) result = PyByteArray_FromStringAndSize(NULL, 4 * n * dim);
    else if (PyByteArray_Check(out) && PyByteArray_Size(out) / 4 / dim >= row + n &&
             (uintptr_t)PyByteArray_AsString(out) % sizeof(float) == 0) { /* one that was cut at its front may begin anywhere */
        Py_INCREF(out);
        result = out;
    } else fail("out must be an aligned bytearray with room for the rows");
    if (!result || !(s = scratch_take(c))) goto done;
    to = (float *)(void *)PyByteArray_AsString(result) + row * dim;
    if (total < RELEASE_BYTES) {
        for (Py_ssize_t i = 0; i < n && failed_at < 0; i++)
            if (embed(s, (const u8 *)views[i].text, (size_t)views[i].size, (size_t)dim, normalize, limit, to + i * dim)) failed_at = i;
    } else {
        Py_BEGIN_ALLOW_THREADS;
        for (Py_ssize_t i = 0; i < n && failed_at < 0; i++)
            if (embed(s, (const u8 *)views[i].text, (size_t)views[i].size, (size_t)dim, normalize, limit, to + i * dim)) failed_at = i;
        Py_END_ALLOW_THREADS;
    }
    if (failed_at >= 0) PyErr_Format(PyExc_ArithmeticError, "%zd", failed_at);
done:
    if (s) scratch_give(c, s);
    Py_XDECREF(pin);
    if (PyErr_Occurred()) Py_CLEAR(result);
    if (views != few) free(views);
    Py_DECREF(held);
    return result;
}

/* ids(text, limit) -> bytes of uint32 */
static PyObject *core_ids(PyObject *self, PyObject *args) {
    Core *c = (Core *)self;
    PyObject *text, *result = NULL;
    long long limit;
    const char *p;
    Py_ssize_t size;
    int bad;
    Scratch *s;
    if (!PyArg_ParseTuple(args, "UL", &text, &limit) || !(p = PyUnicode_AsUTF8AndSize(text, &size)) || !(s = scratch_take(c))) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    bad = text_ids(s, (const u8 *)p, (size_t)size, limit);
    Py_END_ALLOW_THREADS;
    if (bad) PyErr_NoMemory();
    else result = PyBytes_FromStringAndSize((const char *)s->all, (Py_ssize_t)sizeof(u32) * (Py_ssize_t)s->tokens);
    scratch_give(c, s);
    return result;
}

static PyObject *core_isa(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return PyUnicode_FromString(((Core *)self)->model.kernels->name);
}

static PyMethodDef core_methods[] = {
    {"encode", core_encode, METH_VARARGS, "encode(texts, dim, normalize, limit, out=None, row=0) -> bytearray of float32"},
    {"ids", core_ids, METH_VARARGS, "ids(text, limit) -> bytes of uint32"},
    {"isa", core_isa, METH_NOARGS, "isa() -> the instruction set in use"},
    {NULL, NULL, 0, NULL}};
static PyType_Slot core_slots[] = {{Py_tp_new, (void *)(uintptr_t)core_new},
                                   {Py_tp_dealloc, (void *)(uintptr_t)core_dealloc},
                                   {Py_tp_methods, core_methods},
                                   {Py_tp_doc, "One model; made by sse.edge.tiers only, which checks the files first."},
                                   {0, NULL}};
static PyType_Spec core_spec = {"sse.edge._native.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT, core_slots};

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromSpec(&core_spec);
    if (!type) return -1;
    if (PyModule_AddObject(module, "Core", type) < 0) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)(uintptr_t)module_exec}, {0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, NULL, module_slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
