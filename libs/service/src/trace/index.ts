/**
 * Traces, and whom work is for. A scope is entered where work begins (a request, an attempt, an effect); all that is
 * awaited in it knows the order that it is for, whether traces are on or off: log lines carry it, and calls of other
 * services tell it (W3C Baggage). Where traces are on, spans inside belong to the trace of the scope (W3C Trace
 * Context), and are sent by OTLP. Off, a span is nothing but its work.
 */

export type { Concern } from './baggage.ts';
export { checkReceiver } from './check-receiver.ts';
export { openTracer, tracerOf } from './open-tracer.ts';
export type { OpenTracer } from './otlp.ts';
export {
  concerns,
  currentTraceparent,
  type EnterScope,
  inScope,
  outOfScope,
  readConcern,
  readTraceparent,
  scopeFields,
  serverSpan,
  span,
  tellSpan,
  traceHeaders,
} from './scope.ts';
export { type TraceSettings, traceSettings } from './settings.ts';
export {
  kindOfError,
  type OpenSpan,
  type SpanAttributes,
  type StartSpan,
  silentTracer,
  type Tracer,
} from './tracer.ts';
