import { AsyncLocalStorage } from 'node:async_hooks';
import { type Concern, formatBaggage, parseBaggage } from './baggage.ts';
import { parseTraceparent } from './traceparent.ts';
import { type OpenSpan, type SpanAttributes, silentTracer, type Tracer } from './tracer.ts';

/** What all that happens in a scope shares. */
interface Scope {
  readonly tracer: Tracer;
  /** Of the span that is under way, or that another service has told of. */
  readonly traceparent: string | undefined;
  /** Shared by the spans inside, so that what is found out late is known to all of them. */
  readonly concern: { order: string | undefined; attempt: number | undefined };
}

const scopes = new AsyncLocalStorage<Scope>();

/** How a scope begins. */
export interface EnterScope extends Concern {
  readonly tracer: Tracer;
  /** The `traceparent` of what caused the work, where somebody has told. */
  readonly traceparent?: string | undefined;
}

/**
 * Does work on behalf of a request, an order or an effect: whatever the work awaits knows what it is for. Its log
 * lines carry the order, its calls of other services tell it, and its spans belong to its trace.
 */
export function inScope<T>({ tracer, traceparent, order, attempt }: EnterScope, work: () => T): T {
  return scopes.run({ tracer, traceparent, concern: { order, attempt } }, work);
}

/** Does work that is on nobody's behalf, though it was begun from within a scope. */
export function outOfScope<T>(work: () => T): T {
  return scopes.exit(work);
}

/** Says which order the scope under way is for, where that is found out in its middle. */
export function concerns(order: string, attempt?: number): void {
  const concern = scopes.getStore()?.concern;
  if (concern === undefined) return;
  concern.order = order;
  concern.attempt = attempt ?? concern.attempt;
}

/** Does work as a span of the trace of its scope; where there is no trace, it does the work and nothing else. */
export async function span<T>(
  name: string,
  attributes: SpanAttributes,
  work: (span: Pick<OpenSpan, 'set'>) => Promise<T>,
): Promise<T> {
  const scope = scopes.getStore();
  if (scope === undefined || !scope.tracer.on) return await work(silentTracer.start(name, {}));
  return await spanIn(scope, scope.tracer.start(name, { parent: scope.traceparent, attributes }), work);
}

/** Answers a request as a span of its own; the work may name it, when it knows what the request asks for. */
export async function serverSpan(name: string, work: (span: OpenSpan) => Promise<void>): Promise<OpenSpan> {
  const scope = scopes.getStore();
  const tracer = scope?.tracer ?? silentTracer;
  const open = tracer.start(name, { parent: scope?.traceparent, kind: 'server' });
  if (scope === undefined || !tracer.on) await work(open);
  else await scopes.run({ ...scope, traceparent: open.traceparent }, () => work(open));
  open.set(concernAttributes(scope));
  return open;
}

/** Tells of work that is over already, as a span of the trace that `parent` belongs to. */
export function tellSpan(
  name: string,
  options: { parent: string | undefined; startedAt: number; attributes?: SpanAttributes } & Concern,
): void {
  const tracer = scopes.getStore()?.tracer;
  if (tracer === undefined || !tracer.on || options.parent === undefined) return;
  const { parent, startedAt, order, attempt, attributes = {} } = options;
  const open = tracer.start(name, { parent, startedAt, attributes });
  open.set(concernAttributes({ concern: { order, attempt } }));
  open.end();
}

/** The `traceparent` by which work that goes on elsewhere, or later, belongs to this trace. */
export function currentTraceparent(): string | undefined {
  return scopes.getStore()?.traceparent;
}

/** What a log line says of its scope: the order and attempt, and the trace where it is recorded. */
export function scopeFields(): Readonly<Record<string, string | number>> | undefined {
  const scope = scopes.getStore();
  if (scope === undefined) return undefined;
  const { order, attempt } = scope.concern;
  const trace = scope.tracer.on ? parseTraceparent(scope.traceparent)?.traceId : undefined;
  return {
    ...(order === undefined ? {} : { order }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(trace === undefined ? {} : { trace }),
  };
}

/** The header fields that tell another service of the scope: `traceparent` and `baggage`. For `@morpheo/client`. */
export function traceHeaders(): Readonly<Record<string, string>> {
  const scope = scopes.getStore();
  if (scope === undefined) return {};
  const baggage = formatBaggage(scope.concern);
  return {
    ...(scope.traceparent === undefined ? {} : { traceparent: scope.traceparent }),
    ...(baggage === undefined ? {} : { baggage }),
  };
}

type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The `traceparent` of a request; a malformed one is as good as none. */
export function readTraceparent({ traceparent }: HeaderFields): string | undefined {
  const known = typeof traceparent === 'string' && parseTraceparent(traceparent) !== undefined;
  return known ? traceparent : undefined;
}

/**
 * What another service says in its `baggage` that its request is for. Ask it of requests of the platform's own services
 * alone: it goes into logs, and into the calls that are made for the request.
 */
export function readConcern({ baggage }: HeaderFields): Concern {
  return parseBaggage(typeof baggage === 'string' ? baggage : undefined);
}

async function spanIn<T>(scope: Scope, open: OpenSpan, work: (span: OpenSpan) => Promise<T>): Promise<T> {
  try {
    const result = await scopes.run(
      { ...scope, traceparent: open.traceparent },
      async () => await work(open),
    );
    open.set(concernAttributes(scope));
    open.end();
    return result;
  } catch (error) {
    open.set(concernAttributes(scope));
    open.end(error);
    throw error;
  }
}

function concernAttributes(scope: Pick<Scope, 'concern'> | undefined): SpanAttributes {
  const { order, attempt } = scope?.concern ?? {};
  return {
    ...(order === undefined ? {} : { 'morpheo.order': order }),
    ...(attempt === undefined ? {} : { 'morpheo.attempt': attempt }),
  };
}
