import { join } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../../server/store/store.ts';
import { classifyCard, percent, photosOf } from '../../../tasks/classify/card.ts';
import { classifyContract } from '../../../tasks/classify/contract.ts';
import type { ClassifyData } from '../../../tasks/classify/data.node.ts';
import type { ClassifyRunConfig, ClassifyStart } from '../../../tasks/classify/recipe.node.ts';
import type { ClassifyScore } from '../../../tasks/classify/score.node.ts';
import { specOf } from '../../../tasks/config.ts';
import { FettleError } from '../../../training/core/errors.ts';
import type { OpenGraph } from '../../../training/loop/compile.ts';
import { note, openerOf, report } from '../cli.ts';
import {
  commandLine,
  licenceNote,
  type Origin,
  originOf,
  putToWork,
  type RetrainOptions,
  type RetrainPlace,
  registerRetrained,
} from '../origin.ts';
import { classifyConfig, needClassifyOptions, runFromOptions } from './train-classify.ts';

/** Fewer held-out photos than this do not tell which model is better. */
const fewPhotos = 20;

/** The model that the options name; where they name none and there is no classifier yet, or with `none`, random weights. */
async function startingPoint(store: ModelStore, from: string): Promise<Origin | undefined> {
  if (from === 'none') return undefined;
  try {
    return await originOf(store, from, 'classify');
  } catch (error) {
    const isDefault = from === 'classify' && error instanceof FettleError && error.code === 'not-found';
    if (!isDefault) throw error;
    note('there is no classifier to start from yet: training from random weights');
    return undefined;
  }
}

const sameNames = (a: readonly string[], b: readonly string[] | undefined): boolean =>
  a.length === b?.length && a.every((name, id) => name === b[id]);

/** Settings and weights: of a model to start from its net and its size, and its head too where the classes are the same. */
async function planOf(
  data: ClassifyData,
  origin: Origin | undefined,
  options: RetrainOptions,
): Promise<{ readonly config: ClassifyRunConfig; readonly start?: ClassifyStart }> {
  const [{ classifyRunDefaults }, { classifyModelFacts }, { initializersOf }] = await Promise.all([
    import('../../../tasks/classify/recipe.node.ts'),
    import('../../../tasks/classify/net.ts'),
    import('../../../training/onnx/weights.ts'),
  ]);
  if (origin === undefined) return { config: classifyConfig(classifyRunDefaults, options) };
  const { config, facts } = classifyModelFacts(origin.bytes);
  const { classes: _, ...model } = config;
  const { height } = facts;
  const settings = classifyConfig(classifyRunDefaults, { ...options, size: options.size ?? height });
  return {
    config: { ...settings, model, resize: facts.resize },
    start: { weights: initializersOf(origin.bytes), head: sameNames(data.classes, facts.classes) },
  };
}

/** The score of a version of the store on the held-out photos; undefined where its classes are others. */
async function scoreOfVersion(
  store: ModelStore,
  version: ModelVersion | undefined,
  data: ClassifyData,
  open: OpenGraph,
): Promise<ClassifyScore | undefined> {
  if (version === undefined) return undefined;
  const spec = specOf(classifyContract, version.config);
  if (!sameNames(data.classes, spec.classes)) return undefined;
  const { scoreClassify } = await import('../../../tasks/classify/score.node.ts');
  return scoreClassify({ model: await store.read(version, 'model.onnx'), spec }, data.valid, open);
}

/** `fettle retrain classify`. */
export async function retrainClassify(
  command: Command,
  options: RetrainOptions,
  { store, folder }: RetrainPlace,
): Promise<void> {
  needClassifyOptions(options);
  const [{ readClassifyFolder }, { exportClassify }, { scoreClassify }, { writeDurably }] = await Promise.all([
    import('../../../tasks/classify/data.node.ts'),
    import('../../../tasks/classify/net.ts'),
    import('../../../tasks/classify/score.node.ts'),
    import('../../../training/core/durable.node.ts'),
  ]);
  const origin = await startingPoint(store, options.from);
  const data = await readClassifyFolder(options.data, options.seed);
  const plan = await planOf(data, origin, options);
  const { config } = plan;
  const { open } = await openerOf(options);
  const out = await folder(origin?.reference ?? 'classify-none');
  const result = await runFromOptions(command, options, { ...plan, data, out, open });

  const facts = { ...config.validSize, resize: config.resize, classes: data.classes };
  const exported = exportClassify(result.model, result.weights, facts);
  await writeDurably(join(out, 'model.onnx'), exported.model);
  const name = origin?.name ?? 'classify';
  const active = await store.resolve(name).catch(() => undefined);
  const after = await scoreClassify(exported, data.valid, open);
  const before = await scoreOfVersion(store, origin?.version, data, open);
  const serving = active?.dir === origin?.version?.dir ? before : await scoreOfVersion(store, active, data, open);
  const cardFacts = {
    name,
    data: `Photos of \`${options.data}\`. They are the user's; what may be done with them is for the user to know.`,
    command: commandLine(),
    startedFrom: origin?.reference,
    licence: licenceNote(origin),
  };
  const version = await registerRetrained(store, {
    origin,
    name,
    model: exported.model,
    data: options.data,
    card: classifyCard(cardFacts, config, data.classes, result, { after, before }),
    config: {
      task: 'classify',
      description: `${origin ? `fine-tuned from ${origin.reference}` : 'trained'} on ${data.train.length} photos: ${data.classes.join(', ')}`,
      classify: exported.spec,
      metrics: metricsOf(after, before),
    },
  });
  await tell(command, store, version, { data, after, before, serving, out }, options);
}

const metricsOf = (after: ClassifyScore, before: ClassifyScore | undefined): Readonly<Record<string, number>> => ({
  heldOutAccuracy: after.accuracy,
  heldOutMajority: after.majority,
  ...(before ? { startAccuracy: before.accuracy } : {}),
});

interface Outcome {
  readonly data: ClassifyData;
  readonly after: ClassifyScore;
  readonly before: ClassifyScore | undefined;
  /** Of the version that serves; undefined where its classes are others. */
  readonly serving: ClassifyScore | undefined;
  readonly out: string;
}

/** Serves the new version unless it tells nothing, or the one that serves tells the same classes better; says what came of it. */
async function tell(
  command: Command,
  store: ModelStore,
  version: ModelVersion,
  { data, after, before, serving, out }: Outcome,
  { keepActive }: RetrainOptions,
): Promise<void> {
  const { name, version: number } = version.config;
  const photos = photosOf(after);
  if (photos < fewPhotos) note(`only ${photos} held out: the numbers mean little; more photos would make them sure`);
  const useless = after.accuracy <= after.majority;
  if (useless) note('more photos, or photos that show the classes better, are needed');
  const worse = useless || (serving !== undefined && after.accuracy < serving.accuracy);
  const reason = useless ? 'no better than always saying the most frequent class' : undefined;
  const { active, words } = await putToWork(store, version, { keepActive, worse, reason });
  const brief = ({ accuracy, majority }: ClassifyScore) => ({ accuracy, majority });
  const was = before === undefined ? '' : `, ${percent(before.accuracy)} before`;
  report(
    command,
    {
      name,
      version: number,
      active,
      classes: data.classes,
      before: before && brief(before),
      after: { ...brief(after), report: after.report },
      dir: version.dir,
      run: out,
    },
    `${name}@${number}: accuracy ${percent(after.accuracy)} on ${photos} held out${was} (always the most frequent class: ${percent(after.majority)}); ${words}; pictures in ${out}`,
  );
}
