import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { Secret } from '../config/index.ts';
import type { Log } from '../log/index.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';
import type { OpenSpan, StartSpan, Tracer } from './tracer.ts';
import { kindOfError } from './tracer.ts';
import { watchedExporter } from './watched-exporter.ts';

/** What a tracer is opened with. */
export interface OpenTracer {
  /** `service.name`. */
  readonly service: string;
  readonly version: string;
  /** Of the receiver; `/v1/traces` is appended. */
  readonly endpoint: string;
  /** Fields that go with each request, as they are at the time. */
  readonly headers?: Readonly<Record<string, string>> | Secret<Record<string, string>> | undefined;
  /** The share of traces begun here that are recorded; 1 where absent. */
  readonly ratio?: number | undefined;
  readonly log: Log;
}

/** What is kept for a receiver that is away; spans beyond are dropped. */
const QUEUE = {
  maxQueueSize: 2048,
  maxExportBatchSize: 512,
  scheduledDelayMillis: 1000,
  exportTimeoutMillis: 10_000,
};
/** How long a service that stops waits for its last spans to be taken, in milliseconds. */
const LAST_MS = 2000;

const KINDS = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;

/**
 * A tracer that sends spans by OTLP over HTTP, as JSON (OpenTelemetry Protocol 1.x, "OTLP/HTTP"), in batches. A trace
 * that was begun elsewhere is recorded if it is there; of those that begin here, the share `ratio`.
 */
export function openOtlpTracer({ service, version, endpoint, headers, ratio = 1, log }: OpenTracer): Tracer {
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const exporter = new OTLPTraceExporter({
    url,
    headers: async () => ({ ...(headers instanceof Secret ? headers.reveal() : headers) }),
    timeoutMillis: QUEUE.exportTimeoutMillis,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.version': version,
      'service.namespace': 'morpheo',
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new BatchSpanProcessor(watchedExporter(exporter, endpoint, log), QUEUE)],
  });
  const tracer = provider.getTracer('morpheo', version);
  return {
    on: true,
    start: (name: string, options: StartSpan): OpenSpan => {
      const { kind = 'internal', attributes, startedAt, parent } = options;
      return openSpan(
        tracer.startSpan(
          name,
          {
            kind: KINDS[kind],
            ...(attributes === undefined ? {} : { attributes: { ...attributes } }),
            ...(startedAt === undefined ? {} : { startTime: startedAt }),
          },
          contextOf(parent),
        ),
      );
    },
    async [Symbol.asyncDispose]() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, LAST_MS);
      // What could not be sent is dropped: the log has said so.
      await Promise.race([provider.shutdown().catch(() => undefined), late.promise]);
      clearTimeout(timer);
    },
  };
}

function contextOf(traceparent: string | undefined): Context {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, flags } = parent;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: flags, isRemote: true });
}

function openSpan(span: ReturnType<ReturnType<BasicTracerProvider['getTracer']>['startSpan']>): OpenSpan {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: formatTraceparent({ traceId, spanId, flags: traceFlags }),
    rename: (name) => void span.updateName(name),
    set: (attributes) => void span.setAttributes({ ...attributes }),
    end: (error) => {
      if (error !== undefined) {
        // The message may name what the trace must not tell; the log has it.
        span.setAttribute('error.type', kindOfError(error));
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    },
  };
}
