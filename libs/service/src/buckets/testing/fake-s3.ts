import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Secret } from '../../config/index.ts';
import type { TestBucketOptions } from './minio.ts';

/** A server that answers to S3's requests what no test can make a real one answer. */
export interface FakeS3 extends AsyncDisposable {
  readonly options: TestBucketOptions;
}

/** What it answers: nothing of its own means an empty 200, or a copy that was made. */
export type FakeAnswer = (request: IncomingMessage, response: ServerResponse) => void;

/** Starts a {@link FakeS3}. */
export async function startFakeS3(answer: FakeAnswer): Promise<FakeS3> {
  // Idle connections stay: on a busy machine one would be closed just when the client uses it again.
  const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    request.resume();
    answer(request, response);
    // Without a body a copy counts as one that failed.
    const isCopy = request.headers['x-amz-copy-source'] !== undefined;
    if (!response.writableEnded) response.end(isCopy ? '<CopyObjectResult/>' : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    options: {
      bucket: 'fake',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: { accessKeyId: 'key', secretAccessKey: new Secret('hush-hush') },
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers with an error in S3's form. */
export function answerError(response: ServerResponse, status: number, code: string, message = 'no'): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`);
}
