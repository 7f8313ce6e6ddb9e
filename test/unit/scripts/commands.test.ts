import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Command } from 'commander';
import { createProgram } from '../../../scripts/cli/program.ts';
import { trained } from '../../../tasks/trained.node.ts';
import type { Verb } from '../../../tasks/training.node.ts';
import { wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';
import { fettleHere, helpOf } from '../../helpers/program.ts';

/** Long names of the options that a help text lists. */
const listed = (help: string | null): string[] =>
  [...(help ?? '').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name!);

const verbs = ['train', 'retrain', 'lr-find'] as const satisfies readonly Verb[];

/** Options of a training that a few steps to find a rate have no use for. */
const untried = ['--lr', '--epochs', '--prompt'];

/** Options that a task alone decides about, by task. */
const own: Readonly<Record<string, readonly string[]>> = {
  restore: ['--damaged', '--loss', '--samples', '--size'],
  segment: ['--class-weights', '--size'],
  classify: ['--samples', '--size'],
  text: ['--vocab', '--width', '--hidden', '--bptt', '--prompt'],
};

describe('commands', () => {
  it('describe themselves, their arguments and options', () => {
    const undescribed = (command: Command): string[] => [
      ...[...command.options, ...command.registeredArguments]
        .filter((one) => !one.description)
        .map((one) => one.name()),
      ...(command.description() === '' ? [command.name()] : []),
      ...command.commands.flatMap(undescribed),
    ];
    // `models show NAME` describes its argument by its name.
    const program = createProgram(trained);
    expect(undescribed(program).filter((name) => !/^name(\[?@v\]?)?$/.test(name))).to.deep.equal([]);
  });
});

describe('commands that train', () => {
  it('list the tasks', () => {
    for (const verb of verbs) {
      const help = helpOf(verb)!;
      for (const { name, makes } of trained) {
        expect(help).to.include(`  ${name} [options]`);
        expect(help.replaceAll(/\s+/g, ' ')).to.include(makes);
      }
    }
  });

  it('list the options of their task only', () => {
    for (const verb of verbs)
      for (const task of trained) {
        const options = listed(helpOf(verb, task.name));
        const works = (one: string): boolean => verb !== 'lr-find' || !untried.includes(one);
        expect(options).to.include.members(task.options(verb).flatMap(({ long }) => (works(long!) ? [long!] : [])));
        const all = [...own[task.name]!, '--data', '--lr', '--seed', '--device', '--out'];
        expect(options).to.include.members(all.filter(works));
        expect(options.filter((one) => !works(one))).to.deep.equal([]);
        const foreign = Object.values(own)
          .flat()
          .filter((one) => !own[task.name]!.includes(one));
        expect(
          options.filter((one) => foreign.includes(one)),
          `${verb} ${task.name}`,
        ).to.deep.equal([]);
      }
    expect(listed(helpOf('retrain', 'segment'))).to.include.members(['--any-way-up', '--any-colors', '--name']);
    expect(listed(helpOf('lr-find', 'text'))).to.include.members(['--column', '--until']);
    expect(listed(helpOf('train', 'segment'))).to.not.include('--any-way-up');
  });

  it('refuse options of other tasks, and name the task', async () => {
    for (const [line, message] of [
      ['train restore --data x --class-weights 0.5', '--class-weights: expected the task segment, got restore'],
      ['train restore --data x --vocab 200', '--vocab: expected the task text, got restore'],
      ['retrain restore --data x --any-way-up', '--any-way-up: expected the task segment, got restore'],
      ['retrain restore --data x --until 2019-01-01', '--until: expected the task text, got restore'],
      ['train text --data x --samples 3', '--samples: expected the task restore or classify, got text'],
      ['train classify --data x --from y', '--from: expected the task segment, got classify'],
      ['lr-find segment --data x --loss l1', '--loss: expected the task restore, got segment'],
    ] as const) {
      const { code, stdout, stderr } = await fettleHere(...line.split(' '));
      const [verb, task] = line.split(' ');
      expect([code, stdout], line).to.deep.equal([1, '']);
      expect(stderr).to.equal(`fettle: ${message}; see fettle ${verb} ${task} --help\n`);
    }
  });
});

describe('a command line with a mistake', () => {
  it('is one line on stderr that says what there is, JSON with --json', async () => {
    for (const [line, message] of [
      [
        'train paint --data x',
        /^train: expected one of restore, segment, classify, text, got paint; see fettle train --help$/,
      ],
      ['paint', /^expected one of serve, restore, .*, got paint; see fettle --help$/],
      [
        'train restore',
        /^train restore: required option '--data <path>' not specified; see fettle train restore --help$/,
      ],
      ['classify x --scale 2', /^--scale: expected the command restore, got classify; see fettle classify --help$/],
      ['models list --x', /^models list: unknown option '--x'; see fettle models list --help$/],
      ['restore x --scale 3', /^--scale: expected one of 1, 2, 4, got 3$/],
      ['train restore --data x --seed 1.5', /^--seed: expected a whole number 0\.\.\d+, got 1\.5$/],
      ['retrain restore --data x --name none', /^--name: expected the name of a model, got none/],
    ] as const) {
      const plain = await fettleHere(...line.split(' '));
      expect([plain.code, plain.stdout, plain.stderr.split('\n').length], line).to.deep.equal([1, '', 2]);
      expect(plain.stderr.trim().replace(/^fettle: /, '')).to.match(message);
      const machine = await fettleHere('--json', ...line.split(' '));
      const { error } = JSON.parse(machine.stderr) as { error: { code: string; message: string } };
      expect([machine.code, error.code, message.test(error.message)], line).to.deep.equal([1, 'bad-argument', true]);
    }
  });
});

describe('--json', () => {
  it('without a task is an error, and no page of help', async () => {
    const { code, stdout, stderr } = await fettleHere('--json', 'train');
    const message = 'train: expected one of restore, segment, classify, text, got none; see fettle train --help';
    expect([code, stdout, JSON.parse(stderr)]).to.deep.equal([1, '', { error: { code: 'bad-argument', message } }]);
    expect((await fettleHere('train')).stderr).to.include('Usage: fettle train');
  });

  it('is one line for a machine, of commands that start nothing too', () =>
    withFolder(async (folder) => {
      await mkdir(join(folder, 'in'));
      await writePhoto(folder, 'in/a.png', wavyImage(120, 110, 1));
      const [input, output, store] = ['in', 'out', 'store'].map((name) => join(folder, name));
      for (const [line, key] of [
        ['summary mnist-conv', 'arch'],
        [`models list --store ${store}`, 'models'],
        [`models show restore --store ${store}`, 'card'],
        [`models use restore@1 --store ${store}`, 'active'],
        [`crappify ${input} ${output} --workers 1`, 'made'],
        [`export restore -o ${join(folder, 'restore.onnx')} --store ${store}`, 'files'],
      ] as const) {
        const { code, stdout, stderr } = await fettleHere('--json', ...line.split(' '));
        expect([code, stdout.split('\n').length], `${line}: ${stderr}`).to.deep.equal([0, 2]);
        expect(JSON.parse(stdout), line).to.have.property(key);
      }
    }));
});
