// Texts to vectors with an exported model, and search among vectors. The same code runs in a browser and in Node.

import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1; // a text is too little work to share out, and threads need a server that sends headers

export class Embedder {
  // read(name) gives a file of the model directory as bytes, for example
  // name => fetch(`model/${name}`).then(answer => answer.arrayBuffer())
  static async load(read, file = "onnx/model_quantized.onnx") {
    const text = async (name) => JSON.parse(new TextDecoder().decode(await read(name)));
    const config = await text("tokenizer_config.json");
    const tokenizer = new Tokenizer(await text("tokenizer.json"), config);
    const session = await ort.InferenceSession.create(new Uint8Array(await read(file)));
    return new Embedder(tokenizer, session, config.model_max_length);
  }

  constructor(tokenizer, session, longest) {
    Object.assign(this, { tokenizer, session, longest });
  }

  // Token ids of a text; what follows the longest text that the model takes is left out.
  tokenize(text) {
    return this.tokenizer.encode(text).ids.slice(0, this.longest);
  }

  // One Float32Array of length 1 for each text. `dim` keeps the first columns.
  async encode(texts, { dim, batch = 32 } = {}) {
    const vectors = [];
    for (let start = 0; start < texts.length; start += batch) {
      vectors.push(...(await this.#run(texts.slice(start, start + batch), dim)));
    }
    return vectors;
  }

  async #run(texts, dim) {
    const bags = texts.map((text) => this.tokenize(text));
    const shape = [bags.length, Math.max(...bags.map((bag) => bag.length))];
    const ids = new BigInt64Array(shape[0] * shape[1]);
    const mask = new BigInt64Array(ids.length);
    bags.forEach((bag, row) =>
      bag.forEach((id, column) => {
        ids[row * shape[1] + column] = BigInt(id);
        mask[row * shape[1] + column] = 1n;
      }),
    );
    const { sentence_embedding: found } = await this.session.run({
      input_ids: new ort.Tensor("int64", ids, shape),
      attention_mask: new ort.Tensor("int64", mask, shape),
    });
    const width = found.dims[1];
    return bags.map((_, row) => unit(found.data.slice(row * width, row * width + (dim ?? width))));
  }
}

// The k best vectors: [{ index, score }], best first. Vectors have length 1, so that the dot product is the cosine.
export function search(query, vectors, k = 5) {
  const scored = vectors.map((vector, index) => ({ index, score: dot(query, vector) }));
  return scored.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, k);
}

function unit(vector) {
  const length = Math.sqrt(dot(vector, vector)) || 1;
  return vector.map((value) => value / length);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
