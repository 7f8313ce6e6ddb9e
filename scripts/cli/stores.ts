import type { ModelStore, ModelVersion } from '../../server/store/store.ts';
import type { TrainedTask } from '../../tasks/training.node.ts';
import { ensure, FettleError } from '../../training/core/errors.ts';

/** The models of the package and those of `dir` over them. */
export async function openStores(dir: string | undefined, tasks: readonly TrainedTask[]): Promise<ModelStore> {
  const [{ openStore }, { storeDirOf, zooDir }, ...contracts] = await Promise.all([
    import('../../server/store/store.ts'),
    import('../../server/store/paths.ts'),
    ...tasks.map((task) => task.contract()),
  ]);
  return openStore({ zooDir, storeDir: storeDirOf(dir), tasks: contracts });
}

/** The command that makes a model of this name, which does not exist yet. */
async function commandThatMakes(store: ModelStore, name: string, task: string): Promise<string> {
  const named = name === task ? '' : ` --name ${name}`;
  // Without --from a retraining starts from the model that is called like the task.
  const startable = name !== task && (await store.resolve(task).then(Boolean, () => false));
  return `fettle retrain ${task} --data PATH${startable ? '' : ' --from none'}${named}`;
}

/**
 * resolveModel: the version that `reference` names. Throws `not-found`, with the command that makes such a model, where there is none;
 * `bad-argument` where it is of another task, for which `option` was given.
 */
export async function resolveModel(
  store: ModelStore,
  reference: string,
  task: string,
  option: string,
): Promise<ModelVersion> {
  const version = await store.resolve(reference).catch(async (error: unknown) => {
    const [name = ''] = reference.split('@');
    const none = error instanceof FettleError && error.code === 'not-found';
    if (!none || (await store.list()).some((entry) => entry.name === name)) throw error;
    const way = await commandThatMakes(store, name, task);
    throw new FettleError('not-found', `${error.message}; ${way} makes one`, { cause: error });
  });
  const { name, version: number, task: found } = version.config;
  ensure(found === task, 'bad-argument', () => {
    return `${option}: expected a model of the task ${task}, got ${name}@${number} (${found})`;
  });
  return version;
}
