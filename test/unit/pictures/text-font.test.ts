import { expect } from 'chai';
import { drawText, fitText, hasGlyph, textWidth } from '../../../training/pictures/text-font.ts';
import { plainImage } from '../../helpers/photos.ts';

const everything = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];

const inkOf = (text: string, height: number): Uint8Array => {
  const image = plainImage(Math.ceil(textWidth(text, height)) + 4, 2 * height, 255);
  drawText(image, text, { left: 2, top: 4, height });
  return image.data.map((value) => 255 - value);
};

describe('text in pictures', () => {
  it('letters and digits are all there and all different', () => {
    expect(everything.filter((character) => !hasGlyph(character))).to.deep.equal([]);
    for (const height of [11, 22]) {
      const drawn = everything.map((character) => String(inkOf(character.padEnd(2), height)));
      expect(new Set(drawn).size).to.equal(everything.length);
    }
  });

  it('stays within its width, and what does not fit is cut', () => {
    const image = plainImage(300, 40, 255);
    const text = 'Staffordshire gqj';
    drawText(image, text, { left: 10, top: 6, height: 14, color: [0, 0, 255] });
    const columns = [...image.data].flatMap((value, i) =>
      i % 3 === 0 && value < 255 ? [Math.floor(i / 3) % 300] : [],
    );
    expect(Math.min(...columns)).to.be.within(10, 13);
    const end = 10 + textWidth(text, 14);
    expect(Math.max(...columns)).to.be.within(end - 4, end);
    expect(new Set([...image.data].filter((_, i) => i % 3 === 2))).to.deep.equal(new Set([255]));
    expect(fitText('short', 1000, 10)).to.equal('short');
    expect(fitText('Staffordshire', 60, 10)).to.match(/^Sta\w*\.\.$/);
    expect(textWidth(fitText('Staffordshire', 60, 10), 10)).to.be.at.most(60);
    drawText(image, 'outside', { left: -500, top: -3, height: 10 });
  });
});
