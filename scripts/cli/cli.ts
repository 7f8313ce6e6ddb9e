import { availableParallelism } from 'node:os';
import type { Command, Option } from 'commander';
import type { OpenGraph } from '../../training/loop/compile.ts';
import type { ChosenDevice, NodeDevice } from '../../training/run/ort.node.ts';

/** What the user sees: `text` lines on stdout, or with `--json` the `data` as one JSON line. */
export function report(command: Command, data: unknown, text: string): void {
  process.stdout.write(`${wantsJson(command) ? JSON.stringify(data) : text}\n`);
}

export const wantsJson = (command: Command): boolean => command.optsWithGlobals().json === true;

/** A note about what happens, on stderr so that results can be piped. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`);

export function withOptions(command: Command, ...options: readonly Option[]): Command {
  for (const one of options) command.addOption(one);
  return command;
}

/** `--keepActive` -> `--keep-active`. */
export const flagOf = (name: string): string =>
  `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The device for `preference`; it is reported on stderr together with the reasons against the others. */
export async function announceDevice(preference: NodeDevice | 'auto'): Promise<NodeDevice> {
  const { chooseDevice } = await import('../../training/run/ort.node.ts');
  const chosen = await chooseDevice(preference);
  note(describeDevice(chosen));
  return chosen.device;
}

const describeDevice = ({ device, skipped }: ChosenDevice): string =>
  [`device: ${device}`, ...skipped.map((one) => `  not ${one.device}: ${one.reason}`)].join('\n');

/** Options that determine where graphs run. */
interface PlaceOptions {
  readonly device: NodeDevice | 'auto';
  /** All cores by default. */
  readonly threads?: number;
}

/** What opens graphs where the options ask for it, and the device that was chosen. */
export async function openerOf({
  device: preference,
  threads = availableParallelism(),
}: PlaceOptions): Promise<{ readonly device: NodeDevice; readonly open: OpenGraph }> {
  const { openSession } = await import('../../training/run/ort.node.ts');
  const device = await announceDevice(preference);
  return { device, open: (model) => openSession(model, { device, threads }) };
}
