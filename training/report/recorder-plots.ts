import { ensure } from '../core/errors.ts';
import { smoothed } from '../learner/callbacks/record.ts';
import type { History } from '../learner/learner.ts';
import type { LrFound } from '../learner/lr-find.ts';
import { lineChart, type Series, tickText } from './chart.ts';

const indices = (values: readonly unknown[]): number[] => values.map((_, i) => i);

function seriesOf({ series }: History, name: string): readonly number[] {
  const values = series[name];
  ensure(values !== undefined, 'bad-argument', () => {
    return `plot: expected a recorded series, got ${name} where there are ${Object.keys(series).join(', ') || 'none'}; train first`;
  });
  return values;
}

/** plotLoss: smoothed training loss of every batch and, at the epochs' ends, the validation loss -> SVG. */
export function plotLoss(history: History): string {
  const losses = smoothed(seriesOf(history, 'loss'));
  const lines: Series[] = [{ name: 'train', x: indices(losses), y: losses }];
  const rows = history.rows.filter(({ metrics }) => metrics.valid_loss !== undefined);
  const perEpoch = losses.length / Math.max(1, history.rows.length);
  if (rows.length > 0) {
    const ends = rows.map((_, i) => Math.round((i + 1) * perEpoch) - 1);
    lines.push({ name: 'valid', x: ends, y: rows.map(({ metrics }) => metrics.valid_loss!) });
  }
  return lineChart(lines, { title: 'Loss', xLabel: 'batches', wholeX: true, yLabel: 'loss' });
}

/** plotSchedule: the recorded learning rate (`lr`) or momentum (`mom`) of every batch -> SVG. */
export function plotSchedule(history: History, name: 'lr' | 'mom' = 'lr'): string {
  const values = seriesOf(history, name);
  const label = name === 'lr' ? 'learning rate' : 'momentum';
  return lineChart([{ name, x: indices(values), y: values }], {
    title: 'Schedule',
    xLabel: 'batches',
    wholeX: true,
    yLabel: label,
  });
}

/** plotMetrics: metrics over the epochs, all or the named ones -> SVG. */
export function plotMetrics({ rows }: History, names?: readonly string[]): string {
  const chosen = names ?? Object.keys(rows[0]?.metrics ?? {}).filter((name) => name !== 'valid_loss');
  const lines = chosen.map((name) => ({
    name,
    x: indices(rows).map((i) => i + 1),
    y: rows.map(({ metrics }) => metrics[name] ?? Number.NaN),
  }));
  return lineChart(lines, {
    title: 'Metrics',
    xLabel: 'epochs',
    wholeX: true,
    yLabel: chosen.length === 1 ? chosen[0]! : 'metric',
  });
}

/** plotLrFind: smoothed loss over the learning rate, with the suggestions -> SVG. The last points, far up, are omitted. */
export function plotLrFind(
  found: LrFound,
  suggestions: readonly ('valley' | 'steep' | 'minimum')[] = ['valley', 'steep'],
): string {
  const end = found.lrs.length - Math.min(5, Math.floor(found.lrs.length / 10));
  const curve = { name: 'loss', x: found.lrs.slice(0, end), y: found.losses.slice(0, end) };
  const marks = suggestions.map((name) => ({
    name: `${name} ${tickText(Number(found[name].toPrecision(3)))}`,
    x: found[name],
  }));
  return lineChart([curve], { title: 'LR find', xLabel: 'learning rate', yLabel: 'loss', logX: true, marks });
}
