import { PlatformError } from '@morpheo/common';
import type { TraceSettings } from './settings.ts';

/** Whether the receiver of traces takes them: it is sent a message without spans. Resolves with its address. */
export async function checkReceiver(
  { otlpEndpoint, otlpHeaders }: TraceSettings,
  signal: AbortSignal,
): Promise<string> {
  const endpoint = otlpEndpoint?.replace(/\/+$/, '') ?? '';
  const answer = await fetch(`${endpoint}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...otlpHeaders?.reveal() },
    body: '{"resourceSpans":[]}',
    signal,
  }).catch((cause: unknown) => {
    const inner =
      cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new PlatformError('unavailable', `${endpoint} got no answer: ${inner}.`, { cause });
  });
  await answer.body?.cancel();
  if (answer.ok) return endpoint;
  throw new PlatformError('unavailable', `${endpoint}/v1/traces answered ${answer.status}.`);
}
