import { isIPv6 } from 'node:net';

/**
 * Whom an address counts as: an IPv4 address itself, of IPv6 the first 64 bits, since one machine has all that follows
 * (RFC 4291 §2.5.1); `unknown` where a connection is gone.
 */
export function clientOf(address: string | undefined): string {
  const plain = address?.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (plain === undefined || plain === '') return 'unknown';
  return isIPv6(plain) ? `${network(plain)}::/64` : plain;
}

function network(address: string): string {
  const [before = '', after] = address.toLowerCase().split('::');
  const groups = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'));
  const [head, tail] = [groups(before), groups(after)];
  // An IPv4 address at the end stands for two groups.
  const length = head.length + tail.length + (address.includes('.') ? 1 : 0);
  const zeros = after === undefined ? [] : Array.from({ length: 8 - length }, () => '0');
  const first = [...head, ...zeros, ...tail].slice(0, 4);
  return first.map((group) => group.replace(/^0+(?=.)/, '')).join(':');
}
