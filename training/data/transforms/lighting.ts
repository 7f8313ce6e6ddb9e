import type { ByteTable } from './resample.ts';

/** A change of light, in the logit of values 0..1: `contrast * (logit(value) + shift)`. */
export interface Lighting {
  readonly shift: number;
  readonly contrast: number;
}

/** logit: log(p / (1 - p)), with p kept within 1e-7 of both ends. */
export function logit(p: number): number {
  const inside = Math.max(1e-7, Math.min(1 - 1e-7, p));
  return Math.log(inside / (1 - inside));
}

/** lightingTable: what each byte becomes, 0..1. Working on logits, light never clips. */
export const lightingTable = ({ shift, contrast }: Lighting): ByteTable =>
  Float32Array.from({ length: 256 }, (_, byte) => 1 / (1 + Math.exp(-contrast * (logit(byte / 255) + shift))));
