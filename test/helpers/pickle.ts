/* Pickles written by hand, opcode by opcode (Lib/pickletools.py), for files that Python would not write. */

const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value >>> 0);
  return out;
};
const joined = (...parts: readonly (Uint8Array | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));

export const pickle = {
  text: (value: string): Buffer => joined('X', u32(Buffer.byteLength(value)), Buffer.from(value)),
  int: (value: number): Buffer => joined('J', u32(value)),
  none: Buffer.from('N'),
  false: Buffer.from([0x89]),
  global: (module: string, name: string): Buffer => joined('c', module, '\n', name, '\n'),
  tuple: (...items: readonly Uint8Array[]): Buffer => joined('(', ...items, 't'),
  dict: (...items: readonly Uint8Array[]): Buffer => joined('}', '(', ...items, 'u'),
  call: (target: Uint8Array, ...args: readonly Uint8Array[]): Buffer => joined(target, pickle.tuple(...args), 'R'),
  persistent: (key: Uint8Array): Buffer => joined(key, 'Q'),
  /** The whole: protocol 2, the value, the end. */
  file: (value: Uint8Array | string): Buffer => joined(Buffer.from([0x80, 2]), value, '.'),
  joined,
};

export interface TensorParts {
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly offset?: number;
  /** Elements that the storage claims to have. */
  readonly size: number;
  readonly type?: string;
  readonly key?: string;
}

/** A tensor as torch.save describes it. */
export const pickledTensor = ({
  dims,
  strides,
  offset = 0,
  size,
  type = 'FloatStorage',
  key = '0',
}: TensorParts): Buffer =>
  pickle.call(
    pickle.global('torch._utils', '_rebuild_tensor_v2'),
    pickle.persistent(
      pickle.tuple(
        pickle.text('storage'),
        pickle.global('torch', type),
        pickle.text(key),
        pickle.text('cpu'),
        pickle.int(size),
      ),
    ),
    pickle.int(offset),
    pickle.tuple(...dims.map(pickle.int)),
    pickle.tuple(...strides.map(pickle.int)),
    pickle.false,
    pickle.call(pickle.global('collections', 'OrderedDict')),
  );
