import { expect } from 'chai';
import { difference, pack, unpack } from '../../../scripts/bench/cuda/cases.ts';
import { failureOf, median, placementOf, type Row, tableOf } from '../../../scripts/bench/cuda/report.ts';
import { f32, i32, tensor } from '../../../training/core/tensor.ts';

const row: Row = {
  part: 'losses',
  title: 'net',
  difference: 1e-6,
  bound: 2e-5,
  placement: { providers: { CUDAExecutionProvider: 9 }, cpuOps: [] },
  strict: true,
  stepMs: 2,
};

describe('scripts/bench/cuda', () => {
  it('tensors come back from JSON as they were, views and 64-bit numbers too', () => {
    const tensors = {
      x: f32([2], new Float32Array([9, 1.5, -0, 9]).subarray(1, 3)),
      y: i32([1, 3], [-1, 0, 7]),
      z: tensor('int64', [1], BigInt64Array.of(-5n)),
    };
    expect(unpack(JSON.parse(JSON.stringify(pack(tensors))))).to.deep.equal(tensors);
  });

  it('a difference is a share of the largest value, or a value; what cannot be compared is infinite', () => {
    const [found, expected] = [f32([2], [10, 4]), f32([2], [10, 5])];
    expect(difference(found, expected, 'relative')).to.equal(0.1);
    expect(difference(found, expected, 'absolute')).to.equal(1);
    for (const bad of [undefined, f32([1], [10]), f32([2], [10, Number.NaN])])
      expect(difference(bad, expected, 'relative')).to.equal(Number.POSITIVE_INFINITY);
  });

  it('counts a node once for each session, and names the operators on the CPU', () => {
    const event = (name: string, op: string, provider: string) => ({
      cat: 'Node',
      name,
      args: { op_name: op, provider: `${provider}ExecutionProvider` },
    });
    const session = [{ cat: 'Session', name: 'model_run' }, event('a', 'Conv', 'CUDA'), event('a', 'Conv', 'CUDA')];
    const other = [event('a', 'Scan', 'CPU'), { cat: 'Node', name: 'fence', args: {} }];
    expect(placementOf([session, other].map((events) => JSON.stringify(events)))).to.deep.equal({
      providers: { CUDAExecutionProvider: 1, CPUExecutionProvider: 1 },
      cpuOps: ['Scan'],
    });
  });

  it('a row fails by its bound, its error, another provider, or a node that left the device', () => {
    expect(failureOf(row, 'cuda')).to.equal(undefined);
    expect(failureOf({ ...row, difference: 3e-5 }, 'cuda')).to.match(/3\.0e-5 is above/);
    expect(failureOf({ ...row, difference: Number.NaN }, 'cuda')).to.match(/above/);
    expect(failureOf({ ...row, error: 'no card' }, 'cuda')).to.equal('no card');
    expect(failureOf(row, 'cpu')).to.equal('no node ran on CPUExecutionProvider');
    const fell = { ...row, placement: { ...row.placement, cpuOps: ['Scan'] } };
    expect(failureOf(fell, 'cuda')).to.equal('nodes on the CPU: Scan');
    expect(failureOf({ ...fell, strict: false }, 'cuda')).to.equal(undefined);
    expect(tableOf([row, fell], 'cuda').filter((line) => line.startsWith('FAILED'))).to.deep.equal([
      'FAILED losses, net: nodes on the CPU: Scan',
    ]);
    expect(tableOf([row], 'cuda')[0]).to.equal('nodes run by  CUDAExecutionProvider 9');
  });

  it('the median is the middle value', () => {
    expect([median([5, 1, 9]), median([])]).to.deep.equal([5, Number.NaN]);
  });
});
