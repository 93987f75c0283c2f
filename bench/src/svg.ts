/** A text of a picture (SVG) at a place, with these further attributes; what it says is escaped. */
export function svgText(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="#222222" ${attributes}>${escaped}</text>`;
}
