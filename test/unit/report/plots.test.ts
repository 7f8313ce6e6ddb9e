import { expect } from 'chai';
import sharp from 'sharp';
import type { History } from '../../../training/learner/options.ts';
import { pictureCells } from '../../../training/report/cells.node.ts';
import { lineChart, niceTicks, tickText } from '../../../training/report/chart.ts';
import { plotConfusion } from '../../../training/report/confusion.ts';
import { svgToPng } from '../../../training/report/png.node.ts';
import { plotLoss, plotLrFind, plotMetrics, plotSchedule } from '../../../training/report/recorder-plots.ts';

const history: History = {
  rows: [0, 1].map((epoch) => ({
    epoch,
    trainLoss: 1,
    seconds: 1,
    metrics: { valid_loss: 0.5 - epoch * 0.1, accuracy: 0.8 + epoch * 0.1 },
  })),
  series: { loss: [3, 2, 1, 0.5], lr: [0.1, 1, 0.5, 0.01], mom: [0.95, 0.85, 0.9, 0.95] },
};
const labelsOf = (svg: string): string[] => [...svg.matchAll(/aria-label="([^"]*)"/g)].map((match) => match[1]!);

/** Share of pixels that are not white. */
async function inkShare(svg: string): Promise<number> {
  const { data, info } = await sharp(await svgToPng(svg, 1))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  let dark = 0;
  for (let i = 0; i < data.length; i += info.channels) if (data[i]! + data[i + 1]! + data[i + 2]! < 600) dark += 1;
  return dark / (info.width * info.height);
}

describe('plots', () => {
  it('ticks are round numbers that lie within the range', () => {
    expect(niceTicks(0, 1)).to.deep.equal([0, 0.2, 0.4, 0.6000000000000001, 0.8, 1]);
    expect(niceTicks(13, 987)).to.deep.equal([200, 400, 600, 800]);
    expect([0, 0.6000000000000001, 1e-7, 250000, 12.5, -0.02].map(tickText)).to.deep.equal([
      '0',
      '0.6',
      '1e-7',
      '2.5e5',
      '12.5',
      '-0.02',
    ]);
  });

  it('use no font: text is strokes, with a label for screen readers', () => {
    const svg = plotLoss(history);
    expect(svg).to.not.include('<text');
    expect(svg).to.not.include('font');
    expect(labelsOf(svg)).to.include.members(['batches', 'loss', 'train', 'valid']);
  });

  it('escape what a name may hold', () => {
    const svg = lineChart([{ name: 'a', x: [0, 1], y: [0, 1] }], { xLabel: 'x < "y" & z', yLabel: '' });
    expect(svg).to.include('aria-label="x &lt; &quot;y&quot; &amp; z"');
  });

  it('draw the points where the axes say', () => {
    const svg = lineChart([{ name: 'a', x: [0, 10], y: [0, 1] }], {
      xLabel: 'x',
      yLabel: 'y',
      width: 640,
      height: 400,
    });
    // Eight pixels inside the frame, which goes from (70, 34) to (624, 354).
    expect(svg).to.include('M78 346L616 42');
  });

  it('a rate axis is logarithmic, with the suggestions marked', () => {
    const lrs = [1e-4, 1e-3, 1e-2, 1e-1];
    const found = { lrs, losses: [4, 3, 2, 5], valley: 1e-3, steep: 1e-2, minimum: 1e-3 };
    const svg = plotLrFind(found);
    expect(labelsOf(svg)).to.include.members(['1e-4', '0.001', '0.01', '0.1', 'valley 0.001', 'steep 0.01']);
    // A third of the way from 78 to 616, twice.
    expect(svg).to.include('M257.33 ').and.to.include('M436.67 ');
  });

  it('say what is missing', () => {
    expect(() => plotSchedule({ rows: [], series: {} })).to.throw(/got lr where there are none/);
    expect(() => lineChart([], { xLabel: 'x', yLabel: 'y' })).to.throw(/at least one finite point/);
  });

  it('become PNG of twice the size, with ink on it', async () => {
    for (const svg of [plotLoss(history), plotSchedule(history, 'mom'), plotMetrics(history)]) {
      const { width, height, format } = await sharp(await svgToPng(svg)).metadata();
      expect({ width, height, format }).to.deep.equal({ width: 1280, height: 800, format: 'png' });
      expect(await inkShare(svg)).to.be.within(0.005, 0.2);
    }
  });

  it('a confusion matrix shows every count and name', () => {
    const svg = plotConfusion({ classes: 2, counts: Float64Array.of(31, 2, 5, 47) }, ['cat', 'dog']);
    expect(labelsOf(svg)).to.include.members(['31', '2', '5', '47', 'cat', 'dog', 'Predicted', 'Actual']);
  });

  it('pictures in cells keep their pixels', async () => {
    const red = {
      width: 2,
      height: 2,
      channels: 3,
      data: new Uint8Array([255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0]),
    } as const;
    const svg = await pictureCells([{ images: [red], caption: 'red' }], { columns: 1, side: 40 });
    const { data, info } = await sharp(await svgToPng(svg, 1))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const at = ((14 + 20 + 20) * info.width + 14 + 20) * info.channels;
    expect([...data.subarray(at, at + 3)]).to.deep.equal([255, 0, 0]);
  });
});
