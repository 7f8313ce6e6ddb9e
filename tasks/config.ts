import { z } from 'zod';
import { ensure } from '../training/core/errors.ts';
import type { contracts } from './contracts.ts';
import type { SpecOf, TaskContract } from './task.ts';

/** A model's name: its folder in the store, and what requests and the command line call it. */
export const modelName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'expected a-z, 0-9 and - with a letter first');

/** A file's name inside a version's folder. */
export const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected letters, digits, . _ and -');

export const versionNumber = z.int().min(1);

const fileEntry = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), sizeBytes: z.int().min(0) }).readonly();
export type FileEntry = z.infer<typeof fileEntry>;

/** What `config.json` states of every version, whatever its task. */
const commonConfig = z.object({
  name: modelName,
  task: z.string(),
  version: versionNumber,
  /** ISO 8601, UTC. */
  createdAt: z.iso.datetime(),
  /** One line for people: what it was trained on. */
  description: z.string(),
  /** Every file of the version but config.json itself, by name. */
  files: z.record(fileName, fileEntry).readonly(),
  /** Numbers measured when the version was registered, by name (units in the name, e.g. `heldOutPsnrDb`). */
  metrics: z.record(z.string(), z.number()).readonly(),
});

/** A version's `config.json`, of whatever task; see docs for the format. */
export type AnyConfig = Readonly<z.infer<typeof commonConfig>>;

/** `config.json` of a version whose task has the contract `C`. */
export type ConfigOf<C extends TaskContract> = C extends TaskContract
  ? AnyConfig & { readonly task: C['name'] } & { readonly [K in keyof C['sections']]: z.output<C['sections'][K]> }
  : never;

/** `config.json` of a version of one of fettle's own tasks. */
export type ModelConfig = ConfigOf<(typeof contracts)[number]>;

/** configSchema(contracts): the schema of `config.json`, by task. A version of a task that is not among them is not valid. */
export function configSchema(tasks: readonly TaskContract[]): z.ZodType<AnyConfig> {
  const forms = tasks.map(({ name, sections }) => commonConfig.extend({ task: z.literal(name), ...sections }));
  const [first, ...others] = forms;
  ensure(first !== undefined, 'bad-argument', () => 'configSchema: expected at least one task, got none');
  return z.discriminatedUnion('task', [first, ...others]);
}

/** specOf: how the model of a version is fed. Throws `bad-model` where the version is of another task. */
export function specOf<C extends TaskContract>({ name, sections }: C, config: AnyConfig): SpecOf<C> {
  const [section] = Object.entries(sections);
  ensure(config.task === name && section !== undefined, 'bad-model', () => {
    return `${config.name}@${config.version}: expected a model of the task ${name} with its section in config.json, got one of ${config.task}`;
  });
  return section[1].parse((config as Readonly<Record<string, unknown>>)[section[0]]) as SpecOf<C>;
}
