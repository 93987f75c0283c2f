import test from 'ava';
import { isPublicAddress } from './addresses.ts';
import { allowedImagesList } from './allowed.ts';
import { parseChallenge } from './challenge.ts';
import { credentialFor, registryCredentials } from './credentials.ts';

test('Addresses of the public Internet are told from all others', (t) => {
  for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1'])
    t.true(isPublicAddress(address), address);
  const others = [
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
  ];
  const ofSix = [
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:1.1.1.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'ff02::1',
  ];
  for (const address of [...others, ...ofSix, '224.0.0.1', '255.255.255.255', 'name', ''])
    t.false(isPublicAddress(address), address);
});

test('Challenges are read as registries write them', (t) => {
  const bearer = { scheme: 'bearer', realm: 'https://a.example/token', service: 's' };
  t.deepEqual(
    parseChallenge('Bearer realm="https://a.example/token",service="s",scope="x:y:pull,push"'),
    bearer,
  );
  t.deepEqual(parseChallenge('Basic realm="a", bearer realm="https://a.example/token" , service=s'), bearer);
  t.deepEqual(parseChallenge('Basic realm="a"'), { scheme: 'basic' });
  for (const field of ['', 'Negotiate', 'Bearer service="s"', `Bearer realm="${'x'.repeat(5000)}"`])
    t.is(parseChallenge(field), undefined, field);
});

test('A list of registries is read, and what is none is refused', (t) => {
  t.deepEqual(
    allowedImagesList.parse('Registry.example:5000, https://b.example/team/sub/,http://localhost'),
    [
      { registry: 'registry.example:5000', scheme: 'https', prefix: '' },
      { registry: 'b.example', scheme: 'https', prefix: 'team/sub' },
      { registry: 'localhost', scheme: 'http', prefix: '' },
    ],
  );
  for (const text of [
    '',
    'a b',
    'ftp://a.example',
    'https://me:secret@a.example',
    'a.example/UPPER',
    'a.example,,b.example',
  ])
    t.false(allowedImagesList.safeParse(text).success, text);
});

test('Credentials are those of Docker and podman, the nearest name first, and errors show nothing of them', (t) => {
  const auth = Buffer.from('robot:pass:word').toString('base64');
  const auths = {
    'registry.example': { auth },
    'registry.example/team': { username: 'team', password: 'other' },
    'https://index.docker.io/v1/': { auth },
  };
  const read = registryCredentials.parse(JSON.stringify({ auths, HttpHeaders: {} }));
  const find = (registry: string, repository: string) => credentialFor(read, { registry, repository });
  t.deepEqual(find('registry.example', 'tool'), { username: 'robot', password: 'pass:word' });
  t.is(find('registry.example', 'team/tool')?.username, 'team');
  t.is(find('docker.io', 'library/python')?.username, 'robot');
  t.is(find('registry.example:5000', 'tool'), undefined);
  for (const wrong of [
    'planted-secret',
    '{"auths":{"a.example":{"auth":"planted-secret"}}}',
    '{"credsStore":"planted-secret","auths":{}}',
  ]) {
    const refused = registryCredentials.safeParse(wrong);
    t.false(refused.success);
    t.false(JSON.stringify(refused.error?.issues).includes('planted-secret'));
  }
});
