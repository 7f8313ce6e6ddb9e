import { buildInference, createScope, f32, Graph, i32, initialWeights, nn, symDim, toOnnx } from 'fettle';
import { openSession } from 'fettle/node';

const words = 10;
// tokens int32[N,T], state f32[layers,N,H] -> scores f32[N,T,words], and the next state
const model = (scope, { tokens, hidden }) => {
  const x = scope.in('encoder', (s) => nn.embedding(s, tokens, { rows: words, width: 8, dropout: 0.02 }));
  const net = scope.in('rnn', (s) => nn.gru(s, nn.variationalDropout(s, x, 0.25), { hidden: 8, layers: 2 }, hidden));
  const weight = scope.values.get('encoder.weight'); // tied: the embedding is also the last layer
  return { scores: scope.in('decoder', (s) => nn.linear(s, net.output, words, { weight })), next: net.hidden };
};

const scope = createScope(new Graph('names'), { training: false });
model(scope, {
  tokens: scope.graph.input('tokens', 'int32', [1, 1]),
  hidden: scope.graph.input('hidden', 'float32', [2, 1, 8]),
});
const weights = initialWeights(scope.specs, 1); // or a trained model's: copyWeights(state)

const [n, t] = [symDim('N'), symDim('T')];
const graph = buildInference(
  'generator',
  [
    { name: 'tokens', dtype: 'int32', shape: [n, t] },
    { name: 'hidden', dtype: 'float32', shape: [2, n, 8] },
  ],
  weights,
  model,
);
const session = await openSession(toOnnx(graph));
let hidden = f32([2, 1, 8], new Float32Array(16));
for (const tokens of [[1, 2, 3], [4, 5]]) {
  const out = await session.run({ tokens: i32([1, tokens.length], tokens), hidden });
  hidden = out.next;
  console.log(`scores [${out.scores.dims}]`);
}
