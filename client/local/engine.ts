import { ensure } from '../../training/core/errors.ts';
import { restoreImage } from '../../training/data/tiles.ts';
import { openWebSession, usableWebDevices, type WebDevice, webThreads } from '../../training/run/ort.web.ts';
import type { Session, SkippedDevice } from '../../training/run/session.ts';
import type { Client, OutputFormat, Progress, Scale } from '../api.ts';
import { decodeImage, encodeImage, ensureOutputFits } from './codec.ts';
import { type LocalModel, openModel } from './model-source.ts';
import { runtimeFiles } from './runtimes.ts';
import { sniffFormat } from './sniff.ts';

export interface LocalJob {
  readonly file: Blob;
  readonly device: WebDevice | 'auto';
  readonly scale: Scale;
  readonly format?: OutputFormat;
  readonly quality?: number;
}

export interface RestoredHere {
  readonly image: Blob;
  /** NAME@VERSION. */
  readonly model: string;
  readonly device: WebDevice;
  readonly threads: number;
  /** Devices that would have been preferred, and why they were not used. */
  readonly skipped: readonly SkippedDevice[];
}

/** Restores pictures with a model on this machine; keeps the last model and session, for the next picture. */
export class Engine {
  readonly #client: Client;
  #model: LocalModel | undefined;
  #open: { readonly model: string; readonly session: Session } | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Tries the devices from the best one on; what goes wrong on one is told in `skipped`, and the next one's turn comes. */
  async restore(job: LocalJob, onProgress: (progress: Progress) => void): Promise<RestoredHere> {
    onProgress({ phase: 'model' });
    const model = await this.#latestModel();
    const { usable, skipped } = await usableWebDevices(job.device);
    const failed = [...skipped];
    for (const device of usable) {
      try {
        const image = await this.#restoreOn(device, model, job, onProgress);
        return { image, model: model.id, device, threads: device === 'wasm' ? webThreads() : 1, skipped: failed };
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        failed.push({ device, reason: error.message });
      }
    }
    const reasons = failed.map((one) => `${one.device}: ${one.reason}`).join('; ');
    ensure(false, 'no-device', () => `restore: expected ${job.device} to work in this browser, got ${reasons}`);
  }

  /** The version that serves; the one already here when nobody can say. */
  async #latestModel(): Promise<LocalModel> {
    try {
      const latest = await openModel(this.#client);
      if (latest.id !== this.#model?.id) this.#model = latest;
    } catch (error) {
      if (this.#model === undefined) throw error;
    }
    return this.#model!;
  }

  async #restoreOn(
    device: WebDevice,
    model: LocalModel,
    job: LocalJob,
    onProgress: (progress: Progress) => void,
  ): Promise<Blob> {
    const session = await this.#sessionOn(device, model);
    const image = await decodeImage(job.file);
    ensureOutputFits(image, job.scale);
    onProgress({ phase: 'restore', fraction: 0 });
    const restored = await restoreImage(
      image,
      job.scale,
      model.spec,
      (planes, dims) => run(session, model, planes, dims),
      {
        onProgress: (done, total) => onProgress({ phase: 'restore', fraction: done / total }),
      },
    );
    onProgress({ phase: 'encode' });
    return encodeImage(restored, job.format ?? (await sniffFormat(job.file)), job.quality);
  }

  async #sessionOn(device: WebDevice, model: LocalModel): Promise<Session> {
    if (this.#open?.model === model.id && this.#open.session.device === device) return this.#open.session;
    await this.#open?.session.release().catch(() => undefined);
    this.#open = undefined;
    const bytes = await model.bytesFor(device);
    const files = runtimeFiles[device];
    const opening = openWebSession(bytes, { device, ...(files === undefined ? {} : { files }) });
    const session = await opening.catch((cause: unknown) => {
      throw new DeviceError(cause);
    });
    this.#open = { model: model.id, session };
    return session;
  }
}

/** What a device could not do, as opposed to what is wrong with the picture or the model's files. */
class DeviceError extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'DeviceError';
  }
}

async function run(
  session: Session,
  { spec }: LocalModel,
  data: Float32Array,
  dims: readonly number[],
): Promise<Float32Array> {
  try {
    const results = await session.run({ [spec.inputName]: { dtype: 'float32', dims, data } });
    return results[spec.outputName]?.data as Float32Array;
  } catch (cause) {
    throw new DeviceError(cause);
  }
}
