import { Option } from 'commander';
import { ensure } from '../../training/core/errors.ts';
import type { NodeDevice } from '../../training/run/ort.node.ts';

/* Options that several commands have, and what reads their values. A value that does not fit is a `bad-argument`. */

/** From the option's name to what reads its text. */
type Parser = (name: string) => (text: string) => unknown;

/** option('--size <n>', 'of the crops in pixels', whole(32, 1024)): a commander option. */
export function option(flags: string, help: string, parser?: Parser, byDefault?: unknown): Option {
  const made = new Option(flags, help);
  if (parser !== undefined) made.argParser(parser(made.long ?? flags));
  return byDefault === undefined ? made : made.default(byDefault);
}

/** choice('--loss <name>', 'what is minimised', ['l1', 'mse']): an option with one of these values. */
export const choice = (flags: string, help: string, values: readonly string[], byDefault?: string): Option => {
  const made = option(flags, help, undefined, byDefault).choices(values);
  return made.argParser(oneOf(values)(made.long!));
};

const oneOf =
  (values: readonly string[]): Parser =>
  (name) =>
  (text) => {
    const known = values.includes(text);
    ensure(known, 'bad-argument', () => `${name}: expected one of ${values.join(', ')}, got ${text}`);
    return text;
  };

const numeric =
  (what: string, fits: (value: number) => boolean): Parser =>
  (name) =>
  (text) => {
    const value = Number(text);
    const good = text.trim() !== '' && Number.isFinite(value) && fits(value);
    ensure(good, 'bad-argument', () => `${name}: expected ${what}, got ${text}`);
    return value;
  };

/** A whole number low..high. */
export const whole = (low: number, high: number): Parser =>
  numeric(`a whole number ${low}..${high}`, (value) => Number.isInteger(value) && value >= low && value <= high);

export const anyNumber = numeric('a number', () => true);
export const aboveZero = numeric('a number above 0', (value) => value > 0);
export const zeroOrMore = numeric('a number of 0 or more', (value) => value >= 0);
/** A share, 0..1. */
export const unit = numeric('a number 0..1', (value) => value >= 0 && value <= 1);

/** '64' -> [64], '360x480' -> [360, 480]. */
export const sides: Parser = (name) => (text) => {
  const good = /^[1-9]\d{0,4}(x[1-9]\d{0,4})?$/.test(text);
  ensure(good, 'bad-argument', () => `${name}: expected a number or HEIGHTxWIDTH, got ${text}`);
  return text.split('x').map(Number);
};

const deviceNames: readonly (NodeDevice | 'auto')[] = ['auto', 'cpu', 'webgpu', 'cuda'];

/** `--device`, the same for every command that runs a model. */
export const deviceOption = (): Option => choice('--device <name>', 'where the model runs', deviceNames, 'auto');

export const storeOption = (): Option =>
  option('--store <dir>', 'folder of the trained models (FETTLE_STORE, else ./fettle-models)');

export const threadsOption = (): Option =>
  option(
    '--threads <n>',
    'threads of the arithmetic; on a busy machine one can be faster than several (default: all cores)',
    whole(1, 256),
  );

/** What the options of training mean for a task, by name; those that are omitted the task does not have. */
export interface TrainHelp {
  readonly data: string;
  readonly epochs?: string;
  readonly size?: string;
  readonly batch: string;
  readonly samples?: string;
  readonly workers: string;
}

/** The options of training that several tasks have. */
export const trainOptions = ({ data, epochs, size, batch, samples, workers }: TrainHelp): readonly Option[] => [
  option('--data <path>', data).makeOptionMandatory(),
  ...(size === undefined ? [] : [option('--size <n>', size, whole(32, 1024))]),
  option('--batch <n>', batch, whole(1, 512)),
  option('--epochs <n>', epochs ?? 'passes, each ending in a line of metrics and a checkpoint', whole(1, 100_000)),
  ...(samples === undefined ? [] : [option('--samples <n>', samples, whole(1, 10_000_000))]),
  option('--lr <x>', 'highest learning rate of the one-cycle schedule', aboveZero),
  option('--seed <n>', 'same seed, same result on the same machine type', whole(0, 2 ** 31), 1),
  deviceOption(),
  threadsOption(),
  option('--workers <n>', workers, whole(1, 64)),
];
