import type { Command } from 'commander';
import { FettleError } from '../../training/core/errors.ts';
import { report } from '../cli.ts';

interface Options {
  readonly size: readonly [number, number];
}

/** '360x480' -> [360, 480]: height, width. */
function parseSize(text: string): readonly [number, number] {
  const match = /^(\d{1,5})x(\d{1,5})$/.exec(text);
  if (match === null) throw new FettleError('bad-argument', `--size: expected HEIGHTxWIDTH, got ${text}`);
  return [Number(match[1]), Number(match[2])];
}

/** `fettle summary ARCH`. */
export function register(program: Command): void {
  const command = program
    .command('summary')
    .description('the layers of an architecture: output shapes and parameters')
    .argument('<arch>', 'restore-unet')
    .option('--size <HxW>', 'of the input picture', parseSize, [128, 128]);
  command.action((arch: string, options: Options) => run(command, arch, options));
}

async function run(command: Command, arch: string, { size }: Options): Promise<void> {
  if (arch !== 'restore-unet')
    throw new FettleError('not-found', `summary: expected the architecture restore-unet, got ${arch}`);
  const [{ restoreUnet, unetMultiple, restoreUnetDefaults }, { Graph }, { createScope }, { formatSummary, summarise }] =
    await Promise.all([
      import('../../models/unet.ts'),
      import('../../training/onnx/graph.ts'),
      import('../../training/nn/scope.ts'),
      import('../../training/learner/summary.ts'),
    ]);
  const multiple = unetMultiple(restoreUnetDefaults);
  if (size.some((side) => side % multiple !== 0 || side === 0))
    throw new FettleError('bad-argument', `--size: expected multiples of ${multiple}, got ${size.join('x')}`);
  const graph = new Graph(arch);
  const scope = createScope(graph, { training: false });
  restoreUnet(scope, graph.input('image', 'float32', [1, 3, ...size]));
  const summary = summarise(scope);
  report(command, { arch, size, ...summary }, formatSummary(summary));
}
