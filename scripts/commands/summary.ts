import type { Command } from 'commander';
import { ensure, FettleError } from '../../training/core/errors.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import { parseWhole, report } from '../cli.ts';

interface Options {
  readonly size?: readonly [number, number];
  readonly classes?: number;
}

/** What a name stands for. */
interface Architecture {
  /** Builds it on a picture [1,3,H,W]. */
  readonly build: (scope: Scope, image: Value) => unknown;
  /** Height and width when --size is left out. */
  readonly size: readonly [number, number];
  /** Height and width must be multiples of this. */
  readonly multiple: number;
}

const names = ['restore-unet', 'resnet18', 'resnet34', 'resnet50', 'vgg16_bn'] as const;
type ArchitectureName = (typeof names)[number];

/** '360x480' -> [360, 480]: height, width. */
function parseSize(text: string): readonly [number, number] {
  const match = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/.exec(text);
  if (match === null) throw new FettleError('bad-argument', `--size: expected HEIGHTxWIDTH, got ${text}`);
  return [Number(match[1]), Number(match[2])];
}

/** `fettle summary ARCH`. */
export function register(program: Command): void {
  const command = program
    .command('summary')
    .description('the layers of an architecture: output shapes and parameters')
    .argument('<arch>', names.join(', '))
    .option('--size <HxW>', 'of the input picture (restore-unet 128x128, else 224x224)', parseSize)
    .option('--classes <n>', 'of a classifier (1000)', parseWhole('--classes', 1, 1_000_000));
  command.action((arch: string, options: Options) => run(command, arch, options));
}

async function architectureOf(name: ArchitectureName, classes: number | undefined): Promise<Architecture> {
  if (name === 'restore-unet') {
    ensure(classes === undefined, 'bad-argument', () => `--classes: expected a classifier, got ${name}`);
    const { restoreUnet, restoreUnetDefaults, unetMultiple } = await import('../../models/unet.ts');
    const build = (scope: Scope, image: Value): Value => restoreUnet(scope, image);
    return { build, size: [128, 128], multiple: unetMultiple(restoreUnetDefaults) };
  }
  const { backbones } = await import('../../models/backbones.ts');
  const build = (scope: Scope, image: Value): Value =>
    backbones[name].classify(scope, image, classes === undefined ? {} : { classes });
  return { build, size: [224, 224], multiple: 1 };
}

async function run(command: Command, arch: string, options: Options): Promise<void> {
  const name = names.find((one) => one === arch);
  ensure(name, 'not-found', () => `summary: expected an architecture (${names.join(', ')}), got ${arch}`);
  const [architecture, { Graph }, { createScope }, { formatSummary, summarise }] = await Promise.all([
    architectureOf(name, options.classes),
    import('../../training/onnx/graph.ts'),
    import('../../training/nn/scope.ts'),
    import('../../training/learner/summary.ts'),
  ]);
  const { build, multiple } = architecture;
  const size = options.size ?? architecture.size;
  ensure(
    size.every((side) => side % multiple === 0),
    'bad-argument',
    () => `--size: expected multiples of ${multiple}, got ${size.join('x')}`,
  );
  const graph = new Graph(arch);
  const scope = createScope(graph, { training: false });
  build(scope, graph.input('image', 'float32', [1, 3, ...size]));
  const summary = summarise(scope);
  report(command, { arch, size, ...summary }, formatSummary(summary));
}
