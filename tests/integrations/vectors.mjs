// node vectors.mjs SSE_JS MODEL TEXTS: token ids and vectors of a JSON list of texts, by the module of the browser example.
// MODEL is a directory, or the address of one.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [module, model, texts] = process.argv.slice(2);
const { Embedder } = await import(pathToFileURL(module));
const fetched = async (name) => (await fetch(`${model}/${name}`)).arrayBuffer();
const embedder = await Embedder.load(model.startsWith("http") ? fetched : (name) => readFile(`${model}/${name}`));
const rows = JSON.parse(await readFile(texts));
const vectors = (await embedder.encode(rows)).map((vector) => [...vector]);
console.log(JSON.stringify({ ids: rows.map((text) => embedder.tokenize(text)), vectors }));
