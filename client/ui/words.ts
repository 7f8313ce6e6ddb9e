import type { SkippedDevice } from '../../training/run/session.ts';
import { ApiError, type Progress } from '../api.ts';
import { webDeviceNames } from '../devices.ts';
import { LocalError } from '../local.ts';
import type { Place, Restored } from '../restore.ts';

const phases: Record<Progress['phase'], string> = {
  upload: 'Sending the photo',
  model: 'Getting the model ready on this device',
  restore: 'Restoring',
  download: 'Fetching the result',
  encode: 'Saving',
};

/** `Restoring, 40 %` */
export function progressWords({ phase, fraction }: Progress): string {
  return fraction === undefined ? `${phases[phase]} …` : `${phases[phase]}, ${Math.round(100 * fraction)} %`;
}

/** Where it was restored, with what, and how long it took. */
export function placeWords({ place, seconds }: Restored): string {
  const time = `${seconds.toFixed(1)} s`;
  if (place.kind === 'server') {
    const frames = place.frames > 1 ? ` Only the first of its ${place.frames} frames.` : '';
    return `Restored by the server with ${place.model}, ${time}.${frames}`;
  }
  const threads = place.threads > 1 ? `, ${place.threads} threads` : '';
  return `Restored on this device (${webDeviceNames[place.device]}${threads}) with ${place.model}, ${time}.`;
}

const skippedWords = ({ device, reason }: SkippedDevice): string =>
  `Not on ${webDeviceNames[device as keyof typeof webDeviceNames] ?? device}: ${reason}.`;

/** Why on this device, why on this part of it, and what is different about the result. */
export const deviceWords = ({ why, skipped }: Extract<Place, { readonly kind: 'device' }>): readonly string[] => [
  `Not on the server: ${why}.`,
  ...skipped.map(skippedWords),
  'The copy made here carries no camera data (EXIF).',
];

export interface ErrorWords {
  readonly problem: string;
  readonly advice: string;
  /** For whoever looks into it. */
  readonly code: string;
}

/** What went wrong, in the words of whoever knows: the server's message, or this device's. */
export function errorWords(error: unknown): ErrorWords {
  if (error instanceof ApiError) {
    const request = error.requestId === '' ? '' : `, request ${error.requestId}`;
    return { problem: 'The server did not restore this photo', advice: error.message, code: `${error.code}${request}` };
  }
  if (error instanceof LocalError) {
    const away = error.code === 'unreachable';
    const advice = away
      ? 'The server cannot be reached, and this device does not have the model yet. Try again when you are online.'
      : error.message;
    return { problem: 'This photo could not be restored on this device', advice, code: error.code };
  }
  return { problem: 'Something broke in this page', advice: String(error), code: 'internal' };
}

const endings: Record<string, string> = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/** `holiday.jpeg` -> `holiday-restored.png` */
export const downloadName = (name: string, type: string): string =>
  `${name.replace(/\.[^.]*$/, '') || 'photo'}-restored.${endings[type] ?? 'png'}`;
