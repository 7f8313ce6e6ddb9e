import { ensure, FettleError, messageOf } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { openSession, usableWebDevices, type WebDevice, webThreads } from '../../training/run/ort.web.ts';
import type { Session } from '../../training/run/session.ts';
import type { Client, Progress } from '../api.ts';
import type { ToWorker } from './jobs.ts';
import { type LocalModel, openModel } from './model-source.ts';
import { runtimeFiles } from './runtimes.ts';
import type { AnyHereTask, DoneHere, HereTasks, OnDevice, Running } from './task.ts';

/** How the page learns what happens. */
interface Listeners {
  readonly onProgress: (progress: Progress) => void;
  readonly onPiece: (piece: unknown) => void;
}

type Where = Pick<DoneHere<unknown>, 'device' | 'threads' | 'skipped'>;

/** Runs models on this machine; keeps the last model and session, for the next photo. */
export class Engine {
  readonly #client: Client;
  readonly #tasks: HereTasks;
  #kept: { readonly asked: string; readonly model: LocalModel } | undefined;
  #open: OpenModel | undefined;

  constructor(client: Client, tasks: HereTasks) {
    this.#client = client;
    this.#tasks = tasks;
  }

  async run(message: ToWorker, { onProgress: report, onPiece: reportPiece }: Listeners): Promise<DoneHere<unknown>> {
    report({ phase: 'model' });
    const { job } = message;
    const task = this.#tasks.get(message.task);
    ensure(task !== undefined, 'unsupported', () => `expected a task of this page, got ${message.task}; reload it`);
    const model = await this.#latestModel(message);
    let where: Where | undefined;
    const onDevice: OnDevice<unknown> = async (work) => {
      const { value, ...rest } = await this.#onBestDevice(task, model, job.device, work, report);
      where = rest;
      return value;
    };
    const result = await task.run({ job, model: model.info, onDevice, report, reportPiece });
    return { result, model: model.id, ...where! };
  }

  /** Tries the devices from the best one on; what failed on one is stated in `skipped`, and the next is tried. */
  async #onBestDevice<R>(
    task: AnyHereTask,
    model: LocalModel,
    wanted: WebDevice | 'auto',
    work: (running: Running<unknown>) => Promise<R>,
    report: (progress: Progress) => void,
  ) {
    const { usable, skipped } = await usableWebDevices(wanted);
    const failed = [...skipped];
    for (const device of usable) {
      try {
        const value = await work(runningOn(await this.#openOn(device, task, model, report)));
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

  /** The version that serves; the one already here when the server cannot be asked. */
  async #latestModel({ task, model }: ToWorker): Promise<LocalModel> {
    const asked = `${task} ${model}`;
    const kept = this.#kept?.asked === asked ? this.#kept.model : undefined;
    try {
      const latest = await openModel(this.#client, task, model);
      if (latest.id !== kept?.id) this.#kept = { asked, model: latest };
    } catch (error) {
      if (kept === undefined) throw error;
    }
    return this.#kept!.model;
  }

  async #openOn(
    device: WebDevice,
    { partsOf }: AnyHereTask,
    model: LocalModel,
    report: (progress: Progress) => void,
  ): Promise<OpenModel> {
    if (this.#open?.model === model.id && this.#open.device === device) return this.#open;
    await this.#close();
    const bytes = await model.bytesFor(device, { onProgress: report });
    report({ phase: 'model' });
    const parts = partsOf?.(bytes);
    const files = runtimeFiles[device];
    const opening = openSession(bytes, { device, ...(files === undefined ? {} : { files }) });
    const session = await opening.catch((cause: unknown) => {
      throw new DeviceError(cause);
    });
    this.#open = { model: model.id, device, session, parts };
    return this.#open;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.session.release().catch(() => undefined); // what a broken device reports of its end helps nobody
  }
}

/** The model that is loaded, and where. */
interface OpenModel {
  /** NAME@VERSION. */
  readonly model: string;
  readonly device: WebDevice;
  readonly session: Session;
  readonly parts: unknown;
}

/** What a device could not do, as opposed to what is wrong with the picture or the model's files. */
class DeviceError extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = 'DeviceError';
  }
}

function runningOn({ device, session, parts }: OpenModel): Running<unknown> {
  const runAll: Running['runAll'] = async (feeds, fetches) => {
    try {
      return await session.run(feeds, fetches);
    } catch (cause) {
      throw new DeviceError(cause);
    }
  };
  const run: Running['run'] = async (inputName, input, outputName) =>
    (await runAll({ [inputName]: input }))[outputName] as Tensor<'float32'>;
  return { device, parts, run, runAll };
}
