import { expect } from 'chai';
import fc from 'fast-check';
import { Builder } from 'flatbuffers';
import { FettleError } from '../../../training/core/errors.ts';
import { f32, i64 } from '../../../training/core/tensor.ts';
import {
  decodeOrtCheckpoint,
  encodeOrtCheckpoint,
  type OrtCheckpoint,
} from '../../../training/export/ort-checkpoint.ts';

const example: OrtCheckpoint = {
  trained: new Map([
    ['a.weight', f32([2, 3], [1, -2, 3.5, 1e-40, 1e38, -0])],
    ['ü/ß: x', f32([], [7])],
  ]),
  frozen: new Map<string, ReturnType<typeof f32> | ReturnType<typeof i64>>([
    ['count', i64([2], [2 ** 40, -1])],
    ['empty', f32([0, 4], [])],
  ]),
  optimizer: {
    step: 12345678901,
    initialLr: 0.5,
    moments: new Map([
      ['a.weight', [f32([2, 3], [1, 2, 3, 4, 5, 6]), f32([2, 3], [6, 5, 4, 3, 2, 1])]],
      ['ü/ß: x', [f32([], [1]), f32([], [2])]],
    ]),
  },
  properties: new Map<string, number | string>([
    ['epoch', 3],
    ['loss', 0.25],
    ['note', 'ä "quoted"\n'],
  ]),
};
const bytes = encodeOrtCheckpoint(example);

/** The error that reading gives, undefined where reading succeeds; fails where it dies of something else. */
function refusal(file: Uint8Array): FettleError | undefined {
  try {
    decodeOrtCheckpoint(file);
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  return undefined;
}

const changed = (at: number, value: number, from = bytes): Uint8Array => {
  const copy = from.slice();
  new DataView(copy.buffer).setInt32(at, value, true);
  return copy;
};

describe('ort-checkpoint: the file of ONNX Runtime training', () => {
  it('is read as it was written, whatever lies before it in memory', () => {
    expect(decodeOrtCheckpoint(bytes)).to.deep.equal(example);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeOrtCheckpoint(shifted.subarray(3))).to.deep.equal(example);
    const small: OrtCheckpoint = { trained: new Map(), frozen: new Map() };
    expect(decodeOrtCheckpoint(encodeOrtCheckpoint(small))).to.deep.equal(small);
  });

  it('has the identifier ODTC, and tensors at multiples of 8', () => {
    expect(String.fromCharCode(...bytes.subarray(4, 8))).to.equal('ODTC');
    const raw = Buffer.from(Float32Array.of(6, 5, 4, 3, 2, 1).buffer);
    expect(Buffer.from(bytes).indexOf(raw) % 8).to.equal(0);
  });

  it('says what is wrong', () => {
    const of = (file: Uint8Array) => `${refusal(file)?.code} ${refusal(file)?.message}`;
    expect(of(new Uint8Array(0))).to.match(/^bad-checkpoint .*got 0 bytes/);
    expect(of(changed(4, 0x58585858))).to.match(/^bad-checkpoint .*identifier "XXXX"/);
    expect(of(bytes.subarray(0, 60))).to.match(/^bad-checkpoint/);
    expect(of(changed(0, 2 ** 31 - 1))).to.match(/a part at byte/);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const root = view.getUint32(0, true);
    const version = root + view.getUint16(root - view.getInt32(root, true) + 4, true);
    expect(view.getInt32(version, true)).to.equal(2);
    expect(of(changed(version, 3))).to.match(/^bad-checkpoint .*got version 3/);
  });

  it('refuses properties that would read back as something else', () => {
    const empty = { trained: new Map(), frozen: new Map() };
    const write = (value: unknown) => () =>
      encodeOrtCheckpoint({ ...empty, properties: new Map([['p', value as number]]) });
    for (const value of [true, undefined, null, { a: 1 }, [1], 1n, 1e300, -1e39, 2 ** 200])
      expect(write(value), String(value))
        .to.throw(/expected the property p as a text or a number that f32 has, got .*; make a text of it/)
        .with.property('code', 'bad-argument');
    expect(() => encodeOrtCheckpoint({ ...empty, properties: { p: 1 } as unknown as Map<string, number> })).to.throw(
      /properties as a Map/,
    );
    for (const value of [3e38, -2.5, 2 ** 53 - 1, Infinity, ''])
      expect(decodeOrtCheckpoint(write(value)()).properties!.get('p')).to.equal(
        typeof value === 'number' && !Number.isSafeInteger(value) ? Math.fround(value) : value,
      );
  });

  it('refuses what is too large, and names what helps', () => {
    // Zeros that nobody reads take no memory.
    const data = new Float32Array(2 ** 28);
    const trained = new Map([['w', { dtype: 'float32', dims: [data.length], data }] as const]);
    expect(() => encodeOrtCheckpoint({ trained, frozen: new Map() }))
      .to.throw(/less than 1073741824 bytes, got about 1073743104; train fewer parameters, or export before the first/)
      .with.property('code', 'unsupported');
  });

  it('refuses parts that share memory until they would fill it', () => {
    // 4096 parameters, all of them the same table with the same 256 kB.
    const builder = new Builder();
    const table = (slots: readonly (number | undefined)[], version?: number): number => {
      builder.startObject(slots.length);
      slots.forEach((offset, i) => {
        if (offset === undefined) return;
        builder.addOffset(offset);
        builder.slot(i);
      });
      if (version !== undefined) {
        builder.addInt32(version);
        builder.slot(0);
      }
      return builder.endObject();
    };
    const [name, raw] = [builder.createString('w'), builder.createByteVector(new Uint8Array(2 ** 18))];
    const tensor = table([name, undefined, undefined, undefined, raw]);
    const count = 4096;
    builder.startVector(4, count, 4);
    for (let i = 0; i < count; i++) builder.addOffset(tensor);
    const shared = table([builder.endVector()]);
    builder.finish(table([undefined, shared], 2), 'ODTC');
    const error = refusal(builder.asUint8Array());
    expect(error?.code).to.equal('bad-checkpoint');
    expect(error?.message).to.match(/parts that overlap/);
  });

  it('never dies of a damaged file', () => {
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    let refused = 0;
    fc.assert(
      fc.property(damage, (places) => {
        const copy = bytes.slice();
        for (const [at, value] of places) copy[at] = value;
        const error = refusal(copy);
        if (error === undefined) return;
        refused++;
        expect(error.code).to.be.oneOf(['bad-checkpoint', 'unsupported']);
        expect(error.message).to.match(/expected .*, got /);
      }),
      { numRuns: 3000, seed: 1 },
    );
    expect(refused).to.be.above(500);
    for (let length = 0; length < bytes.length; length += 7) refusal(bytes.subarray(0, length));
  });
});
