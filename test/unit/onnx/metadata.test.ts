import { expect } from 'chai';
import { f32 } from '../../../training/core/tensor.ts';
import { toOnnx } from '../../../training/onnx/export.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { findMetadata, readMetadata } from '../../../training/onnx/metadata.ts';
import { decodeModel } from '../../../training/onnx/schema.ts';

const modelWith = (metadata: Readonly<Record<string, string>>): Uint8Array => {
  const graph = new Graph('g');
  graph.output('y', graph.constant('float32', [1], f32([1], [2]).data));
  return toOnnx(graph, { metadata });
};

const key = { task: 'segment', key: 'config', what: 'configuration' };

describe('metadata of exported models', () => {
  const config = { widths: [8, 16], norm: null };
  const model = modelWith({ task: 'segment', config: JSON.stringify(config) });

  it('is read back by key, from bytes and from a decoded model', () => {
    expect(readMetadata('here', model, key)).to.deep.equal(config);
    expect(readMetadata('here', decodeModel(model), key)).to.deep.equal(config);
    expect(findMetadata(model, 'config')).to.deep.equal(config);
    expect(findMetadata(model, 'classes')).to.equal(undefined);
  });

  it('serves models that name no task', () => {
    expect(readMetadata('here', modelWith({ config: '1' }), key)).to.equal(1);
  });

  it('is refused where it is missing or another task wrote it', () => {
    expect(() => readMetadata('here', modelWith({}), key)).to.throw(
      'here: expected a segment model exported by fettle, got one without its configuration; train one with fettle train segment',
    );
    expect(() => readMetadata('here', modelWith({ task: 'classify', config: '1' }), key)).to.throw(
      'got one of the task classify',
    );
  });
});
