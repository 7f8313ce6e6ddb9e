import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { csvRecords, parseCsv } from '../../../training/core/csv.ts';
import { parseIdx } from '../../../training/data/idx.ts';
import { readIdx } from '../../../training/data/sources.node.ts';
import { withFolder } from '../../helpers/photos.ts';

/** The bytes of an idx file: type code, sizes, elements' bytes. */
function idxBytes(code: number, dims: readonly number[], elements: readonly number[]): Uint8Array {
  const sizes = dims.flatMap((dim) => [dim >>> 24, (dim >>> 16) & 255, (dim >>> 8) & 255, dim & 255]);
  return Uint8Array.of(0, 0, code, dims.length, ...sizes, ...elements);
}

describe('idx files', () => {
  it('bytes and big-endian numbers of every type', () => {
    expect(parseIdx(idxBytes(8, [2, 3], [1, 2, 3, 4, 5, 255]))).to.deep.equal({
      dtype: 'uint8',
      dims: [2, 3],
      data: Uint8Array.of(1, 2, 3, 4, 5, 255),
    });
    expect(parseIdx(idxBytes(9, [2], [255, 3])).data).to.deep.equal(Int32Array.of(-1, 3));
    expect(parseIdx(idxBytes(11, [2], [255, 254, 1, 0])).data).to.deep.equal(Int32Array.of(-2, 256));
    expect(parseIdx(idxBytes(12, [1], [0, 1, 0, 0])).data).to.deep.equal(Int32Array.of(65536));
    expect(parseIdx(idxBytes(13, [1], [0xc0, 0x20, 0, 0])).data).to.deep.equal(Float32Array.of(-2.5));
    expect(parseIdx(idxBytes(14, [1], [0x3f, 0xf8, 0, 0, 0, 0, 0, 0])).data).to.deep.equal(Float64Array.of(1.5));
  });

  it('magic, sizes and length must fit', () => {
    expect(() => parseIdx(Uint8Array.of(31, 139, 8, 0))).to.throw(
      /expected an idx file \(00 00 type rank\), got 1f 8b 08 00/,
    );
    expect(() => parseIdx(idxBytes(7, [1], [0]))).to.throw(/idx file/);
    expect(() => parseIdx(new Uint8Array(0))).to.throw(/got no bytes/);
    expect(() => parseIdx(idxBytes(8, [2, 3], [1, 2]), 'a.idx')).to.throw(
      /a.idx: expected 18 bytes for \[2,3\], got 14/,
    );
    expect(() => parseIdx(idxBytes(8, [1], [1, 2]))).to.throw(/expected 9 bytes/);
    expect(() => parseIdx(Uint8Array.of(0, 0, 8, 3, 0, 0))).to.throw(/16 bytes of header/);
  });

  it('are read gzipped or plain; a broken one is named', () =>
    withFolder(async (folder) => {
      const bytes = idxBytes(8, [3], [7, 8, 9]);
      await writeFile(join(folder, 'a'), bytes);
      await writeFile(join(folder, 'b'), gzipSync(bytes));
      await writeFile(join(folder, 'c'), gzipSync(bytes).subarray(0, 20));
      for (const name of ['a', 'b']) expect((await readIdx(join(folder, name))).data).to.deep.equal(bytes.subarray(8));
      const failure = (name: string): Promise<Error> =>
        readIdx(join(folder, name)).then(
          () => new Error('read'),
          (e: Error) => e,
        );
      expect((await failure('c')).message).to.match(/whole gzip file .*c;/);
      expect((await failure('d')).message).to.match(/expected an idx file at .*d, found none/);
    }));
});

describe('csv (RFC 4180)', () => {
  it('quotes, doubled quotes, line ends inside fields, CRLF, LF and CR', () => {
    expect(csvRecords('a,"b, c","d ""e"""\r\n"two\nlines",,x\ry,z,\n')).to.deep.equal([
      ['a', 'b, c', 'd "e"'],
      ['two\nlines', '', 'x'],
      ['y', 'z', ''],
    ]);
    expect(csvRecords('a;b\n""\n\nc,d;', ';')).to.deep.equal([
      ['a', 'b'],
      ['c,d', ''],
    ]);
  });

  it('a header names the columns; a byte order mark is no part of it', () => {
    expect(parseCsv('\ufeffname,label\n1.png,"cat"\n')).to.deep.equal({
      columns: ['name', 'label'],
      rows: [{ name: '1.png', label: 'cat' }],
    });
  });

  it('names the record that does not fit', () => {
    expect(() => parseCsv('a,b\n1,2\n3\n')).to.throw(/csv record 3: expected 2 fields \(a, b\), got 1/);
    expect(() => parseCsv('a,b\n1,"2\n')).to.throw(/csv record 2: expected a closing quote/);
    expect(() => parseCsv('a\n"x"y\n')).to.throw(
      /csv record 2: expected ',' or a line end after a closing quote, got 'y'/,
    );
    expect(() => parseCsv('a,a\n')).to.throw(/different names/);
    expect(() => parseCsv('')).to.throw(/got nothing/);
  });
});
