import { FettleError, messageOf } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { createRng } from '../core/rng.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Transform } from '../pictures/transforms/augment.ts';
import { mapPoint } from '../pictures/transforms/geometry.ts';
import type { Lighting } from '../pictures/transforms/lighting.ts';
import { channelStatistics } from '../pictures/transforms/normalise.ts';
import { itemDecoder, samplerOf } from './decode.node.ts';
import { bufferBytes, viewsOf } from './fill.ts';
import { openLoaders } from './loaders.node.ts';
import { type BlockPlan, type DataBlockOptions, finishPlan, getItems } from './plan.ts';
import { type DecodedItem, type SampleViews, writeSample, xDims, yDims, yDType } from './sample.ts';
import type { LabelKind, LabelledItem, PictureItem } from './types.ts';

const round = (value: number): string => String(Number(value.toPrecision(4)));
const rounded = (values: readonly number[]): string => `[${values.map(round).join(', ')}]`;
const pictureText = ({ width, height, channels }: Image): string =>
  `${channels === 1 ? 'grey' : channels === 3 ? 'RGB' : 'RGBA'} ${width}x${height}`;

/** `rotate -10..10 p 0.75` */
/** What was drawn of light; what changes nothing is omitted. */
function lightText({ shift, contrast, tint, saturation }: Lighting): string {
  const cast = tint.some((t) => t !== 0) ? `, tint ${rounded(tint)}` : '';
  const colour = saturation === 1 ? '' : `, saturation ${round(saturation)}`;
  return `, light ${round(shift)} and contrast ${round(contrast)}${cast}${colour}`;
}

function transformText({ kind, ...numbers }: Transform): string {
  const parts = Object.entries(numbers).map(([key, value]: [string, number | readonly number[]]) =>
    typeof value === 'number' ? `${key} ${round(value)}` : `${round(value[0]!)}..${round(value[1]!)}`,
  );
  return [kind, ...parts].join(' ');
}

function labelText({ target }: LabelledItem, kind: LabelKind, vocab: readonly string[]): string {
  if (typeof target === 'string') return target;
  if (kind === 'damaged' && !('data' in target)) return 'damaged on the fly';
  if ('data' in target) return pictureText(target);
  return kind === 'numbers' ? rounded(target) : target.map((id) => `${vocab[id]} (${id})`).join(', ') || 'no class';
}

function classesText(kind: LabelKind, vocab: readonly string[]): string {
  if (kind === 'image' || kind === 'numbers' || kind === 'damaged') return kind;
  return `${kind}, ${vocab.length} classes (${vocab.slice(0, 5).join(', ')}${vocab.length > 5 ? ', ...' : ''})`;
}

/** Runs one step; errors are reported with the step's name and the file. */
async function step<T>(name: string, file: string, run: () => Promise<T> | T): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    const reason = messageOf(cause);
    const code = cause instanceof FettleError ? cause.code : 'bad-data';
    throw new FettleError(code, `dataBlock.summary: step '${name}' failed on ${file}: ${reason}`, { cause });
  }
}

const rangeText = (values: Float32Array | Int32Array): string => {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return `${round(low)}..${round(high)}`;
};

const tensorText = ({ dtype, dims, data }: Tensor<'float32' | 'int32'>): string =>
  `${dtype}[${dims}] ${rangeText(data)}`;

/** summarise: {@link DataBlock.summary}. */
export async function summarise<S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
  source: S,
  print: (line: string) => void,
): Promise<readonly string[]> {
  const lines: string[] = [];
  const say = (name: string, text: string): void => {
    lines.push(`${name.padEnd(10)} ${text}`);
    print(lines.at(-1)!);
  };
  const items = await step('get', String(source), () => getItems(options.get, source));
  say('get', `${items.length} items, the first '${items[0]!.name}'`);
  const split = await step('split', `${items.length} items`, () => options.split.split(items));
  say('split', `${options.split.describe}: ${split.train.length} for training, ${split.valid.length} for validation`);
  const first = split.train[0]?.name ?? 'no item';
  const plan = await step('label', `'${first}' or another item`, () => finishPlan(options, split));
  const { kind } = options.label;
  say(
    'label',
    `${classesText(kind, plan.vocab)}, by ${options.label.describe}: '${first}' -> ${labelText(plan.train[0]!, kind, plan.vocab)}`,
  );
  await sampleSteps(plan, say);
  const loaders = await step('batch', `the first of ${plan.batchSize.train} items`, () => openLoaders(plan));
  try {
    const batch = await step('batch', 'the first items', async () => (await loaders.train.epoch(0).next()).value);
    const { statistics, train, valid } = loaders;
    say('normalise', statistics ? `mean ${rounded(statistics.mean)}, std ${rounded(statistics.std)}` : 'none');
    say(
      'batch',
      `x ${tensorText(batch!.x)}, y ${tensorText(batch!.y)}; ${train.batchesPerEpoch} batches for training, ${valid.batchesPerEpoch} for validation`,
    );
    for (const { name, reason } of train.failures) say('unreadable', `'${name}': ${reason}`);
  } finally {
    await loaders.close();
  }
  return lines;
}

/** The steps of one item: read, transform, sample. */
async function sampleSteps<K extends LabelKind>(
  plan: BlockPlan<K>,
  say: (name: string, text: string) => void,
): Promise<void> {
  const { spec } = plan;
  const item = plan.train[0]!;
  const file = typeof item.source === 'string' ? item.source : `'${item.name}'`;
  const views: SampleViews = viewsOf(spec, new ArrayBuffer(bufferBytes(spec, 1)), 1, 0);
  const { damage } = spec.label;
  if (damage !== undefined) {
    const place = { part: 'train', epoch: 0, round: 0, item: 0 } as const;
    await step('damage', file, () => samplerOf(spec, 1, 0)(item, place, views, undefined));
    const { recipes, shortSide } = damage;
    const list = recipes.map((one) => `${one.weight} ${one.damage}${one.scale === 1 ? '' : ` at 1/${one.scale}`}`);
    say('damage', `${list.join('; ')}; short side ${shortSide.min}..${shortSide.max} px`);
  } else await transformStep(plan, views, file, say);
  const { mean } = channelStatistics({ dtype: 'float32', dims: [1, ...xDims(spec)], data: views.x });
  say(
    'sample',
    `x float32[${xDims(spec)}] ${rangeText(views.x)}, mean ${rounded(mean)}; y ${yDType(spec)}[${yDims(spec)}] ${rangeText(views.y)}`,
  );
}

/** Reads the first item and transforms it. */
async function transformStep<K extends LabelKind>(
  { spec, train }: BlockPlan<K>,
  views: SampleViews,
  file: string,
  say: (name: string, text: string) => void,
): Promise<void> {
  const decoded: DecodedItem = await step('read', file, () => itemDecoder(spec, 0)(train[0]!));
  say('read', `x ${pictureText(decoded.x)}${'data' in decoded.y ? `, y ${pictureText(decoded.y)}` : ''}`);
  const drawn = await step('transform', file, () =>
    writeSample(decoded, spec, 'train', createRng(1, 'summary'), views),
  );
  const list = spec.transforms.train.map(transformText).join('; ') || 'none';
  const [x, y] = mapPoint(drawn.geometry, 0, 0);
  const light = drawn.lighting ? lightText(drawn.lighting) : '';
  say(
    'transform',
    `${list}; ${spec.resize}, padding ${spec.transforms.padding}; drawn: centre to (${round(x)}, ${round(y)}) px${light}`,
  );
}
