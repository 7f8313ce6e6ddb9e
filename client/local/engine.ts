import { FettleError } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { type RunPlanes, restoreImage } from '../../training/data/tiles.ts';
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

/** The server's. */
const defaultQuality = 90;

/** Restores pictures with a model on this machine; keeps the last model and session, for the next picture. */
export class Engine {
  readonly #client: Client;
  #model: LocalModel | undefined;
  #open: { readonly model: string; readonly session: Session } | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  async restore(job: LocalJob, onProgress: (progress: Progress) => void): Promise<RestoredHere> {
    onProgress({ phase: 'model' });
    const model = await this.#latestModel();
    const image = await decodeImage(job.file);
    ensureOutputFits(image, job.scale);
    const { pixels, ...where } = await this.#onBestDevice(model, image, job, onProgress);
    onProgress({ phase: 'encode' });
    const encoded = await encodeImage(
      pixels,
      job.format ?? (await sniffFormat(job.file)),
      job.quality ?? defaultQuality,
    );
    return { image: encoded, model: model.id, ...where };
  }

  /** Tries the devices from the best one on; what goes wrong on one is told in `skipped`, and the next one's turn comes. */
  async #onBestDevice(model: LocalModel, image: Image, job: LocalJob, onProgress: (progress: Progress) => void) {
    const { usable, skipped } = await usableWebDevices(job.device);
    const failed = [...skipped];
    for (const device of usable) {
      try {
        const session = await this.#sessionOn(device, model);
        const pixels = await restoreImage(image, job.scale, model.spec, runOn(session, model), {
          ...tileOn(device, model),
          onProgress: (done, total) => onProgress({ phase: 'restore', fraction: done / total }),
        });
        return { pixels, device, threads: device === 'wasm' ? webThreads() : 1, skipped: failed };
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        await this.#close();
        failed.push({ device, reason: error.message });
      }
    }
    const reasons = failed.map((one) => `${one.device}: ${one.reason}`).join('; ');
    throw new FettleError('no-device', `restore: expected ${job.device} to work in this browser, got ${reasons}`);
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

/** WebGL spreads every convolution's input out in one texture, nine times as large and more: so tiles are smaller there. */
function tileOn(device: WebDevice, { spec }: LocalModel): { readonly tile?: number } {
  if (device !== 'webgl') return {};
  return { tile: Math.max(512, Math.ceil((4 * spec.halo) / spec.multipleOf) * spec.multipleOf) };
}

/** What a device could not do, as opposed to what is wrong with the picture or the model's files. */
class DeviceError extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'DeviceError';
  }
}

const runOn =
  (session: Session, { spec }: LocalModel): RunPlanes =>
  async (data, dims) => {
    try {
      const results = await session.run({ [spec.inputName]: { dtype: 'float32', dims, data } });
      return results[spec.outputName]?.data as Float32Array;
    } catch (cause) {
      throw new DeviceError(cause);
    }
  };
