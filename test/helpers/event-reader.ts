import { expect } from 'chai';

/*
 * A reader of TensorBoard's event files that shares no line with the writer: crc bit by bit, protobuf by hand, after
 * tensorflow/core/lib/io/record_reader.cc and core/util/event.proto.
 */

/** CRC-32C, bit by bit. */
export function bitwiseCrc(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc % 2n === 1n ? (crc / 2n) ^ 0x82f63b78n : crc / 2n;
  }
  return Number(crc ^ 0xffffffffn);
}

const unmask = (crc: number): number => {
  const turned = (crc - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
};

/** The payloads of the records of a file; throws where a length or a checksum is wrong. */
export function readRecords(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const payloads: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = Number(view.getBigUint64(at, true));
    expect(unmask(view.getUint32(at + 8, true)), 'checksum of the length').to.equal(
      bitwiseCrc(bytes.subarray(at, at + 8)),
    );
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmask(view.getUint32(at + 12 + length, true)), 'checksum of the data').to.equal(bitwiseCrc(data));
    payloads.push(data);
    at += 16 + length;
  }
  return payloads;
}

/** Field number -> raw values of a protobuf message. */
function fieldsOf(bytes: Uint8Array): Map<number, (number | Uint8Array)[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = new Map<number, (number | Uint8Array)[]>();
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at]!;
      at += 1;
      value += (byte % 128) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const take = (size: number): number => {
      at += size;
      return at - size;
    };
    const kinds: Readonly<Record<number, () => number | Uint8Array>> = {
      0: varint,
      1: () => view.getFloat64(take(8), true),
      5: () => view.getFloat32(take(4), true),
      2: () => {
        const length = varint();
        return bytes.subarray(take(length), at);
      },
    };
    const value = kinds[key % 8]!();
    const field = Math.floor(key / 8);
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

export interface ReadEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly version: string | undefined;
  readonly scalars: Readonly<Record<string, number>>;
}

/** Every event of a file. */
export function readEvents(bytes: Uint8Array): ReadEvent[] {
  const text = (value: number | Uint8Array | undefined): string => Buffer.from(value as Uint8Array).toString('utf8');
  return readRecords(bytes).map((payload) => {
    const event = fieldsOf(payload);
    const summary = event.get(5)?.[0] as Uint8Array | undefined;
    const values = summary === undefined ? [] : (fieldsOf(summary).get(1) ?? []);
    const scalars = values.map((value) => {
      const fields = fieldsOf(value as Uint8Array);
      return [text(fields.get(1)![0]), fields.get(2)![0] as number] as const;
    });
    const version = event.get(3)?.[0];
    return {
      wallTime: event.get(1)![0] as number,
      step: (event.get(2)?.[0] as number | undefined) ?? 0,
      version: version === undefined ? undefined : text(version),
      scalars: Object.fromEntries(scalars),
    };
  });
}
