import { type BackboneName, backbones } from '../../models/backbones.ts';
import { type DynamicUnetConfig, dynamicUnet } from '../../models/dynamic-unet.ts';
import { everyWord, humanNumbersModels, lastWord, scoresLastWord } from '../../models/human-numbers.ts';
import { mnistNets } from '../../models/mnist.ts';
import { smallEncoder } from '../../models/small-encoder.ts';
import { restoreUnet, restoreUnetDefaults, unetMultiple } from '../../models/unet.ts';
import { ensure } from '../../training/core/errors.ts';
import { type Tensor, zeros } from '../../training/core/tensor.ts';
import { type Loss, type Model, taskOf } from '../../training/learner/compiled.ts';
import { crossEntropyLoss, mseLoss } from '../../training/nn/losses.ts';
import type { Task } from '../../training/step/train-step.ts';
import { type ArchitectureName, architectureNames, type EncoderName } from './architecture-names.ts';

/** What sizes of an input there are: height and width of pictures, or words in a row. */
export interface Sizes {
  /** When none is given. */
  readonly usual: readonly number[];
  /** 1 by default. */
  readonly multiple?: number;
  /** The multiple by default. */
  readonly least?: number;
  readonly most?: number;
}

/** A network by name: its input, and its task for batches of `batch` items with `sides`, see {@link sidesOf}. */
export interface Architecture {
  readonly name: string;
  /** Items of a batch when none are given. */
  readonly batch: number;
  readonly sizes: Sizes;
  readonly input: (batch: number, sides: readonly number[]) => Pick<Tensor, 'dtype' | 'dims'>;
  readonly model: Model;
  readonly task: (batch: number, sides: readonly number[]) => Task;
  /** Prefixes of parameters that a learner begins with frozen, but for their norms: a pretrained encoder's. */
  readonly frozen?: readonly string[];
}

/** What may be chosen of a classifier or a unet. */
export interface ArchitectureOptions {
  readonly classes?: number;
  readonly encoder?: EncoderName;
  readonly unet?: Omit<DynamicUnetConfig, 'classes'>;
}

/** Throws `bad-argument` where one of the options means nothing for architecture `name`. */
function checkOptions(name: ArchitectureName, { classes, encoder, unet }: ArchitectureOptions): void {
  const classifies = name === 'unet' || Object.hasOwn(backbones, name);
  ensure(classes === undefined || classifies, 'bad-argument', () => `--classes: expected a classifier, got ${name}`);
  const ofUnet = encoder !== undefined || Object.keys(unet ?? {}).length > 0;
  ensure(!ofUnet || name === 'unet', 'bad-argument', () => `expected options of ${name}, got those of unet`);
}

/** The sides of an input: `given` (one number stands for both), or the usual ones; throws `bad-argument` for what the network cannot take. */
export function sidesOf(
  { name, sizes }: Pick<Architecture, 'name' | 'sizes'>,
  given?: readonly number[],
): readonly number[] {
  const { usual, multiple = 1, least = multiple, most = Infinity } = sizes;
  if (given === undefined) return usual;
  const sides = given.length === 1 ? usual.map(() => given[0]!) : given;
  const fits = (side: number): boolean => side % multiple === 0 && side >= least && side <= most;
  ensure(sides.length === usual.length && sides.every(fits), 'bad-argument', () => {
    const what = usual.length === 1 ? 'words' : multiple === 1 ? 'pixels' : `multiples of ${multiple}`;
    const range = least === most ? `${least}` : most === Infinity ? `${least} or more` : `${least} to ${most}`;
    return `--size: expected ${what}, ${range}, for ${name}, got ${given.join('x')}`;
  });
  return sides;
}

const activation = (x: Parameters<Model>[1]) => x;
const pixels = (channels: number) => (batch: number, sides: readonly number[]) =>
  ({ dtype: 'float32', dims: [batch, channels, ...sides] }) as const;

/** An architecture that is trained with `loss` against such targets. */
const trainedWith = (
  facts: Omit<Architecture, 'task'>,
  loss: Loss,
  targets: (batch: number, sides: readonly number[]) => Tensor,
): Architecture => ({
  ...facts,
  task: (batch, sides) => {
    const { dtype, dims } = facts.input(batch, sides);
    const shapes = { x: zeros(dtype, dims), y: targets(batch, sides) };
    return taskOf({ name: facts.name, model: facts.model, loss, activation }, shapes);
  },
});

const perItem = (batch: number): Tensor => zeros('int32', [batch]);
const perPlace = (batch: number, sides: readonly number[]): Tensor => zeros('int32', [batch, ...sides]);
const picture = (batch: number, sides: readonly number[]): Tensor => zeros('float32', [batch, 3, ...sides]);

const mnist = (name: string, model: Model): Architecture => {
  const sizes = { usual: [28, 28], least: 28, most: 28 };
  return trainedWith({ name, batch: 128, sizes, input: pixels(1), model }, crossEntropyLoss, perItem);
};

function humanNumbers(name: string): Architecture {
  const i = Number(name.split('-').at(-1));
  const last = scoresLastWord(i);
  // The first of the ladder has its three words written out.
  const sizes: Sizes = { usual: [last ? 3 : 20], ...(i === 0 ? { most: 3 } : {}) };
  const input: Architecture['input'] = (batch, sides) => ({ dtype: 'int32', dims: [batch, ...sides] });
  const facts = { name, batch: 64, sizes, input, model: humanNumbersModels[i]! };
  return trainedWith(facts, last ? lastWord : everyWord, perPlace);
}

function restore(): Architecture {
  const sizes = { usual: [96, 96], multiple: unetMultiple(restoreUnetDefaults) };
  const model: Model = (scope, x) => restoreUnet(scope, x);
  return trainedWith({ name: 'restore-unet', batch: 8, sizes, input: pixels(3), model }, mseLoss, picture);
}

function classifier(name: BackboneName, { classes }: ArchitectureOptions): Architecture {
  const sizes = { usual: [224, 224], least: 32 };
  const options = classes === undefined ? {} : { classes };
  const model: Model = (scope, x) => backbones[name].classify(scope, x, options);
  return trainedWith({ name, batch: 16, sizes, input: pixels(3), model }, crossEntropyLoss, perItem);
}

function unet({ classes = 2, encoder = 'resnet34', unet: config }: ArchitectureOptions): Architecture {
  const body = encoder === 'small' ? smallEncoder() : backbones[encoder].encoder;
  const model: Model = (scope, x) => dynamicUnet(scope, x, body, { ...config, classes });
  const sizes = { usual: [224, 224], least: 32 };
  const facts = { name: 'unet', batch: 8, sizes, input: pixels(3), model, frozen: ['encoder.'] };
  return trainedWith(facts, crossEntropyLoss, perPlace);
}

/** The architecture called `name`; throws `not-found` when there is none, `bad-argument` for options that are another's. */
export function architectureOf(name: string, options: ArchitectureOptions = {}): Architecture {
  const known = architectureNames.find((one) => one === name);
  ensure(known, 'not-found', () => `expected an architecture (${architectureNames.join(', ')}), got ${name}`);
  checkOptions(known, options);
  if (known === 'restore-unet') return restore();
  if (known === 'unet') return unet(options);
  if (Object.hasOwn(backbones, known)) return classifier(known as BackboneName, options);
  if (known.startsWith('mnist-'))
    return mnist(known, mnistNets[known.slice('mnist-'.length) as keyof typeof mnistNets]);
  return humanNumbers(known);
}
