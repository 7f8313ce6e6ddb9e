import type { Response } from 'express';
import type { Logger } from 'pino';
import { type Fault, faultOf } from '../errors.ts';

/** Aborts when the client goes away before its answer is complete. */
export function untilClosed(response: Response): AbortSignal {
  const controller = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  if (response.destroyed) controller.abort();
  return controller.signal;
}

/** An event, unless its client has gone away. */
function sendEvent(response: Response, data: unknown): void {
  if (!response.destroyed && !response.writableEnded)
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
}

/** Answers with server-sent events; what fails on the way is the last one, for the status is out already. */
export async function streamEvents(
  response: Response,
  log: Logger,
  bodyOf: (fault: Fault) => object,
  work: (send: (data: unknown) => void) => Promise<void>,
): Promise<void> {
  const send = (data: unknown): void => sendEvent(response, data);
  response.set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  try {
    await work(send);
  } catch (error) {
    const fault = faultOf(error);
    if (fault.status >= 500) log.error({ err: error, requestId: response.req.id }, 'request failed');
    send(bodyOf(fault));
  }
  response.end();
}
