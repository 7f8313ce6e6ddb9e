import { join } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../../server/store/store.ts';
import { specOf } from '../../../tasks/config.ts';
import { percent, segmentCard } from '../../../tasks/segment/card.ts';
import type { SegmentClass } from '../../../tasks/segment/contract.ts';
import { segmentContract } from '../../../tasks/segment/contract.ts';
import type { SegmentData } from '../../../tasks/segment/folder.node.ts';
import type { SegmentRunConfig, SegmentRunResult } from '../../../tasks/segment/recipe.node.ts';
import type { SegmentScore } from '../../../tasks/segment/score.node.ts';
import type { OpenGraph } from '../../../training/loop/compile.ts';
import { shortSideOf } from '../../../training/pictures/sizes.ts';
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
import { needSegmentOptions, runFromOptions, segmentConfig } from './train-segment.ts';

export type RetrainSegmentOptions = RetrainOptions & { readonly anyWayUp?: boolean; readonly anyColors?: boolean };

/** Fewer held-out pairs than this do not tell which model is better. */
const fewPairs = 5;

/** Whether an exported model's ids are called as these classes: by what is written in it, or what the store says of it. */
export async function hasClasses({ bytes, version }: Origin, classes: readonly SegmentClass[]): Promise<boolean> {
  const { segmentClassesOf } = await import('../../../tasks/segment/start.ts');
  const written = segmentClassesOf(bytes);
  if (written === undefined) return sameClasses(classes, version && specOf(segmentContract, version.config).classes);
  return classes.length === written.length && classes.every(({ name }, id) => name === written[id]);
}

/** Whether two models call the same ids the same. */
const sameClasses = (a: readonly SegmentClass[], b: readonly SegmentClass[] | undefined): boolean =>
  a.length === b?.length && a.every(({ name }, id) => name === b[id]!.name);

/** The settings: the retraining's defaults for these photos, and the net of what it starts from. */
async function configOf(data: SegmentData, origin: Origin | undefined, options: RetrainSegmentOptions) {
  const [{ anyColors, anyWayUp, fitToPhotos, segmentRetrainDefaults }, { segmentConfigOf }] = await Promise.all([
    import('../../../tasks/segment/retrain.node.ts'),
    import('../../../tasks/segment/start.ts'),
  ]);
  const turned = options.anyWayUp ? anyWayUp(segmentRetrainDefaults.augmentation) : segmentRetrainDefaults.augmentation;
  const defaults = { ...segmentRetrainDefaults, augmentation: options.anyColors ? anyColors(turned) : turned };
  const { fineTune, ...rest } = await fitToPhotos(defaults, data);
  if (origin === undefined) return segmentConfig(rest, options);
  const { classes: _, ...model } = segmentConfigOf(origin.bytes);
  // Of a single epoch none is left for the decoder alone.
  return segmentConfig({ ...rest, model, ...(fineTune && options.epochs !== 1 ? { fineTune } : {}) }, options);
}

/** Trains, and says what came of it beside what it started from. */
async function train(
  command: Command,
  data: SegmentData,
  origin: Origin | undefined,
  options: RetrainSegmentOptions,
  { out, open }: { readonly out: string; readonly open: OpenGraph },
): Promise<{ readonly result: SegmentRunResult; readonly config: SegmentRunConfig }> {
  const { initializersOf } = await import('../../../training/onnx/weights.ts');
  const config = await configOf(data, origin, options);
  const start = origin && {
    start: initializersOf(origin.bytes),
    keepHead: await hasClasses(origin, data.classes),
  };
  const result = await runFromOptions(command, options, { config, data, out, open, ...start });
  return { result, config };
}

/** The score of a version of the store on the held-out pairs; undefined where its classes are others. */
async function scoreOf(
  store: ModelStore,
  version: ModelVersion | undefined,
  data: SegmentData,
  open: OpenGraph,
): Promise<SegmentScore | undefined> {
  if (version === undefined) return undefined;
  const spec = specOf(segmentContract, version.config);
  if (!sameClasses(data.classes, spec.classes)) return undefined;
  const { scoreSegment } = await import('../../../tasks/segment/score.node.ts');
  const model = await store.read(version, 'model.onnx');
  return scoreSegment({ model, shortSide: spec!.shortSide }, data.valid, data, open);
}

/** `fettle retrain segment`. */
export async function retrainSegment(
  command: Command,
  options: RetrainSegmentOptions,
  { store, folder }: RetrainPlace,
): Promise<void> {
  needSegmentOptions(options);
  const [{ readSegmentFolder }, { exportSegment }, { writeDurably }, { scoreSegment }] = await Promise.all([
    import('../../../tasks/segment/folder.node.ts'),
    import('../../../tasks/segment/net.ts'),
    import('../../../training/core/durable.node.ts'),
    import('../../../tasks/segment/score.node.ts'),
  ]);
  const data = await readSegmentFolder(options.data, options.seed);
  const origin = options.from === 'none' ? undefined : await originOf(store, options.from, 'segment');
  const { open } = await openerOf(options);
  const out = await folder(origin?.reference ?? 'segment-none');
  const { result, config } = await train(command, data, origin, options, { out, open });

  const shortSide = shortSideOf(config.validSize);
  const exported = exportSegment(result.model, result.weights, { classes: data.classes, shortSide });
  await writeDurably(join(out, 'model.onnx'), exported.model);
  const after = await scoreSegment({ model: exported.model, shortSide }, data.valid, data, open);
  const before = await scoreOf(store, origin?.version, data, open);
  const name = origin?.name ?? 'segment';
  const active = await store.resolve(name).catch(() => undefined);
  const serving = active?.dir === origin?.version?.dir ? before : await scoreOf(store, active, data, open);
  const facts = {
    name,
    data: options.data,
    command: commandLine(),
    startedFrom: origin?.reference,
    licence: licenceNote(origin),
  };
  const version = await registerRetrained(store, {
    origin,
    name,
    model: exported.model,
    data: options.data,
    card: segmentCard(facts, config, data, result, { after, before }),
    config: {
      task: 'segment',
      description: `${origin ? `fine-tuned from ${origin.reference}` : 'trained'} on ${data.train.length} photos: ${data.classes.map((one) => one.name).join(', ')}`,
      segment: exported.spec,
      metrics: metricsOf(after, before),
    },
  });
  await tell(command, store, version, { data, after, before, serving, out }, options);
}

function metricsOf(after: SegmentScore, before: SegmentScore | undefined): Readonly<Record<string, number>> {
  const started = before && { startAccuracy: before.accuracy, startMeanIou: before.meanIou };
  return { heldOutAccuracy: after.accuracy, heldOutMeanIou: after.meanIou, ...started };
}

interface Outcome {
  readonly data: SegmentData;
  readonly after: SegmentScore;
  readonly before: SegmentScore | undefined;
  /** Of the version that serves; undefined where its classes are others. */
  readonly serving: SegmentScore | undefined;
  readonly out: string;
}

/** Serves the new version unless the one that serves names the same classes better, and says what came of it. */
async function tell(
  command: Command,
  store: ModelStore,
  version: ModelVersion,
  { data: { classes }, after, before, serving, out }: Outcome,
  { keepActive }: RetrainOptions,
): Promise<void> {
  const { name, version: number } = version.config;
  if (after.pictures < fewPairs)
    note(`only ${after.pictures} held out: the comparison means little; more pairs would make it sure`);
  const worse = serving !== undefined && after.meanIou < serving.meanIou;
  const { active, words } = await putToWork(store, version, { keepActive, worse });
  const brief = (score: SegmentScore | undefined) =>
    score && {
      accuracy: score.accuracy,
      meanIou: score.meanIou,
      iou: Object.fromEntries(classes.map((one, id) => [one.name, score.iou[id]])),
    };
  const was = before === undefined ? '' : `, ${percent(before.meanIou)} before`;
  report(
    command,
    { name, version: number, active, before: brief(before), after: brief(after), dir: version.dir, run: out },
    [
      ...classes.map((one, id) => `  IoU ${one.name}: ${percent(after.iou[id])}`),
      `${name}@${number}: accuracy ${percent(after.accuracy)}, mean IoU ${percent(after.meanIou)} on ${after.pictures} held out${was}; ${words}; pictures in ${out}`,
    ].join('\n'),
  );
}
