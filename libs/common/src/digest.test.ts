import test from 'ava';
import { formatDigestField, parseDigestField } from './digest.ts';

test('A digest field reads back as the digits it was made of', (t) => {
  const hex = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  t.is(formatDigestField(hex), 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:');
  t.is(parseDigestField(`md5=:abc=:, ${formatDigestField(hex)}`), hex);
});

test('A field without a well-formed SHA-256 gives nothing', (t) => {
  for (const field of ['', 'sha-256=abc', 'sha-512=:AAAA:', 'sha-256=:short=:'])
    t.is(parseDigestField(field), null);
});
