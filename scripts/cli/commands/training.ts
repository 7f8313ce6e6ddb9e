import type { Command } from 'commander';
import type { TrainedTask, TrainOptions, Verb } from '../../../tasks/training.node.ts';
import type { RetrainOptions } from '../../retrain.ts';
import { withOptions } from '../cli.ts';
import { option, storeOption, whole } from '../options.ts';

type Options = TrainOptions & RetrainOptions & { readonly out?: string };

const resumeOption = () => option('--resume', 'continue from the checkpoint in --out; without one, begin');

/** A command with a subcommand for each task. */
interface Driver {
  readonly description: string;
  readonly verb: Verb;
  /** Options that it has besides those of the task. */
  readonly options: (task: TrainedTask) => Parameters<typeof withOptions>[1][];
  /** What it does; loaded when it runs. */
  readonly load: () => Promise<
    (command: Command, task: TrainedTask, options: never, tasks: readonly TrainedTask[]) => Promise<void>
  >;
}

const drivers: Readonly<Record<string, Driver>> = {
  train: {
    description: 'train a model from scratch',
    verb: 'train',
    options: ({ name }) => [
      option('--out <dir>', `folder of the run: checkpoints, log.csv, model.onnx (default: runs/${name})`),
      resumeOption(),
    ],
    load: async () => (await import('../train.ts')).train,
  },
  retrain: {
    description:
      'fine-tune a model on your own data, compare, register the next version and serve it unless it is worse',
    verb: 'retrain',
    options: ({ name }) => [
      option(
        '--from <model>',
        `the model to start from: NAME, NAME@VERSION, a FILE.onnx of fettle, or none (default: ${name}; none: random weights)`,
      ),
      option('--name <name>', `the model to register the version of (default: that of --from, else ${name})`),
      option('--keep-active', 'register the new version, but do not serve it'),
      storeOption(),
      option(
        '--out <dir>',
        'folder of the run: checkpoints, log.csv, model.onnx (default: runs/retrain-NAME-VERSION, numbered)',
      ),
      resumeOption(),
    ],
    load: async () => (await import('../../retrain.ts')).retrain,
  },
  'lr-find': {
    description: 'suggest a learning rate for a training: a few steps with rising rates, and a plot of the loss',
    verb: 'lr-find',
    options: ({ name }) => [
      option('--iterations <n>', 'steps at most', whole(10, 10_000), 100),
      option('--out <file>', 'the plot, .png or .svg', undefined, `lr-find-${name}.png`),
    ],
    load: async () => (await import('../lr-find.ts')).lrFind,
  },
};

/** A range test has rates of its own, and ends long before a schedule would matter. */
const applies = (verb: Verb, long: string | undefined): boolean =>
  verb !== 'lr-find' || (long !== '--lr' && long !== '--epochs');

/** `fettle train TASK`, `fettle retrain TASK` and `fettle lr-find TASK`. */
export function register(program: Command, tasks: readonly TrainedTask[]): void {
  for (const [name, { description, verb, options, load }] of Object.entries(drivers)) {
    const parent = program.command(name).description(description);
    for (const task of tasks) {
      const command = parent.command(task.name).description(task.makes);
      withOptions(command, ...task.options(verb).filter(({ long }) => applies(verb, long)), ...options(task));
      command.action(async (given: Options) => (await load())(command, task, given as never, tasks));
    }
  }
}
