import { join } from 'node:path';
import { expect } from 'chai';
import { decode, inspect } from '../../../server/serve/images.ts';
import type { Image } from '../../../training/core/image.ts';
import { decodeNumbers, decodePicture, decodeRgb, readHeader } from '../../../training/pictures/decode.node.ts';
import { sharp } from '../../../training/pictures/sharp.node.ts';
import { failureOf } from '../../helpers/blocks.ts';
import { wavyImage, withFolder } from '../../helpers/photos.ts';

const photo = wavyImage(12, 8, 1);
const raw = ({ data, width, height, channels }: Image) => sharp(data, { raw: { width, height, channels } });
const bytesOf = ({ width, height, channels, data }: Image) => [
  width,
  height,
  channels,
  Buffer.from(data).toString('hex'),
];

/** The picture turned a quarter to the right, as orientation 6 asks for. */
function turned({ width, height, channels, data }: Image): Image {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [Math.floor(i / channels) % width, Math.floor(i / channels / width), i % channels];
    out[(x * height + (height - 1 - y)) * channels + c] = data[i]!;
  }
  return { width: height, height: width, channels, data: out };
}

describe('decoding pictures', () => {
  it('turns colours upright, header and pixels alike, and leaves numbers as they lie', async () => {
    const file = await raw(photo).withMetadata({ orientation: 6 }).png().toBuffer();
    const { width, height, channels, depth, frames } = await readHeader(file);
    expect({ width, height, channels, depth, frames }).to.deep.equal({
      width: 8,
      height: 12,
      channels: 3,
      depth: 'uchar',
      frames: 1,
    });
    expect(bytesOf(await decodeRgb(file))).to.deep.equal(bytesOf(turned(photo)));
    expect(bytesOf(await decodePicture(file))).to.deep.equal(bytesOf(turned(photo)));
    expect(bytesOf(await decodeNumbers(file, 'rgb'))).to.deep.equal(bytesOf(photo));
  });

  it('applies the profile to colours, and none to numbers', async () => {
    const file = await raw(photo).withIccProfile('p3').png().toBuffer();
    expect((await readHeader(file)).hasProfile).to.equal(true);
    const stored = await decodeNumbers(file, 'rgb');
    const plain = await sharp(file, { ignoreIcc: true }).raw().toBuffer();
    expect(Buffer.from(stored.data).equals(plain)).to.equal(true);
    const shown = await decodeRgb(file);
    expect(shown.data).to.not.deep.equal(stored.data);
    shown.data.forEach((value, i) => {
      expect(value).to.be.closeTo(photo.data[i]!, 3);
    });
  });

  it('has what is transparent over white in RGB, straight in pictures, and black or kept in numbers', async () => {
    const pixel: Image = { width: 1, height: 1, channels: 4, data: Uint8Array.of(200, 100, 0, 0) };
    const file = await raw(pixel).png().toBuffer();
    const data = async (image: Promise<Image>) => [...(await image).data];
    expect(await data(decodeRgb(file))).to.deep.equal([255, 255, 255]);
    expect(await data(decodePicture(file))).to.deep.equal([200, 100, 0, 0]);
    expect(await data(decodeNumbers(file, 'rgb', 'black'))).to.deep.equal([0, 0, 0]);
    expect(await data(decodeNumbers(file, 'rgb'))).to.deep.equal([200, 100, 0]);
  });

  it('gives training and server the same pixels, whatever the depth, profile and orientation', async () => {
    const files = [
      await raw(photo).withMetadata({ orientation: 8 }).jpeg({ quality: 90 }).toBuffer(),
      await raw(photo).withIccProfile('p3').webp({ lossless: true }).toBuffer(),
      await raw(photo).toColourspace('rgb16').png().toBuffer(),
      await raw(photo).toColourspace('cmyk').tiff().toBuffer(),
    ];
    for (const file of files) {
      const { width, height } = await inspect(file);
      expect(bytesOf(await decode(file))).to.deep.equal(bytesOf(await decodeRgb(file)));
      expect(await readHeader(file)).to.include({ width, height });
    }
  });

  it('refuses what it warns of only where that is asked for, and more pixels than the limit', async () => {
    const jpeg = await raw(photo).jpeg().toBuffer();
    const extraneous = Buffer.concat([jpeg.subarray(0, 20), Buffer.alloc(9, 7), jpeg.subarray(20)]);
    expect((await decodePicture(extraneous)).width).to.equal(12);
    expect(await failureOf(decodePicture(extraneous, { strict: true }))).to.match(/extraneous bytes/);
    expect(await failureOf(decodePicture(jpeg.subarray(0, -40)))).to.match(/premature end/i);
    expect(await failureOf(readHeader(jpeg, { pixels: 95 }))).to.match(/pixel limit/);
    expect((await readHeader(jpeg, { pixels: 96 })).width).to.equal(12);
  });

  it('reads a path as the bytes behind it', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'photo.png');
      await raw(photo).png().toFile(path);
      expect(bytesOf(await decodeRgb(path))).to.deep.equal(bytesOf(photo));
      expect(await failureOf(decodeRgb(join(folder, 'none.png')))).to.match(/ENOENT/);
    }));
});
