import { z } from 'zod';
import { defineSettings, hasCredentials, type SettingsOf } from '../config/index.ts';

/** The settings of traces, the same in every service; the variables are those that OpenTelemetry has named. */
export const traceSettings = defineSettings({
  otlpEndpoint: {
    flag: 'otlp-endpoint',
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    schema: z
      .url({ protocol: /^https?$/, error: 'should be an address such as http://127.0.0.1:4318' })
      .refine((url) => !hasCredentials(url), 'has credentials in it: they belong into --otlp-headers')
      .optional(),
    help: 'Where traces are sent by OTLP over HTTP, such as http://127.0.0.1:4318; none are made where absent.',
  },
  otlpHeaders: {
    flag: 'otlp-headers',
    env: 'OTEL_EXPORTER_OTLP_HEADERS',
    schema: z
      .string()
      .transform((text, context) =>
        readHeaders(text, () => context.addIssue('should be name=value, by comma')),
      )
      .optional(),
    secret: true,
    help: 'Header fields that go with the traces, as name=value by comma: the credentials of the receiver.',
  },
  otlpRatio: {
    flag: 'otlp-ratio',
    env: 'OTEL_TRACES_SAMPLER_ARG',
    schema: z.coerce.number().min(0).max(1),
    default: 1,
    help: 'The share of orders that are traced, from 0 to 1; a trace that the caller has begun is always gone on with.',
  },
});

/** See {@link traceSettings}. */
export type TraceSettings = SettingsOf<typeof traceSettings>;

/** Names and values are percent-encoded, as in W3C Baggage (OTLP exporter specification, "headers"). */
function readHeaders(text: string, refuse: () => void): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const member of text.split(',')) {
    const at = member.indexOf('=');
    const name = member.slice(0, Math.max(at, 0)).trim();
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) refuse();
    else headers[name] = decoded(member.slice(at + 1).trim());
  }
  return headers;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
