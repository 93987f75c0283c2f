// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text from elsewhere (names, messages, logs) made safe to show on a terminal: it may hold sequences that move the
 * cursor, retitle the window or hide text. Tabs and line ends stay; any other control character becomes `�`.
 */
export function plain(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(CONTROL, '\uFFFD');
}

/** A value as JSON that is safe to show on a terminal: escaped where {@link plain} would replace, it is the same value. */
export function jsonText(value: unknown, indent?: number): string {
  const escaped = (control: string) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replaceAll(/[\u007f-\u009f]|\p{Bidi_Control}/gu, escaped);
}

/** Like {@link plain}, on one line and of at most `most` characters. */
export function oneLine(text: string, most = 200): string {
  const line = plain(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** A size for people, in decimal units with three digits: `999 B`, `12.3 MB`. */
export function humanBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/** A span of `seconds` for people: `0.42 s`, `7.3 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`. */
export function humanSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** A moment in local time, `2025-11-22 15:51:03`; a dash where there is none. */
export function localTime(moment: string | undefined): string {
  if (moment === undefined) return '–';
  const date = new Date(moment);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clockTime(moment)}`;
}

/** The local time of day of a moment, `15:51:03`. */
export function clockTime(moment: string): string {
  const date = new Date(moment);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** How long ago a moment was, `3 min ago`; what lies ahead, or less than a second back, is `now`. */
export function ago(moment: string, now = Date.now()): string {
  const seconds = (now - Date.parse(moment)) / 1000;
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** The seconds between two moments, 0 where a clock was set back meanwhile; undefined where one is missing. */
export function secondsBetween(start: string | undefined, end: string | undefined): number | undefined {
  if (start === undefined || end === undefined) return undefined;
  return Math.max(0, Date.parse(end) - Date.parse(start)) / 1000;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** A bar of `width` characters for a `share` between 0 and 1, to an eighth of a character. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const full = '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
  return full.padEnd(width, ' ');
}

/** `1 file`, `2 files`, `2 searches`. */
export function counted(count: number, noun: string): string {
  const ending = count === 1 ? '' : noun.endsWith('ch') ? 'es' : 's';
  return `${count.toLocaleString('en')} ${noun}${ending}`;
}

/** `1 order`, or `more than 10,000 orders` of what was not counted to its end. */
export function atLeast({ total, more }: { total: number; more?: true | undefined }, noun: string): string {
  return `${more === true ? 'more than ' : ''}${counted(total, noun)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
