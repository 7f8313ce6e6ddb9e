/** Nodes that ran, counted by provider, and the operators of those that ran on the CPU. */
export interface Placement {
  readonly providers: Readonly<Record<string, number>>;
  readonly cpuOps: readonly string[];
}

export interface Row {
  readonly part: 'sessions' | 'contract' | 'losses';
  readonly title: string;
  /** Largest difference from the reference; infinite where there was no result. */
  readonly difference: number;
  readonly bound: number;
  readonly placement: Placement;
  readonly strict: boolean;
  /** Median of a training step, copies to and from the device included. */
  readonly stepMs?: number;
  readonly error?: string;
}

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly provider?: string; readonly op_name?: string };
}

/** Where nodes ran, from the files that ONNX Runtime's profiler wrote; a node that ran several times counts once. */
export function placementOf(profiles: readonly string[]): Placement {
  const nodes = new Map<string, { provider: string; op: string }>();
  for (const [i, text] of profiles.entries())
    for (const { cat, name, args } of JSON.parse(text) as ProfileEvent[])
      if (cat === 'Node' && args?.provider)
        nodes.set(`${i} ${name}`, { provider: args.provider, op: args.op_name ?? '' });
  const providers: Record<string, number> = {};
  for (const { provider } of nodes.values()) providers[provider] = (providers[provider] ?? 0) + 1;
  const onCpu = [...nodes.values()].filter(({ provider }) => provider === 'CPUExecutionProvider');
  return { providers, cpuOps: [...new Set(onCpu.map(({ op }) => op))].sort() };
}

const providerNames: Readonly<Record<string, string>> = { cpu: 'CPUExecutionProvider', cuda: 'CUDAExecutionProvider' };

/** Why a row fails, or undefined. */
export function failureOf(
  { part, difference, bound, placement, strict, error }: Row,
  provider: string,
): string | undefined {
  if (error !== undefined) return error;
  if (!(difference <= bound)) return `${difference.toExponential(1)} is above ${bound}`;
  if (part === 'sessions') return undefined;
  if (!placement.providers[providerNames[provider]!]) return `no node ran on ${providerNames[provider]}`;
  const fell = provider !== 'cpu' && strict && placement.cpuOps.length > 0;
  return fell ? `nodes on the CPU: ${placement.cpuOps.join(' ')}` : undefined;
}

/** The middle value; NaN of none. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const largestOf = (rows: readonly Row[]): number => Math.max(...rows.map(({ difference }) => difference));

/** Lines for people: the contract as a sum, each training, then every failure. */
export function tableOf(rows: readonly Row[], provider: string): string[] {
  const contract = rows.filter(({ part }) => part === 'contract');
  const totals: Record<string, number> = {};
  for (const { placement } of rows)
    for (const [name, count] of Object.entries(placement.providers)) totals[name] = (totals[name] ?? 0) + count;
  const failures = rows.flatMap((row) => {
    const reason = failureOf(row, provider);
    return reason === undefined ? [] : [`FAILED ${row.part}, ${row.title}: ${reason}`];
  });
  const measures = [...new Set(contract.map(({ bound }) => bound))].map((bound) => {
    const own = contract.filter((row) => row.bound === bound);
    return `contract      ${own.length} cases, largest difference ${largestOf(own).toExponential(1)}, bound ${bound.toExponential(1)}`;
  });
  const trainings = rows
    .filter(({ part }) => part === 'losses')
    .map(
      ({ title, difference, bound, stepMs = Number.NaN }) =>
        `losses        ${title.padEnd(20)} largest relative difference ${difference.toExponential(1)}, bound ${bound.toExponential(1)}, ${stepMs.toFixed(2)} ms a step`,
    );
  const ran = Object.entries(totals).map(([name, count]) => `${name} ${count}`);
  const sessions = rows.filter(({ part }) => part === 'sessions').length;
  return [
    `nodes run by  ${ran.join(', ')}`,
    `sessions      ${sessions} checks`,
    ...measures,
    ...trainings,
    ...failures,
  ];
}
