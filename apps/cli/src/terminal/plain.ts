// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text from elsewhere (names, messages, logs) made safe to show on a terminal: it may hold sequences that move the
 * cursor, retitle the window or hide text. Tabs and line ends stay; any other control character becomes `�`.
 */
export function plain(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(CONTROL, '\uFFFD');
}

/** Like {@link plain}, on one line and of at most `most` characters. */
export function oneLine(text: string, most = 200): string {
  const line = plain(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}
