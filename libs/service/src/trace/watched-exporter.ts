import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Log } from '../log/index.ts';
import { outOfScope } from './scope.ts';

/**
 * An exporter of which the log tells when it begins to fail, and when it works again: one line each, however many
 * spans are dropped in between. Credentials are not in its errors.
 */
export function watchedExporter(exporter: SpanExporter, endpoint: string, log: Log): SpanExporter {
  let state: 'well' | 'failing' = 'well';
  const note = ({ code, error }: ExportResult): void => {
    if (code === ExportResultCode.SUCCESS) {
      if (state === 'failing') log.info({ endpoint }, 'Traces are sent again');
      state = 'well';
      return;
    }
    if (state === 'well') {
      log.warn({ endpoint, why: error?.message }, 'Traces cannot be sent; spans are dropped until they can');
    }
    state = 'failing';
  };
  return {
    export: (spans: ReadableSpan[], done: (result: ExportResult) => void) =>
      // Batches are sent from within whatever request filled them: what is said of them is not about its order.
      outOfScope(() =>
        exporter.export(spans, (result) => {
          note(result);
          done(result);
        }),
      ),
    shutdown: async () => await exporter.shutdown(),
  };
}
