import type { Log } from '../log/index.ts';
import type { OpenTracer } from './otlp.ts';
import type { TraceSettings } from './settings.ts';
import { silentTracer, type Tracer } from './tracer.ts';

/** Opens the tracer that sends to `endpoint`. Its packages are loaded now, and only now. */
export async function openTracer(options: OpenTracer): Promise<Tracer> {
  const { openOtlpTracer } = await import('./otlp.ts');
  return openOtlpTracer(options);
}

/** Opens the tracer that the settings of a service ask for; the silent one where they name no endpoint. */
export async function tracerOf(
  { otlpEndpoint, otlpHeaders, otlpRatio }: TraceSettings,
  who: { readonly service: string; readonly version: string; readonly log: Log },
): Promise<Tracer> {
  if (otlpEndpoint === undefined) return silentTracer;
  return await openTracer({
    ...who,
    endpoint: otlpEndpoint,
    headers: otlpHeaders,
    ratio: otlpRatio,
  });
}
