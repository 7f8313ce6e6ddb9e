import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { need } from '../core/numbers.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { allFinite } from '../loop/health.ts';
import { parameterValue } from '../nn/import.ts';
import type { ParamSpec } from '../nn/scope.ts';
import type { WeightFile } from './read.ts';

/** See {@link WeightRules.inputChannels}. */
export type ChannelRule = 'repeat' | 'zeros';
const channelRules: readonly unknown[] = ['repeat', 'zeros'] satisfies readonly ChannelRule[];

/** How weights of a file find their places in a model. */
export interface WeightRules {
  /** Whether every name and shape must agree, else `bad-checkpoint`; true by default. `false` takes what fits. */
  readonly strict?: boolean;
  /** Put before the file's names: `encoder.` for a classifier's weights in a U-Net. */
  readonly prefix?: string;
  /** The file's name -> the model's, before `prefix`; undefined leaves a tensor out. */
  readonly rename?: (name: string) => string | undefined;
  /**
   * Fits the model's first convolution to another number of input channels. `repeat`, timm's rule: the file's c channels over and
   * over, times c/C, which keeps the scale of what comes out; one channel gets their sum. `zeros`, fastai's: the same for
   * fewer channels, else the file's as they are and zeros in the new ones.
   */
  readonly inputChannels?: ChannelRule;
}

const where = 'rules for weights';
const ruleNames = namesOf<WeightRules>({ strict: true, prefix: true, rename: true, inputChannels: true });

/** Throws `bad-argument` for rules that say nothing that {@link WeightRules} knows. */
function checkRules(rules: WeightRules): void {
  knownKeys(where, rules, ruleNames);
  const check = (name: keyof WeightRules, fits: boolean, wanted: string): void =>
    need(rules[name] === undefined || fits, where, `${name} to be ${wanted}`, rules[name]);
  check('strict', typeof rules.strict === 'boolean', 'true or false');
  check('prefix', typeof rules.prefix === 'string', 'a text');
  check('rename', typeof rules.rename === 'function', 'a function of a name');
  check('inputChannels', channelRules.includes(rules.inputChannels), `one of ${channelRules.join(', ')}`);
}

/** A tensor that is in both, with different shapes. */
export interface ShapeChange {
  readonly name: string;
  readonly file: readonly number[];
  readonly model: readonly number[];
}

/** What became of every name. */
export interface WeightReport {
  readonly file: string;
  /** The model's names whose values come from the file, `adapted` ones among them. */
  readonly matched: readonly string[];
  /** Those whose shape was fitted by `inputChannels`. */
  readonly adapted: readonly ShapeChange[];
  /** In both, but of different shapes: the model keeps its values. */
  readonly mismatched: readonly ShapeChange[];
  /** In the model, not in the file: the model keeps its values. */
  readonly missing: readonly string[];
  /** In the file, not in the model. */
  readonly unused: readonly string[];
  /** Names among `matched` whose values are not all finite: the model computes NaN with them. */
  readonly notFinite: readonly string[];
  /** In the file, known to be needless: PyTorch's counters `num_batches_tracked`, and what `rename` omitted. */
  readonly ignored: readonly string[];
}

export interface MatchedWeights {
  /** Values by the model's names; those of floats may share the file's memory. */
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly report: WeightReport;
}

const isCounter = (name: string): boolean => /(^|\.)num_batches_tracked$/.test(name);

/** The tensors under the model's names, and what is not wanted. */
function renamed({ tensors, name: file }: WeightFile, { rename = (name) => name, prefix = '' }: WeightRules) {
  const wanted = new Map<string, { readonly from: string; readonly tensor: Tensor }>();
  const ignored: string[] = [];
  for (const [from, tensor] of tensors) {
    const to = isCounter(from) ? undefined : rename(from);
    if (to === undefined) ignored.push(from);
    else {
      const twin = wanted.get(prefix + to);
      ensure(twin === undefined, 'bad-argument', () => {
        return `${file}: expected a name of its own for each tensor, got ${prefix + to} for ${twin?.from} and ${from}; change rename`;
      });
      wanted.set(prefix + to, { from, tensor });
    }
  }
  return { wanted, ignored };
}

const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

const floatsOf = ({ data }: Tensor): Float32Array =>
  data instanceof Float32Array ? data : Float32Array.from(data, Number);

/** w[K,c,R,S] -> [K,C,R,S]; see {@link WeightRules.inputChannels}. */
export function adaptChannels(
  w: Float32Array,
  from: readonly number[],
  channels: number,
  rule: ChannelRule,
): Float32Array {
  const [filters, own, ...kernel] = from as readonly [number, number, ...number[]];
  const area = sizeOf(kernel);
  const out = new Float32Array(filters * channels * area);
  for (let k = 0; k < filters; k++)
    for (let j = 0; j < Math.max(channels, own); j++) {
      // One channel takes all of the file's; otherwise each of the model's takes one of them.
      const [source, target] = [j % own, channels === 1 ? 0 : j];
      if (target >= channels || (rule === 'zeros' && j >= own)) continue;
      const scale = channels === 1 || (rule === 'zeros' && channels > own) ? 1 : own / channels;
      for (let i = 0; i < area; i++)
        out[(k * channels + target) * area + i]! += scale * w[(k * own + source) * area + i]!;
    }
  return out;
}

/** Whether a file's shape is that of the model's first convolution but for the input channels. */
const differsInChannels = (file: readonly number[], model: readonly number[]): boolean =>
  file.length === 4 && model.length === 4 && file[1]! > 0 && sameDims(file.with(1, model[1]!), model);

/** The value for a weight-normalised layer from a file that holds the plain weight; undefined for other parameters. */
function takenApart(spec: ParamSpec, tensors: ReadonlyMap<string, { readonly tensor: Tensor }>) {
  const source = spec.name.replace(/weight_[gv]$/, 'weight');
  const plain = source === spec.name ? undefined : tensors.get(source)?.tensor;
  if (plain === undefined || plain.dims[0] !== spec.shape[0]) return undefined;
  const value = parameterValue(spec, new Map([[source, floatsOf(plain)]]));
  return value?.length === sizeOf(spec.shape) ? { source, value } : undefined;
}

/** What the file has for one parameter: a value and where it is from, a change of shape, both or neither. */
interface Found {
  readonly source?: string;
  readonly value?: Float32Array;
  readonly change?: ShapeChange;
}

function find(
  spec: ParamSpec,
  wanted: ReadonlyMap<string, { readonly tensor: Tensor }>,
  channelRule: ChannelRule | undefined,
): Found {
  const { name, shape } = spec;
  const tensor = wanted.get(name)?.tensor;
  if (tensor === undefined) return takenApart(spec, wanted) ?? {};
  if (sameDims(tensor.dims, shape)) return { source: name, value: floatsOf(tensor) };
  const change = { name, file: tensor.dims, model: shape };
  if (channelRule === undefined || !differsInChannels(tensor.dims, shape)) return { source: name, change };
  return { source: name, change, value: adaptChannels(floatsOf(tensor), tensor.dims, shape[1]!, channelRule) };
}

/**
 * Finds the file's tensor for every parameter and buffer of a model. Throws `bad-checkpoint` when something is left over, missing or
 * of another shape, unless `rules.strict` is false, and when nothing is found; `bad-argument` for rules that there are not.
 */
export function matchWeights(specs: readonly ParamSpec[], file: WeightFile, rules: WeightRules = {}): MatchedWeights {
  checkRules(rules);
  const { wanted, ignored } = renamed(file, rules);
  const firstConv = specs.find(({ shape }) => shape.length === 4)?.name;
  const found = specs.map(({ name }, i) => {
    return { name, ...find(specs[i]!, wanted, name === firstConv ? rules.inputChannels : undefined) };
  });
  const used = new Set(found.map(({ source }) => source));
  const changes = (adapted: boolean): ShapeChange[] =>
    found.flatMap(({ change, value }) => (change !== undefined && (value !== undefined) === adapted ? [change] : []));
  const values = new Map(found.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const])));
  const report: WeightReport = {
    file: file.name,
    matched: [...values.keys()],
    adapted: changes(true),
    mismatched: changes(false),
    missing: found.filter(({ source }) => source === undefined).map(({ name }) => name),
    unused: [...wanted].filter(([name]) => !used.has(name)).map(([, { from }]) => from),
    notFinite: [...values].filter(([, value]) => !allFinite(value)).map(([name]) => name),
    ignored,
  };
  checkReport(report, rules.strict ?? true);
  return { values, report };
}

function checkReport(report: WeightReport, strict: boolean): void {
  const { file, matched, mismatched, missing, unused } = report;
  ensure(matched.length > 0, 'bad-checkpoint', () => {
    return `${file}: expected weights of this model, got none of its names and shapes (${differences(report)}); see prefix and rename`;
  });
  ensure(!strict || mismatched.length + missing.length + unused.length === 0, 'bad-checkpoint', () => {
    return `${file}: expected the weights of this model, got others (${differences(report)}); load what fits with strict: false`;
  });
}

/** The first few of a list, and how many more. */
function some(names: readonly string[], count: number): string {
  const rest = names.length - count;
  return names.slice(0, count).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

const showChange = ({ name, file, model }: ShapeChange): string => `${name} [${file}] for [${model}]`;

function differences({ mismatched, missing, unused }: WeightReport): string {
  const parts = [
    mismatched.length > 0 && `another shape: ${some(mismatched.map(showChange), 3)}`,
    missing.length > 0 && `not in the file: ${some(missing, 3)}`,
    unused.length > 0 && `only in the file: ${some(unused, 3)}`,
  ];
  return parts.filter((part) => part !== false).join('; ');
}

/** The report as lines for people. */
export function formatWeightReport(report: WeightReport): string {
  const { file, matched, adapted, mismatched, missing, unused, notFinite, ignored } = report;
  const total = matched.length + mismatched.length + missing.length;
  const row = (label: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`  ${label.padEnd(24)}${String(names.length).padStart(5)}  ${some(names, 4)}`];
  return [
    `${file}: ${matched.length} of the model's ${total} tensors taken`,
    ...row('input channels adapted', adapted.map(showChange)),
    ...row('another shape, kept', mismatched.map(showChange)),
    ...row('not in the file, kept', missing),
    ...row('only in the file', unused),
    ...row('NaN or infinite', notFinite),
    ...row('ignored', ignored),
  ].join('\n');
}
