import { crc32 as zlibCrc } from 'node:zlib';
import { expect } from 'chai';
import { crc32, crc32c } from '../../../training/core/crc32.ts';
import { bitwiseCrc } from '../../helpers/event-reader.ts';

describe('checksums', () => {
  const digits = Buffer.from('123456789');

  it("crc32 agrees with the standard's check value and with zlib", () => {
    expect(crc32(digits)).to.equal(0xcbf43926);
    expect(crc32(new Uint8Array())).to.equal(0);
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * i) >> 3);
    expect(crc32(bytes)).to.equal(zlibCrc(bytes));
  });

  it("crc32c agrees with the standard's check value and with a bitwise computation", () => {
    expect(crc32c(digits)).to.equal(0xe3069283);
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and 0..31.
    expect(crc32c(new Uint8Array(32))).to.equal(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).to.equal(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).to.equal(0x46dd794e);
    expect(bitwiseCrc(digits)).to.equal(0xe3069283);
  });
});
