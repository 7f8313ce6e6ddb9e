import { type Callback, type Event, events, inOrder } from '../loop/fit-loop.ts';

/** Which callback runs at which event, in order: one line per event, indented as the loop nests. */
export function explainRun(callbacks: readonly Callback[]): string {
  const sorted = inOrder(callbacks);
  const depth: Partial<Record<Event, number>> = {
    beforeFit: 0,
    afterStop: 0,
    afterFit: 0,
    beforeBatch: 2,
    afterGradients: 2,
    afterBatch: 2,
  };
  return (Object.keys(events) as Event[])
    .map((event) => {
      const names = sorted.filter((callback) => callback[event] !== undefined).map(({ name }) => name);
      const label = `${'  '.repeat(depth[event] ?? 1)}${event}`;
      return `${label.padEnd(20)}${names.length === 0 ? '-' : names.join(', ')}`;
    })
    .join('\n');
}
