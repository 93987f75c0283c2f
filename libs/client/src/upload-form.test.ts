import { text } from 'node:stream/consumers';
import test from 'ava';
import { createClient } from './client.ts';
import { contract } from './testing/contract.ts';
import { openPeer } from './testing/peer.ts';
import { uploadForm } from './upload-form.ts';

const fields = { uuid: 'u', name: 'a "näme"\r\nwith lines', size: '5' };

test('A form holds its fields in order and the bytes last', async (t) => {
  const form = uploadForm({ fields, blob: new Blob(['bytes']) });
  const headers = { 'content-type': form.contentType ?? '' };
  const read = await new Response(form.blob ?? null, { headers }).formData();
  t.deepEqual([...read.keys()], ['uuid', 'name', 'size', 'blob']);
  t.is(read.get('name'), fields.name);
  const blob = read.get('blob');
  t.is(blob instanceof File ? await blob.text() : undefined, 'bytes');
  t.is(form.contentLength, form.blob?.size);
  t.is(await text(form.body), (await form.blob?.text()) ?? '');
});

test('A field cannot break out of its name', async (t) => {
  const form = uploadForm({ fields: { 'a"\r\nb': 'x' }, blob: new Blob([]) });
  t.true((await text(form.body)).includes('name="a%22%0D%0Ab"\r\n\r\nx\r\n'));
});

test('A form is sent with its length, with and without progress', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(201).end('{"n":1}'));
  const client = createClient(contract, { url: peer.url });
  const told: number[] = [];
  const form = { fields, blob: new Blob(['x'.repeat(200_000)]) };
  await client.upload({ body: uploadForm(form) });
  await client.upload({
    body: uploadForm({ ...form, onProgress: (sent, total) => told.push(sent / total) }),
  });
  const lengths = peer.seen.map(({ headers, body }) => [
    Number(headers['content-length']),
    Buffer.byteLength(body),
  ]);
  t.is(lengths[0]?.[0], lengths[1]?.[0]);
  for (const [announced, came] of lengths) t.is(announced, came);
  t.is(told.at(-1), 1);
  t.deepEqual(
    told,
    told.toSorted((a, b) => a - b),
  );
});
