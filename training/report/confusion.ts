import type { Confusion } from '../learner/metrics.ts';
import { textWidth } from '../pictures/text-font.ts';
import { rectElement, textElement, toSvg } from './svg.ts';

/** White to blue as `share` goes from 0 to 1. */
function shade(share: number): string {
  const mix = (from: number, to: number): string =>
    Math.round(from + (to - from) * share)
      .toString(16)
      .padStart(2, '0');
  return `#${mix(255, 8)}${mix(255, 48)}${mix(255, 107)}`;
}

export interface ConfusionLook {
  /** Per cent of each row instead of counts: for pixels, of which there are millions. False by default. */
  readonly shares?: boolean;
}

/** What a cell shows. */
const cellText = (count: number, total: number, shares: boolean): string => {
  if (!shares) return String(count);
  const percent = total === 0 ? 0 : (100 * count) / total;
  return percent > 0 && percent < 10 ? percent.toFixed(1) : percent.toFixed(0);
};

/** plotConfusion: the counts as a picture, actual classes down and predicted ones across -> SVG. Shaded by share of the row. */
export function plotConfusion(
  { classes, counts }: Confusion,
  names?: readonly string[],
  { shares = false }: ConfusionLook = {},
): string {
  const labels = Array.from({ length: classes }, (_, i) => names?.[i] ?? String(i));
  const cell = shares ? 34 : Math.max(34, 10 + textWidth(String(Math.max(...counts)), 8));
  const left = 40 + Math.max(...labels.map((label) => textWidth(label, 9)));
  const top = 50;
  const side = classes * cell;
  const bottom = top + side;
  const columnSpace = Math.max(...labels.map((label) => textWidth(label, 9)));
  const upright = columnSpace > cell - 6;
  const elements = [
    textElement(shares ? 'Confusion matrix, % of the row' : 'Confusion matrix', left, 12, { size: 10 }),
  ];
  for (let row = 0; row < classes; row++) {
    const inRow = counts.slice(row * classes, (row + 1) * classes);
    const total = inRow.reduce((sum, count) => sum + count, 0);
    for (const [column, count] of inRow.entries()) {
      const [x, y] = [left + column * cell, top + row * cell];
      const share = total === 0 ? 0 : count / total;
      elements.push(rectElement(x, y, cell, cell, shade(share)));
      const color = share > 0.5 ? '#ffffff' : '#222222';
      const text = cellText(count, total, shares);
      elements.push(textElement(text, x + cell / 2, y + cell / 2 - 4, { size: 8, anchor: 'middle', color }));
    }
    elements.push(textElement(labels[row]!, left - 8, top + row * cell + cell / 2 - 4.5, { anchor: 'end' }));
  }
  labels.forEach((label, i) => {
    const x = left + i * cell + cell / 2;
    elements.push(
      upright
        ? textElement(label, x - 4, bottom + 8, { anchor: 'end', upright: true })
        : textElement(label, x, bottom + 8, { anchor: 'middle' }),
    );
  });
  const labelSpace = upright ? columnSpace : 9;
  elements.push(textElement('Predicted', left + side / 2, bottom + 18 + labelSpace, { anchor: 'middle' }));
  elements.push(textElement('Actual', 8, top + side / 2, { anchor: 'middle', upright: true }));
  const frame = `<rect x="${left}" y="${top}" width="${side}" height="${side}" fill="none" stroke="#222222"/>`;
  return toSvg({ width: left + side + 14, height: bottom + labelSpace + 36, elements: [...elements, frame] });
}
