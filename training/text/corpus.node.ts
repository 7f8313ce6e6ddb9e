import { createReadStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { createWorkerPool } from '../core/worker-pool.node.ts';
import { Corpus, type TextPart, type TokenisedParts, tokeniseParts } from './corpus.ts';

/** ` = Robert Boulter = `, how WikiText begins an article; subsections have more of them. */
const articleHeading = /^ ?= (?!=)(?:.*[^= ]) = ?$/;

/**
 * The paragraphs of a text file (.txt or .txt.gz), one per line, without the empty ones. A text begins with the file and with each
 * heading of an article in WikiText's form. Read as it is asked for.
 */
export async function* readParagraphs(path: string): AsyncGenerator<TextPart> {
  const file = createReadStream(path);
  const input = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  // A failure of the file must reach whoever reads the lines.
  if (input !== file) file.on('error', (error) => input.destroy(error));
  let begins = true;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const text = line.trim();
      if (text === '') continue;
      yield { text, begins: begins || articleHeading.test(line) };
      begins = false;
    }
  } finally {
    file.destroy();
  }
}

/** Characters that a thread gets at a time. */
const taskSize = 1 << 18;

async function* inTasks(parts: Iterable<TextPart> | AsyncIterable<TextPart>): AsyncGenerator<readonly TextPart[]> {
  let task: TextPart[] = [];
  let size = 0;
  for await (const part of parts) {
    task.push(part);
    size += part.text.length;
    if (size < taskSize) continue;
    yield task;
    [task, size] = [[], 0];
  }
  if (task.length > 0) yield task;
}

export interface CorpusOptions {
  /** Threads that tokenise; one per core by default, 0 for none. */
  readonly workers?: number;
}

/** The tokens of texts that are read and tokenised piece by piece; the same whatever the number of threads. */
export async function readCorpus(
  parts: Iterable<TextPart> | AsyncIterable<TextPart>,
  { workers = availableParallelism() }: CorpusOptions = {},
): Promise<Corpus> {
  const corpus = new Corpus();
  if (workers === 0) {
    for await (const task of inTasks(parts)) corpus.add(tokeniseParts(task));
    return corpus;
  }
  const url = new URL('./corpus-worker.node.js', import.meta.url);
  const pool = createWorkerPool<readonly TextPart[], TokenisedParts>(url, workers);
  const waiting: Promise<TokenisedParts>[] = [];
  try {
    for await (const task of inTasks(parts)) {
      const result = pool.run(task);
      // Whoever waits for it hears of a failure; before that it is no unhandled one.
      result.catch(() => undefined);
      waiting.push(result);
      // So much of the text is in memory at once, and no more.
      if (waiting.length > 2 * workers) corpus.add(await waiting.shift()!);
    }
    for (const result of waiting) corpus.add(await result);
    return corpus;
  } finally {
    await pool.close();
  }
}
