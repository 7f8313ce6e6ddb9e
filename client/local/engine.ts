import { FettleError } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { openWebSession, usableWebDevices, type WebDevice, webThreads } from '../../training/run/ort.web.ts';
import type { Session } from '../../training/run/session.ts';
import type { Client, ModelInfo, Progress } from '../api.ts';
import type { DoneHere, Jobs, TaskName } from './jobs.ts';
import { type LocalModel, openModel } from './model-source.ts';
import { runtimeFiles } from './runtimes.ts';
import { classifyHere } from './tasks/classify.ts';
import { restoreHere } from './tasks/restore.ts';
import { segmentHere } from './tasks/segment.ts';

/** A model on a device: one tensor in, one out. */
export interface Running {
  readonly device: WebDevice;
  run(inputName: string, input: Tensor<'float32'>, outputName: string): Promise<Tensor<'float32'>>;
}

/** Does work with the model on the best device, and on the next one where that fails. */
export type OnDevice = <R>(work: (running: Running) => Promise<R>) => Promise<R>;

export interface TaskRun<J> {
  readonly job: J;
  readonly model: ModelInfo;
  readonly onDevice: OnDevice;
  readonly tell: (progress: Progress) => void;
}

/** How each task is done here. */
const tasks: { readonly [T in TaskName]: (run: TaskRun<Jobs[T]['job']>) => Promise<Jobs[T]['result']> } = {
  restore: restoreHere,
  segment: segmentHere,
  classify: classifyHere,
};

type Where = Pick<DoneHere<unknown>, 'device' | 'threads' | 'skipped'>;

/** Runs models on this machine; keeps the last model and session, for the next photo. */
export class Engine {
  readonly #client: Client;
  #model: LocalModel | undefined;
  #open: { readonly model: string; readonly session: Session } | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  async run<T extends TaskName>(
    task: T,
    job: Jobs[T]['job'],
    tell: (progress: Progress) => void,
  ): Promise<DoneHere<Jobs[T]['result']>> {
    tell({ phase: 'model' });
    const model = await this.#latestModel(task);
    let where: Where | undefined;
    const onDevice: OnDevice = async (work) => {
      const { value, ...rest } = await this.#onBestDevice(model, job.device, work);
      where = rest;
      return value;
    };
    const result = await tasks[task]({ job, model: model.info, onDevice, tell });
    return { result, model: model.id, ...where! };
  }

  /** Tries the devices from the best one on; what goes wrong on one is told in `skipped`, and the next one's turn comes. */
  async #onBestDevice<R>(model: LocalModel, wanted: WebDevice | 'auto', work: (running: Running) => Promise<R>) {
    const { usable, skipped } = await usableWebDevices(wanted);
    const failed = [...skipped];
    for (const device of usable) {
      try {
        const value = await work(runningOn(device, await this.#sessionOn(device, model)));
        return { value, device, threads: device === 'wasm' ? webThreads() : 1, skipped: failed };
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        await this.#close();
        failed.push({ device, reason: error.message });
      }
    }
    const reasons = failed.map((one) => `${one.device}: ${one.reason}`).join('; ');
    throw new FettleError('no-device', `${model.id}: expected ${wanted} to work in this browser, got ${reasons}`);
  }

  /** The version that serves; the one already here when nobody can say. */
  async #latestModel(task: TaskName): Promise<LocalModel> {
    const kept = this.#model?.info.task === task ? this.#model : undefined;
    try {
      const latest = await openModel(this.#client, task);
      if (latest.id !== kept?.id) this.#model = latest;
    } catch (error) {
      if (kept === undefined) throw error;
    }
    return this.#model!;
  }

  async #sessionOn(device: WebDevice, model: LocalModel): Promise<Session> {
    if (this.#open?.model === model.id && this.#open.session.device === device) return this.#open.session;
    await this.#close();
    const bytes = await model.bytesFor(device);
    const files = runtimeFiles[device];
    const opening = openWebSession(bytes, { device, ...(files === undefined ? {} : { files }) });
    const session = await opening.catch((cause: unknown) => {
      throw new DeviceError(cause);
    });
    this.#open = { model: model.id, session };
    return session;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.session.release().catch(() => undefined); // what a broken device says about its end helps nobody
  }
}

/** What a device could not do, as opposed to what is wrong with the picture or the model's files. */
class DeviceError extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'DeviceError';
  }
}

const runningOn = (device: WebDevice, session: Session): Running => ({
  device,
  run: async (inputName, input, outputName) => {
    try {
      return (await session.run({ [inputName]: input }))[outputName] as Tensor<'float32'>;
    } catch (cause) {
      throw new DeviceError(cause);
    }
  },
});
