import { crc32c } from '../core/crc32.ts';
import { encodeMessage, type MessageSpec, many, one } from '../onnx/wire.ts';

/*
 * TensorBoard's event files: records of (u64 length, masked crc of it, bytes, masked crc of them), little-endian
 * (tensorflow/core/lib/io/record_writer.h), each an Event message (tensorflow/core/util/event.proto).
 */

/** A crc turned and shifted, so that the crc of data that contains crcs stays good. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** One record with its framing. */
function frameRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + data.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(record.subarray(0, 8))), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return record;
}

const valueSpec: MessageSpec = { tag: one(1, 'string'), simpleValue: one(2, 'float') };
const summarySpec: MessageSpec = { value: many(1, () => valueSpec) };
const eventSpec: MessageSpec = {
  wallTime: one(1, 'double'),
  step: one(2, 'int64'),
  fileVersion: one(3, 'string'),
  summary: one(5, () => summarySpec),
};

/** The record that an event file begins with. `wallTimeS` in seconds since 1970. */
export const fileHeader = (wallTimeS: number): Uint8Array =>
  frameRecord(encodeMessage(eventSpec, { wallTime: wallTimeS, fileVersion: 'brain.Event:2' }));

/** The record of some numbers, by tag, at a step. */
export function scalarRecord(wallTimeS: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const value = Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue }));
  return frameRecord(encodeMessage(eventSpec, { wallTime: wallTimeS, step, summary: { value } }));
}
