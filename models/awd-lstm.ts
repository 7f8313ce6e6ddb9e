import { uniformInit, zerosInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';

/**
 * AWD-LSTM (Merity, Keskar & Socher 2017) with fastai's defaults: an embedding, three LSTMs, and a decoder that shares the embedding's
 * weight. Dropout in five places, all of them scaled by `dropMult`.
 */
export interface AwdLstmConfig {
  /** V: words of the vocabulary. */
  readonly words: number;
  /** Numbers per word, and in the last LSTM's state. */
  readonly width: number;
  /** H: numbers in the states of all other LSTMs. */
  readonly hidden: number;
  readonly layers: number;
  /** What the layers are; LSTMs by default. */
  readonly cell?: 'lstm' | 'gru';
  /** The word that fills up short texts: its embedding is zero at first and gets no gradient from the embedding. */
  readonly paddingIndex: number;
  readonly outputDrop: number;
  readonly hiddenDrop: number;
  readonly inputDrop: number;
  readonly embedDrop: number;
  readonly weightDrop: number;
  /** Multiplies all of them. */
  readonly dropMult: number;
  /** It reads texts from their end to their beginning; no by default. */
  readonly backwards?: boolean;
}

export const awdLstmDefaults: Omit<AwdLstmConfig, 'words'> = {
  width: 400,
  hidden: 1152,
  layers: 3,
  paddingIndex: 1,
  outputDrop: 0.1,
  hiddenDrop: 0.15,
  inputDrop: 0.25,
  embedDrop: 0.02,
  weightDrop: 0.2,
  dropMult: 1,
};

/** The states of one layer, [1,N,H] each; a GRU has no cell. */
export interface LstmState {
  readonly hidden: Value;
  readonly cell?: Value;
}

export interface AwdLstmBody {
  /** The last LSTM's states, [N,T,width], as they are. */
  readonly raw: Value;
  /** Every LSTM's last states: feed them to the next batch to carry on. */
  readonly states: readonly LstmState[];
}

export interface AwdLstm extends AwdLstmBody {
  /** `raw` after the output's dropout: what the decoder saw. */
  readonly dropped: Value;
  /** [N,T,V]: what each word may be followed by. */
  readonly scores: Value;
}

/** Numbers in the state of each LSTM. */
export const awdLstmSizes = ({ width, hidden, layers }: AwdLstmConfig): readonly number[] =>
  Array.from({ length: layers }, (_, i) => (i === layers - 1 ? width : hidden));

/**
 * The encoder: words int32[N,T] -> states [N,T,width]. `states`, one per LSTM, are the first ones, zeros by default. Parameters
 * `encoder.weight` [V,width], `rnns.0.weight_ih_l0` and so on.
 */
export function awdLstmBody(
  scope: Scope,
  words: Value,
  config: AwdLstmConfig,
  states?: readonly LstmState[],
): AwdLstmBody {
  const { dropMult, paddingIndex, width } = config;
  const drop = (x: Value, p: number): Value => nn.variationalDropout(scope, x, p * dropMult);
  const embedded = scope.in('encoder', (s) =>
    nn.embedding(s, words, {
      rows: config.words,
      width,
      paddingIndex,
      dropout: config.embedDrop * dropMult,
      init: uniformInit(0.1),
    }),
  );
  let y = drop(embedded, config.inputDrop);
  const sizes = awdLstmSizes(config);
  const last = sizes.map((hidden, i) => {
    const options = { hidden, weightDrop: config.weightDrop * dropMult };
    const { output, ...state } = scope.in(`rnns.${i}`, (s) => layer(s, y, config, options, states?.[i]));
    y = i < sizes.length - 1 ? drop(output, config.hiddenDrop) : output;
    return state;
  });
  return { raw: y, states: last };
}

/** One recurrent layer: x[N,T,C] -> output [N,T,H] and its last states. */
function layer(
  scope: Scope,
  x: Value,
  { cell = 'lstm' }: AwdLstmConfig,
  options: nn.RecurrentOptions,
  state: LstmState | undefined,
): LstmState & { readonly output: Value } {
  if (cell === 'gru') return nn.gru(scope, x, options, state?.hidden);
  return nn.lstm(scope, x, options, state as Required<LstmState> | undefined);
}

/** The language model: words int32[N,T] -> scores f32[N,T,V]. Parameters those of {@link awdLstmBody}, and `decoder.bias` [V]. */
export function awdLstm(scope: Scope, words: Value, config: AwdLstmConfig, states?: readonly LstmState[]): AwdLstm {
  const body = awdLstmBody(scope, words, config, states);
  const dropped = nn.variationalDropout(scope, body.raw, config.outputDrop * config.dropMult);
  return { ...body, dropped, scores: awdLstmDecoder(scope, dropped, config) };
}

/** The decoder: states [...,width] -> scores [...,V], with the embedding's weight. */
export function awdLstmDecoder(scope: Scope, x: Value, { words, width }: AwdLstmConfig): Value {
  const weight = scope.share('encoder', (s) => s.param('weight', [words, width], uniformInit(0.1)));
  return scope.in('decoder', (s) => nn.linear(s, x, words, { weight }));
}

/** The states of the whole net by name, `state.0.hidden`, `state.0.cell`, …, and the size H of each. */
export const awdLstmStates = (config: AwdLstmConfig): readonly { readonly name: string; readonly size: number }[] =>
  awdLstmSizes(config).flatMap((size, i) => statesOf(config).map((part) => ({ name: `state.${i}.${part}`, size })));

const statesOf = ({ cell = 'lstm' }: AwdLstmConfig): readonly (keyof LstmState)[] =>
  cell === 'gru' ? ['hidden'] : ['hidden', 'cell'];

/** States by the names of {@link awdLstmStates} -> one per layer, and back. */
export const layerStates = (
  config: AwdLstmConfig,
  byName: (name: string, size: number) => Value,
): readonly LstmState[] =>
  awdLstmSizes(config).map((size, i) => {
    const parts = statesOf(config).map((part) => [part, byName(`state.${i}.${part}`, size)] as const);
    return Object.fromEntries(parts) as unknown as LstmState;
  });
export const namedStates = (states: readonly LstmState[]): readonly (readonly [name: string, value: Value])[] =>
  states.flatMap(({ hidden, cell }, i) => [
    [`state.${i}.hidden`, hidden] as const,
    ...(cell === undefined ? [] : [[`state.${i}.cell`, cell] as const]),
  ]);

/** States that are kept from batch to batch as buffers `state.0.hidden`, …, zeros at first. */
export function carriedStates(scope: Scope, batch: number, config: AwdLstmConfig) {
  return {
    states: layerStates(config, (name, size) => scope.buffer(name, [1, batch, size], zerosInit)),
    keep(next: readonly LstmState[]): void {
      for (const [name, value] of namedStates(next)) scope.update(name, o.detach(value));
    },
  };
}

/**
 * What fastai adds to the loss: AR, alpha mean(dropped^2), holds activations small (Merity, McCann & Socher 2017); TAR, beta
 * mean((raw_t - raw_t-1)^2), holds neighbours alike.
 */
export function awdLstmPenalty(
  { raw, dropped }: Pick<AwdLstm, 'raw' | 'dropped'>,
  { alpha = 2, beta = 1 }: { readonly alpha?: number; readonly beta?: number } = {},
): Value {
  const meanSquare = (x: Value): Value => o.reduceMean(o.mul(x, x));
  const activation = o.mul(meanSquare(dropped), alpha);
  const t = raw.shape[1] as number;
  if (t === 1) return activation;
  const part = (start: number): Value => o.slice(raw, { axes: [1], starts: [start], ends: [start + t - 1] });
  return o.add(activation, o.mul(meanSquare(o.sub(part(1), part(0))), beta));
}
