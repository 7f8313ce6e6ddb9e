/** What each folder under training/ (and models/) may import directly; whatever those may import is allowed too. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  onnx: ['core'],
  ops: ['onnx'],
  grad: ['ops'],
  nn: ['ops'],
  optim: ['ops'],
  models: ['nn'],
  step: ['grad', 'nn', 'optim'],
  export: ['step'],
  run: ['onnx'],
  pictures: ['core'],
  text: ['core'],
  generate: ['text', 'onnx'],
  data: ['pictures'],
  loop: ['step', 'run'],
  weights: ['loop'],
  learner: ['weights', 'export', 'data'],
  runs: ['learner'],
  report: ['learner'],
  apps: ['learner', 'models', 'generate'],
  tasks: ['apps', 'runs', 'report'],
};

/** A layer and all that it may import. */
export function closure(layer: string): Set<string> {
  const reached = new Set<string>([layer]);
  for (const name of reached) for (const below of layers[name] ?? []) reached.add(below);
  return reached;
}
