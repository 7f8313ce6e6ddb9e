import type { Command } from 'commander';
import { report, wantsJson, withOptions } from '../cli.ts';
import { option, whole } from '../options.ts';
import { reportFailures } from '../pictures.ts';
import { createProgress } from '../progress.ts';

interface Options {
  readonly damage: string;
  readonly seed: number;
  readonly workers?: number;
}

const HELP = `
Damages, in the order they are to be applied, with options as name:option=value; ranges as low-high:
  lesson       shrunk to shortSide=96, JPEG quality=10-70 drawn on it, saved at that quality
  jpeg         quality=10-70
  shrink       shortSide=96
  noise        sigma=5-30 mono=false
  grey
  number-text  value=10-70 height=10 thickness=0.13 white=1
Example: fettle crappify photos damaged --damage shrink:shortSide=200,noise:sigma=20,jpeg:quality=30-50
A second run continues where the first was stopped. Exit code 1 if a picture could not be read.`;

/** `fettle crappify IN OUT`. */
export function register(program: Command): void {
  const command = program
    .command('crappify')
    .description('damage copies of a folder of photos, for training a restoration model')
    .argument('<in>', 'folder of photos, with its subfolders')
    .argument('<out>', 'folder for the damaged copies: same names, as .jpg')
    .addHelpText('after', HELP);
  withOptions(
    command,
    option('--damage <list>', 'damages, in their order', undefined, 'lesson'),
    option('--seed <n>', 'same seed, same damage', whole(0, 2 ** 32 - 1), 7),
    option('--workers <n>', 'threads (default: one per core)', whole(1, 256)),
  ).action((input: string, output: string, options: Options) => run(command, input, output, options));
}

async function run(command: Command, input: string, output: string, options: Options): Promise<void> {
  const { crappify } = await import('../../../training/data/crappify.node.ts');
  const progress = createProgress('crappify', { silent: wantsJson(command) });
  const started = performance.now();
  const result = await crappify({ input, output, ...options, onProgress: progress.update }).finally(progress.stop);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  reportFailures(result.failed);
  const { made, skipped, failed } = result;
  report(
    command,
    { input, output, damage: options.damage, seed: options.seed, ...result, seconds },
    `${made} damaged, ${skipped} were there already, ${failed.length} could not be read; ${seconds} s; ${output}`,
  );
}
