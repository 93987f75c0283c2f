/** A pause that doubles from `firstMs` to `mostMs`. */
export interface BackOff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/**
 * The pause before try number `tries + 1`, in whole milliseconds: 0 before the first, then doubling to the most, each
 * with up to a quarter less by chance, so that what broke together does not come back together.
 */
export function delayMs(backOff: BackOff, tries: number): number {
  if (tries <= 0) return 0;
  const full = Math.min(backOff.mostMs, backOff.firstMs * 2 ** Math.min(tries - 1, 30));
  return Math.round(full * (1 - Math.random() / 4));
}
