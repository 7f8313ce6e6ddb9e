import type { Image } from '../../core/image.ts';

/** overWhite: RGBA u8 -> RGB u8 on white, rounded down as the decoder of training photos does it. */
export function overWhite({ width, height, data }: Image): Image {
  const out = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3]!;
    const white = 255 * (255 - alpha);
    for (let c = 0; c < 3; c++) out[to++] = Math.floor((data[from + c]! * alpha + white) / 255);
  }
  return { width, height, channels: 3, data: out };
}

function isOpaque({ data }: Image): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

function repeatGrey({ width, height, data }: Image): Image {
  const out = new Uint8Array(3 * data.length);
  for (let i = 0, to = 0; i < data.length; i++, to += 3) out.fill(data[i]!, to, to + 3);
  return { width, height, channels: 3, data: out };
}

/** inColour: a picture u8 -> one whose first three channels are what is seen of it: grey is repeated, transparency put on white. Copies only where it must. */
export function inColour(image: Image): Image {
  if (image.channels === 1) return repeatGrey(image);
  return image.channels === 3 || isOpaque(image) ? image : overWhite(image);
}
