import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const value = z.looseObject({
  stringValue: z.string().optional(),
  intValue: z.coerce.number().optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
});
const attributes = z.array(z.object({ key: z.string(), value }));

/** The JSON of OTLP 1.x, `ExportTraceServiceRequest`, as far as tests read it. */
const request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.looseObject({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              startTimeUnixNano: z.coerce.bigint(),
              endTimeUnixNano: z.coerce.bigint(),
              attributes,
              status: z.looseObject({ code: z.number().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** A span as it was received. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  /** The id of the span that it belongs to. */
  readonly parent: string | undefined;
  readonly failed: boolean;
  readonly seconds: number;
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** A receiver of traces for tests. */
export interface OtlpReceiver extends AsyncDisposable {
  /** What `--otlp-endpoint` is given. */
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  /** The header fields of the requests, oldest first. */
  readonly headers: readonly IncomingHttpHeaders[];
  /** All that was received, as text. */
  readonly text: string;
}

/** Receives OTLP over HTTP, as JSON, on a free port of 127.0.0.1. */
export async function openOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const headers: IncomingHttpHeaders[] = [];
  let text = '';
  const server = createServer(async (asked, answer) => {
    headers.push(asked.headers);
    const body = await json(asked);
    text += JSON.stringify(body);
    spans.push(...spansOf(request.parse(body)));
    answer.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    headers,
    get text() {
      return text;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function spansOf({ resourceSpans }: z.infer<typeof request>): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        service,
        name: span.name,
        trace: span.traceId,
        id: span.spanId,
        parent: span.parentSpanId === undefined || span.parentSpanId === '' ? undefined : span.parentSpanId,
        failed: span.status.code === 2,
        seconds: Number(span.endTimeUnixNano - span.startTimeUnixNano) / 1e9,
        attributes: valuesOf(span.attributes),
      })),
    );
  });
}

function valuesOf(list: z.infer<typeof attributes>): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    list.map(({ key, value: one }) => [
      key,
      one.stringValue ?? one.intValue ?? one.doubleValue ?? one.boolValue,
    ]),
  );
}
