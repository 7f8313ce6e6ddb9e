import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { FettleError } from '../../training/core/errors.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import type { ChosenDevice, NodeDevice } from '../../training/run/ort.node.ts';

/** What the user sees: `text` lines on stdout, or with `--json` the `data` as one JSON line. */
export function report(command: Command, data: unknown, text: string): void {
  process.stdout.write(`${command.optsWithGlobals().json ? JSON.stringify(data) : text}\n`);
}

/** A note about what happens, on stderr so that results can be piped. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`);

export const deviceNames: readonly (NodeDevice | 'auto')[] = ['auto', 'cpu', 'webgpu', 'cuda'];

/** Adds `--device`, the same for every command that runs a model. */
export function deviceOption(command: Command): Command {
  return command.option('--device <name>', deviceNames.join('|'), parseDevice, 'auto');
}

function parseDevice(name: string): NodeDevice | 'auto' {
  const device = deviceNames.find((one) => one === name);
  if (device === undefined)
    throw new FettleError('bad-argument', `--device: expected ${deviceNames.join(', ')}, got ${name}`);
  return device;
}

/** The device for `preference`, said on stderr together with the reasons against the others. */
export async function announceDevice(preference: NodeDevice | 'auto'): Promise<NodeDevice> {
  const { chooseDevice } = await import('../../training/run/ort.node.ts');
  const chosen = await chooseDevice(preference);
  note(describeDevice(chosen));
  return chosen.device;
}

export function describeDevice({ device, skipped }: ChosenDevice): string {
  return [`device: ${device}`, ...skipped.map((one) => `  not ${one.device}: ${one.reason}`)].join('\n');
}

/** parseWhole('--port', 0, 65535): text -> a whole number in the range, for commander's option parsers. */
export function parseWhole(option: string, low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
      throw new FettleError('bad-argument', `${option}: expected a whole number ${low}..${high}, got ${text}`);
    }
    return value;
  };
}

/** parseSides('--size'): '64' -> [64], '360x480' -> [360, 480], for commander's option parsers. */
export function parseSides(option: string): (text: string) => readonly number[] {
  return (text) => {
    if (!/^[1-9]\d{0,4}(x[1-9]\d{0,4})?$/.test(text))
      throw new FettleError('bad-argument', `${option}: expected a number or HEIGHTxWIDTH, got ${text}`);
    return text.split('x').map(Number);
  };
}

/** Options that say where graphs run. */
interface PlaceOptions {
  readonly device: NodeDevice | 'auto';
  /** All cores when left out. */
  readonly threads?: number;
}

/** What opens graphs where the options say, and the device that it came to. */
export async function openerOf({
  device: preference,
  threads = availableParallelism(),
}: PlaceOptions): Promise<{ readonly device: NodeDevice; readonly open: OpenGraph }> {
  const { openSession } = await import('../../training/run/ort.node.ts');
  const device = await announceDevice(preference);
  return { device, open: (model) => openSession(model, { device, threads }) };
}
