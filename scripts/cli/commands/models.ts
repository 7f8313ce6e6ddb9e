import type { Command } from 'commander';
import type { ModelEntry, ModelStore } from '../../../server/store/store.ts';
import type { TrainedTask } from '../../../tasks/training.node.ts';
import { ensure } from '../../../training/core/errors.ts';
import { report, withOptions } from '../cli.ts';
import { storeOption } from '../options.ts';
import { openStores } from '../stores.ts';

/** `fettle models list | show | use | rollback | remove`. */
export function register(program: Command, tasks: readonly TrainedTask[]): void {
  const models = program.command('models').description('the versions of each model, and which one serves');
  const add = (
    usage: string,
    description: string,
    run: (command: Command, store: ModelStore, name: string) => Promise<void>,
  ): void => {
    const command = withOptions(models.command(usage).description(description), storeOption());
    command.action(async () => {
      const store = await openStores(command.opts<{ store?: string }>().store, tasks);
      await run(command, store, command.args[0] ?? '');
    });
  };
  add('list', 'every model, its versions, which one serves', list);
  add('show <name[@v]>', 'card and numbers of a version', show);
  add('use <name@v>', 'serve this version', use);
  add('rollback <name>', 'serve the version that served before', rollback);
  add('remove <name@v>', 'delete a version that does not serve', remove);
}

async function list(command: Command, store: ModelStore): Promise<void> {
  const entries = await store.list();
  const data = entries.map(({ name, active, problem, versions, broken }) => ({
    name,
    task: versions[0]?.config.task ?? null,
    active: active ?? null,
    ...(problem === undefined ? {} : { problem }),
    versions: versions.map(({ origin, config }) => {
      const { version, createdAt, description, metrics } = config;
      return { version, origin, createdAt, description, metrics };
    }),
    broken,
  }));
  report(command, { models: data }, entries.flatMap(linesOf).join('\n') || 'no models yet; fettle retrain makes one');
}

function linesOf({ name, active, problem, versions, broken }: ModelEntry): string[] {
  return [
    ...versions.map(({ origin, config: { version, createdAt, description } }) => {
      const mark = version === active ? '*' : ' ';
      return `${mark} ${name}@${version}  ${origin.padEnd(5)}  ${createdAt.slice(0, 10)}  ${description}`;
    }),
    ...broken.map(({ version, reason }) => `! ${name}@${version}  ${reason}`),
    ...(problem === undefined ? [] : [`! ${name}  ${problem}`]),
  ];
}

async function show(command: Command, store: ModelStore, reference: string): Promise<void> {
  const version = await store.resolve(reference);
  const card = Buffer.from(await store.read(version, 'card.md')).toString();
  const { name, version: number, createdAt, metrics } = version.config;
  const numbers = Object.entries(metrics).map(([key, value]) => `${key}: ${value}`);
  const head = `${name}@${number} (${version.origin}, ${createdAt}, ${version.dir})`;
  report(command, { ...version.config, dir: version.dir, card }, [head, ...numbers, '', card.trimEnd()].join('\n'));
}

async function versionOf(reference: string): Promise<readonly [string, number]> {
  const { parseReference } = await import('../../../server/store/store.ts');
  const { name, version } = parseReference(reference);
  ensure(version !== undefined, 'bad-argument', () => {
    return `models: expected NAME@VERSION, got ${reference}; see fettle models list`;
  });
  return [name, version];
}

async function use(command: Command, store: ModelStore, reference: string): Promise<void> {
  const [name, version] = await versionOf(reference);
  await store.use(name, version);
  report(command, { name, active: version }, `${name}@${version} serves`);
}

async function rollback(command: Command, store: ModelStore, name: string): Promise<void> {
  const version = await store.rollback(name);
  report(command, { name, active: version }, `${name}@${version} serves again`);
}

async function remove(command: Command, store: ModelStore, reference: string): Promise<void> {
  const [name, version] = await versionOf(reference);
  await store.remove(name, version);
  report(command, { name, removed: version }, `${name}@${version} is gone`);
}
