"""The parts of a recipe: every key with its type, its bounds and its default."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    """A table of a recipe: unknown keys are refused, nothing changes after the reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelPart(Part):
    """What is trained."""

    dim: int = Field(512, ge=1)
    tokenizer: str = "bert-base-uncased"
    """Hub id (also OWNER/NAME@REVISION) or path of any fast tokenizer, or "wordpiece": a vocabulary trained on the
    recipe's own text."""
    vocabulary_size: int = Field(30522, ge=100)
    """Size of the trained vocabulary; used only with tokenizer = "wordpiece"."""
    vocabulary_rows: int = Field(300_000, ge=1)
    """Rows of the data that the vocabulary is trained on, taken evenly from all sources."""
    count_exponent: float = Field(1.0, gt=0, le=1)
    """A token that a text has c times weighs c ** count_exponent in its mean."""
    dyt: Literal["separable", "shared", "linear"] = "separable"
    """"shared": one alpha for all dimensions. "linear": no DyT in effect."""
    alpha_init: float | Literal["data"] = 0.5
    """"data": 1 / mean |x| of each dimension's pooled values over a sample of the text."""
    max_seq_length: int | None = Field(None, ge=1)
    empty_text: Literal["constant", "zero"] = "constant"
    query_prompt: str = ""
    """Put before every anchor in training, and before every query by ``encode_query`` afterwards."""
    document_prompt: str = ""
    """The same for positives, negatives and ``encode_document``."""


class StartPart(Part):
    """What the rows of the table are before the training."""

    kind: Literal["normal", "idf", "transformer", "model"] = "normal"
    """"normal": N(0, 1). "idf": random directions whose norms follow ``scale``. "transformer": each token alone through
    ``model``, the leading principal components, norms by ``scale``. "model": rows of another static model, SSE or
    StaticEmbedding, by the tokens' text; with its own tokenizer also its DyT, so a second stage starts there."""
    model: str | None = None
    """Path or Hub id (also OWNER/NAME@REVISION) of the transformer or the static model."""
    scale: Literal["none", "rank", "idf", "sif"] = "rank"
    """Factor of a token's row: log(1 + rank by frequency), idf, or SIF's a / (a + p) with a = 1e-3."""
    components: int | None = Field(None, ge=1)
    """Columns that the transformer's principal components fill at most; by default as many as there are."""
    texts: int = Field(0, ge=0)
    """With kind = "transformer": fit the rows so that their means over so many short pieces of the recipe's texts come
    near the transformer's vectors of these, in place of each token's own vector (see fitted.py)."""
    seed: int | None = Field(None, ge=0)
    """Of all that is random in the start; by default ``train.seed``. Models for a soup need one start."""
    noise: float = Field(0.1, ge=0)
    """Standard deviation of the other columns, where 1 is that of the table: a random direction of its own lets a
    token be told from others of its meaning."""

    @model_validator(mode="after")
    def _model_named(self) -> StartPart:
        if (self.model is not None) != (self.kind in ("transformer", "model")):
            raise ValueError('give model with kind = "transformer" and kind = "model", and only with these')
        if self.texts and self.kind != "transformer":
            raise ValueError('texts needs kind = "transformer"')
        return self


class CropsPart(Part):
    """Self-supervised pairs: two crops of one passage, drawn at random from the positives of all sources."""

    share: float = Field(0.0, ge=0, lt=1)
    """Share of all rows that are such pairs."""
    anchor_words: tuple[int, int] = (6, 32)
    positive_words: tuple[int, int] = (40, 128)
    scattered: float = Field(0.0, ge=0, le=1)
    """Share of the anchors that are words drawn from the whole passage, not a piece of it."""

    @model_validator(mode="after")
    def _ranges(self) -> CropsPart:
        for name, (low, high) in (
            ("anchor_words", self.anchor_words),
            ("positive_words", self.positive_words),
        ):
            if not 1 <= low <= high:
                raise ValueError(f"{name} must be two numbers, the smaller first, from 1 on")
        return self


FUSED_ONLY = (
    "symmetric",
    "false_negative_margin",
    "lexical_weight",
    "teacher_from_dim",
    "focal_gamma",
    "learn_scale",
    "mixed_negatives",
    "words_weight",
)


class LossPart(Part):
    """Matryoshka around multiple negatives ranking."""

    kind: Literal["fused", "reference"] = "fused"
    """"fused" is this package's own loss; "reference" is sentence-transformers' MatryoshkaLoss(MNRL)."""
    dims: tuple[int, ...] = (512, 256, 128, 64, 32)
    weights: tuple[float, ...] | None = None
    scale: float = Field(20.0, gt=0)
    symmetric: bool = False
    mask_same_text: bool = True
    false_negative_margin: float | None = None
    lexical_weight: float = Field(0.0, ge=0, le=1)
    """Share of the target that BM25 over tokens gives out among the candidates."""
    lexical_scale: float = Field(10.0, gt=0)
    """Inverse of the temperature of those scores, of which 1 is a candidate with all of the anchor's tokens."""
    teacher_from_dim: int = Field(0, ge=0)
    """Dims below this one do without a teacher, lexical or not."""
    focal_gamma: float = Field(0.0, ge=0)
    """Weigh a row's loss by (1 - p)^gamma, p the probability of its positive: easy rows count less."""
    learn_scale: bool = False
    mixed_negatives: bool = False
    """Add a mix of the two hardest negatives of each row to the candidates."""
    words_weight: float = Field(0.0, ge=0)
    """Weight of the loss that finds the words of a positive from its vector."""

    @model_validator(mode="after")
    def _consistent(self) -> LossPart:
        if not self.dims or min(self.dims) < 1:
            raise ValueError("dims must be positive")
        if self.weights is not None and len(self.weights) != len(self.dims):
            raise ValueError("weights must be as many as dims")
        if self.kind == "reference":
            changed = [name for name in FUSED_ONLY if getattr(self, name) not in (False, 0.0, None)]
            if changed:
                raise ValueError(f'{changed[0]} needs kind = "fused"')
        return self


class TrainPart(Part):
    """How it is trained; names and meanings as in transformers' TrainingArguments where they have one."""

    batch_size: int = Field(2048, ge=2)
    gradient_accumulation: int = Field(1, ge=1)
    epochs: float = Field(1.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.9999, ge=0, lt=1)
    eps: float = Field(1e-10, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all steps."""
    moving_average: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average over the steps, which takes the place of the last weights at the end."""
    start_share: float = Field(0.0, ge=0, lt=1)
    """Share of the weights before the first step in those at the end: ``share * start + (1 - share) * trained``. Brings
    back what the start knew of texts unlike the training's (WiSE-FT, arXiv 2109.01903)."""
    level_rows: float | None = Field(None, gt=0)
    """Damping of TrAct's gradients, which move long texts as far as short ones."""
    bf16: bool = False
    sampler: Literal["no_duplicates", "random"] = "no_duplicates"
    group_size: int | None = Field(None, ge=2)
    """Fill batches with groups of about so many similar documents, which makes hard negatives of them."""
    mixing: Literal["proportional", "round_robin"] = "proportional"
    seed: int = Field(12, ge=0)
    workers: int = Field(0, ge=0)
    log_every: int = Field(10, ge=1)
    save_every: int = Field(200, ge=1)
    keep: int = Field(2, ge=1)
    """Checkpoints kept; the best one is kept besides."""
    report_to: tuple[str, ...] = ()


class EvaluationPart(Part):
    """Measuring during the training, on suites that may be tuned on."""

    suites: tuple[str, ...] = ()
    dims: tuple[int, ...] | None = None
    every: int = Field(200, ge=1)
    decontaminate: tuple[str, ...] = ()
    """Suites whose queries and documents are taken out of the training data."""
    keep_best: bool = True
    """End with the checkpoint of the best mean nDCG@10 at the full width, not with the last one."""


class Columns(Part):
    """Which columns of a data set are what."""

    anchor: str
    positive: str
    negative: str | tuple[str, ...] = ()
    id: str | None = None
    """Equal values mean the same document, which is then never its own negative."""
    score: str | None = None
    """How alike anchor and positive are, any numbers; the source then needs ``in_batch = false``."""


class Source(Part):
    """One data set: pairs of anchor and positive, with negatives where there are some."""

    name: str
    hub: str | None = None
    path: str | None = None
    """Parquet, JSON lines or CSV file; ``{data}`` stands for the recipe's ``data``."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: Columns | None = None
    """Without it the columns anchor, positive, negative are taken, or else the text columns in their order."""
    negatives: int | None = Field(None, ge=0)
    """Use at most this many negative columns."""
    limit: int | None = Field(None, ge=1)
    in_batch: bool = True
    """false: other rows of the batch are no negatives. Anchors then rank their own negatives (InfoNCE), or pairs
    are ordered by their score (CoSENT)."""
    mine: bool = True
    """false: no hard negatives are mined for this source."""
    weight: float = Field(1.0, ge=0)
    """Rows are repeated (above 1) or left out at random (below 1); 0 leaves the source out."""
    streaming: bool = False
    """Fetch only the first ``limit`` rows, for data sets too large to download."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """Prompts of this source's anchor, positive and negative, in place of the model's."""
    license: str | None = None
    url: str | None = None
    trained_on: tuple[str, ...] = ()
    """Evaluation sets (nq, hotpotqa, ...) whose training data this is: reported as in-domain."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.hub is None) == (self.path is None):
            raise ValueError("give either hub or path")
        scored = self.columns is not None and self.columns.score is not None
        if scored and (self.in_batch or (self.columns and (self.columns.id or self.columns.negative))):
            raise ValueError("a score needs in_batch = false, and neither id nor negative beside it")
        if self.streaming and (self.limit is None or self.hub is None):
            raise ValueError("streaming needs hub and limit")
        if unknown := set(self.prompts) - {"anchor", "positive", "negative"}:
            raise ValueError(f"prompts may name anchor, positive and negative, not {sorted(unknown)[0]!r}")
        return self


class NegativesPart(Part):
    """Hard negatives, looked for among the positives of the same source."""

    kind: Literal["none", "bm25", "model"] = "none"
    """What ranks them: BM25, or the cosine of a static model."""
    model: str | None = None
    """Directory or Hub id of the static model; used only with kind = "model"."""
    count: int = Field(3, ge=1, le=15)
    """Negatives for each row."""
    pool: int = Field(20_000, ge=2)
    """Rows are split at random into shards of at most so many, and a row looks only in its own: bounded time."""
    depth: int = Field(30, ge=1)
    """Candidates looked at, best first."""
    skip: int = Field(0, ge=0)
    """Leave out the first so many of them."""
    keep_below: float = Field(0.95, gt=0)
    """Keep a candidate only if it scores less than this times the positive (NV-Retriever, arXiv 2407.15831)."""
    keep_existing: bool = True
    """Leave a source that has negatives as it is; otherwise they are replaced."""

    @model_validator(mode="after")
    def _consistent(self) -> NegativesPart:
        if (self.model is not None) != (self.kind == "model"):
            raise ValueError('give model with kind = "model", and only with it')
        if self.depth < self.skip + self.count:
            raise ValueError("depth must be at least skip + count")
        return self


class TeacherPart(Part):
    """Distillation from vectors: a share of each row's target follows the cosines of other models."""

    models: tuple[str, ...] = ()
    """Paths or Hub ids (also OWNER/NAME@REVISION) of sentence-transformers models; the cosine of several is the mean
    of theirs."""
    vectors: str | None = None
    """Directory of vectors made before, in place of models (see ``read_vectors``)."""
    weight: float = Field(0.0, ge=0, le=1)
    """Share of the target that the teacher gives out among the candidates; 0 leaves the teacher out."""
    scale: float = Field(20.0, gt=0)
    """Inverse of the temperature of the teacher's cosines."""
    rows: int = Field(100_000, ge=1)
    """Rows that get vectors, from all sources in proportion to their size; only these are trained on."""
    max_tokens: int = Field(96, ge=2)
    """Tokens of a text that a model reads at most."""
    fusion_dim: int | None = Field(None, ge=1)
    """Compress the vectors of the models, laid side by side, to so many dims (see teacher/fusion.py)."""

    @model_validator(mode="after")
    def _one_origin(self) -> TeacherPart:
        if self.models and self.vectors is not None:
            raise ValueError("give models or vectors, not both")
        if self.weight and not self.models and self.vectors is None:
            raise ValueError("weight above 0 needs models or vectors")
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model is named twice")
        if self.fusion_dim is not None and not self.models:
            raise ValueError("fusion_dim needs models")
        return self
