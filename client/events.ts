import { Unreachable } from './transport.ts';

/** eventsOf: the data of server-sent events (one line each, as our server sends them), as they come; throws {@link Unreachable} where the stream breaks. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (let part = await next(reader); !part.done; part = await next(reader)) {
      const events = (rest + decoder.decode(part.value, { stream: true })).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) yield event.replace(/^data: ?/, '');
    }
  } finally {
    await reader.cancel().catch(() => undefined); // a broken one fails again
  }
}

async function next(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (cause) {
    throw new Unreachable({ cause });
  }
}
