import { ensure, FettleError } from '../core/errors.ts';
import type { ByteReader } from './bytes.ts';

/*
 * Python's pickle (PEP 307, 3154, 574; Lib/pickletools.py describes every opcode), only as far as state dicts need it, and without what makes
 * pickles dangerous: a name in the file never becomes code. Whoever reads one lists the names it knows and what each gives; any
 * other name is an error. Values stay references, so a small file cannot grow into a large structure.
 */

/** What a name in a pickle stands for. */
export interface PickleGlobal {
  /** `module.name`. */
  readonly name: string;
  /** What a call with these arguments gives; absent for what is only referred to. */
  readonly call?: (args: readonly unknown[]) => unknown;
}

export interface PickleHost {
  /** The meaning of `module.name`, or undefined for a name that is not known. */
  readonly global: (name: string) => PickleGlobal | undefined;
  /** The object that the file keeps outside the pickle under this key. */
  readonly persistent: (key: unknown) => unknown;
}

/** A value read from a pickle: lists and tuples are arrays, dicts are maps, bytes are Uint8Array, long integers bigint. */
type Pickled = unknown;

const utf8 = new TextDecoder();
/** Longest integer that is read, bytes; real files have at most the ten of PyTorch's magic number. */
const longestInteger = 32;

class Machine {
  readonly stack: Pickled[] = [];
  readonly reader: ByteReader;
  readonly host: PickleHost;
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Pickled>();

  constructor(reader: ByteReader, host: PickleHost) {
    this.reader = reader;
    this.host = host;
  }

  fail(expected: string, got: string): never {
    const { what, position } = this.reader;
    throw new FettleError(
      'bad-checkpoint',
      `${what}: expected ${expected} in the pickle before byte ${position}, got ${got}; the file is damaged, or no state dict`,
    );
  }

  push(value: Pickled): void {
    this.stack.push(value);
  }

  pop(): Pickled {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.stack.length <= floor) this.fail('a value', 'none');
    return this.stack.pop();
  }

  top(): Pickled {
    return this.stack.length > (this.#marks.at(-1) ?? 0) ? this.stack.at(-1) : this.fail('a value', 'none');
  }

  mark(): void {
    this.#marks.push(this.stack.length);
  }

  /** Everything above the last mark. */
  popToMark(): Pickled[] {
    const floor = this.#marks.pop();
    return floor === undefined ? this.fail('a mark', 'none') : this.stack.splice(floor);
  }

  /** The last `count` values. */
  popMany(count: number): Pickled[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  /** Under the next free index, as MEMOIZE states. */
  rememberNext(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    this.push(this.#memo.has(index) ? this.#memo.get(index) : this.fail('a remembered value', `index ${index}`));
  }

  text(length: number): string {
    return utf8.decode(this.reader.take(length));
  }

  global(module: Pickled, name: Pickled): void {
    // Only texts are printed: a list that holds itself twice, forty times over, would have no end.
    if (typeof module !== 'string' || typeof name !== 'string') this.fail('the name of an object', show(name));
    const full = `${module}.${name}`;
    const known = this.host.global(full);
    ensure(known !== undefined, 'unsupported', () => {
      return `${this.reader.what}: expected only tensors in plain containers, got the Python object ${full}, which is never loaded; in Python, save the state dict alone: torch.save(model.state_dict(), path)`;
    });
    this.push(known);
  }

  call(): void {
    const args = this.pop();
    const target = this.pop() as PickleGlobal | undefined;
    if (!Array.isArray(args) || typeof target !== 'object' || typeof target?.call !== 'function')
      this.fail('a call of a known function', show(target));
    this.push((target as Required<PickleGlobal>).call(args as Pickled[]));
  }

  setItems(items: readonly Pickled[]): void {
    const target = this.top();
    if (!(target instanceof Map) || items.length % 2 !== 0) this.fail('a dict and pairs for it', show(target));
    for (let i = 0; i < items.length; i += 2) (target as Map<Pickled, Pickled>).set(items[i], items[i + 1]);
  }

  append(items: readonly Pickled[]): void {
    const target = this.top();
    if (!Array.isArray(target)) this.fail('a list', show(target));
    for (const item of items) (target as Pickled[]).push(item);
  }

  /** State of an object: only that of a dict, `_metadata` of modules' versions, which nothing here needs. */
  dropState(): void {
    this.pop();
    if (!(this.top() instanceof Map)) this.fail('the state of a dict', `that of ${show(this.top())}`);
  }

  integer(length: number): void {
    if (length > longestInteger) this.fail(`an integer of up to ${longestInteger} bytes`, `${length} bytes`);
    const digits = this.reader.take(length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    const value = BigInt.asIntN(8 * length, digits);
    const plain = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
    this.push(plain ? Number(value) : value);
  }
}

const show = (value: Pickled): string =>
  value === null ? 'None' : Array.isArray(value) ? 'a list' : value instanceof Map ? 'a dict' : `a ${typeof value}`;

const ascii = (text: string): number => text.charCodeAt(0);

/** What each opcode does; PROTO and STOP are the loop's. */
const opcodes = new Map<number, (m: Machine) => void>([
  [ascii('('), (m) => m.mark()],
  [ascii('0'), (m) => void m.pop()],
  [ascii('1'), (m) => void m.popToMark()],
  [ascii('2'), (m) => m.push(m.top())],
  [ascii('N'), (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [ascii('J'), (m) => m.push(m.reader.i32())],
  [ascii('K'), (m) => m.push(m.reader.u8())],
  [ascii('M'), (m) => m.push(m.reader.u16())],
  [0x8a, (m) => m.integer(m.reader.u8())],
  [0x8b, (m) => m.integer(m.reader.u32())],
  [ascii('G'), (m) => m.push(m.reader.f64be())],
  [ascii('X'), (m) => m.push(m.text(m.reader.u32()))],
  [0x8c, (m) => m.push(m.text(m.reader.u8()))],
  [0x8d, (m) => m.push(m.text(m.reader.u64()))],
  // Texts of Python 2.
  [ascii('U'), (m) => m.push(m.text(m.reader.u8()))],
  [ascii('T'), (m) => m.push(m.text(m.reader.u32()))],
  [ascii('C'), (m) => m.push(m.reader.take(m.reader.u8()))],
  [ascii('B'), (m) => m.push(m.reader.take(m.reader.u32()))],
  [ascii(']'), (m) => m.push([])],
  [ascii('}'), (m) => m.push(new Map())],
  [ascii(')'), (m) => m.push([])],
  [0x85, (m) => m.push(m.popMany(1))],
  [0x86, (m) => m.push(m.popMany(2))],
  [0x87, (m) => m.push(m.popMany(3))],
  [ascii('t'), (m) => m.push(m.popToMark())],
  [ascii('l'), (m) => m.push(m.popToMark())],
  [ascii('a'), (m) => m.append(m.popMany(1))],
  [ascii('e'), (m) => m.append(m.popToMark())],
  [ascii('s'), (m) => m.setItems(m.popMany(2))],
  [ascii('u'), (m) => m.setItems(m.popToMark())],
  [ascii('q'), (m) => m.remember(m.reader.u8())],
  [ascii('r'), (m) => m.remember(m.reader.u32())],
  [0x94, (m) => m.rememberNext()],
  [ascii('h'), (m) => m.recall(m.reader.u8())],
  [ascii('j'), (m) => m.recall(m.reader.u32())],
  [ascii('c'), (m) => m.global(utf8.decode(m.reader.line()), utf8.decode(m.reader.line()))],
  [0x93, (m) => m.global(...(m.popMany(2) as [Pickled, Pickled]))],
  [ascii('R'), (m) => m.call()],
  [ascii('b'), (m) => m.dropState()],
  [ascii('Q'), (m) => m.push(m.host.persistent(m.pop()))],
  // A frame states how long it is, so that a stream can be read in pieces; the bytes are all here.
  [0x95, (m) => void m.reader.skip(8)],
]);

const [protocolCode, stopCode] = [0x80, ascii('.')];
const newestProtocol = 5;

/** Reads one pickle and leaves `reader` behind it. Throws `bad-checkpoint`, and `unsupported` for a Python object that `host` does not know. */
export function readPickle(reader: ByteReader, host: PickleHost): Pickled {
  const machine = new Machine(reader, host);
  for (;;) {
    const code = reader.u8();
    if (code === stopCode) return machine.pop();
    if (code === protocolCode) {
      const protocol = reader.u8();
      if (protocol > newestProtocol) machine.fail(`protocol 2..${newestProtocol}`, `${protocol}`);
      continue;
    }
    const run = opcodes.get(code) ?? machine.fail('an opcode of plain data', `0x${code.toString(16)}`);
    run(machine);
  }
}
