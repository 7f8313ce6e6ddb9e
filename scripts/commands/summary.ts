import type { Command } from 'commander';
import { ensure, FettleError } from '../../training/core/errors.ts';
import type { BlockNorm } from '../../training/nn/blocks.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import { parseWhole, report } from '../cli.ts';

interface Options {
  readonly size?: readonly [number, number];
  readonly classes?: number;
  readonly encoder?: string;
  readonly bottle?: boolean;
  readonly blur?: boolean;
  readonly selfAttention?: boolean;
  readonly lastCross: boolean;
  readonly norm?: BlockNorm;
  readonly unfrozen?: boolean;
}

/** What a name stands for. */
interface Architecture {
  /** Builds it on a picture [1,3,H,W]. */
  readonly build: (scope: Scope, image: Value) => unknown;
  /** Height and width when --size is left out. */
  readonly size: readonly [number, number];
  /** Height and width must be multiples of this. */
  readonly multiple: number;
  /** Prefixes of parameters that a learner begins with frozen, but for their norms: a pretrained encoder's. */
  readonly frozen?: readonly string[];
}

const backboneNames = ['resnet18', 'resnet34', 'resnet50', 'vgg16_bn'] as const;
const names = ['restore-unet', 'unet', ...backboneNames] as const;
type ArchitectureName = (typeof names)[number];
const encoderNames = [...backboneNames, 'small'] as const;
const norms = ['none', 'batch', 'weight', 'spectral'] as const satisfies readonly BlockNorm[];

/** Takes one of `allowed` from the command line. */
const oneOf =
  <T extends string>(option: string, allowed: readonly T[]) =>
  (text: string): T => {
    const found = allowed.find((name) => name === text);
    ensure(found, 'bad-argument', () => `${option}: expected one of ${allowed.join(', ')}, got ${text}`);
    return found;
  };

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
    .option('--classes <n>', 'of a classifier (1000) or a unet (2)', parseWhole('--classes', 1, 1_000_000))
    .option('--encoder <name>', `of a unet: ${encoderNames.join(', ')} (resnet34)`, oneOf('--encoder', encoderNames))
    .option('--bottle', 'of a unet: half the channels inside its last residual block')
    .option('--blur', 'of a unet: blurs behind its pixel shuffles')
    .option('--self-attention', 'of a unet: attends behind the third block from the end')
    .option('--no-last-cross', 'of a unet: does not join the picture at the end')
    .option('--norm <name>', `of a unet's decoder: ${norms.join(', ')} (none)`, oneOf('--norm', norms))
    .option('--unfrozen', 'of a unet: with its encoder trained too');
  command.action((arch: string, options: Options) => run(command, arch, options));
}

/** fastai's U-Net on any encoder. */
async function unetOf(options: Options): Promise<Architecture> {
  const [{ dynamicUnet }, { smallEncoder }, { backbones }] = await Promise.all([
    import('../../models/dynamic-unet.ts'),
    import('../../models/small-encoder.ts'),
    import('../../models/backbones.ts'),
  ]);
  const { encoder: name = 'resnet34', classes = 2, bottle = false, blur = false, lastCross, norm = 'none' } = options;
  const encoder = name === 'small' ? smallEncoder() : backbones[name as (typeof backboneNames)[number]].encoder;
  const config = { classes, bottle, blur, lastCross, norm, selfAttention: options.selfAttention ?? false };
  return {
    build: (scope, image) => dynamicUnet(scope, image, encoder, config),
    size: [224, 224],
    multiple: 1,
    frozen: options.unfrozen === true ? [] : ['encoder.'],
  };
}

async function architectureOf(name: ArchitectureName, options: Options): Promise<Architecture> {
  const { classes } = options;
  if (name === 'unet') return unetOf(options);
  const foreign = (['encoder', 'bottle', 'blur', 'selfAttention', 'norm', 'unfrozen'] as const).find(
    (key) => options[key] !== undefined,
  );
  ensure(foreign === undefined && options.lastCross, 'bad-argument', () => {
    return `--${foreign ?? 'no-last-cross'}: expected the architecture unet, got ${name}`;
  });
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
  const [architecture, { Graph }, { createScope }, { formatSummary, summarise }, { normTest }] = await Promise.all([
    architectureOf(name, options),
    import('../../training/onnx/graph.ts'),
    import('../../training/nn/scope.ts'),
    import('../../training/learner/summary.ts'),
    import('../../training/learner/groups.ts'),
  ]);
  const { build, multiple, frozen = [] } = architecture;
  const size = options.size ?? architecture.size;
  ensure(
    size.every((side) => side % multiple === 0),
    'bad-argument',
    () => `--size: expected multiples of ${multiple}, got ${size.join('x')}`,
  );
  const graph = new Graph(arch);
  const scope = createScope(graph, { training: false });
  build(scope, graph.input('image', 'float32', [1, 3, ...size]));
  const isNorm = normTest(scope.specs);
  const summary = summarise(scope, (own) => isNorm(own) || !frozen.some((prefix) => own.startsWith(prefix)));
  report(command, { arch, size, ...summary }, formatSummary(summary));
}
