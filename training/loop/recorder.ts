/** One finished epoch. Numbers by name; `seconds` is wall time. */
export interface EpochRow {
  readonly epoch: number;
  readonly trainLoss: number;
  readonly seconds: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Which validation batch first had a loss that is not finite, and what in it; omitted where all is well. */
  readonly notFinite?: string;
}

/** Where training stands: everything but the tensors that an exact resume needs. */
export interface Progress {
  /** The epoch being trained, from 0, and how many of its batches are done. */
  epoch: number;
  batch: number;
  /** Sum of the losses of this epoch's batches. */
  lossSum: number;
  /** The same for each task that takes turns, by name (see `compileTurns`). */
  turnLosses?: Record<string, { readonly sum: number; readonly batches: number }>;
  /** Wall time of this epoch so far, over all the processes that worked on it. */
  seconds: number;
  readonly rows: EpochRow[];
  /** `state.step` when the run began; 0 by default. */
  firstStep?: number;
  /** Factor on every learning rate, which callbacks may lower; 1 by default. */
  lrScale?: number;
  /** Numbers per update that a recorder keeps, by name. */
  series?: Record<string, number[]>;
}

/** What rows call the loss of a task that takes turns. */
export const turnMetric = (name: string): string => `loss/${name}`;

export const newProgress = (): Progress => ({ epoch: 0, batch: 0, lossSum: 0, seconds: 0, rows: [] });

const figure = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(5));

/** The rows as comma-separated text with a header line; all rows have the metrics of the first. */
export function toCsv(rows: readonly EpochRow[]): string {
  const names = Object.keys(rows[0]?.metrics ?? {});
  const lines = rows.map((row) => [
    row.epoch,
    figure(row.trainLoss),
    ...names.map((name) => figure(row.metrics[name] ?? Number.NaN)),
    row.seconds.toFixed(1),
  ]);
  return [['epoch', 'train_loss', ...names, 'seconds'], ...lines].map((cells) => `${cells.join(',')}\n`).join('');
}

/** `epoch 3  train_loss 0.0123  valid_loss 0.011  psnr 25.1  42 s`. */
export function describeRow(row: EpochRow): string {
  const metrics = Object.entries(row.metrics).map(([name, value]) => `${name} ${figure(value)}`);
  const trouble = row.notFinite === undefined ? [] : [`(${row.notFinite})`];
  const parts = [
    `epoch ${row.epoch}`,
    `train_loss ${figure(row.trainLoss)}`,
    ...metrics,
    `${row.seconds.toFixed(0)} s`,
  ];
  return [...parts, ...trouble].join('  ');
}
