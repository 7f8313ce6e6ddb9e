import type { TaskWords } from '../../tasks/task.ts';
import type { SkippedDevice } from '../../training/run/session.ts';
import { ApiError, type Progress } from '../api.ts';
import { webDeviceNames } from '../devices.ts';
import { LocalError } from '../local.ts';
import type { Done, Place } from '../place.ts';

const phases: Record<Exclude<Progress['phase'], 'run'>, string> = {
  upload: 'Sending the photo',
  model: 'Getting the model ready on this device',
  download: 'Fetching the result',
  encode: 'Saving',
};

/** `Restoring, 40 %` */
export function progressWords({ phase, fraction }: Progress, { doing }: TaskWords): string {
  const what = phase === 'run' ? doing : phases[phase];
  return fraction === undefined ? `${what} …` : `${what}, ${Math.round(100 * fraction)} %`;
}

/** Where it was done, with what, and how long it took. */
export function placeWords({ place, seconds }: Done<unknown>, { did }: TaskWords): string {
  const time = `${seconds.toFixed(1)} s`;
  if (place.kind === 'server') {
    const frames = place.frames > 1 ? ` Only the first of its ${place.frames} frames.` : '';
    return `${did} by the server with ${place.model}, ${time}.${frames}`;
  }
  const threads = place.threads > 1 ? `, ${place.threads} threads` : '';
  return `${did} on this device (${webDeviceNames[place.device]}${threads}) with ${place.model}, ${time}.`;
}

const skippedWords = ({ device, reason }: SkippedDevice): string =>
  `Not on ${webDeviceNames[device as keyof typeof webDeviceNames] ?? device}: ${reason}.`;

/** Why on this device, why on this part of it, and what is different about the result. */
export const deviceWords = (
  { why, skipped }: Extract<Place, { readonly kind: 'device' }>,
  { different }: TaskWords,
): readonly string[] => [
  `Not on the server: ${why}.`,
  ...skipped.map(skippedWords),
  ...(different === undefined ? [] : [different]),
];

export interface ErrorWords {
  readonly problem: string;
  readonly advice: string;
  /** For whoever looks into it. */
  readonly code: string;
}

/** What went wrong, in the words of whoever knows: the server's message, or this device's. */
export function errorWords(error: unknown, { verb, did, what = 'this photo' }: TaskWords): ErrorWords {
  if (error instanceof ApiError) {
    const request = error.requestId === '' ? '' : `, request ${error.requestId}`;
    const problem = `The server did not ${verb.toLowerCase()} ${what}`;
    return { problem, advice: error.message, code: `${error.code}${request}` };
  }
  if (error instanceof LocalError) {
    const away = error.code === 'unreachable';
    const advice = away
      ? 'The server cannot be reached, and this device does not have the model yet. Try again when you are online.'
      : error.message;
    const problem = `On this device, ${what} could not be ${did.toLowerCase()}`;
    return { problem, advice, code: error.code };
  }
  return { problem: 'Something broke in this page', advice: String(error), code: 'internal' };
}

const endings: Record<string, string> = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/** `holiday.jpeg` -> `holiday-restored.png` */
export const downloadName = (name: string, what: string, type: string): string =>
  `${name.replace(/\.[^.]*$/, '') || 'photo'}-${what}.${endings[type] ?? 'png'}`;

/** `37 %`; one more digit below ten. */
export function shareWords(share: number): string {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  return `${percent.toFixed(percent < 9.95 && percent > 0 ? 1 : 0)} %`;
}
