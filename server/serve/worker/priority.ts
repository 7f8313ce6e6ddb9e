import { setPriority } from 'node:os';

/** On Linux priorities belong to threads, and the threads that ONNX Runtime starts inherit this one's. */
export function lowerPriority(niceness: number): void {
  if (process.platform !== 'linux' || niceness === 0) return;
  try {
    setPriority(0, niceness);
  } catch {
    // Not allowed here: the answers come all the same, only less evenly.
  }
}
