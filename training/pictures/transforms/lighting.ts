import { luma } from '../damage/grey.ts';
import type { Statistics } from './normalise.ts';
import type { ByteTable } from './resample.ts';

/** A change of light: in the logit of values 0..1 `contrast * (logit(value) + shift + tint)`; then the colours' strength. */
export interface Lighting {
  readonly shift: number;
  readonly contrast: number;
  /** Of red, green and blue. */
  readonly tint: readonly number[];
  /** 0 is grey, 1 changes nothing. */
  readonly saturation: number;
}

/** logit: log(p / (1 - p)), with p kept within 1e-7 of both ends. */
export function logit(p: number): number {
  const inside = Math.max(1e-7, Math.min(1 - 1e-7, p));
  return Math.log(inside / (1 - inside));
}

/** lightingTable: what each byte becomes, 0..1. Working on logits, light never clips. */
export const lightingTable = ({ shift, contrast }: Pick<Lighting, 'shift' | 'contrast'>): ByteTable =>
  Float32Array.from({ length: 256 }, (_, byte) => 1 / (1 + Math.exp(-contrast * (logit(byte / 255) + shift))));

/** lightingTables: a table per channel, the same one where there is no tint; a grey picture has none. */
export function lightingTables({ shift, contrast, tint }: Lighting, channels: 1 | 3): readonly ByteTable[] {
  const same = channels === 1 || tint.every((t) => t === 0);
  if (!same) return tint.map((t) => lightingTable({ shift: shift + t, contrast }));
  const table = lightingTable({ shift, contrast });
  return Array.from({ length: channels }, () => table);
}

/**
 * saturate: planes f32[3,H W] 0..1, changed in place: the distance from the luma times `factor`, clipped to 0..1. Where the planes are
 * normalised, `statistics` state how.
 */
export function saturate(planes: Float32Array, factor: number, statistics: Statistics = plain): void {
  const { mean, std } = statistics;
  const size = planes.length / 3;
  for (let i = 0; i < size; i++) {
    const [r, g, b] = [0, 1, 2].map((c) => planes[c * size + i]! * std[c]! + mean[c]!) as [number, number, number];
    const grey = luma(r, g, b);
    for (const [c, value] of [r, g, b].entries()) {
      const mixed = Math.max(0, Math.min(1, grey + (value - grey) * factor));
      planes[c * size + i] = (mixed - mean[c]!) / std[c]!;
    }
  }
}

const plain: Statistics = { mean: [0, 0, 0], std: [1, 1, 1] };
