import type { Command } from 'commander';
import { ensure } from '../../../training/core/errors.ts';
import type { BlockNorm } from '../../../training/nn/blocks.ts';
import { architectureNames, type EncoderName, encoderNames } from '../architecture-names.ts';
import type { ArchitectureOptions } from '../architectures.ts';
import { flagOf, report, withOptions } from '../cli.ts';
import { choice, option, sides, whole } from '../options.ts';

interface Options {
  readonly size?: readonly number[];
  readonly classes?: number;
  readonly encoder?: EncoderName;
  readonly bottle?: boolean;
  readonly blur?: boolean;
  readonly selfAttention?: boolean;
  readonly lastCross: boolean;
  readonly norm?: BlockNorm;
  readonly unfrozen?: boolean;
}

const norms = ['none', 'batch', 'weight', 'spectral'] as const satisfies readonly BlockNorm[];

/** `fettle summary ARCH`. */
export function register(program: Command): void {
  const command = program
    .command('summary')
    .description('the layers of an architecture: output shapes and parameters')
    .argument('<arch>', architectureNames.join(', '));
  withOptions(
    command,
    option('--size <n|HxW>', 'of the input picture, or words in a row (as it is trained)', sides),
    option('--classes <n>', 'of a classifier (1000) or a unet (2)', whole(1, 1_000_000)),
    choice('--encoder <name>', 'of a unet (resnet34)', encoderNames),
    option('--bottle', 'of a unet: half the channels inside its last residual block'),
    option('--blur', 'of a unet: blurs behind its pixel shuffles'),
    option('--self-attention', 'of a unet: attends behind the third block from the end'),
    option('--no-last-cross', 'of a unet: does not join the picture at the end'),
    choice('--norm <name>', "of a unet's decoder (none)", norms),
    option('--unfrozen', 'of a unet: with its encoder trained too'),
  ).action((arch: string, options: Options) => run(command, arch, options));
}

/** What the options say of a unet; throws `bad-argument` when it is another architecture. */
function choicesOf(arch: string, options: Options): ArchitectureOptions {
  const { classes, encoder, bottle, blur, selfAttention, norm, lastCross, unfrozen } = options;
  const given = Object.entries({ encoder, bottle, blur, selfAttention, norm, unfrozen }).filter(([, value]) => value);
  const foreign = given[0]?.[0] ?? (lastCross ? undefined : 'no-last-cross');
  ensure(foreign === undefined || arch === 'unet', 'bad-argument', () => {
    return `${flagOf(foreign!)}: expected the architecture unet, got ${arch}`;
  });
  const unet = { bottle, blur, selfAttention, norm };
  return {
    ...(classes === undefined ? {} : { classes }),
    ...(encoder === undefined ? {} : { encoder }),
    unet: {
      ...Object.fromEntries(Object.entries(unet).filter(([, value]) => value)),
      ...(lastCross ? {} : { lastCross }),
    },
  };
}

async function run(command: Command, arch: string, options: Options): Promise<void> {
  const [{ architectureOf, sidesOf }, { Graph }, { createScope }, { formatSummary, summarise }, { normTest }] =
    await Promise.all([
      import('../architectures.ts'),
      import('../../../training/onnx/graph.ts'),
      import('../../../training/nn/scope.ts'),
      import('../../../training/learner/summary.ts'),
      import('../../../training/learner/groups.ts'),
    ]);
  const architecture = architectureOf(arch, choicesOf(arch, options));
  const size = sidesOf(architecture, options.size);
  const graph = new Graph(arch);
  const scope = createScope(graph, { training: false });
  const { dtype, dims } = architecture.input(1, size);
  architecture.model(scope, graph.input('x', dtype, dims));
  const isNorm = normTest(scope.specs);
  const frozen = options.unfrozen === true ? [] : (architecture.frozen ?? []);
  const summary = summarise(scope, (own) => isNorm(own) || !frozen.some((prefix) => own.startsWith(prefix)));
  report(command, { arch, size, ...summary }, formatSummary(summary));
}
