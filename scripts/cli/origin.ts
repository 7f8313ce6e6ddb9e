import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { ModelStore, ModelVersion } from '../../server/store/store.ts';
import type { Origin } from '../../tasks/training.node.ts';
import { resolveModel } from './stores.ts';

/** What a new version is made from: a version of the store, or a file that fettle exported. */
export interface KnownOrigin extends Origin {
  /** The model that it is a version of; undefined for a file. */
  readonly name?: string;
  /** The licence of its weights; undefined where none is stated. */
  readonly licence: string | undefined;
}

/** The licence of a version; undefined where it has none. */
const licenceIn = async (store: ModelStore, version: ModelVersion): Promise<string | undefined> =>
  'LICENSE' in version.config.files ? new TextDecoder().decode(await store.read(version, 'LICENSE')) : undefined;

/**
 * The licence of the weights in a file: those of the versions of the store that hold the same bytes, and the LICENSE beside it. If any
 * is for research only, that one counts.
 */
async function licenceOfFile(store: ModelStore, path: string, bytes: Uint8Array): Promise<string | undefined> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const versions = (await store.list()).flatMap((entry) => entry.versions);
  const same = versions.filter(({ config }) => config.files['model.onnx']?.sha256 === sha256);
  const found = await Promise.all([
    ...same.map((version) => licenceIn(store, version)),
    readFile(join(dirname(path), 'LICENSE'), 'utf8').catch(() => undefined),
  ]);
  const licences = found.filter((text) => text !== undefined);
  return licences.find(isResearchOnly) ?? licences[0];
}

/** The model that `from` names. Throws `bad-argument` when it is of another task. */
export async function originOf(store: ModelStore, from: string, task: string): Promise<KnownOrigin> {
  if (from.endsWith('.onnx') && existsSync(from)) {
    const bytes = await readFile(from);
    return { reference: from, bytes, licence: await licenceOfFile(store, from, bytes) };
  }
  const version = await resolveModel(store, from, task, '--from');
  const { config } = version;
  const [bytes, licence] = await Promise.all([store.read(version, 'model.onnx'), licenceIn(store, version)]);
  return { name: config.name, reference: `${config.name}@${config.version}`, config, bytes, licence };
}

/** Whether a licence begins with the words that rule out all use but research. */
const isResearchOnly = (licence: string | undefined): boolean => /^\s*research only\b/i.test(licence ?? '');

/** The licence of weights that were fine-tuned on the user's own data; weights for research only stay so. */
export function licenceOf(origin: KnownOrigin | undefined, data: string): string {
  const own = `${resolve(data)}, whose terms the user knows`;
  if (origin === undefined) return `Trained from random weights on data of ${own}.\n`;
  const { reference, licence } = origin;
  const first = isResearchOnly(licence) ? 'Research only.\n\n' : '';
  const whole = licence === undefined ? '' : ` It states:\n\n${licence}`;
  return `${first}Fine-tuned from ${reference} on data of ${own}. The licence of ${reference} applies.${whole}\n`;
}

/** What a card states about the licence, in a sentence or two. */
export function licenceNote(origin: KnownOrigin | undefined): string {
  if (origin === undefined) return 'Trained on the data above alone, whose terms apply.';
  const { reference, licence } = origin;
  const kind = isResearchOnly(licence) ? ' **Research only**: the model it started from is.' : '';
  return `The weights come from ${reference}, whose licence applies (see LICENSE), and from the data above.${kind}`;
}
