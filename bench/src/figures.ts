import type { Report } from './bench.ts';
export function drawFigures(_r: readonly Report[]): string {
  return '';
}
