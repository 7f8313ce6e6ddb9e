import { classifyHere } from '../../tasks/classify/here.web.ts';
import { restoreHere } from '../../tasks/restore/here.web.ts';
import { segmentHere } from '../../tasks/segment/here.web.ts';
import { textHere } from '../../tasks/text/here.web.ts';
import { FettleError, messageOf } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { type TextModelParts, textModelParts } from '../../training/generate/text-model.ts';
import { openSession, usableWebDevices, type WebDevice, webThreads } from '../../training/run/ort.web.ts';
import type { Session, Tensors } from '../../training/run/session.ts';
import type { Client, ModelInfo, Progress } from '../api.ts';
import type { DoneHere, Jobs, PieceOf, TaskName } from './jobs.ts';
import { type LocalModel, openModel } from './model-source.ts';
import { runtimeFiles } from './runtimes.ts';

/** A model on a device. */
export interface Running {
  readonly device: WebDevice;
  /** What a language model says of itself. */
  readonly text: TextModelParts | undefined;
  /** One tensor in, one out. */
  run(inputName: string, input: Tensor<'float32'>, outputName: string): Promise<Tensor<'float32'>>;
  /** Everything in and out, as of a session. */
  runAll(feeds: Tensors, fetches?: Tensors): Promise<Tensors>;
}

/** Does work with the model on the best device, and on the next one where that fails. */
export type OnDevice = <R>(work: (running: Running) => Promise<R>) => Promise<R>;

/** How the page is told of what goes on. */
export interface Listeners<P> {
  readonly onProgress: (progress: Progress) => void;
  readonly onPiece: (piece: P) => void;
}

export interface TaskRun<J, P = never> {
  readonly job: J;
  readonly model: ModelInfo;
  readonly onDevice: OnDevice;
  readonly tell: (progress: Progress) => void;
  readonly tellPiece: (piece: P) => void;
}

/** How each task is done here. */
const tasks: { readonly [T in TaskName]: (run: TaskRun<Jobs[T]['job'], PieceOf<T>>) => Promise<Jobs[T]['result']> } = {
  restore: restoreHere,
  segment: segmentHere,
  classify: classifyHere,
  text: textHere,
};

type Where = Pick<DoneHere<unknown>, 'device' | 'threads' | 'skipped'>;

/** Runs models on this machine; keeps the last model and session, for the next photo. */
export class Engine {
  readonly #client: Client;
  #model: LocalModel | undefined;
  #open: OpenModel | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  async run<T extends TaskName>(
    task: T,
    job: Jobs[T]['job'],
    { onProgress: tell, onPiece: tellPiece }: Listeners<PieceOf<T>>,
  ): Promise<DoneHere<Jobs[T]['result']>> {
    tell({ phase: 'model' });
    const model = await this.#latestModel(task);
    let where: Where | undefined;
    const onDevice: OnDevice = async (work) => {
      const { value, ...rest } = await this.#onBestDevice(model, job.device, work, tell);
      where = rest;
      return value;
    };
    const result = await tasks[task]({ job, model: model.info, onDevice, tell, tellPiece });
    return { result, model: model.id, ...where! };
  }

  /** Tries the devices from the best one on; what goes wrong on one is told in `skipped`, and the next one's turn comes. */
  async #onBestDevice<R>(
    model: LocalModel,
    wanted: WebDevice | 'auto',
    work: (running: Running) => Promise<R>,
    tell: (progress: Progress) => void,
  ) {
    const { usable, skipped } = await usableWebDevices(wanted);
    const failed = [...skipped];
    for (const device of usable) {
      try {
        const value = await work(runningOn(await this.#openOn(device, model, tell)));
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

  async #openOn(device: WebDevice, model: LocalModel, tell: (progress: Progress) => void): Promise<OpenModel> {
    if (this.#open?.model === model.id && this.#open.device === device) return this.#open;
    await this.#close();
    const bytes = await model.bytesFor(device, { onProgress: tell });
    tell({ phase: 'model' });
    const text = model.info.task === 'text' ? textModelParts(bytes) : undefined;
    const files = runtimeFiles[device];
    const opening = openSession(bytes, { device, ...(files === undefined ? {} : { files }) });
    const session = await opening.catch((cause: unknown) => {
      throw new DeviceError(cause);
    });
    this.#open = { model: model.id, device, session, text };
    return this.#open;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.session.release().catch(() => undefined); // what a broken device says about its end helps nobody
  }
}

/** The model that is loaded, and where. */
interface OpenModel {
  /** NAME@VERSION. */
  readonly model: string;
  readonly device: WebDevice;
  readonly session: Session;
  readonly text: TextModelParts | undefined;
}

/** What a device could not do, as opposed to what is wrong with the picture or the model's files. */
class DeviceError extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = 'DeviceError';
  }
}

function runningOn({ device, session, text }: OpenModel): Running {
  const runAll: Running['runAll'] = async (feeds, fetches) => {
    try {
      return await session.run(feeds, fetches);
    } catch (cause) {
      throw new DeviceError(cause);
    }
  };
  const run: Running['run'] = async (inputName, input, outputName) =>
    (await runAll({ [inputName]: input }))[outputName] as Tensor<'float32'>;
  return { device, text, run, runAll };
}
