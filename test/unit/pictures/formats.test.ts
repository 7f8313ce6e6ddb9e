import { expect } from 'chai';
import {
  formatOf,
  type InputFormat,
  pictureFormats,
  pictureName,
  unreadReason,
  writtenFormat,
} from '../../../training/pictures/formats.ts';
import { sharp } from '../../../training/pictures/sharp.node.ts';

describe('formats of pictures', () => {
  it('are known by the first 64 bytes of a file', async () => {
    const picture = sharp({ create: { width: 2, height: 2, channels: 3, background: '#123' } });
    for (const format of Object.keys(pictureFormats) as InputFormat[])
      expect(formatOf((await picture.clone().toFormat(format).toBuffer()).subarray(0, 64)), format).to.equal(format);
  });

  it('that are not read say what to do', () => {
    const reasons: readonly (readonly [string, RegExp])[] = [
      ['\0\0\0\x18ftypheic\0\0\0\0mif1heic', /^HEIC cannot be decoded here: convert it/],
      ['BM', /^BMP/],
      ['\xef\xbb\xbf <svg xmlns="">', /^SVG/],
      ['%PDF-1.7', /^PDF/],
      ['\xff\x0a', /^JPEG XL/],
      ['\0\0\0\x0cjP  ', /^JPEG 2000/],
      ['8BPS', /^Photoshop/],
      ['hello', /other bytes$/],
    ];
    for (const [text, reason] of reasons) {
      const bytes = Buffer.from(text, 'latin1');
      expect([formatOf(bytes), unreadReason(bytes)]).to.satisfy(
        ([format, said]: [undefined, string]) => format === undefined && reason.test(said),
      );
    }
    for (let length = 0; length < 16; length++) expect(formatOf(new Uint8Array(length))).to.equal(undefined);
  });

  it('have their endings, in any case', () => {
    const names = [
      'a.jpg',
      'a.JPEG',
      'a.b.png',
      'a.webp',
      'a.gif',
      'a.tif',
      'a.tiff',
      'a.avif',
      'a.heic',
      'jpg',
      'a.jpg.txt',
    ];
    expect(names.filter((name) => pictureName.test(name))).to.deep.equal(names.slice(0, 8));
  });

  it('come back as themselves where they are written, else as png', () => {
    expect((['jpeg', 'webp', 'png', 'tiff', undefined] as const).map(writtenFormat)).to.deep.equal([
      'jpeg',
      'webp',
      'png',
      'png',
      'png',
    ]);
  });
});
