import { randomUUID } from 'node:crypto';
import type { Uploaded } from './read-cases.ts';
import { authorizationOf } from './read-server.ts';
import { THING } from './seed-storage.ts';
import { idOf } from './seeding.ts';

const TUS = { 'tus-resumable': '1.0.0' };

/** Uploads a data set and a model, and begins a resumable upload. */
export async function uploadSome(url: string): Promise<Uploaded> {
  const authorization = authorizationOf('admin');
  const form = new FormData();
  const data = randomUUID();
  for (const [name, value] of [
    ['uuid', data],
    ['size', '5'],
  ] as const)
    form.append(name, value);
  form.append('blob', new Blob(['bytes']));
  await send(`${url}/data`, { method: 'POST', body: form, headers: { authorization } });
  const model = randomUUID();
  const place = new URLSearchParams({ uuid: model, algo: idOf(THING, 90) });
  await send(`${url}/model?${place}`, { method: 'POST', body: 'bytes', headers: { authorization } });
  const told = { type: 'data', uuid: randomUUID() };
  const metadata = Object.entries(told).map(
    ([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`,
  );
  const { headers } = await send(`${url}/v1/uploads`, {
    method: 'POST',
    headers: { ...TUS, authorization, 'upload-length': '10', 'upload-metadata': metadata.join(',') },
  });
  return { data, model, upload: headers.get('location')?.split('/').at(-1) ?? '' };
}

async function send(url: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(url, init);
  if (answer.status !== 201) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  await answer.text();
  return answer;
}
