const SIDE = 28;
const SHADES = [' ', '░', '▒', '▓', '█'];

/** A digit as the data files have it: its label, and 28 × 28 bytes, row by row, 255 where the pen was. */
export interface Digit {
  readonly label: number;
  readonly pixels: Uint8Array;
}

/** Reads the digits of a data file: JSON lines with a label and base64. */
export function readDigits(text: string): Digit[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { label: number; pixels: string })
    .map(({ label, pixels }) => ({ label, pixels: Buffer.from(pixels, 'base64') }));
}

/** Draws a digit for a terminal, two characters a pixel so that it is as wide as it is high; empty edges are cut. */
export function drawDigit(pixels: Uint8Array): string {
  const rows = Array.from({ length: SIDE }, (_, row) => pixels.subarray(row * SIDE, (row + 1) * SIDE));
  const inked = rows.filter((row) => row.some((pixel) => pixel > 25));
  return inked.map((row) => `    ${Array.from(row, shade).join('')}`.trimEnd()).join('\n');
}

function shade(pixel: number): string {
  return (SHADES[Math.min(SHADES.length - 1, Math.floor((pixel / 256) * SHADES.length))] ?? ' ').repeat(2);
}
