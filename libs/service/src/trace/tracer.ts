import { isPlatformError, OrderFailure } from '@morpheo/common';
/** What is known of a span beside its name. Never a secret, and never a body: spans leave this machine. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** How a span begins. */
export interface StartSpan {
  /** The `traceparent` of the span that this one belongs to; the span begins a trace of its own where absent. */
  readonly parent?: string | undefined;
  /** `server`: the answer to a request of another process. */
  readonly kind?: 'internal' | 'server' | 'client' | undefined;
  readonly attributes?: SpanAttributes | undefined;
  /** When it began, in milliseconds since 1970; now where absent. */
  readonly startedAt?: number | undefined;
}

/** A span that has begun. One that is never ended is never told of. */
export interface OpenSpan {
  /** By which spans elsewhere name it as their parent (W3C Trace Context). */
  readonly traceparent: string;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** Ends it; `error` is what the work threw, of which only the kind is told. */
  end(error?: unknown): void;
}

/**
 * Tells somebody what took how long, as spans of traces. It never throws and never waits; where nobody listens, spans
 * are dropped.
 */
export interface Tracer {
  /** False: nothing is told, and no span need be made. */
  readonly on: boolean;
  start(name: string, options: StartSpan): OpenSpan;
  /** Sends what has ended, for at most two seconds. */
  [Symbol.asyncDispose](): Promise<void>;
}

const NO_SPAN: OpenSpan = { traceparent: '', rename() {}, set() {}, end() {} };

/** The tracer of a service that is not asked for traces. */
export const silentTracer: Tracer = {
  on: false,
  start: () => NO_SPAN,
  async [Symbol.asyncDispose]() {},
};

/** What kind of error something is, in a word of a closed list: a code, a reason, or the name of a class. */
export function kindOfError(error: unknown): string {
  if (isPlatformError(error)) return error.code;
  if (error instanceof OrderFailure) return error.failure.reason;
  return error instanceof Error ? error.name : typeof error;
}
