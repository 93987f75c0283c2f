// Prints a gigabyte.
import { writeSync } from 'node:fs';

const line = Buffer.from(`${'x'.repeat(1023)}\n`);
for (let printed = 0; printed < 2 ** 30; printed += line.length) {
  for (let at = 0; at < line.length; ) {
    try {
      at += writeSync(1, line, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
